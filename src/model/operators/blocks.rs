//! Operators on images in blocks of channels: tensors (image, block, row, column, channel in the block).

use std::sync::Arc;

use tract_onnx::tract_hir::internal::*;

use crate::kernels::{self, Activation, BLOCK, Convolution, InstanceNorm, Shape, Tier};

/// (image, channel, row, column) to blocks, splitting pixels into channels first as ONNX SpaceToDepth does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ToBlocks {
    pub(super) split: usize,
}

/// Blocks to (image, channel, row, column).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FromBlocks {
    pub(super) channels: usize,
}

/// A convolution of the first input; with the second input, if there is one, added, and the activation after that.
#[derive(Clone, Debug)]
pub(super) struct Convolve {
    pub(super) convolution: Arc<Convolution>,
    pub(super) activation: Activation,
}

/// An instance norm of the first input; with the second input, if there is one, added, and the activation after that.
#[derive(Clone, Debug)]
pub(super) struct Normalize {
    pub(super) norm: Arc<InstanceNorm>,
    pub(super) channels: usize,
    pub(super) activation: Activation,
}

/// The activation of the input, or of the sum of two inputs.
#[derive(Clone, Debug)]
pub(super) struct Combine {
    pub(super) activation: Activation,
    pub(super) tier: Tier,
}

/// The shape of a tensor in blocks whose last block is filled by `channels`.
fn in_blocks(tensor: &[usize], channels: usize) -> TractResult<Shape> {
    let &[images, blocks, height, width, BLOCK] = tensor else { bail!("not in blocks: {tensor:?}") };
    ensure!(blocks == channels.div_ceil(BLOCK), "{channels} channels in {blocks} blocks");
    Ok(Shape { images, channels, height, width })
}

/// The shape of a tensor (image, channel, row, column).
fn plain(tensor: &[usize]) -> TractResult<Shape> {
    let &[images, channels, height, width] = tensor else { bail!("not images: {tensor:?}") };
    Ok(Shape { images, channels, height, width })
}

fn block_dims(shape: Shape) -> [usize; 5] {
    [shape.images, shape.blocks(), shape.height, shape.width, BLOCK]
}

fn plain_dims(shape: Shape) -> [usize; 4] {
    [shape.images, shape.channels, shape.height, shape.width]
}

/// The values of a tensor in memory's order.
fn values(tensor: &TValue) -> TractResult<&[f32]> {
    tensor.try_as_plain_ram()?.as_slice::<f32>()
}

/// A tensor that `fill` writes.
fn filled(dims: &[usize], fill: impl FnOnce(&mut [f32])) -> TractResult<TVec<TValue>> {
    let mut tensor = Tensor::zero::<f32>(dims)?;
    fill(tensor.try_as_plain_ram_mut()?.as_slice_mut::<f32>()?);
    Ok(tvec!(tensor.into()))
}

/// The first input, changed by `change`, which also gets the second if there is one. It is changed where it lies if nothing else reads
/// it.
fn changed(
    mut inputs: TVec<TValue>,
    change: impl FnOnce(&mut [f32], Option<&[f32]>),
) -> TractResult<TVec<TValue>> {
    let mut tensor = inputs.remove(0).into_tensor();
    let second = inputs.first().map(values).transpose()?;
    change(tensor.try_as_plain_ram_mut()?.as_slice_mut::<f32>()?, second);
    Ok(tvec!(tensor.into()))
}

/// The fact of the result for images like `input`, whose number may be a symbol while all else is known.
fn fact_like(input: &TypedFact, dims: &[usize]) -> TVec<TypedFact> {
    let mut shape: TVec<TDim> = dims.iter().map(|length| length.to_dim()).collect();
    shape[0] = input.shape[0].clone();
    tvec!(f32::fact(shape))
}

/// The dimensions of a fact, 1 for the number of images.
fn dims_of_one(fact: &TypedFact) -> TractResult<TVec<usize>> {
    let rest = fact.shape.iter().skip(1).map(|length| Ok(length.to_usize()?));
    std::iter::once(Ok(1)).chain(rest).collect()
}

impl ToBlocks {
    fn result(&self, shape: Shape) -> TractResult<Shape> {
        ensure!(
            shape.height.is_multiple_of(self.split) && shape.width.is_multiple_of(self.split),
            "images of {} x {} cannot be split by {}",
            shape.height,
            shape.width,
            self.split
        );
        Ok(kernels::split_shape(shape, self.split))
    }
}

impl Op for ToBlocks {
    fn name(&self) -> StaticName {
        "ToBlocks".into()
    }

    op_as_typed_op!();
}

impl EvalOp for ToBlocks {
    op_out_of_plan!();

    fn eval(&self, _context: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let shape = plain(inputs[0].shape())?;
        let result = self.result(shape)?;
        let input = values(&inputs[0])?;
        filled(&block_dims(result), |output| kernels::to_blocks(input, shape, self.split, output))
    }
}

impl TypedOp for ToBlocks {
    as_op!();

    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        let result = self.result(plain(&dims_of_one(inputs[0])?)?)?;
        Ok(fact_like(inputs[0], &block_dims(result)))
    }
}

impl Op for FromBlocks {
    fn name(&self) -> StaticName {
        "FromBlocks".into()
    }

    op_as_typed_op!();
}

impl EvalOp for FromBlocks {
    op_out_of_plan!();

    fn eval(&self, _context: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let shape = in_blocks(inputs[0].shape(), self.channels)?;
        let input = values(&inputs[0])?;
        filled(&plain_dims(shape), |output| kernels::from_blocks(input, shape, output))
    }
}

impl TypedOp for FromBlocks {
    as_op!();

    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        let shape = in_blocks(&dims_of_one(inputs[0])?, self.channels)?;
        Ok(fact_like(inputs[0], &plain_dims(shape)))
    }
}

impl PartialEq for Convolve {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.convolution, &other.convolution) && self.activation == other.activation
    }
}

impl Eq for Convolve {}

impl Convolve {
    /// Bytes that a thread needs for its work on so many images like `input`.
    pub(super) fn scratch_bytes(&self, input: &TypedFact, images: usize) -> TractResult<[usize; 2]> {
        let shape = in_blocks(&dims_of_one(input)?, self.convolution.spec().channels_in)?;
        let shape = Shape { images, ..shape };
        self.convolution.scratch_bytes(shape).with_context(|| format!("no result for {shape:?}"))
    }

    /// Shapes of input and result, and the result's dimensions.
    fn shapes(&self, input: &[usize]) -> TractResult<(Shape, TVec<usize>)> {
        let spec = self.convolution.spec();
        let shape = in_blocks(input, spec.channels_in)?;
        let result = spec.output(shape).with_context(|| format!("{spec:?} has no result for {shape:?}"))?;
        let dims = if spec.is_output_plain() {
            plain_dims(result)[..].into()
        } else {
            block_dims(result)[..].into()
        };
        Ok((shape, dims))
    }
}

impl Op for Convolve {
    fn name(&self) -> StaticName {
        "Convolve".into()
    }

    fn info(&self) -> TractResult<Vec<String>> {
        Ok(vec![format!("{:?}, {:?}", self.convolution.spec(), self.activation)])
    }

    op_as_typed_op!();
}

impl EvalOp for Convolve {
    op_out_of_plan!();

    fn eval(&self, _context: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let (shape, dims) = self.shapes(inputs[0].shape())?;
        let residual = inputs.get(1).map(values).transpose()?;
        let input = values(&inputs[0])?;
        filled(&dims, |output| self.convolution.run(input, shape, residual, self.activation, output))
    }
}

impl TypedOp for Convolve {
    as_op!();

    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        let (_, dims) = self.shapes(&dims_of_one(inputs[0])?)?;
        if let Some(residual) = inputs.get(1) {
            ensure!(dims_of_one(residual)? == dims, "{residual:?} is added to {dims:?}");
        }
        Ok(fact_like(inputs[0], &dims))
    }
}

impl PartialEq for Normalize {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.norm, &other.norm) && self.activation == other.activation
    }
}

impl Eq for Normalize {}

impl Op for Normalize {
    fn name(&self) -> StaticName {
        "Normalize".into()
    }

    op_as_typed_op!();
}

impl EvalOp for Normalize {
    op_out_of_plan!();

    fn eval(&self, _context: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let shape = in_blocks(inputs[0].shape(), self.channels)?;
        changed(inputs, |images, residual| self.norm.run(images, shape, residual, self.activation))
    }
}

impl TypedOp for Normalize {
    as_op!();

    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        in_blocks(&dims_of_one(inputs[0])?, self.channels)?;
        same_shapes(inputs)?;
        Ok(tvec!(inputs[0].without_value()))
    }
}

impl PartialEq for Combine {
    fn eq(&self, other: &Self) -> bool {
        self.activation == other.activation && self.tier == other.tier
    }
}

impl Eq for Combine {}

impl Op for Combine {
    fn name(&self) -> StaticName {
        "Combine".into()
    }

    op_as_typed_op!();
}

impl EvalOp for Combine {
    op_out_of_plan!();

    fn eval(&self, _context: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        changed(inputs, |values, others| kernels::add(self.tier, values, others, self.activation))
    }
}

impl TypedOp for Combine {
    as_op!();

    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        ensure!(inputs[0].shape.last() == Some(&BLOCK.to_dim()), "not in blocks: {:?}", inputs[0]);
        same_shapes(inputs)?;
        Ok(tvec!(inputs[0].without_value()))
    }
}

fn same_shapes(inputs: &[&TypedFact]) -> TractResult<()> {
    ensure!(inputs.iter().all(|input| input.shape == inputs[0].shape), "different shapes: {inputs:?}");
    Ok(())
}
