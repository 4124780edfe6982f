//! Convolutions as products of matrices, for backends whose own convolutions are slow.

use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

use super::layers::zero_pad;

/// The convolution of an image that is padded already: shifted copies side by side ("im2col"), then one product.
pub(super) fn convolution<B: Backend>(
    input: Tensor<B, 4>,
    weight: Tensor<B, 4>,
    bias: Option<Tensor<B, 1>>,
    stride: usize,
) -> Tensor<B, 4> {
    let [n, c, h, w] = input.dims();
    let [channels_out, _, kernel, _] = weight.dims();
    let (height, width) = ((h - kernel) / stride + 1, (w - kernel) / stride + 1);
    let columns = if kernel == 1 && stride == 1 {
        input.reshape([n, c, height * width])
    } else {
        shifted_copies(input, kernel, stride, [height, width]).reshape([
            n,
            kernel * kernel * c,
            height * width,
        ])
    };
    // Kernel offsets first, as the copies lie.
    let rows = weight.permute([0, 2, 3, 1]).reshape([1, channels_out, kernel * kernel * c]);
    add_bias(rows.matmul(columns).reshape([n, channels_out, height, width]), bias)
}

/// For each offset of the kernel the pixels that it meets, joined as channels.
fn shifted_copies<B: Backend>(
    input: Tensor<B, 4>,
    kernel: usize,
    stride: usize,
    [height, width]: [usize; 2],
) -> Tensor<B, 4> {
    let [n, c, h, w] = input.dims();
    let offsets = (0..kernel * kernel).map(|at| (at / kernel, at % kernel));
    if stride == 1 {
        let copy = |(i, j)| input.clone().narrow(2, i, height).narrow(3, j, width);
        return Tensor::cat(offsets.map(copy).collect(), 1);
    }
    // Rows and columns by their remainders, so that every copy is a block again.
    let (tall, wide) = (h.next_multiple_of(stride), w.next_multiple_of(stride));
    let input = zero_pad(input, [(0, tall - h), (0, wide - w)]);
    let split = input.reshape([n, c, tall / stride, stride, wide / stride, stride]);
    let copy = |(i, j): (usize, usize)| {
        let rows = split.clone().narrow(3, i % stride, 1).narrow(2, i / stride, height);
        let block = rows.narrow(5, j % stride, 1).narrow(4, j / stride, width);
        block.reshape([n, c, height, width])
    };
    Tensor::cat(offsets.map(copy).collect(), 1)
}

/// The transposed convolution of stride 2 and padding 1 with a kernel of 3 or 4: one product, then sums of its shifted
/// parts for each of the four output pixels of an input pixel.
pub(super) fn doubling_convolution<B: Backend>(
    input: Tensor<B, 4>,
    weight: Tensor<B, 4>,
    bias: Option<Tensor<B, 1>>,
) -> Tensor<B, 4> {
    let [n, c, h, w] = input.dims();
    let [_, channels_out, kernel, _] = weight.dims();
    let rows = weight.permute([2, 3, 1, 0]).reshape([1, kernel * kernel * channels_out, c]);
    let products = rows.matmul(input.reshape([n, c, h * w]));
    let products = products.reshape([n, kernel * kernel * channels_out, h, w]);
    // A rim of zeros, so that a shift stays inside.
    let products = zero_pad(products, [(1, 1); 2]);
    let phase = |row: usize, column: usize| {
        let parts = taps(row, kernel).flat_map(|i| taps(column, kernel).map(move |j| (i, j)));
        let part = |((i, down), (j, right)): ((usize, usize), (usize, usize))| {
            let block = products.clone().narrow(1, (i * kernel + j) * channels_out, channels_out);
            block.narrow(2, down, h).narrow(3, right, w)
        };
        parts.map(part).reduce(|sum, part| sum + part)
    };
    let phases = [(0, 0), (0, 1), (1, 0), (1, 1)].into_iter().filter_map(|(row, column)| phase(row, column));
    let joined: Tensor<B, 5> = Tensor::stack(phases.collect(), 4);
    let output = joined.reshape([n, channels_out, h, w, 2, 2]).permute([0, 1, 2, 4, 3, 5]);
    add_bias(output.reshape([n, channels_out, 2 * h, 2 * w]), bias)
}

/// The kernel rows that reach output rows of this remainder, each with the first row of its part in the rimmed products.
///
/// Output row 2 r + remainder gets kernel row i of input row r - (i - remainder - 1) / 2.
fn taps(remainder: usize, kernel: usize) -> impl Iterator<Item = (usize, usize)> {
    let first = (remainder + 1) % 2;
    (first..kernel).step_by(2).map(move |i| (i, (remainder + 3 - i) / 2))
}

fn add_bias<B: Backend>(values: Tensor<B, 4>, bias: Option<Tensor<B, 1>>) -> Tensor<B, 4> {
    match bias {
        Some(bias) => {
            let channels = bias.dims()[0];
            values + bias.reshape([1, channels, 1, 1])
        }
        None => values,
    }
}
