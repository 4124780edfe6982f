//! Any convolution as sums over its taps, vectors of output channels at once.

use super::bands::Plan;
use super::convolution::{Call, Spec};
use super::lanes::Lanes;
use super::product::{Panels, Sink, Terms, multiply};
use super::scratch::{self, room};
use super::tier::Kernel;
use super::{Activation, BLOCK, Shape, Tier};

/// Terms that are added up for all pixels before the next: their weights for a panel should fit into a core's nearest cache.
const TERMS: usize = 256;

#[derive(Debug)]
pub(super) struct Direct {
    plan: Plan,
    /// Weights, and biases filled up to whole blocks, of each phase.
    phases: Vec<(Panels, Vec<f32>)>,
}

impl Direct {
    pub(super) fn new(spec: &Spec, weights: &[f32], bias: &[f32], tier: Tier) -> Self {
        let plan = Plan::by_output(spec);
        let pack = |phase| {
            let weight = |channel, term| plan.weight(weights, phase, channel, term);
            let panels = Panels::pack(plan.channels, plan.terms(phase), tier.columns(), weight);
            let mut bias = plan.bias(bias, phase).to_vec();
            bias.resize(bias.len().next_multiple_of(BLOCK), 0.0);
            (panels, bias)
        };
        let phases = plan.phases.iter().map(pack).collect();
        Self { plan, phases }
    }

    pub(super) fn bytes(&self) -> usize {
        self.phases.iter().map(|(panels, bias)| panels.bytes() + size_of_val(&bias[..])).sum()
    }

    pub(super) fn scratch_bytes(&self, shape: Shape, result: Shape) -> usize {
        let widest = self.phases.iter().map(|(panels, _)| panels.widest()).max().unwrap_or(0);
        self.plan.scratch_bytes(shape, result, widest)
    }

    pub(super) fn run(&self, call: Call<'_>, tier: Tier) {
        scratch::with(|scratch| {
            for band in self.plan.bands(call.shape, call.result) {
                let values = self.plan.gather(call.images, call.shape, &band, &mut scratch.band);
                for (phase, (panels, bias)) in self.plan.phases.iter().zip(&self.phases) {
                    let (runs, run) = self.plan.runs(&band, phase);
                    scratch.pixels.clear();
                    scratch.places.clear();
                    let result = call.result;
                    self.plan.pixels(&band, phase, result, |pixel, [image, y, x]| {
                        scratch.pixels.push(pixel);
                        scratch.places.push(image * result.image() + (y * result.width + x) * BLOCK);
                    });
                    let terms = Terms { values, pixels: &scratch.pixels, runs: &runs, run };
                    assert!(terms.are_inside(), "a band holds all that its pixels read");
                    let sums = room(&mut scratch.sums, scratch.pixels.len() * panels.widest());
                    let to = ToImages {
                        output: call.output.as_mut_ptr(),
                        residual: call.residual.map(<[f32]>::as_ptr),
                        places: &scratch.places,
                        plane: result.plane(),
                        activation: call.activation,
                        bias,
                        channel: 0,
                    };
                    tier.run(Products { terms, panels, sums, to });
                }
            }
        });
    }
}

/// All products of a phase in a band.
struct Products<'a> {
    terms: Terms<'a>,
    panels: &'a Panels,
    /// For the sums of a panel over some of the terms.
    sums: &'a mut [f32],
    to: ToImages<'a>,
}

impl Kernel for Products<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Lanes>(mut self) {
        let parts = self.terms.runs.len().div_ceil((TERMS / self.terms.run.max(1)).max(1));
        for (first, width, mut weights) in self.panels.iter() {
            self.to.channel = first;
            let columns = width / V::COUNT;
            if parts <= 1 {
                // SAFETY: the terms are inside, the panel was packed for them, and there is a place for each pixel.
                unsafe { multiply::<V>(self.terms, weights, columns, &self.to) };
                continue;
            }
            for (index, part) in self.terms.parts(TERMS).enumerate() {
                let (here, rest) = weights.split_at(part.count() * width);
                weights = rest;
                let sums = Sums { sums: self.sums.as_mut_ptr(), width, first: index == 0 };
                // SAFETY: likewise, and there is room for the sums of all pixels.
                unsafe {
                    if index + 1 < parts {
                        multiply::<V>(part, here, columns, &sums);
                    } else {
                        multiply::<V>(part, here, columns, &Last { sums, to: &self.to });
                    }
                }
            }
        }
    }
}

/// Sums over some of the terms (pixel, channel of the panel), to which the others are added.
struct Sums {
    sums: *mut f32,
    /// Channels of the panel.
    width: usize,
    /// Whether these are the first terms.
    first: bool,
}

impl<V: Lanes> Sink<V> for Sums {
    #[inline(always)]
    unsafe fn start<const P: usize, const Q: usize>(&self, pixel: usize) -> [[V; Q]; P] {
        let mut sums = [[V::splat(0.0); Q]; P];
        if !self.first {
            for p in 0..P {
                for q in 0..Q {
                    // SAFETY: there is room for the sums of all pixels.
                    sums[p][q] = unsafe { V::load(self.sums.add((pixel + p) * self.width + q * V::COUNT)) };
                }
            }
        }
        sums
    }

    #[inline(always)]
    unsafe fn take<const P: usize, const Q: usize>(&self, pixel: usize, sums: &[[V; Q]; P]) {
        for p in 0..P {
            for q in 0..Q {
                // SAFETY: there is room for the sums of all pixels.
                unsafe { sums[p][q].store(self.sums.add((pixel + p) * self.width + q * V::COUNT)) };
            }
        }
    }
}

/// The last terms of sums whose others were added up before.
struct Last<'a> {
    sums: Sums,
    to: &'a ToImages<'a>,
}

impl<V: Lanes> Sink<V> for Last<'_> {
    #[inline(always)]
    unsafe fn start<const P: usize, const Q: usize>(&self, pixel: usize) -> [[V; Q]; P] {
        // SAFETY: the caller's promise.
        unsafe { self.sums.start(pixel) }
    }

    #[inline(always)]
    unsafe fn take<const P: usize, const Q: usize>(&self, pixel: usize, sums: &[[V; Q]; P]) {
        // SAFETY: the caller's promise.
        unsafe { self.to.take(pixel, sums) }
    }
}

/// Results into images in blocks.
struct ToImages<'a> {
    output: *mut f32,
    residual: Option<*const f32>,
    /// Where each pixel's first channel goes.
    places: &'a [usize],
    /// Floats of a block of an image.
    plane: usize,
    activation: Activation,
    bias: &'a [f32],
    /// The first channel of the sums.
    channel: usize,
}

impl<V: Lanes> Sink<V> for ToImages<'_> {
    #[inline(always)]
    unsafe fn take<const P: usize, const Q: usize>(&self, pixel: usize, sums: &[[V; Q]; P]) {
        for q in 0..Q {
            let channel = self.channel + q * V::COUNT;
            let shift = channel / BLOCK * self.plane + channel % BLOCK;
            // SAFETY: a place and its channel lie within the output, and within the residual, which is as large; biases
            // are filled up to whole blocks.
            unsafe {
                let bias = V::load(self.bias.as_ptr().add(channel));
                for (p, sums) in sums.iter().enumerate() {
                    let place = shift + *self.places.get_unchecked(pixel + p);
                    let mut value = sums[q].add(bias);
                    if let Some(residual) = self.residual {
                        value = value.add(V::load(residual.add(place)));
                    }
                    self.activation.apply(value).store(self.output.add(place));
                }
            }
        }
    }
}
