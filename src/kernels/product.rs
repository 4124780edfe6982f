//! The inner loop of every convolution: six pixels at once times the weights of a panel of output channels.

use super::BLOCK;
use super::aligned::Aligned;
use super::lanes::Lanes;

/// Pixels of one pass: with [`Lanes::COLUMNS`] vectors of output channels to each, the sums fill the registers.
pub(super) const PIXELS: usize = 6;

/// Where a product's sums begin, and where they go.
pub(super) trait Sink<V: Lanes> {
    /// What the terms of `P` pixels, the first of them being `pixel`, are added to, in `Q` vectors of output channels.
    ///
    /// # Safety
    /// The pixels are among those that the sink was made for.
    #[inline(always)]
    unsafe fn start<const P: usize, const Q: usize>(&self, _pixel: usize) -> [[V; Q]; P] {
        [[V::splat(0.0); Q]; P]
    }

    /// Takes the sums of `P` pixels, the first of them being `pixel`, in `Q` vectors of output channels.
    ///
    /// # Safety
    /// The pixels are among those that the sink was made for.
    unsafe fn take<const P: usize, const Q: usize>(&self, pixel: usize, sums: &[[V; Q]; P]);
}

/// Values of pixels, and where in them the terms of a product lie.
#[derive(Clone, Copy)]
pub(super) struct Terms<'a> {
    pub(super) values: &'a [f32],
    /// Of each pixel, where its terms begin.
    pub(super) pixels: &'a [usize],
    /// Where the runs of terms begin, from a pixel's beginning.
    pub(super) runs: &'a [usize],
    /// Terms of each run.
    pub(super) run: usize,
}

impl Terms<'_> {
    /// Terms in all.
    pub(super) fn count(&self) -> usize {
        self.runs.len() * self.run
    }

    /// Parts of the terms, each of about `terms`.
    pub(super) fn parts(&self, terms: usize) -> impl Iterator<Item = Self> {
        let runs = (terms / self.run.max(1)).max(1);
        self.runs.chunks(runs).map(move |runs| Self { runs, ..*self })
    }

    /// Whether all terms of all pixels are among the values.
    pub(super) fn are_inside(&self) -> bool {
        let last = |offsets: &[usize]| offsets.iter().max().copied();
        match (last(self.pixels), last(self.runs)) {
            (Some(pixel), Some(run)) => pixel + run + self.run <= self.values.len(),
            _ => true,
        }
    }
}

/// For each pixel and each of `columns` vectors of output channels: the sum over all terms of value times weight.
///
/// `weights` holds for each term its weights for `columns * V::COUNT` channels. The sum's order is the same for every pixel, so that
/// a pixel's value does not depend on its neighbours in the list.
///
/// # Safety
/// `terms.are_inside()`, there are as many weights as said, and `sink` takes all pixels.
#[inline(always)]
#[expect(clippy::unreachable, reason = "panels have 1, 2 or 4 vectors of the tier that they were packed for")]
pub(super) unsafe fn multiply<V: Lanes>(
    terms: Terms<'_>,
    weights: &[f32],
    columns: usize,
    sink: &impl Sink<V>,
) {
    debug_assert!(terms.are_inside());
    debug_assert!(weights.len() >= terms.count() * columns * V::COUNT);
    // SAFETY: the caller's promises.
    unsafe {
        match columns {
            1 if BLOCK == V::COUNT => passes::<V, 1>(terms, weights, sink),
            2 if V::COLUMNS >= 2 => passes::<V, 2>(terms, weights, sink),
            4 if V::COLUMNS >= 4 => passes::<V, 4>(terms, weights, sink),
            _ => unreachable!("panels are packed for the tier"),
        }
    }
}

/// # Safety
/// That of [`multiply`].
#[inline(always)]
unsafe fn passes<V: Lanes, const Q: usize>(terms: Terms<'_>, weights: &[f32], sink: &impl Sink<V>) {
    let count = terms.pixels.len();
    if count == 0 {
        return;
    }
    // Passes of nearly the same size: one of five and one of four pixels rather than one of six and one of three.
    let all = count.div_ceil(PIXELS);
    let (size, larger) = (count / all, count % all);
    let mut pixel = 0;
    for index in 0..all {
        let size = if index < larger { size + 1 } else { size };
        // SAFETY: the caller's promises, and `pixel + size` is at most `count`.
        unsafe {
            match size {
                1 => pass::<V, 1, Q>(terms, weights, sink, pixel),
                2 => pass::<V, 2, Q>(terms, weights, sink, pixel),
                3 => pass::<V, 3, Q>(terms, weights, sink, pixel),
                4 => pass::<V, 4, Q>(terms, weights, sink, pixel),
                5 => pass::<V, 5, Q>(terms, weights, sink, pixel),
                _ => pass::<V, PIXELS, Q>(terms, weights, sink, pixel),
            }
        }
        pixel += size;
    }
}

/// # Safety
/// That of [`multiply`], and there are `P` pixels from `pixel` on.
#[inline(always)]
unsafe fn pass<V: Lanes, const P: usize, const Q: usize>(
    terms: Terms<'_>,
    weights: &[f32],
    sink: &impl Sink<V>,
    pixel: usize,
) {
    let mut weight = weights.as_ptr();
    // SAFETY: by the caller's promises all terms are among the values, and there are weights for each.
    unsafe {
        let mut sums = sink.start::<P, Q>(pixel);
        let mut starts = [terms.values.as_ptr(); P];
        for (at, start) in starts.iter_mut().enumerate() {
            *start = start.add(*terms.pixels.get_unchecked(pixel + at));
        }
        for &run in terms.runs {
            let mut at = starts;
            for start in &mut at {
                *start = start.add(run);
            }
            for term in 0..terms.run {
                let mut columns = [V::splat(0.0); Q];
                for (q, column) in columns.iter_mut().enumerate() {
                    *column = V::load(weight.add(q * V::COUNT));
                }
                weight = weight.add(Q * V::COUNT);
                for p in 0..P {
                    let value = V::splat(*at[p].add(term));
                    for q in 0..Q {
                        sums[p][q] = value.mul_add(columns[q], sums[p][q]);
                    }
                }
            }
        }
        sink.take(pixel, &sums);
    }
}

/// Weights of a product for all output channels, in panels as wide as the tier's registers allow.
#[derive(Debug)]
pub(super) struct Panels {
    values: Aligned,
    /// First channel and width of each panel.
    panels: Vec<(usize, usize)>,
    terms: usize,
}

impl Panels {
    /// Room for weights, 0 for now, for `channels` output channels, rounded up to whole blocks, of `terms` terms, for a tier that makes
    /// `widest` channels in a pass.
    pub(super) fn new(channels: usize, terms: usize, widest: usize) -> Self {
        let padded = channels.next_multiple_of(BLOCK);
        let mut panels = Vec::new();
        let mut first = 0;
        while first < padded {
            let mut width = widest;
            while width > padded - first {
                width /= 2;
            }
            panels.push((first, width));
            first += width;
        }
        let mut values = Aligned::default();
        values.grow(padded * terms);
        Self { values, panels, terms }
    }

    /// Packs the weights `weight(channel, term)`; the rest as [`Panels::new`].
    pub(super) fn pack(
        channels: usize,
        terms: usize,
        widest: usize,
        weight: impl Fn(usize, usize) -> f32,
    ) -> Self {
        let mut packed = Self::new(channels, terms, widest);
        for &(first, width) in &packed.panels {
            let panel = &mut packed.values[first * terms..(first + width) * terms];
            for (term, weights) in panel.chunks_exact_mut(width).enumerate() {
                for (channel, value) in (first..channels).zip(weights) {
                    *value = weight(channel, term);
                }
            }
        }
        packed
    }

    /// Where the weights of a block of channels lie: the place of their first term's, and from one term's to the next.
    pub(super) fn place(&self, channel: usize) -> (usize, usize) {
        let last = self.panels.partition_point(|&(first, _)| first <= channel) - 1;
        let (first, width) = self.panels[last];
        (first * self.terms + channel - first, width)
    }

    /// All weights.
    pub(super) fn values_mut(&mut self) -> &mut [f32] {
        &mut self.values
    }

    /// First channel, width and weights of each panel.
    #[inline(always)]
    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, usize, &[f32])> {
        self.panels.iter().map(|&(first, width)| {
            (first, width, &self.values[first * self.terms..(first + width) * self.terms])
        })
    }

    /// Channels of the widest panel.
    pub(super) fn widest(&self) -> usize {
        self.panels.iter().map(|&(_, width)| width).max().unwrap_or(0)
    }

    /// Bytes of the packed weights.
    pub(super) fn bytes(&self) -> usize {
        size_of_val(&self.values[..])
    }
}
