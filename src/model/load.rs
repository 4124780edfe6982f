//! From the bytes of a model file to a network that runs: hash, card, checks, then tract.

use std::sync::{Arc, Mutex, PoisonError};

use ndarray::Array4;
use prost::Message;
use tract_onnx::pb::{ModelProto, TensorProto};
use tract_onnx::prelude::*;
use tract_onnx::tract_core::knobs::KnobScope;
use tract_onnx::tract_core::ops::cnn::{Conv, Deconv};
use tract_onnx::tract_hir::internal::DimLike;

use super::card::Card;
use super::operators::{self, Lowered, Packed};
use super::{LoadOptions, check, engine};
use crate::guard::catch_panics;
use crate::kernels::{BLOCK, Tier};
use crate::{Error, Result, Watch, digest, memory};

/// Values that all layers of a network together may hold for one slice.
const MAX_ACTIVATIONS: usize = 1 << 30;
/// Compiled networks kept at once, one for each window size.
const MAX_KEPT: usize = 4;
/// Slices that the kernels take at once, so that weights are read once for all of them: with four, the deepest layers of the default
/// models have 48 tiles, a multiple of the six that a pass takes.
const SLICES_AT_ONCE: usize = 4;

/// A network compiled for one in-plane window.
#[derive(Debug)]
pub(crate) struct Network {
    plan: Arc<TypedRunnableModel>,
    /// Height and width of the window in voxels.
    pub(crate) window: [usize; 2],
    /// Slices that it takes at once, at most.
    pub(crate) slices_at_once: usize,
    /// Bytes that a thread needs to run it, at most.
    pub(crate) bytes: u64,
    /// Bytes of what it has for itself, at most: no weights if the kernels have them all.
    pub(crate) own_bytes: u64,
}

/// A checked model file, and its networks compiled so far.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) card: Card,
    pub(crate) sha256: String,
    /// Bytes of the weights as floats.
    pub(crate) weight_bytes: u64,
    graph: InferenceModel,
    packed: Packed,
    /// `None` leaves everything to tract.
    tier: Option<Tier>,
    compiled: Mutex<Vec<Arc<Network>>>,
}

/// Checks `bytes` and reads them.
///
/// # Errors
/// [`Error::BadModel`] with the fault; [`Error::OutOfMemory`].
pub(crate) fn load(bytes: &[u8], options: &LoadOptions) -> Result<Loaded> {
    let (limits, expected_sha256) = (&options.limits, options.sha256.as_deref().map(str::trim));
    if bytes.len() as u64 > limits.max_model_bytes {
        let limit = limits.max_model_bytes;
        return Err(Error::BadModel(format!("{} bytes, over the limit of {limit}", bytes.len())));
    }
    let sha256 = digest::sha256(bytes);
    if let Some(expected) = expected_sha256.filter(|expected| !expected.eq_ignore_ascii_case(&sha256)) {
        return Err(Error::BadModel(format!("its SHA-256 is {sha256}, not {expected}")));
    }
    // The bytes, and what they are decoded to.
    let read = 2 * bytes.len() as u64;
    memory::check(options.memory_limit, bytes.len() as u64, read, "the model")?;
    let proto = ModelProto::decode(bytes)
        .map_err(|fault| Error::BadModel(format!("it is not an ONNX file, or a damaged one: {fault}")))?;
    let properties = proto.metadata_props.iter().map(|entry| (entry.key.as_str(), entry.value.as_str()));
    let card = Card::from_properties(properties)?;
    check::check(&proto, &card, limits)?;
    memory::check(options.memory_limit, read, loading_bytes(&proto), "the model")?;
    // Shapes noted inside the graph are not needed, and their formulas are not checked.
    let mut engine = tract_onnx::onnx().with_ignore_value_info(true);
    operators::refuse_misfits(&mut engine);
    let tier = Tier::current();
    if tier.is_some() {
        operators::register(&mut engine);
    }
    let graph = untrusted(|| engine.model_for_proto_model(&proto))?;
    let weight_bytes = 4 * proto.graph.iter().flat_map(|graph| &graph.initializer).map(elements).sum::<u64>();
    let (packed, compiled) = (Packed::default(), Mutex::default());
    let loaded = Loaded { card, sha256, weight_bytes, graph, packed, tier, compiled };
    // Any window shows now what would otherwise fail in the middle of a scan; a small one soon.
    let edge = loaded.card.window.unwrap_or(4 * loaded.card.size_multiple);
    loaded.compile([edge; 2])?;
    Ok(loaded)
}

/// An upper bound on the bytes that a decoded model takes while it is loaded and afterwards.
fn loading_bytes(proto: &ModelProto) -> u64 {
    let tensors = || proto.graph.iter().flat_map(|graph| &graph.initializer);
    let packed: u64 = tensors().map(packed_bytes).fold(0, u64::saturating_add);
    // As the file has them, as floats, and once more while they are taken over.
    let weights: u64 = tensors().map(elements).sum();
    packed.saturating_add(12 * weights) + (8 << 20)
}

/// An upper bound on the bytes of a convolution's weights as the kernels have them; 0 for other tensors.
fn packed_bytes(tensor: &TensorProto) -> u64 {
    let &[to, from, rows, columns] = &tensor.dims[..] else { return 0 };
    let [to, from, rows, columns] =
        [to, from, rows, columns].map(|length| u64::try_from(length).unwrap_or(0));
    let in_blocks = |channels: u64| channels.next_multiple_of(BLOCK as u64);
    // Winograd's kernels have 36 values for 9.
    let taps = if (rows, columns) == (3, 3) { 36 } else { rows.saturating_mul(columns) };
    [in_blocks(to), in_blocks(from), taps].into_iter().fold(4, u64::saturating_mul)
}

fn elements(tensor: &TensorProto) -> u64 {
    // The check has seen that the product fits.
    tensor.dims.iter().map(|&length| u64::try_from(length).unwrap_or(0)).product()
}

/// Runs tract on a model file: its errors and panics are faults of the file.
fn untrusted<T>(work: impl FnOnce() -> TractResult<T>) -> Result<T> {
    catch_panics(|| work().map_err(|fault| Error::BadModel(format!("{fault:#}")))).map_err(fault_of_file)
}

/// What the engine fails with is a fault of the file that it runs.
fn fault_of_file(fault: Error) -> Error {
    match fault {
        Error::Internal(failure) => Error::BadModel(format!("it makes the engine fail: {failure}")),
        other => other,
    }
}

impl Loaded {
    /// The network for a window, compiled at its first use.
    pub(crate) fn network(&self, window: [usize; 2]) -> Result<Arc<Network>> {
        // A poisoned list is whole: networks are only ever pushed and removed.
        let mut compiled = self.compiled.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(network) = compiled.iter().find(|network| network.window == window) {
            return Ok(Arc::clone(network));
        }
        let network = Arc::new(self.compile(window)?);
        if compiled.len() == MAX_KEPT {
            compiled.remove(0);
        }
        compiled.push(Arc::clone(&network));
        Ok(network)
    }

    /// Bytes of the weights, as the file has them and as the kernels do.
    pub(crate) fn weight_bytes(&self) -> u64 {
        self.weight_bytes + self.packed.bytes()
    }

    /// An upper bound on the bytes that compiling takes for a while, by measurement: the graph is taken over, and what the
    /// kernels do not run is packed.
    pub(crate) fn compilation_bytes(&self) -> u64 {
        2 * self.weight_bytes + (4 << 20)
    }

    fn compile(&self, window: [usize; 2]) -> Result<Network> {
        if let Some(tier) = self.tier {
            let any_number = self.graph.symbols.sym("slices").to_dim();
            // The kernels take any number of slices at once, and tract is slow with more than one.
            match untrusted(|| self.lowered(any_number, window, tier)) {
                Ok(Lowered { graph, whole: true }) => return plan(graph, window, SLICES_AT_ONCE, 0),
                Err(fault @ Error::OutOfMemory(_)) => return Err(fault),
                _ => (),
            }
        }
        let graph = untrusted(|| match self.tier {
            Some(tier) => Ok(self.lowered(1.to_dim(), window, tier)?.graph),
            None => self.typed(1.to_dim(), window),
        })?;
        // The engine packs the weights again.
        plan(graph, window, 1, 2 * self.weight_bytes)
    }

    /// The network for so many slices, as tract has it.
    fn typed(&self, slices: TDim, [height, width]: [usize; 2]) -> TractResult<TypedModel> {
        let shape = [slices, self.card.slices_in.to_dim(), height.to_dim(), width.to_dim()];
        self.graph.clone().with_input_fact(0, f32::fact(shape).into())?.into_typed()
    }

    /// The same with what the kernels do replaced.
    fn lowered(&self, slices: TDim, window: [usize; 2], tier: Tier) -> TractResult<Lowered> {
        operators::lower(&self.typed(slices, window)?, &self.packed, tier)
    }
}

fn plan(graph: TypedModel, window: [usize; 2], slices_at_once: usize, own_bytes: u64) -> Result<Network> {
    check_sizes(&graph)?;
    check_output(&graph, window)?;
    let unfolded = untrusted(|| most_unfolded(&graph))?;
    let plan = untrusted(|| {
        // The direct convolution is the slower of tract's two for most layers of these generators.
        KnobScope::new([("TRACT_DISABLE_DIRECT_SPATIAL", "1")])?
            .enter(|| graph.into_optimized()?.into_runnable())
    })?;
    let activations = untrusted(|| most_alive(plan.model()))?;
    let scratch = untrusted(|| operators::scratch_bytes(plan.model(), slices_at_once))?;
    // What goes in and comes out is there once more.
    let [ends, alive] =
        [2 * window[0] * window[1], activations].map(|values| 4 * (values * slices_at_once) as u64);
    Ok(Network {
        plan,
        window,
        slices_at_once,
        bytes: (ends + alive + scratch).saturating_add(unfolded),
        own_bytes,
    })
}

/// Values of a layer's output for one slice; `None` for weights.
fn values_of_one_slice(fact: &TypedFact) -> TractResult<Option<usize>> {
    if fact.konst.is_some() {
        return Ok(None);
    }
    let mut values = 1_usize;
    for (axis, length) in fact.shape.iter().enumerate() {
        // The number of slices may be open.
        let length = if axis == 0 { length.to_usize().unwrap_or(1) } else { length.to_usize()? };
        values = values.checked_mul(length).ok_or_else(|| TractError::msg("too many values"))?;
    }
    Ok(Some(values))
}

/// Bytes of the largest image that the engine unfolds for a convolution that the kernels do not run: a value for each tap of
/// each pixel.
fn most_unfolded(model: &TypedModel) -> TractResult<u64> {
    let mut most = 0;
    for node in model.nodes() {
        let (taps, fact) = if let Some(convolution) = node.op_as::<Conv>() {
            let taps: usize = convolution.pool_spec.kernel_shape.iter().product();
            (taps * convolution.pool_spec.input_channels, &node.outputs[0].fact)
        } else if let Some(transposed) = node.op_as::<Deconv>() {
            let taps: usize = transposed.pool_spec.kernel_shape.iter().product();
            (taps * transposed.pool_spec.output_channels, model.outlet_fact(node.inputs[0])?)
        } else {
            continue;
        };
        let mut values = taps as u64;
        for length in fact.shape.iter().skip(2) {
            values = values.saturating_mul(length.to_usize()? as u64);
        }
        most = most.max(values.saturating_mul(size_of::<f32>() as u64));
    }
    Ok(most)
}

/// Refuses a network whose layers are too large for one slice.
fn check_sizes(model: &TypedModel) -> Result<()> {
    let mut total = 0_usize;
    for node in model.nodes() {
        for output in &node.outputs {
            let too_large = || Error::BadModel(format!("layer {:?} makes its images too large", node.name));
            let values = values_of_one_slice(&output.fact).map_err(|_| too_large())?;
            let sum = total.checked_add(values.unwrap_or(0)).filter(|&sum| sum <= MAX_ACTIVATIONS);
            total = sum.ok_or_else(too_large)?;
        }
    }
    Ok(())
}

/// The most values that are alive at once for one slice: each from the layer that makes it to the last that reads it.
fn most_alive(model: &TypedModel) -> TractResult<usize> {
    let order = model.eval_order()?;
    let mut last_reader = vec![usize::MAX; model.nodes().len()];
    for (step, &id) in order.iter().enumerate() {
        for input in &model.node(id).inputs {
            last_reader[input.node] = step;
        }
    }
    let size = |id: usize| -> TractResult<usize> {
        let outputs = &model.node(id).outputs;
        outputs.iter().map(|output| Ok(values_of_one_slice(&output.fact)?.unwrap_or(0))).sum()
    };
    let (mut alive, mut most) = (0, 0);
    for (step, &id) in order.iter().enumerate() {
        alive += size(id)?;
        most = most.max(alive);
        let mut ended: Vec<_> = model.node(id).inputs.iter().map(|input| input.node).collect();
        ended.sort_unstable();
        ended.dedup();
        for input in ended.into_iter().filter(|&input| last_reader[input] == step) {
            alive -= size(input)?;
        }
    }
    Ok(most)
}

fn check_output(model: &TypedModel, [height, width]: [usize; 2]) -> Result<()> {
    let fact = untrusted(|| model.output_fact(0).cloned())?;
    let expected = [1, height, width].map(|length| length.to_dim());
    if fact.datum_type != f32::datum_type() || fact.shape.get(1..) != Some(&expected[..]) {
        return Err(Error::BadModel(format!(
            "it makes {fact:?} of a slice, not float32 [1, 1, {height}, {width}]"
        )));
    }
    Ok(())
}

impl Network {
    /// Runs the network on slices with their neighbours (slices, slices in, height, width); returns height x width values of
    /// each, row by row. `watch` can stop it between layers.
    ///
    /// # Errors
    /// Those of `watch`; [`Error::BadModel`] if the engine cannot run it.
    pub(crate) fn run(&self, slices: Array4<f32>, watch: &Watch) -> Result<Vec<f32>> {
        let outcome = catch_panics(|| {
            let count = slices.dim().0;
            let values = engine::run(&self.plan, slices.into(), "the engine", |_| watch.check())?;
            if values.len() != count * self.window[0] * self.window[1] {
                let made = values.len();
                return Err(Error::Internal(format!("the engine gives {made} values for {count} slices")));
            }
            Ok(values)
        });
        outcome.map_err(fault_of_file)
    }
}
