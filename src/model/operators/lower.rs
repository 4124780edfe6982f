//! From tract's typed graph to one that the kernels run wherever they can.
//!
//! Nodes are taken over one by one, in the order in which they run. A value may exist in two forms, as tract has it and in
//! blocks of channels; each is made when something needs it, so that values stay in blocks from one kernel to the next.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use tract_onnx::tract_core::ops::array::{Pad, PadMode, TypedConcat};
use tract_onnx::tract_core::ops::binary::TypedBinOp;
use tract_onnx::tract_core::ops::cast::Cast;
use tract_onnx::tract_core::ops::cnn::{Conv, Deconv, KernelFormat, PaddingSpec, PoolSpec};
use tract_onnx::tract_core::ops::element_wise::ElementWiseOp;
use tract_onnx::tract_core::ops::konst::Const;
use tract_onnx::tract_core::ops::math::{Add, Max};
use tract_onnx::tract_core::ops::nn::{DataFormat, LeakyRelu};
use tract_onnx::tract_core::ops::source::TypedSource;
use tract_onnx::tract_hir::internal::*;

use super::blocks::{Combine, Convolve, FromBlocks, Normalize, ToBlocks};
use super::keep::{KeptNode, Kind};
use crate::kernels::{Activation, BLOCK, Border, Convolution, InstanceNorm, Resampling, Shape, Spec, Tier};
use crate::memory;

/// No convolution of a sensible generator has a longer stride or dilation, or a wider border: one that does would make the kernels'
/// bands and lists of phases large without need, and stays tract's.
const MAX_STEP: usize = 8;
const MAX_BORDER: usize = 64;

/// Convolutions with packed weights by the name of their node: those of a model are the same for every window.
#[derive(Debug, Default)]
pub(in crate::model) struct Packed {
    convolutions: Mutex<HashMap<(String, Spec), Arc<Convolution>>>,
}

impl Packed {
    fn convolution(
        &self,
        name: &str,
        spec: Spec,
        pack: impl FnOnce(Spec) -> TractResult<Convolution>,
    ) -> TractResult<Arc<Convolution>> {
        // A poisoned map is whole: convolutions are only ever added.
        let mut all = self.convolutions.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (name.to_owned(), spec);
        if let Some(packed) = all.get(&key) {
            return Ok(Arc::clone(packed));
        }
        let packed = Arc::new(pack(key.1.clone())?);
        all.insert(key, Arc::clone(&packed));
        Ok(packed)
    }

    /// Bytes of all packed weights.
    pub(in crate::model) fn bytes(&self) -> u64 {
        let all = self.convolutions.lock().unwrap_or_else(PoisonError::into_inner);
        all.values().map(|convolution| convolution.bytes() as u64).sum()
    }
}

/// A graph that the kernels run wherever they can.
pub(in crate::model) struct Lowered {
    pub(in crate::model) graph: TypedModel,
    /// Whether the kernels run all its convolutions.
    pub(in crate::model) whole: bool,
}

/// Replaces in `source` what the kernels of `tier` can do.
pub(in crate::model) fn lower(source: &TypedModel, packed: &Packed, tier: Tier) -> TractResult<Lowered> {
    let target = TypedModel { symbols: source.symbols.clone(), ..TypedModel::default() };
    let mut lowering = Lowering {
        source,
        target,
        values: HashMap::new(),
        finished: HashSet::new(),
        packed,
        tier,
        whole: true,
    };
    for id in source.eval_order()? {
        lowering.node(source.node(id))?;
    }
    let inputs = source.input_outlets()?.iter().map(|&outlet| lowering.plain(outlet));
    lowering.target.inputs = inputs.collect::<TractResult<Vec<_>>>()?;
    let outputs = source.output_outlets()?.iter().map(|&outlet| lowering.plain(outlet));
    let outputs = outputs.collect::<TractResult<Vec<_>>>()?;
    lowering.target.select_output_outlets(&outputs)?;
    Ok(Lowered { graph: lowering.target, whole: lowering.whole })
}

/// A value of the source graph in the target graph.
#[derive(Clone, Copy, Debug, Default)]
struct Value {
    plain: Option<OutletId>,
    blocks: Option<OutletId>,
    waiting: Option<Waiting>,
}

/// What is not done yet, because the next operator may do it on its way.
#[derive(Clone, Copy, Debug)]
enum Waiting {
    /// Pixels of the value become channels, so many rows and columns at a time.
    Split(OutletId, usize),
    /// The value gets a border of so many rows and columns before and after it.
    Border(OutletId, Border, [[usize; 2]; 2]),
}

struct Lowering<'a> {
    source: &'a TypedModel,
    target: TypedModel,
    values: HashMap<OutletId, Value>,
    /// Nodes that were folded into the ones before.
    finished: HashSet<usize>,
    packed: &'a Packed,
    tier: Tier,
    whole: bool,
}

impl<'a> Lowering<'a> {
    fn node(&mut self, node: &'a TypedNode) -> TractResult<()> {
        if self.finished.contains(&node.id) || self.is_constant(node.id.into()) {
            return Ok(());
        }
        let taken = if let Some(convolution) = node.op_as::<Conv>() {
            self.convolution(node, convolution)?
        } else if let Some(deconvolution) = node.op_as::<Deconv>() {
            self.deconvolution(node, deconvolution)?
        } else if let Some(kept) = node.op_as::<KeptNode>() {
            self.kept(node, kept)?
        } else if let Some(pad) = node.op_as::<Pad>() {
            self.pad(node, pad)
        } else {
            self.of_blocks(node)?
        };
        if !taken {
            self.whole &= !node.op_is::<Conv>() && !node.op_is::<Deconv>();
            self.copy(node)?;
        }
        Ok(())
    }

    /// The node as tract has it.
    fn copy(&mut self, node: &TypedNode) -> TractResult<()> {
        let inputs = node.inputs.iter().map(|&input| self.plain(input)).collect::<TractResult<TVec<_>>>()?;
        let outlets = if let Some(kept) = node.op_as::<KeptNode>() {
            kept.kept.apart.wire(&node.name, &mut self.target, &inputs)?
        } else if node.op_is::<TypedSource>() {
            tvec!(self.target.add_source(&node.name, node.outputs[0].fact.clone())?)
        } else {
            self.target.wire_node(&node.name, node.op.clone(), &inputs)?
        };
        for (slot, outlet) in outlets.into_iter().enumerate() {
            self.values.entry(OutletId::new(node.id, slot)).or_default().plain = Some(outlet);
        }
        Ok(())
    }

    /// A value as tract has it.
    fn plain(&mut self, outlet: OutletId) -> TractResult<OutletId> {
        let value = self.values.get(&outlet).copied().unwrap_or_default();
        let node = self.source.node(outlet.node);
        if let Some(plain) = value.plain {
            return Ok(plain);
        }
        if let Some(blocks) = value.blocks {
            let channels = self.channels(outlet)?;
            let plain =
                self.target.wire_node(format!("{}.plain", node.name), FromBlocks { channels }, &[blocks])?[0];
            self.values.entry(outlet).or_default().plain = Some(plain);
            return Ok(plain);
        }
        // What waits must be done now; and constants are only copied where they are needed.
        ensure!(value.waiting.is_some() || self.is_constant(outlet), "{node} has no value yet");
        self.copy(node)?;
        self.values.get(&outlet).and_then(|value| value.plain).context("a value that was just made")
    }

    /// A value in blocks.
    fn blocks(&mut self, outlet: OutletId) -> TractResult<OutletId> {
        let value = self.values.get(&outlet).copied().unwrap_or_default();
        if let Some(blocks) = value.blocks {
            return Ok(blocks);
        }
        let (from, split) = match value.waiting {
            Some(Waiting::Split(from, split)) => (from, split),
            _ => (outlet, 1),
        };
        let from = self.plain(from)?;
        let name = format!("{}.blocks", self.source.node(outlet.node).name);
        let blocks = self.target.wire_node(name, ToBlocks { split }, &[from])?[0];
        self.values.entry(outlet).or_default().blocks = Some(blocks);
        Ok(blocks)
    }

    fn channels(&self, outlet: OutletId) -> TractResult<usize> {
        Ok(self.source.outlet_fact(outlet)?.shape[1].to_usize()?)
    }

    /// Whether a value is there in blocks already.
    fn has_blocks(&self, outlet: OutletId) -> bool {
        self.values.get(&outlet).is_some_and(|value| value.blocks.is_some())
    }

    fn made(&mut self, outlet: OutletId, blocks: OutletId) {
        self.values.entry(outlet).or_default().blocks = Some(blocks);
    }

    fn is_constant(&self, outlet: OutletId) -> bool {
        let node = self.source.node(outlet.node);
        let passes = node.op_is::<Cast>() || node.op_is::<AxisOp>();
        node.op_is::<Const>() || passes && node.inputs.iter().all(|&input| self.is_constant(input))
    }

    /// The value of a constant.
    fn constant(&self, outlet: OutletId) -> TractResult<Option<Arc<Tensor>>> {
        let node = self.source.node(outlet.node);
        if let Some(constant) = node.op_as::<Const>() {
            return Ok(Some(Arc::clone(constant.val())));
        }
        if !self.is_constant(outlet) {
            return Ok(None);
        }
        let inputs = node.inputs.iter().map(|&input| {
            let constant = self.constant(input)?.context("an input of a constant that is none")?;
            Ok(constant.into_tvalue())
        });
        let outputs = node.op.eval_out_of_plan(inputs.collect::<TractResult<_>>()?)?;
        Ok(outputs.map(|mut outputs| outputs.swap_remove(outlet.slot).into_arc_tensor()))
    }

    /// The values of a constant, one for each of `count`; a single value stands for all.
    fn constants(&self, outlet: OutletId, count: usize) -> TractResult<Option<Vec<f32>>> {
        let Some(tensor) = self.constant(outlet)? else { return Ok(None) };
        let tensor = tensor.cast_to::<f32>()?;
        let values = tensor.try_as_plain_ram()?.as_slice::<f32>()?;
        Ok(match values.len() {
            length if length == count => Some(memory::copied(values)),
            1 => Some(memory::filled(count, values[0])),
            _ => None,
        })
    }

    /// The one node that reads a value, if there is only one and nobody else sees it.
    fn only_reader(&self, outlet: OutletId) -> Option<&'a TypedNode> {
        let readers = self.source.outlet_successors(outlet);
        let seen = self.source.outputs.contains(&outlet);
        (readers.len() == 1 && !seen).then(|| self.source.node(readers[0].node))
    }

    /// The shape of images of float32, one for their number if it is a symbol.
    fn image_shape(&self, outlet: OutletId) -> Option<Shape> {
        let fact = self.source.outlet_fact(outlet).ok()?;
        if fact.datum_type != f32::datum_type() || fact.rank() != 4 {
            return None;
        }
        let [images, channels, height, width] = [0, 1, 2, 3].map(|axis: usize| fact.shape[axis].to_usize());
        Some(Shape {
            images: images.unwrap_or(1),
            channels: channels.ok()?,
            height: height.ok()?,
            width: width.ok()?,
        })
    }

    fn convolution(&mut self, node: &'a TypedNode, convolution: &Conv) -> TractResult<bool> {
        if convolution.group != 1 || convolution.q_params.is_some() {
            return Ok(false);
        }
        let pool = &convolution.pool_spec;
        let Some(shape) = self.image_shape(node.inputs[0]) else { return Ok(false) };
        if !is_usual(pool, convolution.kernel_fmt) {
            return Ok(false);
        }
        let padding = pool.computed_padding(&[shape.height, shape.width]);
        let spec = Spec {
            channels_in: pool.input_channels,
            channels_out: pool.output_channels,
            kernel: [pool.kernel_shape[0], pool.kernel_shape[1]],
            dilation: [pool.dilation(0), pool.dilation(1)],
            before: [padding[0].pad_before, padding[1].pad_before],
            after: [padding[0].pad_after, padding[1].pad_after],
            border: Border::Zero,
            resampling: Resampling::Stride([pool.stride(0), pool.stride(1)]),
        };
        self.convolve(node, spec)
    }

    fn deconvolution(&mut self, node: &'a TypedNode, deconvolution: &Deconv) -> TractResult<bool> {
        let pool = &deconvolution.pool_spec;
        let (before, after) = match &pool.padding {
            PaddingSpec::Explicit(before, after) => (before.clone(), after.clone()),
            PaddingSpec::Valid => (tvec!(0, 0), tvec!(0, 0)),
            _ => return Ok(false),
        };
        if deconvolution.group != 1 || !is_usual(pool, deconvolution.kernel_format) {
            return Ok(false);
        }
        let spec = Spec {
            channels_in: pool.input_channels,
            channels_out: pool.output_channels,
            kernel: [pool.kernel_shape[0], pool.kernel_shape[1]],
            dilation: [pool.dilation(0), pool.dilation(1)],
            before: [before[0], before[1]],
            after: [after[0], after[1]],
            border: Border::Zero,
            resampling: Resampling::Transposed {
                stride: [pool.stride(0), pool.stride(1)],
                extra: [deconvolution.adjustments[0], deconvolution.adjustments[1]],
            },
        };
        self.convolve(node, spec)
    }

    /// Takes a convolution over, with what comes right before it (a border) and after it (a shuffle of pixels, a sum, an
    /// activation).
    fn convolve(&mut self, node: &'a TypedNode, mut spec: Spec) -> TractResult<bool> {
        let mut input = node.inputs[0];
        if let Some(Waiting::Border(from, border, pads)) =
            self.values.get(&input).and_then(|value| value.waiting)
            && spec.before == [0, 0]
            && spec.after == [0, 0]
            && matches!(spec.resampling, Resampling::Stride(_))
        {
            input = from;
            spec.border = border;
            [spec.before, spec.after] = [0, 1].map(|side| [pads[0][side], pads[1][side]]);
        }
        if !self.is_constant(node.inputs[1]) || !self.is_constant(node.inputs[2]) {
            return Ok(false);
        }
        let mut outlet = OutletId::new(node.id, 0);
        if !is_modest(&spec) || !self.has_result(&spec, input, outlet) {
            return Ok(false);
        }
        let mut folded = vec![];
        if let Some((block, shuffle)) = self.shuffle_after(outlet)
            && spec.resampling == Resampling::Stride([1, 1])
            && spec.channels_out.is_multiple_of(block * block)
        {
            spec.resampling = Resampling::Shuffle(block);
            outlet = shuffle.id.into();
            folded.push(shuffle.id);
        }
        let plain = spec.is_output_plain();
        let packed = self.packed;
        let convolution = packed.convolution(&node.name, spec, |spec| self.pack(node, spec))?;
        let (ending, outlet) = self.ending(outlet, !plain)?;
        folded.extend(&ending.folded);
        let mut inputs = tvec!(self.blocks(input)?);
        inputs.extend(ending.residual);
        let operator = Convolve { convolution, activation: ending.activation };
        let result = self.target.wire_node(&node.name, operator, &inputs)?[0];
        let value = self.values.entry(outlet).or_default();
        *(if plain { &mut value.plain } else { &mut value.blocks }) = Some(result);
        self.finished.extend(folded);
        Ok(true)
    }

    fn pack(&self, node: &TypedNode, spec: Spec) -> TractResult<Convolution> {
        let [rows, columns] = spec.kernel;
        let weights =
            self.constants(node.inputs[1], spec.channels_in * spec.channels_out * rows * columns)?;
        let bias = self.constants(node.inputs[2], spec.channels_out)?;
        let weights = weights.with_context(|| format!("weights of {} for {spec:?}", node.name))?;
        let bias = bias.with_context(|| format!("biases of {} for {spec:?}", node.name))?;
        Ok(Convolution::new(spec, &weights, &bias, self.tier))
    }

    /// Whether the kernels make of `input` what tract makes of it.
    fn has_result(&self, spec: &Spec, input: OutletId, outlet: OutletId) -> bool {
        let (Some(shape), Some(expected)) = (self.image_shape(input), self.image_shape(outlet)) else {
            return false;
        };
        spec.output(shape) == Some(expected)
    }

    /// The shuffle that alone reads a value.
    fn shuffle_after(&self, outlet: OutletId) -> Option<(usize, &'a TypedNode)> {
        let reader = self.only_reader(outlet)?;
        match reader.op_as::<KeptNode>()?.kept.kind {
            Kind::DepthToSpace(block) if block <= MAX_STEP => Some((block, reader)),
            _ => None,
        }
    }

    /// The sum (if it is `wanted`) and the activation that alone read a value, and the value that they make.
    fn ending(&mut self, mut outlet: OutletId, sum_wanted: bool) -> TractResult<(Ending, OutletId)> {
        let mut ending = Ending::default();
        if sum_wanted
            && let Some(reader) = self.only_reader(outlet)
            && let Some(other) = self.other_of_sum(reader, outlet)
            && self.has_blocks(other)
        {
            ending.residual = Some(self.blocks(other)?);
            ending.folded.push(reader.id);
            outlet = reader.id.into();
        }
        if let Some(reader) = self.only_reader(outlet)
            && let Some(activation) = self.activation_of(reader)?
        {
            ending.activation = activation;
            ending.folded.push(reader.id);
            outlet = reader.id.into();
        }
        Ok((ending, outlet))
    }

    /// The other of two values of the same shape that a node adds up.
    fn other_of_sum(&self, node: &TypedNode, one: OutletId) -> Option<OutletId> {
        let &TypedBinOp(ref operator, None) = node.op_as::<TypedBinOp>()? else { return None };
        let &[first, second] = &node.inputs[..] else { return None };
        let other = if first == one { second } else { first };
        let shapes = [first, second, node.id.into()].map(|outlet| self.image_shape(outlet));
        let same = shapes[0].is_some() && shapes[0] == shapes[1] && shapes[1] == shapes[2];
        (operator.is::<Add>() && same && first != second).then_some(other)
    }

    /// The activation that a node is.
    fn activation_of(&self, node: &TypedNode) -> TractResult<Option<Activation>> {
        if let Some(ElementWiseOp(operator, None)) = node.op_as::<ElementWiseOp>()
            && let Some(leaky) = operator.downcast_ref::<LeakyRelu>()
        {
            // Only then it is the larger of two values.
            let usual = (0.0..=1.0).contains(&leaky.alpha);
            return Ok(usual.then_some(Activation::LeakyRelu(leaky.alpha)));
        }
        let Some(TypedBinOp(operator, None)) = node.op_as::<TypedBinOp>() else { return Ok(None) };
        let is_relu = operator.is::<Max>() && self.constants(node.inputs[1], 1)? == Some(vec![0.0]);
        Ok(is_relu.then_some(Activation::Relu))
    }

    fn kept(&mut self, node: &'a TypedNode, kept: &KeptNode) -> TractResult<bool> {
        match kept.kept.kind {
            Kind::InstanceNorm { epsilon } => self.norm(node, epsilon),
            Kind::SpaceToDepth(block) => {
                let waiting = Some(Waiting::Split(node.inputs[0], block));
                let whole =
                    self.image_shape(node.inputs[0]).is_some() && self.image_shape(node.id.into()).is_some();
                if whole {
                    self.values.insert(node.id.into(), Value { waiting, ..Value::default() });
                }
                Ok(whole)
            }
            Kind::DepthToSpace(_) => Ok(false),
        }
    }

    fn norm(&mut self, node: &'a TypedNode, epsilon: f32) -> TractResult<bool> {
        let Some(shape) = self.image_shape(node.inputs[0]) else { return Ok(false) };
        let channels = shape.channels;
        let scale = self.constants(node.inputs[1], channels)?;
        let bias = self.constants(node.inputs[2], channels)?;
        let (Some(scale), Some(bias)) = (scale, bias) else { return Ok(false) };
        let norm = Arc::new(InstanceNorm::new(&scale, &bias, epsilon, self.tier));
        let (ending, outlet) = self.ending(node.id.into(), true)?;
        let mut inputs = tvec!(self.blocks(node.inputs[0])?);
        inputs.extend(ending.residual);
        let operator = Normalize { norm, channels, activation: ending.activation };
        let result = self.target.wire_node(&node.name, operator, &inputs)?[0];
        self.made(outlet, result);
        self.finished.extend(ending.folded);
        Ok(true)
    }

    /// A border waits for the convolution that reads it.
    fn pad(&mut self, node: &TypedNode, pad: &Pad) -> bool {
        let border = match &pad.mode {
            PadMode::Reflect => Border::Reflect,
            PadMode::Constant(value) if value.cast_to_scalar::<f32>().is_ok_and(|value| value == 0.0) => {
                Border::Zero
            }
            _ => return false,
        };
        let &[(0, 0), (0, 0), (top, bottom), (left, right)] = &pad.pads[..] else { return false };
        if self.image_shape(node.inputs[0]).is_none() {
            return false;
        }
        let waiting = Some(Waiting::Border(node.inputs[0], border, [[top, bottom], [left, right]]));
        self.values.insert(node.id.into(), Value { waiting, ..Value::default() });
        true
    }

    /// Sums, activations and concatenations of values that are there in blocks.
    fn of_blocks(&mut self, node: &'a TypedNode) -> TractResult<bool> {
        if node.inputs.is_empty() || !self.has_blocks(node.inputs[0]) {
            return Ok(false);
        }
        let first = node.inputs[0];
        if let Some(activation) = self.activation_of(node)? {
            return self.combine(node, &[first], activation, node.id.into());
        }
        if let Some(other) = self.other_of_sum(node, first)
            && self.has_blocks(other)
        {
            let outlet = OutletId::new(node.id, 0);
            if let Some(reader) = self.only_reader(outlet)
                && let Some(activation) = self.activation_of(reader)?
            {
                self.finished.insert(reader.id);
                return self.combine(node, &[first, other], activation, reader.id.into());
            }
            return self.combine(node, &[first, other], Activation::None, outlet);
        }
        self.concatenation(node)
    }

    fn combine(
        &mut self,
        node: &TypedNode,
        inputs: &[OutletId],
        activation: Activation,
        outlet: OutletId,
    ) -> TractResult<bool> {
        let inputs = inputs.iter().map(|&input| self.blocks(input)).collect::<TractResult<TVec<_>>>()?;
        let result = self.target.wire_node(&node.name, Combine { activation, tier: self.tier }, &inputs)?[0];
        self.made(outlet, result);
        Ok(true)
    }

    fn concatenation(&mut self, node: &TypedNode) -> TractResult<bool> {
        let Some(concatenation) = node.op_as::<TypedConcat>() else { return Ok(false) };
        let is_image = |&input: &OutletId| self.has_blocks(input) && self.image_shape(input).is_some();
        if concatenation.axis != 1 || !node.inputs.iter().all(is_image) {
            return Ok(false);
        }
        for &input in &node.inputs[..node.inputs.len() - 1] {
            // A block that is not full would leave a gap.
            if !self.channels(input)?.is_multiple_of(BLOCK) {
                return Ok(false);
            }
        }
        let inputs = node.inputs.iter().map(|&input| self.blocks(input)).collect::<TractResult<TVec<_>>>()?;
        let result = self.target.wire_node(&node.name, node.op.clone(), &inputs)?[0];
        self.made(node.id.into(), result);
        Ok(true)
    }
}

/// What follows a kernel and is done with it.
#[derive(Debug)]
struct Ending {
    residual: Option<OutletId>,
    activation: Activation,
    /// The nodes that it stands for.
    folded: Vec<usize>,
}

impl Default for Ending {
    fn default() -> Self {
        Self { residual: None, activation: Activation::None, folded: Vec::new() }
    }
}

/// Whether the work of a convolution is in proportion to its images.
fn is_modest(spec: &Spec) -> bool {
    let (Resampling::Stride(stride) | Resampling::Transposed { stride, .. }) = spec.resampling else {
        return true;
    };
    let steps = stride.into_iter().chain(spec.dilation).max();
    let borders = spec.before.into_iter().chain(spec.after).chain(spec.kernel).max();
    steps <= Some(MAX_STEP) && borders <= Some(MAX_BORDER)
}

/// Whether images and kernels are laid out as ONNX has them, in two dimensions.
fn is_usual(pool: &PoolSpec, format: KernelFormat) -> bool {
    pool.data_format == DataFormat::NCHW && format == KernelFormat::OIHW && pool.rank() == 2
}
