//! Convolutions to a few channels, often one at full size: vectors of input channels at once, whose sums are added up at the end.

use super::aligned::Aligned;
use super::bands::Plan;
use super::convolution::{Call, Spec};
use super::lanes::Lanes;
use super::product::Terms;
use super::tier::Kernel;
use super::{Activation, Tier, scratch};

/// Pixels of one pass, so that no sum waits for the one before.
const PIXELS: usize = 8;

#[derive(Debug)]
pub(super) struct Narrow {
    plan: Plan,
    /// Weights of each channel one after the other, and biases, of each phase.
    phases: Vec<(Aligned, Vec<f32>)>,
}

impl Narrow {
    pub(super) fn new(spec: &Spec, weights: &[f32], bias: &[f32]) -> Self {
        let plan = Plan::new(spec, false);
        let pack = |phase| {
            let terms = plan.terms(phase);
            let channel = |channel| (0..terms).map(move |term| (channel, term));
            let all = (0..plan.channels).flat_map(channel);
            let packed = all.map(|(channel, term)| plan.weight(weights, phase, channel, term)).collect();
            (packed, plan.bias(bias, phase).to_vec())
        };
        let phases = plan.phases.iter().map(pack).collect();
        Self { plan, phases }
    }

    pub(super) fn bytes(&self) -> usize {
        self.phases.iter().map(|(weights, bias)| size_of_val(&weights[..]) + size_of_val(&bias[..])).sum()
    }

    pub(super) fn run(&self, call: Call<'_>, tier: Tier) {
        scratch::with(|scratch| {
            for band in self.plan.bands(call.shape, call.result) {
                let values = self.plan.gather(call.images, call.shape, &band, &mut scratch.band);
                for (phase, (weights, bias)) in self.plan.phases.iter().zip(&self.phases) {
                    let (runs, run) = self.plan.runs(&band, phase);
                    scratch.pixels.clear();
                    scratch.places.clear();
                    let result = call.result;
                    self.plan.pixels(&band, phase, result, |pixel, [image, y, x]| {
                        scratch.pixels.push(pixel);
                        let row = image * result.channels * result.height + y;
                        scratch.places.push(row * result.width + x);
                    });
                    let terms = Terms { values, pixels: &scratch.pixels, runs: &runs, run };
                    assert!(terms.are_inside(), "a band holds all that its pixels read");
                    let to = ToPlain {
                        output: call.output,
                        places: &scratch.places,
                        channel: result.height * result.width,
                        activation: call.activation,
                        bias,
                    };
                    tier.run(Products { terms, weights, to });
                }
            }
        });
    }
}

/// All products of a phase in a band.
struct Products<'a> {
    terms: Terms<'a>,
    weights: &'a [f32],
    to: ToPlain<'a>,
}

/// Results into images without blocks.
struct ToPlain<'a> {
    output: &'a mut [f32],
    /// Where each pixel's first channel goes.
    places: &'a [usize],
    /// From one channel to the next.
    channel: usize,
    activation: Activation,
    bias: &'a [f32],
}

impl Kernel for Products<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Lanes>(mut self) {
        let (count, terms) = (self.terms.pixels.len(), self.terms.count());
        for channel in 0..self.to.bias.len() {
            let weights = &self.weights[channel * terms..(channel + 1) * terms];
            let mut pixel = 0;
            // SAFETY: the terms are inside, there is a weight for each, and `pixel` and those after it are in the list.
            unsafe {
                while pixel + PIXELS <= count {
                    let sums = sums::<V, PIXELS>(self.terms, weights, pixel);
                    self.to.take::<V, PIXELS>(channel, pixel, &sums);
                    pixel += PIXELS;
                }
                while pixel < count {
                    let sums = sums::<V, 1>(self.terms, weights, pixel);
                    self.to.take::<V, 1>(channel, pixel, &sums);
                    pixel += 1;
                }
            }
        }
    }
}

/// Of `P` pixels from `pixel` on: vectors whose lanes add up to the sum over all terms.
///
/// # Safety
/// The terms are inside, there is a weight for each, and the pixels are in the list.
#[inline(always)]
unsafe fn sums<V: Lanes, const P: usize>(terms: Terms<'_>, weights: &[f32], pixel: usize) -> [V; P] {
    let mut sums = [V::splat(0.0); P];
    let mut weight = weights.as_ptr();
    // SAFETY: the caller's promises; runs are whole blocks, and so whole vectors.
    unsafe {
        let mut starts = [terms.values.as_ptr(); P];
        for (at, start) in starts.iter_mut().enumerate() {
            *start = start.add(*terms.pixels.get_unchecked(pixel + at));
        }
        for &run in terms.runs {
            for term in (0..terms.run).step_by(V::COUNT) {
                let weights = V::load(weight);
                weight = weight.add(V::COUNT);
                for p in 0..P {
                    sums[p] = V::load(starts[p].add(run + term)).mul_add(weights, sums[p]);
                }
            }
        }
    }
    sums
}

impl ToPlain<'_> {
    #[inline(always)]
    fn take<V: Lanes, const P: usize>(&mut self, channel: usize, pixel: usize, sums: &[V; P]) {
        for (p, sums) in sums.iter().enumerate() {
            let value = self.activation.of(sums.sum() + self.bias[channel]);
            self.output[channel * self.channel + self.places[pixel + p]] = value;
        }
    }
}
