//! Convolutions to a few channels, often one at full size: vectors of input channels at once, whose sums are added up at the end.

use super::aligned::Aligned;
use super::bands::Plan;
use super::convolution::{Call, Resampling, Spec};
use super::lanes::Lanes;
use super::product::Terms;
use super::tier::Kernel;
use super::{Activation, BLOCK, Shape, Tier, scratch};

/// Sums of one pass, pixels times channels: enough that none waits for the one before, and with weights and values not more
/// than the registers hold.
const SUMS: usize = 8;

#[derive(Debug)]
pub(super) struct Narrow {
    plan: Plan,
    /// The channels of each phase.
    phases: Vec<Vec<Channels>>,
    /// Rows and columns that channels become.
    shuffle: usize,
}

/// One, two or four channels that are computed together.
#[derive(Debug)]
struct Channels {
    first: usize,
    /// For each block of terms the weights of one channel after the other.
    weights: Aligned,
    bias: Vec<f32>,
}

impl Narrow {
    pub(super) fn new(spec: &Spec, weights: &[f32], bias: &[f32]) -> Self {
        let plan = Plan::by_input(spec);
        let shuffle = if let Resampling::Shuffle(block) = spec.resampling { block } else { 1 };
        let mut phases = Vec::new();
        for phase in &plan.phases {
            let bias = plan.bias(bias, phase);
            let pack = |(first, count): (usize, usize)| {
                let mut packed = Aligned::default();
                packed.grow(plan.terms(phase) * count);
                for (index, weight) in packed.iter_mut().enumerate() {
                    let (lane, rest) = (index % BLOCK, index / BLOCK);
                    let term = rest / count * BLOCK + lane;
                    *weight = plan.weight(weights, phase, first + rest % count, term);
                }
                Channels { first, weights: packed, bias: bias[first..first + count].to_vec() }
            };
            phases.push(groups(plan.channels).into_iter().map(pack).collect());
        }
        Self { plan, phases, shuffle }
    }

    pub(super) fn bytes(&self) -> usize {
        let channels = self.phases.iter().flatten();
        channels.map(|group| size_of_val(&group.weights[..]) + size_of_val(&group.bias[..])).sum()
    }

    pub(super) fn scratch_bytes(&self, shape: Shape, result: Shape) -> usize {
        self.plan.scratch_bytes(shape, result, 0)
    }

    pub(super) fn run(&self, call: Call<'_>, tier: Tier) {
        let result = call.result;
        scratch::with(|scratch| {
            for band in self.plan.bands(call.shape, result) {
                let values = self.plan.gather(call.images, call.shape, &band, &mut scratch.band);
                for (phase, channels) in self.plan.phases.iter().zip(&self.phases) {
                    let (runs, run) = self.plan.runs(&band, phase);
                    scratch.pixels.clear();
                    scratch.places.clear();
                    self.plan.pixels(&band, phase, result, |pixel, [image, y, x]| {
                        scratch.pixels.push(pixel);
                        let row = image * result.channels * result.height + y;
                        scratch.places.push(row * result.width + x);
                    });
                    let terms = Terms { values, pixels: &scratch.pixels, runs: &runs, run };
                    assert!(terms.are_inside(), "a band holds all that its pixels read");
                    for group in channels {
                        let to = ToPlain {
                            output: &mut *call.output,
                            places: &scratch.places,
                            shifts: self.shifts(group, result),
                            activation: call.activation,
                            bias: &group.bias,
                        };
                        tier.run(Products { terms, weights: &group.weights, to });
                    }
                }
            }
        });
    }

    /// Where the channels of a group lie, from a pixel's place.
    fn shifts(&self, group: &Channels, result: Shape) -> [usize; 4] {
        [0, 1, 2, 3].map(|index| {
            let (place, channel) =
                ((group.first + index) / result.channels, (group.first + index) % result.channels);
            let plane = result.height * result.width;
            channel * plane + place / self.shuffle * result.width + place % self.shuffle
        })
    }
}

/// First channel and number of channels of each group.
fn groups(channels: usize) -> Vec<(usize, usize)> {
    let mut groups = Vec::new();
    let mut first = 0;
    while first < channels {
        let count = [4, 2, 1].into_iter().find(|&count| first + count <= channels).unwrap_or(1);
        groups.push((first, count));
        first += count;
    }
    groups
}

/// All products of a group of channels in a phase in a band.
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
    /// From there to each channel of the group.
    shifts: [usize; 4],
    activation: Activation,
    bias: &'a [f32],
}

impl Kernel for Products<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Lanes>(self) {
        match self.to.bias.len() {
            1 => self.all::<V, SUMS, 1>(),
            2 => self.all::<V, { SUMS / 2 }, 2>(),
            _ => self.all::<V, { SUMS / 4 }, 4>(),
        }
    }
}

impl Products<'_> {
    /// All pixels, `P` at once, for `C` channels.
    #[inline(always)]
    fn all<V: Lanes, const P: usize, const C: usize>(mut self) {
        let count = self.terms.pixels.len();
        assert!(self.weights.len() == C * self.terms.count() && self.to.bias.len() == C);
        let mut pixel = 0;
        // SAFETY: the terms are inside, there are weights for each, and `pixel` and those after it are in the list.
        unsafe {
            while pixel + P <= count {
                let sums = sums::<V, P, C>(self.terms, self.weights, pixel);
                self.to.take::<V, P, C>(pixel, &sums);
                pixel += P;
            }
            while pixel < count {
                let sums = sums::<V, 1, C>(self.terms, self.weights, pixel);
                self.to.take::<V, 1, C>(pixel, &sums);
                pixel += 1;
            }
        }
    }
}

/// Of `P` pixels from `pixel` on and `C` channels: vectors whose lanes add up to the sum over all terms.
///
/// # Safety
/// The terms are inside, there are weights for each, and the pixels are in the list.
#[inline(always)]
unsafe fn sums<V: Lanes, const P: usize, const C: usize>(
    terms: Terms<'_>,
    weights: &[f32],
    pixel: usize,
) -> [[V; C]; P] {
    let mut sums = [[V::splat(0.0); C]; P];
    let mut weight = weights.as_ptr();
    // SAFETY: the caller's promises; runs are whole blocks, and so whole vectors.
    unsafe {
        let mut starts = [terms.values.as_ptr(); P];
        for (at, start) in starts.iter_mut().enumerate() {
            *start = start.add(*terms.pixels.get_unchecked(pixel + at));
        }
        for &run in terms.runs {
            for block in (0..terms.run).step_by(BLOCK) {
                for lane in (0..BLOCK).step_by(V::COUNT) {
                    let mut columns = [V::splat(0.0); C];
                    for c in 0..C {
                        columns[c] = V::load(weight.add(c * BLOCK + lane));
                    }
                    for p in 0..P {
                        let value = V::load(starts[p].add(run + block + lane));
                        for c in 0..C {
                            sums[p][c] = value.mul_add(columns[c], sums[p][c]);
                        }
                    }
                }
                weight = weight.add(C * BLOCK);
            }
        }
    }
    sums
}

impl ToPlain<'_> {
    #[inline(always)]
    fn take<V: Lanes, const P: usize, const C: usize>(&mut self, pixel: usize, sums: &[[V; C]; P]) {
        for (p, sums) in sums.iter().enumerate() {
            for (c, sum) in sums.iter().enumerate() {
                let value = self.activation.of(sum.sum() + self.bias[c]);
                self.output[self.places[pixel + p] + self.shifts[c]] = value;
            }
        }
    }
}
