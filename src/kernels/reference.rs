//! What the kernels must give, by naive loops in float64 over images without blocks.

use super::Shape;
use super::bands::border_index;
use super::convolution::{Resampling, Spec};

/// The convolution of `images` (image, channel, row, column) as [`super::Convolution`] takes weights and biases.
pub(super) fn convolution(
    spec: &Spec,
    weights: &[f32],
    bias: &[f32],
    images: &[f32],
    shape: Shape,
) -> Vec<f32> {
    let result = spec.output(shape).unwrap();
    let mut output = vec![0.0; result.plain_len()];
    for (index, value) in output.iter_mut().enumerate() {
        let (x, rest) = (index % result.width, index / result.width);
        let (y, rest) = (rest % result.height, rest / result.height);
        let (channel, image) = (rest % result.channels, rest / result.channels);
        *value = pixel(spec, weights, bias, images, shape, [image, channel, y, x]) as f32;
    }
    output
}

fn pixel(
    spec: &Spec,
    weights: &[f32],
    bias: &[f32],
    images: &[f32],
    shape: Shape,
    [image, channel, y, x]: [usize; 4],
) -> f64 {
    let (channel, at) = match spec.resampling {
        Resampling::Shuffle(block) => {
            let channels = spec.channels_out / (block * block);
            (((y % block) * block + x % block) * channels + channel, [y / block, x / block])
        }
        _ => (channel, [y, x]),
    };
    let [rows, columns] = spec.kernel;
    let mut sum = f64::from(bias[channel]);
    for from in 0..spec.channels_in {
        for ky in 0..rows {
            for kx in 0..columns {
                let Some([iy, ix]) = source(spec, shape, at, [ky, kx]) else { continue };
                let value = images[((image * shape.channels + from) * shape.height + iy) * shape.width + ix];
                let place = channel * spec.channels_in + from;
                sum += f64::from(value) * f64::from(weights[(place * rows + ky) * columns + kx]);
            }
        }
    }
    sum
}

/// The pixel of the image that a tap of the kernel sees for a pixel of its result.
fn source(spec: &Spec, shape: Shape, at: [usize; 2], tap: [usize; 2]) -> Option<[usize; 2]> {
    let mut source = [0; 2];
    for axis in 0..2 {
        let length = [shape.height, shape.width][axis];
        let (at, tap, before) = (at[axis] as isize, tap[axis] as isize, spec.before[axis] as isize);
        source[axis] = match spec.resampling {
            Resampling::Transposed { stride, .. } => {
                let (place, stride) = (at + before - tap, stride[axis] as isize);
                (place >= 0 && place % stride == 0 && place / stride < length as isize)
                    .then_some((place / stride) as usize)?
            }
            Resampling::Stride(stride) => {
                let place = at * stride[axis] as isize + tap * spec.dilation[axis] as isize - before;
                border_index(place, length, spec.border)?
            }
            Resampling::Shuffle(_) => {
                border_index(at + tap * spec.dilation[axis] as isize - before, length, spec.border)?
            }
        };
    }
    Some(source)
}

/// ONNX InstanceNormalization of images without blocks.
pub(super) fn instance_norm(
    scale: &[f32],
    bias: &[f32],
    epsilon: f32,
    images: &[f32],
    shape: Shape,
) -> Vec<f32> {
    let mut output = images.to_vec();
    for (index, plane) in output.chunks_exact_mut(shape.height * shape.width).enumerate() {
        let channel = index % shape.channels;
        let count = plane.len() as f64;
        let mean = plane.iter().map(|&value| f64::from(value)).sum::<f64>() / count;
        let variance = plane.iter().map(|&value| (f64::from(value) - mean).powi(2)).sum::<f64>() / count;
        let factor = f64::from(scale[channel]) / (variance + f64::from(epsilon)).sqrt();
        for value in plane {
            *value = ((f64::from(*value) - mean) * factor + f64::from(bias[channel])) as f32;
        }
    }
    output
}
