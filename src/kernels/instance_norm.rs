//! Instance normalization: each channel of each image gets mean 0 and variance 1 over its pixels, then scale and bias.

use super::lanes::Lanes;
use super::tier::Kernel;
use super::{Activation, BLOCK, Shape, Tier};

/// ONNX InstanceNormalization, with what usually follows it.
#[derive(Debug)]
pub struct InstanceNorm {
    scale: Vec<f32>,
    bias: Vec<f32>,
    epsilon: f32,
    tier: Tier,
}

impl InstanceNorm {
    /// Scale and bias of each channel; `epsilon` is added to the variance.
    ///
    /// # Panics
    /// If there are not as many scales as biases.
    pub fn new(scale: &[f32], bias: &[f32], epsilon: f32, tier: Tier) -> Self {
        assert_eq!(scale.len(), bias.len(), "a scale and a bias for each channel");
        let padded = |values: &[f32]| {
            let mut values = values.to_vec();
            values.resize(values.len().next_multiple_of(BLOCK), 0.0);
            values
        };
        Self { scale: padded(scale), bias: padded(bias), epsilon, tier }
    }

    /// Makes `activation(norm(images) + residual)` of `images`; both in blocks and of one shape.
    ///
    /// # Panics
    /// If lengths are not those of the shape, or its channels not those of the norm.
    pub fn run(&self, images: &mut [f32], shape: Shape, residual: Option<&[f32]>, activation: Activation) {
        let lengths = [images.len(), residual.map_or(images.len(), <[f32]>::len)];
        assert!(lengths == [shape.len(); 2] && shape.blocks() * BLOCK == self.scale.len(), "sizes of images");
        if !shape.is_empty() {
            self.tier.run(Run { norm: self, images, shape, residual, activation });
        }
    }
}

struct Run<'a> {
    norm: &'a InstanceNorm,
    images: &'a mut [f32],
    shape: Shape,
    residual: Option<&'a [f32]>,
    activation: Activation,
}

impl Kernel for Run<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Lanes>(self) {
        let (plane, blocks) = (self.shape.plane(), self.shape.blocks());
        let row = self.shape.width * BLOCK;
        for (index, values) in self.images.chunks_exact_mut(plane).enumerate() {
            let mean = average::<V>(values, row, &[0.0; BLOCK], false);
            let variance = average::<V>(values, row, &mean, true);
            let channel = index % blocks * BLOCK;
            let (mut factor, mut term) = ([0.0; BLOCK], [0.0; BLOCK]);
            for lane in 0..BLOCK {
                let scale = self.norm.scale[channel + lane];
                factor[lane] = scale / (variance[lane] + self.norm.epsilon).sqrt();
                term[lane] = self.norm.bias[channel + lane];
            }
            let place = index * plane;
            for at in (0..plane).step_by(V::COUNT) {
                let lane = at % BLOCK;
                // SAFETY: `at` and the vector after it are within the plane, `place + at` within the residual, which is as large as
                // all images; a lane and the vector after it are within a block.
                unsafe {
                    let to = values.as_mut_ptr().add(at);
                    let centred = V::load(to).sub(V::load(mean.as_ptr().add(lane)));
                    let mut value =
                        centred.mul_add(V::load(factor.as_ptr().add(lane)), V::load(term.as_ptr().add(lane)));
                    if let Some(residual) = self.residual {
                        value = value.add(V::load(residual.as_ptr().add(place + at)));
                    }
                    self.activation.apply(value).store(to);
                }
            }
        }
    }
}

/// Of each channel of a block the mean of the values, or of their squared distances from `centre`: sums of a row of `row` floats in
/// float32, of rows in float64, so that large images lose nothing.
#[inline(always)]
fn average<V: Lanes>(plane: &[f32], row: usize, centre: &[f32; BLOCK], squared: bool) -> [f32; BLOCK] {
    let mut totals = [0.0_f64; BLOCK];
    for row in plane.chunks_exact(row) {
        let mut sums = [0.0_f32; BLOCK];
        for lane in (0..BLOCK).step_by(V::COUNT) {
            // SAFETY: a lane and the vector after it are within a block, of the centre as of each pixel.
            unsafe {
                let middle = V::load(centre.as_ptr().add(lane));
                // Four chains of additions, so that none waits for the one before.
                let mut chains = [V::splat(0.0); 4];
                let quads = row.chunks_exact(4 * BLOCK);
                for values in quads.remainder().chunks_exact(BLOCK) {
                    chains[0] =
                        accumulate(chains[0], V::load(values.as_ptr().add(lane)).sub(middle), squared);
                }
                for values in quads {
                    for (pixel, chain) in chains.iter_mut().enumerate() {
                        let value = V::load(values.as_ptr().add(pixel * BLOCK + lane)).sub(middle);
                        *chain = accumulate(*chain, value, squared);
                    }
                }
                let sum = chains[0].add(chains[1]).add(chains[2].add(chains[3]));
                sum.store(sums.as_mut_ptr().add(lane));
            }
        }
        for (total, sum) in totals.iter_mut().zip(sums) {
            *total += f64::from(sum);
        }
    }
    let count = (plane.len() / BLOCK) as f64;
    totals.map(|total| (total / count) as f32)
}

#[inline(always)]
fn accumulate<V: Lanes>(sum: V, value: V, squared: bool) -> V {
    if squared { value.mul_add(value, sum) } else { sum.add(value) }
}
