//! From the bytes of a model file to a network that runs: hash, card, checks, then tract.

use std::sync::{Arc, Mutex, PoisonError};

use ndarray::Array3;
use prost::Message;
use tract_onnx::pb::ModelProto;
use tract_onnx::prelude::*;
use tract_onnx::tract_core::knobs::KnobScope;

use super::card::Card;
use super::check;
use crate::guard::catch_panics;
use crate::{Error, Limits, Result, digest};

/// Values that all layers of a network together may hold for one slice.
const MAX_ACTIVATIONS: usize = 1 << 30;
/// Compiled networks kept at once, one for each window size.
const MAX_KEPT: usize = 4;

/// A network compiled for one in-plane window.
#[derive(Debug)]
pub(crate) struct Network {
    plan: Arc<TypedRunnableModel>,
    /// Height and width of the window in voxels.
    pub(crate) window: [usize; 2],
    /// Bytes that one slice's activations take at most.
    pub(crate) activation_bytes: u64,
}

/// A checked model file, and its networks compiled so far.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) card: Card,
    pub(crate) sha256: String,
    /// Bytes of the weights as floats.
    pub(crate) weight_bytes: u64,
    graph: InferenceModel,
    compiled: Mutex<Vec<Arc<Network>>>,
}

/// Checks `bytes` and reads them.
///
/// # Errors
/// [`Error::BadModel`] with the fault.
pub(crate) fn load(bytes: &[u8], limits: &Limits, expected_sha256: Option<&str>) -> Result<Loaded> {
    if bytes.len() as u64 > limits.max_model_bytes {
        let limit = limits.max_model_bytes;
        return Err(Error::BadModel(format!("{} bytes, over the limit of {limit}", bytes.len())));
    }
    let sha256 = digest::sha256(bytes);
    if let Some(expected) = expected_sha256.filter(|expected| !expected.eq_ignore_ascii_case(&sha256)) {
        return Err(Error::BadModel(format!("its SHA-256 is {sha256}, not {expected}")));
    }
    let proto = ModelProto::decode(bytes)
        .map_err(|fault| Error::BadModel(format!("it is not an ONNX file, or a damaged one: {fault}")))?;
    let properties = proto.metadata_props.iter().map(|entry| (entry.key.as_str(), entry.value.as_str()));
    let card = Card::from_properties(properties)?;
    check::check(&proto, &card)?;
    // Shapes noted inside the graph are not needed, and their formulas are not checked.
    let engine = tract_onnx::onnx().with_ignore_value_info(true);
    let graph = untrusted(|| engine.model_for_proto_model(&proto))?;
    let weight_bytes = 4 * proto.graph.iter().flat_map(|graph| &graph.initializer).map(elements).sum::<u64>();
    let loaded = Loaded { card, sha256, weight_bytes, graph, compiled: Mutex::default() };
    // Any window shows now what would otherwise fail in the middle of a scan; a small one soon.
    let edge = loaded.card.window.unwrap_or(4 * loaded.card.size_multiple);
    loaded.compile([edge; 2])?;
    Ok(loaded)
}

fn elements(tensor: &tract_onnx::pb::TensorProto) -> u64 {
    // The check has seen that the product fits.
    tensor.dims.iter().map(|&length| u64::try_from(length).unwrap_or(0)).product()
}

/// Runs tract on a model file: its errors and panics are faults of the file.
fn untrusted<T>(work: impl FnOnce() -> TractResult<T>) -> Result<T> {
    let outcome = catch_panics(|| work().map_err(|fault| Error::BadModel(format!("{fault:#}"))));
    outcome.map_err(|fault| match fault {
        Error::Internal(panic) => Error::BadModel(format!("it makes the engine fail: {panic}")),
        other => other,
    })
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

    fn compile(&self, window: [usize; 2]) -> Result<Network> {
        let [height, width] = window;
        let typed = untrusted(|| {
            let shape = [1, self.card.slices_in, height, width];
            self.graph.clone().with_input_fact(0, f32::fact(shape).into())?.into_typed()
        })?;
        let activations = activation_count(&typed)?;
        check_output(&typed, window)?;
        let plan = untrusted(|| {
            // The direct convolution is the slower of tract's two for most layers of these generators.
            KnobScope::new([("TRACT_DISABLE_DIRECT_SPATIAL", "1")])?
                .enter(|| typed.into_optimized()?.into_runnable())
        })?;
        Ok(Network { plan, window, activation_bytes: 4 * activations as u64 })
    }
}

/// Values of all layers' outputs for one slice, weights left out.
fn activation_count(model: &TypedModel) -> Result<usize> {
    let mut total = 0_usize;
    for node in model.nodes() {
        for output in node.outputs.iter().filter(|output| output.fact.konst.is_none()) {
            let values = output.fact.shape.as_concrete().and_then(|shape| {
                shape.iter().try_fold(1_usize, |product, &length| product.checked_mul(length))
            });
            let sum = values.and_then(|values| total.checked_add(values));
            total = sum.filter(|&sum| sum <= MAX_ACTIVATIONS).ok_or_else(|| {
                Error::BadModel(format!("layer {:?} makes its images too large", node.name))
            })?;
        }
    }
    Ok(total)
}

fn check_output(model: &TypedModel, [height, width]: [usize; 2]) -> Result<()> {
    let fact = untrusted(|| model.output_fact(0).cloned())?;
    let expected = [1, 1, height, width];
    if fact.datum_type != f32::datum_type() || fact.shape.as_concrete() != Some(&expected[..]) {
        return Err(Error::BadModel(format!("it makes {fact:?} of a slice, not float32 {expected:?}")));
    }
    Ok(())
}

impl Network {
    /// Runs the network on neighbouring slices (slices in, height, width); returns height x width values, row by row.
    pub(crate) fn run(&self, slices: Array3<f32>) -> Result<Vec<f32>> {
        catch_panics(|| {
            let engine_fault = |fault: TractError| Error::Internal(format!("the engine failed: {fault:#}"));
            let input: Tensor = slices.insert_axis(ndarray::Axis(0)).into();
            let outputs = self.plan.run(tvec!(input.into())).map_err(engine_fault)?;
            let view = outputs[0].to_plain_array_view::<f32>().map_err(engine_fault)?;
            Ok(view.iter().copied().collect())
        })
    }
}
