//! A convolution with all that is known of it before an image comes: how it is computed, and its weights in that form.

use super::direct::Direct;
use super::narrow::Narrow;
use super::winograd::Winograd;
use super::{Activation, Shape, Tier};

/// Results of fewer channels than this are left without blocks, which would be mostly empty.
const NARROW: usize = 8;
/// Fewer channels on either side do not repay Winograd's transforms.
const MIN_WINOGRAD: usize = 8;

/// What a kernel reads beyond the edge of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Border {
    /// 0.
    Zero,
    /// The image mirrored at its outermost pixels, which are not repeated.
    Reflect,
}

/// How the size of the result comes about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Resampling {
    /// A result for every so many rows and columns of the input.
    Stride([usize; 2]),
    /// ONNX ConvTranspose: so many rows and columns for each of the input, and so many more at the end.
    Transposed {
        /// Rows and columns of the result for each of the input.
        stride: [usize; 2],
        /// Rows and columns added at the end of the result.
        extra: [usize; 2],
    },
    /// ONNX DepthToSpace (DCR) of the result: channels become blocks of so many rows and columns.
    Shuffle(usize),
}

/// A convolution's parameters.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Spec {
    /// Channels of the input.
    pub channels_in: usize,
    /// Channels that the kernel makes; of the result too, unless it is shuffled.
    pub channels_out: usize,
    /// Rows and columns of the kernel.
    pub kernel: [usize; 2],
    /// From one row, and column, of the kernel to the next; 1 for a transposed convolution.
    pub dilation: [usize; 2],
    /// Rows above and columns left of the image that the kernel reads (a transposed one: that the result lacks).
    pub before: [usize; 2],
    /// Rows below and columns right of the image that the kernel reads (a transposed one: that the result lacks).
    pub after: [usize; 2],
    /// What is read there.
    pub border: Border,
    /// How the size of the result comes about.
    pub resampling: Resampling,
}

impl Spec {
    /// The shape of the result for an input of `shape`; `None` where there is none, because the image is smaller than the kernel,
    /// has other channels, or a parameter is 0.
    pub fn output(&self, shape: Shape) -> Option<Shape> {
        let [height, width] = [self.output_length(0, shape.height)?, self.output_length(1, shape.width)?];
        let block = match self.resampling {
            Resampling::Shuffle(block) => block,
            _ => 1,
        };
        let whole = block > 0 && self.channels_out.is_multiple_of(block * block);
        let sensible =
            whole && shape.channels == self.channels_in && self.channels_in > 0 && self.channels_out > 0;
        sensible.then(|| Shape {
            images: shape.images,
            channels: self.channels_out / (block * block),
            height: height * block,
            width: width * block,
        })
    }

    /// Rows (axis 0) or columns of the kernel's result.
    fn output_length(&self, axis: usize, length: usize) -> Option<usize> {
        let (before, after, kernel) = (self.before[axis], self.after[axis], self.kernel[axis]);
        let reach = self.dilation[axis].checked_mul(kernel.checked_sub(1)?)?.checked_add(1)?;
        let border = before.checked_add(after)?;
        let reflects = self.border == Border::Reflect;
        if length == 0 || self.dilation[axis] == 0 || reflects && before.max(after) >= length {
            return None;
        }
        let strided =
            |stride: usize| Some(length.checked_add(border)?.checked_sub(reach)?.checked_div(stride)? + 1);
        match self.resampling {
            Resampling::Stride(stride) => strided(stride[axis]),
            Resampling::Shuffle(_) => strided(1),
            Resampling::Transposed { stride, extra } => {
                let whole = (length - 1).checked_mul(stride[axis])?.checked_add(reach)?;
                let result = whole.checked_add(extra[axis])?.checked_sub(border)?;
                let plain = stride[axis] > 0 && self.dilation[axis] == 1 && !reflects;
                (plain && result > 0).then_some(result)
            }
        }
    }

    /// Whether the result comes without blocks: image, channel, row, column.
    pub fn is_output_plain(&self) -> bool {
        let block = if let Resampling::Shuffle(block) = self.resampling { block } else { 1 };
        self.channels_out / (block * block).max(1) < NARROW
    }

    fn suits_winograd(&self) -> bool {
        self.kernel == [3, 3]
            && self.dilation == [1, 1]
            && self.resampling == Resampling::Stride([1, 1])
            && self.channels_in.min(self.channels_out) >= MIN_WINOGRAD
    }
}

/// A convolution ready to run.
#[derive(Debug)]
pub struct Convolution {
    spec: Spec,
    method: Method,
    tier: Tier,
}

#[derive(Debug)]
enum Method {
    Direct(Direct),
    Narrow(Narrow),
    Winograd(Winograd),
}

impl Convolution {
    /// Packs `weights` (channel out, channel in, row, column) for `tier`; `bias` has a value for each channel out.
    ///
    /// # Panics
    /// If there are more or fewer weights or biases than `spec` says.
    pub fn new(spec: Spec, weights: &[f32], bias: &[f32], tier: Tier) -> Self {
        let [rows, columns] = spec.kernel;
        assert!(
            weights.len() == spec.channels_out * spec.channels_in * rows * columns
                && bias.len() == spec.channels_out,
            "weights and biases as the convolution has them"
        );
        let method = if spec.is_output_plain() {
            Method::Narrow(Narrow::new(&spec, weights, bias))
        } else if spec.suits_winograd() {
            Method::Winograd(Winograd::new(&spec, weights, bias, tier))
        } else {
            Method::Direct(Direct::new(&spec, weights, bias, tier))
        };
        Self { spec, method, tier }
    }

    /// Its parameters.
    pub fn spec(&self) -> &Spec {
        &self.spec
    }

    /// Bytes that its weights take.
    pub fn bytes(&self) -> usize {
        match &self.method {
            Method::Direct(direct) => direct.bytes(),
            Method::Narrow(narrow) => narrow.bytes(),
            Method::Winograd(winograd) => winograd.bytes(),
        }
    }

    /// Bytes that a thread which runs it on images of `shape` needs for its work, at most: in the buffers of direct convolutions,
    /// and in those of Winograd's, which are others. None if it has no result for them.
    pub fn scratch_bytes(&self, shape: Shape) -> Option<[usize; 2]> {
        let result = self.spec.output(shape)?;
        Some(match &self.method {
            Method::Direct(direct) => [direct.scratch_bytes(shape, result), 0],
            Method::Narrow(narrow) => [narrow.scratch_bytes(shape, result), 0],
            Method::Winograd(winograd) => [0, winograd.scratch_bytes(result)],
        })
    }

    /// `activation(convolution(images) + residual)` into `output`. `images` and `residual` are in blocks; `output` too, unless
    /// [`Spec::is_output_plain`], and then there is no residual.
    ///
    /// # Panics
    /// If a length is not that of `shape` or of the result, or there is no result ([`Spec::output`]).
    #[expect(clippy::expect_used, reason = "whoever has the room for the result has asked for its shape")]
    pub fn run(
        &self,
        images: &[f32],
        shape: Shape,
        residual: Option<&[f32]>,
        activation: Activation,
        output: &mut [f32],
    ) {
        let result = self.spec.output(shape).expect("an image that the convolution has a result for");
        let length = if self.spec.is_output_plain() { result.plain_len() } else { result.len() };
        assert!(images.len() == shape.len() && output.len() == length, "sizes of images");
        assert!(residual.is_none_or(|residual| residual.len() == result.len()), "sizes of images");
        if shape.is_empty() {
            return;
        }
        let call = Call { images, shape, result, residual, activation, output };
        match &self.method {
            Method::Direct(direct) => direct.run(call, self.tier),
            Method::Narrow(narrow) => narrow.run(call, self.tier),
            Method::Winograd(winograd) => winograd.run(call, self.tier),
        }
    }
}

/// One use of a convolution; lengths are right.
pub(super) struct Call<'a> {
    pub(super) images: &'a [f32],
    pub(super) shape: Shape,
    pub(super) result: Shape,
    pub(super) residual: Option<&'a [f32]>,
    pub(super) activation: Activation,
    pub(super) output: &'a mut [f32],
}
