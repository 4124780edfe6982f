//! Layers of the networks: convolutions with a choice of arithmetic, up-sampling, padding, normalization; weights by seed.

use burn::module::{Module, Param};
use burn::nn::{InstanceNorm, InstanceNormConfig};
use burn::tensor::backend::Backend;
use burn::tensor::module::{conv_transpose2d, conv2d};
use burn::tensor::ops::{ConvOptions, ConvTransposeOptions};
use burn::tensor::{FloatDType, Tensor, TensorData};
use rand::SeedableRng;
use rand_distr::{Distribution, StandardNormal};
use rand_pcg::Pcg64;
use serde::{Deserialize, Serialize};

use super::matrix;

/// The gain of a convolution before a ReLU that keeps the scale of activations (He initialization).
pub(crate) const RELU_GAIN: f32 = std::f32::consts::SQRT_2;
/// The gain of the second convolution of a residual block without normalization: small, so that a block starts near the
/// identity.
pub(crate) const RESIDUAL_GAIN: f32 = 0.1;
/// The slope of the leaky ReLUs below zero.
pub(crate) const SLOPE: f64 = 0.2;

/// How convolutions are computed; decides the speed, and the result only by its rounding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Arithmetic {
    /// By what.
    pub convolution: ConvolutionKind,
    /// With what numbers.
    pub precision: Precision,
}

/// What computes a convolution.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ConvolutionKind {
    /// The backend's own convolution.
    #[default]
    Native,
    /// Shifted copies of the image side by side, and one product of matrices.
    Matrix,
}

/// The numbers inside convolutions. Weights, normalizations and the optimizer are single precision always.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// Single precision.
    #[default]
    Float32,
    /// Input, weights and biases are rounded to bfloat16 before, and the result brought back to single precision.
    Bfloat16,
}

/// What follows a convolution.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Normalization {
    /// Mean 0 and variance 1 of each channel of each image, then a factor and an offset a channel (Ulyanov et al. 2016).
    #[default]
    Instance,
    /// Nothing.
    None,
}

/// What is beyond the border of an image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Padding {
    /// Its mirror image; the border pixel is not repeated.
    #[default]
    Reflect,
    /// Zeros.
    Zero,
}

/// How the size is doubled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Upsampling {
    /// A transposed convolution of stride 2.
    #[default]
    Transposed,
    /// Each pixel four times, then a 3 x 3 convolution.
    Resize,
}

/// A two-dimensional convolution.
#[derive(Module, Debug)]
pub struct Convolution<B: Backend> {
    /// `[channels out, channels in, kernel, kernel]`.
    pub weight: Param<Tensor<B, 4>>,
    /// One value for each channel out.
    pub bias: Option<Param<Tensor<B, 1>>>,
    /// Step between output pixels, in input pixels.
    pub stride: usize,
    /// Pixels added at the top and at the left.
    pub before: usize,
    /// Pixels added at the bottom and at the right.
    pub after: usize,
    /// What those pixels are.
    #[module(skip)]
    pub padding: Padding,
    #[module(skip)]
    arithmetic: Arithmetic,
}

impl<B: Backend> Convolution<B> {
    /// `[n, channels in, h, w]` to `[n, channels out, h', w']`.
    pub fn forward(&self, input: Tensor<B, 4>) -> Tensor<B, 4> {
        self.forward_with(input, self.weight.val())
    }

    /// The same with other weights of the same shape.
    pub(crate) fn forward_with(&self, input: Tensor<B, 4>, weight: Tensor<B, 4>) -> Tensor<B, 4> {
        let (input, before, after) = match self.padding {
            Padding::Reflect => (reflect(input, self.before, self.after), 0, 0),
            Padding::Zero => (input, self.before, self.after),
        };
        let (native, stride) = (self.arithmetic.convolution == ConvolutionKind::Native, self.stride);
        let bias = self.bias.as_ref().map(Param::val);
        self.arithmetic.precision.compute(input, weight, bias, |input, weight, bias| {
            if native && before == after {
                conv2d(input, weight, bias, ConvOptions::new([stride; 2], [before; 2], [1; 2], 1))
            } else {
                let input = zero_pad(input, [(before, after); 2]);
                if native {
                    conv2d(input, weight, bias, ConvOptions::new([stride; 2], [0; 2], [1; 2], 1))
                } else {
                    matrix::convolution(input, weight, bias, stride)
                }
            }
        })
    }

    /// Pads with zeros, or with the mirror image.
    pub(crate) fn padded_by(mut self, padding: Padding) -> Self {
        self.padding = padding;
        self
    }

    /// Without biases, which a normalization would take away again.
    pub(crate) fn biased(mut self, biased: bool) -> Self {
        self.bias = self.bias.filter(|_| biased);
        self
    }
}

/// A two-dimensional transposed convolution that doubles height and width.
#[derive(Module, Debug)]
pub struct TransposedConvolution<B: Backend> {
    /// `[channels in, channels out, kernel, kernel]`; the kernel is 3 or 4.
    pub weight: Param<Tensor<B, 4>>,
    /// One value for each channel out.
    pub bias: Option<Param<Tensor<B, 1>>>,
    #[module(skip)]
    arithmetic: Arithmetic,
}

impl<B: Backend> TransposedConvolution<B> {
    /// `[n, channels in, h, w]` to `[n, channels out, 2 h, 2 w]`.
    pub fn forward(&self, input: Tensor<B, 4>) -> Tensor<B, 4> {
        let native = self.arithmetic.convolution == ConvolutionKind::Native;
        let bias = self.bias.as_ref().map(Param::val);
        let options = ConvTransposeOptions::new([2; 2], [1; 2], [self.output_padding(); 2], [1; 2], 1);
        self.arithmetic.precision.compute(input, self.weight.val(), bias, |input, weight, bias| {
            if native {
                conv_transpose2d(input, weight, bias, options)
            } else {
                matrix::doubling_convolution(input, weight, bias)
            }
        })
    }

    /// What a kernel of 3 lacks to the doubled size at the bottom and at the right.
    pub(crate) fn output_padding(&self) -> usize {
        4_usize.saturating_sub(self.weight.dims()[2])
    }
}

/// Doubles height and width.
#[derive(Module, Debug)]
pub enum Doubling<B: Backend> {
    /// See [`Upsampling::Transposed`].
    Transposed(TransposedConvolution<B>),
    /// See [`Upsampling::Resize`].
    Resize(Convolution<B>),
}

impl<B: Backend> Doubling<B> {
    /// `[n, channels in, h, w]` to `[n, channels out, 2 h, 2 w]`.
    pub fn forward(&self, input: Tensor<B, 4>) -> Tensor<B, 4> {
        match self {
            Self::Transposed(convolution) => convolution.forward(input),
            Self::Resize(convolution) => convolution.forward(repeat_pixels(input)),
        }
    }
}

/// A convolution and what follows it.
#[derive(Module, Debug)]
pub struct Normalized<B: Backend> {
    pub convolution: Convolution<B>,
    pub normalization: Option<InstanceNorm<B>>,
}

impl<B: Backend> Normalized<B> {
    /// Convolves and normalizes.
    pub fn forward(&self, input: Tensor<B, 4>) -> Tensor<B, 4> {
        normalize(self.normalization.as_ref(), self.convolution.forward(input))
    }
}

/// Up-sampling and what follows it.
#[derive(Module, Debug)]
pub struct NormalizedDoubling<B: Backend> {
    pub doubling: Doubling<B>,
    pub normalization: Option<InstanceNorm<B>>,
}

impl<B: Backend> NormalizedDoubling<B> {
    /// Doubles the size and normalizes.
    pub fn forward(&self, input: Tensor<B, 4>) -> Tensor<B, 4> {
        normalize(self.normalization.as_ref(), self.doubling.forward(input))
    }
}

/// Normalizes where there is a normalization.
pub(crate) fn normalize<B: Backend>(
    normalization: Option<&InstanceNorm<B>>,
    input: Tensor<B, 4>,
) -> Tensor<B, 4> {
    match normalization {
        Some(normalization) => normalization.forward(input),
        None => input,
    }
}

/// Mirrors the border outwards: `before` pixels at the top and at the left, `after` at the bottom and at the right.
fn reflect<B: Backend>(input: Tensor<B, 4>, before: usize, after: usize) -> Tensor<B, 4> {
    surround(input, [(before, after); 2], |image, axis, side, length| {
        let start = match side {
            Side::Before => 1,
            Side::After => image.dims()[axis] - 1 - length,
        };
        image.clone().narrow(axis, start, length).flip([axis as isize])
    })
}

/// Zeros around an image: so many before and after its rows, and before and after its columns.
pub(super) fn zero_pad<B: Backend>(input: Tensor<B, 4>, rim: [(usize, usize); 2]) -> Tensor<B, 4> {
    surround(input, rim, |image, axis, _, length| {
        let mut shape = image.dims();
        shape[axis] = length;
        Tensor::zeros(shape, (&image.device(), image.dtype()))
    })
}

#[derive(Clone, Copy)]
enum Side {
    Before,
    After,
}

/// Joins pieces to the rows, then to the columns.
///
/// burn's own padding writes the image into zeros once for each side, and always into single precision.
fn surround<B: Backend>(
    input: Tensor<B, 4>,
    rim: [(usize, usize); 2],
    piece: impl Fn(&Tensor<B, 4>, usize, Side, usize) -> Tensor<B, 4>,
) -> Tensor<B, 4> {
    [2, 3].into_iter().zip(rim).fold(input, |image, (axis, (before, after))| {
        if before + after == 0 {
            return image;
        }
        let end = |side, length| (length > 0).then(|| piece(&image, axis, side, length));
        let pieces = [end(Side::Before, before), Some(image.clone()), end(Side::After, after)];
        Tensor::cat(pieces.into_iter().flatten().collect(), axis)
    })
}

/// `[n, c, h, w]` to `[n, c, 2 h, 2 w]`: each pixel four times, which is ONNX Resize with nearest neighbours.
fn repeat_pixels<B: Backend>(input: Tensor<B, 4>) -> Tensor<B, 4> {
    let [n, c, h, w] = input.dims();
    let wide: Tensor<B, 6> = input.reshape([n, c, h, 1, w, 1]).expand([n, c, h, 2, w, 2]);
    wide.reshape([n, c, 2 * h, 2 * w])
}

impl Precision {
    /// Computes with these numbers; gradients pass the roundings as if there were none.
    fn compute<B: Backend>(
        self,
        input: Tensor<B, 4>,
        weight: Tensor<B, 4>,
        bias: Option<Tensor<B, 1>>,
        work: impl FnOnce(Tensor<B, 4>, Tensor<B, 4>, Option<Tensor<B, 1>>) -> Tensor<B, 4>,
    ) -> Tensor<B, 4> {
        match self {
            Self::Float32 => work(input, weight, bias),
            Self::Bfloat16 => {
                let bias = bias.map(|bias| bias.cast(FloatDType::BF16));
                work(input.cast(FloatDType::BF16), weight.cast(FloatDType::BF16), bias).cast(FloatDType::F32)
            }
        }
    }
}

/// Makes layers whose weights come from one stream of random numbers.
pub(crate) struct Layers<'a, B: Backend> {
    pub(crate) random: Pcg64,
    pub(crate) device: &'a B::Device,
    arithmetic: Arithmetic,
}

impl<'a, B: Backend> Layers<'a, B> {
    pub(crate) fn new(arithmetic: Arithmetic, seed: u64, device: &'a B::Device) -> Self {
        Self { random: Pcg64::seed_from_u64(seed), device, arithmetic }
    }

    /// A zero-padded convolution: normal weights of standard deviation `gain / sqrt(fan in)`, biases 0.
    pub(crate) fn convolution(
        &mut self,
        channels_in: usize,
        channels_out: usize,
        kernel: usize,
        stride: usize,
        gain: f32,
    ) -> Convolution<B> {
        let deviation = gain / ((channels_in * kernel * kernel) as f32).sqrt();
        let padding = (kernel - 1) / 2;
        Convolution {
            weight: self.weights([channels_out, channels_in, kernel, kernel], deviation),
            bias: Some(self.zeros(channels_out)),
            stride,
            before: padding,
            // An even kernel halves an even size with one pixel at each side, and keeps a size with one more after.
            after: if stride == 1 { kernel - 1 - padding } else { padding },
            padding: Padding::Zero,
            arithmetic: self.arithmetic,
        }
    }

    /// Up-sampling; a transposed kernel has the edge `kernel`, 3 or 4.
    pub(crate) fn doubling(
        &mut self,
        upsampling: Upsampling,
        channels_in: usize,
        channels_out: usize,
        kernel: usize,
        gain: f32,
    ) -> Doubling<B> {
        match upsampling {
            Upsampling::Resize => Doubling::Resize(self.convolution(channels_in, channels_out, 3, 1, gain)),
            Upsampling::Transposed => {
                // A quarter of the kernel meets an output pixel.
                let deviation = gain / ((channels_in * kernel * kernel) as f32 / 4.0).sqrt();
                Doubling::Transposed(TransposedConvolution {
                    weight: self.weights([channels_in, channels_out, kernel, kernel], deviation),
                    bias: Some(self.zeros(channels_out)),
                    arithmetic: self.arithmetic,
                })
            }
        }
    }

    /// A convolution and a normalization; the former has biases where the latter is missing.
    pub(crate) fn normalized(
        &self,
        convolution: Convolution<B>,
        normalization: Normalization,
    ) -> Normalized<B> {
        let channels = convolution.weight.dims()[0];
        Normalized {
            convolution: convolution.biased(normalization == Normalization::None),
            normalization: self.normalization(normalization, channels),
        }
    }

    /// Up-sampling and a normalization; the former has biases where the latter is missing.
    pub(crate) fn normalized_doubling(
        &self,
        doubling: Doubling<B>,
        normalization: Normalization,
    ) -> NormalizedDoubling<B> {
        let biased = normalization == Normalization::None;
        let (doubling, channels) = match doubling {
            Doubling::Resize(convolution) => {
                let channels = convolution.weight.dims()[0];
                (Doubling::Resize(convolution.biased(biased)), channels)
            }
            Doubling::Transposed(mut convolution) => {
                convolution.bias = convolution.bias.filter(|_| biased);
                let channels = convolution.weight.dims()[1];
                (Doubling::Transposed(convolution), channels)
            }
        };
        NormalizedDoubling { doubling, normalization: self.normalization(normalization, channels) }
    }

    /// A normalization that starts with factors 1 and offsets 0.
    pub(crate) fn normalization(
        &self,
        normalization: Normalization,
        channels: usize,
    ) -> Option<InstanceNorm<B>> {
        match normalization {
            Normalization::Instance => Some(InstanceNormConfig::new(channels).init(self.device)),
            Normalization::None => None,
        }
    }

    /// Independent normal numbers.
    pub(crate) fn normal(&mut self, count: usize, deviation: f32) -> Vec<f32> {
        (0..count)
            .map(|_| {
                let value: f32 = StandardNormal.sample(&mut self.random);
                deviation * value
            })
            .collect()
    }

    fn weights(&mut self, shape: [usize; 4], deviation: f32) -> Param<Tensor<B, 4>> {
        let values = self.normal(shape.iter().product(), deviation);
        Param::from_data(TensorData::new(values, shape), self.device)
    }

    fn zeros(&self, count: usize) -> Param<Tensor<B, 1>> {
        Param::from_tensor(Tensor::zeros([count], self.device))
    }
}

/// Multiplications of a convolution onto an image of `pixels` pixels.
pub(crate) fn multiply_adds(channels_in: usize, channels_out: usize, kernel: usize, pixels: usize) -> u64 {
    [channels_in, channels_out, kernel * kernel, pixels].into_iter().map(|factor| factor as u64).product()
}

/// Multiplications of up-sampling from an image of `pixels` pixels.
pub(crate) fn doubling_multiply_adds(
    upsampling: Upsampling,
    channels_in: usize,
    channels_out: usize,
    kernel: usize,
    pixels: usize,
) -> u64 {
    match upsampling {
        Upsampling::Transposed => multiply_adds(channels_in, channels_out, kernel, pixels),
        Upsampling::Resize => multiply_adds(channels_in, channels_out, 3, 4 * pixels),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Differentiable, image, relative_difference};
    use super::*;
    use burn::backend::Flex;
    use burn::tensor::DType;

    const MATRIX: Arithmetic =
        Arithmetic { convolution: ConvolutionKind::Matrix, precision: Precision::Float32 };

    /// What a layer makes of an image, and the gradients of a sum by its input and by its weights.
    fn outcome(
        input: [usize; 4],
        forward: impl Fn(Tensor<Differentiable, 4>) -> Tensor<Differentiable, 4>,
        weight: &Param<Tensor<Differentiable, 4>>,
    ) -> [Tensor<Flex, 4>; 3] {
        let input = image::<Differentiable>(input, DType::F32).require_grad();
        let output = forward(input.clone());
        // A weight for each output pixel, so that a wrong place would be seen.
        let uneven = image(output.dims(), DType::F32);
        let gradients = (output.clone() * uneven).sum().backward();
        [output.inner(), input.grad(&gradients).unwrap(), weight.val().grad(&gradients).unwrap()]
    }

    fn assert_alike(found: [Tensor<Flex, 4>; 3], expected: [Tensor<Flex, 4>; 3], bound: f64) {
        for (found, expected) in found.into_iter().zip(expected) {
            let difference = relative_difference(found, expected);
            assert!(difference <= bound, "{difference}");
        }
    }

    fn convolution_outcome(
        arithmetic: Arithmetic,
        [kernel, stride]: [usize; 2],
        padding: Padding,
    ) -> [Tensor<Flex, 4>; 3] {
        let device = Default::default();
        let mut layers = Layers::<Differentiable>::new(arithmetic, 5, &device);
        let layer = layers.convolution(3, 4, kernel, stride, 1.0).padded_by(padding);
        outcome([2, 3, 12, 10], |input| layer.forward(input), &layer.weight)
    }

    fn doubling_outcome(
        arithmetic: Arithmetic,
        upsampling: Upsampling,
        kernel: usize,
    ) -> [Tensor<Flex, 4>; 3] {
        let device = Default::default();
        let mut layers = Layers::<Differentiable>::new(arithmetic, 5, &device);
        let layer = layers.doubling(upsampling, 3, 4, kernel, 1.0);
        let weight = match &layer {
            Doubling::Transposed(layer) => &layer.weight,
            Doubling::Resize(layer) => &layer.weight,
        };
        outcome([2, 3, 6, 5], |input| layer.forward(input), weight)
    }

    #[test]
    fn products_of_matrices_are_the_native_convolutions() {
        for shape in [[1, 1], [3, 1], [7, 1], [4, 1], [3, 2], [4, 2]] {
            for padding in [Padding::Zero, Padding::Reflect] {
                let native = convolution_outcome(Arithmetic::default(), shape, padding);
                assert_alike(convolution_outcome(MATRIX, shape, padding), native, 1e-5);
            }
        }
        for (upsampling, kernel) in
            [(Upsampling::Transposed, 3), (Upsampling::Transposed, 4), (Upsampling::Resize, 3)]
        {
            let native = doubling_outcome(Arithmetic::default(), upsampling, kernel);
            assert_eq!(native[0].dims(), [2, 4, 12, 10]);
            assert_alike(doubling_outcome(MATRIX, upsampling, kernel), native, 1e-5);
        }
    }

    #[test]
    fn bfloat16_is_close_to_single_precision() {
        for convolution in [ConvolutionKind::Native, ConvolutionKind::Matrix] {
            let half = Arithmetic { convolution, precision: Precision::Bfloat16 };
            for shape in [[3, 1], [4, 1], [4, 2]] {
                let single = convolution_outcome(Arithmetic::default(), shape, Padding::Reflect);
                let found = convolution_outcome(half, shape, Padding::Reflect);
                assert!(relative_difference(found[0].clone(), single[0].clone()) > 1e-5);
                assert_alike(found, single, 0.02);
            }
            let single = doubling_outcome(Arithmetic::default(), Upsampling::Transposed, 4);
            assert_alike(doubling_outcome(half, Upsampling::Transposed, 4), single, 0.02);
        }
    }

    #[test]
    fn borders_are_mirrored_without_their_own_pixel_or_black() {
        let row = |values: &[f32]| {
            let data = TensorData::new(values.to_vec(), [1, 1, 1, values.len()]);
            Tensor::<Flex, 4>::from_data(data, &Default::default())
        };
        let tall = |tensor: Tensor<Flex, 4>| tensor.swap_dims(2, 3);
        let square = row(&[1., 2., 3., 4.]) + tall(row(&[0., 10., 20., 30.]));
        let mirrored = reflect(square.clone(), 2, 1);
        let expected = row(&[3., 2., 1., 2., 3., 4., 3.]) + tall(row(&[20., 10., 0., 10., 20., 30., 20.]));
        assert_eq!(mirrored.into_data(), expected.into_data());
        let padded = zero_pad(square.clone(), [(1, 0), (0, 2)]);
        assert_eq!(padded.dims(), [1, 1, 5, 6]);
        assert_eq!(padded.clone().narrow(2, 1, 4).narrow(3, 0, 4).into_data(), square.clone().into_data());
        assert_eq!(padded.sum().into_scalar(), square.sum().into_scalar());
    }

    #[test]
    fn nearest_neighbours_are_repeated() {
        let data = TensorData::new(vec![1f32, 2., 3., 4.], [1, 1, 2, 2]);
        let large = repeat_pixels(Tensor::<Flex, 4>::from_data(data, &Default::default()));
        let values: Vec<f32> = large.into_data().to_vec().unwrap();
        assert_eq!(values, [1., 1., 2., 2., 1., 1., 2., 2., 3., 3., 4., 4., 3., 3., 4., 4.]);
    }
}
