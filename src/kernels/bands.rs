//! Bands of input rows with their border, and the phases of the result that are computed from them.

use super::aligned::Aligned;
use super::convolution::{Border, Resampling, Spec};
use super::scratch::room;
use super::{BLOCK, Shape};

/// Bytes of a band: with a panel of weights and the results it should fit into a core's own cache.
const BAND: usize = 160 << 10;
/// Pixels that a band has at least, even if it gets larger: weights are read once for each band.
const MIN_PIXELS: usize = 96;
/// Rows of results that a band should have, and columns that it keeps, before it is made narrower: at its edges bands overlap.
const GOOD_ROWS: usize = 4;
const MIN_COLUMNS: usize = 32;

/// Pixels of the result that see the kernel in the same way: all of them, or every second of every second row where an up-sampling
/// doubles the size.
#[derive(Debug)]
pub(super) struct Phase {
    /// Where in the result its first pixel is.
    pub(super) offset: [usize; 2],
    /// Where the kernel's first tap for that pixel lies in the image; negative in the border.
    first: [isize; 2],
    /// The kernel's rows and columns that it sees.
    taps: [usize; 2],
    /// The kernel's first row and column that it sees.
    start: [usize; 2],
    /// The first of the channels that the kernel makes for it.
    channel: usize,
}

/// The phases of a convolution, and how they read bands.
#[derive(Debug)]
pub(super) struct Plan {
    spec: Spec,
    pub(super) phases: Vec<Phase>,
    /// From one pixel of a phase to the next, in the result.
    pub(super) step: [usize; 2],
    /// And in the image.
    stride: [usize; 2],
    /// Channels of a phase.
    pub(super) channels: usize,
    /// Channels of a block in a band.
    lanes: usize,
}

/// Some rows of some images in a band.
#[derive(Clone, Copy, Debug)]
pub(super) struct Band {
    /// The first image, and one past the last.
    images: [usize; 2],
    /// Likewise the rows of each phase.
    rows: [usize; 2],
    /// Likewise the columns.
    columns: [usize; 2],
    /// Rows and columns in the band of each image.
    size: [usize; 2],
    /// Where the band's first pixel lies in an image.
    corner: [isize; 2],
}

impl Plan {
    /// For output channels in vectors: bands keep no more channels of a block than there are.
    pub(super) fn by_output(spec: &Spec) -> Self {
        Self::new(spec, false, spec.channels_in.min(BLOCK))
    }

    /// For input channels in vectors: bands keep whole blocks, and the phases of a shuffle, which see the same taps, are one
    /// whose channels are all that the kernel makes.
    pub(super) fn by_input(spec: &Spec) -> Self {
        Self::new(spec, true, BLOCK)
    }

    fn new(spec: &Spec, shuffled_together: bool, lanes: usize) -> Self {
        let before = spec.before.map(|rows| -(rows as isize));
        let whole =
            |offset, channel| Phase { offset, first: before, taps: spec.kernel, start: [0, 0], channel };
        let (phases, step, stride, channels) = match spec.resampling {
            Resampling::Stride(stride) => (vec![whole([0, 0], 0)], [1, 1], stride, spec.channels_out),
            Resampling::Shuffle(block) if shuffled_together => {
                (vec![whole([0, 0], 0)], [block; 2], [1, 1], spec.channels_out)
            }
            Resampling::Shuffle(block) => {
                let channels = spec.channels_out / (block * block);
                let phase = |index| whole([index / block, index % block], index * channels);
                ((0..block * block).map(phase).collect(), [block; 2], [1, 1], channels)
            }
            Resampling::Transposed { stride, .. } => {
                let offsets = (0..stride[0]).flat_map(|y| (0..stride[1]).map(move |x| [y, x]));
                let phases = offsets.map(|offset| transposed_phase(spec, stride, offset)).collect();
                (phases, stride, [1, 1], spec.channels_out)
            }
        };
        Self { spec: spec.clone(), phases, step, stride, channels, lanes }
    }

    /// Terms of a phase's sums.
    pub(super) fn terms(&self, phase: &Phase) -> usize {
        self.blocks() * phase.taps[0] * phase.taps[1] * self.lanes
    }

    fn blocks(&self) -> usize {
        self.spec.channels_in.div_ceil(BLOCK)
    }

    /// The weight of `term` for `channel` of a phase, from the weights as [`super::Convolution::new`] takes them.
    pub(super) fn weight(&self, weights: &[f32], phase: &Phase, channel: usize, term: usize) -> f32 {
        let [rows, columns] = self.spec.kernel;
        let (lane, rest) = (term % self.lanes, term / self.lanes);
        let (x, rest) = (rest % phase.taps[1], rest / phase.taps[1]);
        let (y, block) = (rest % phase.taps[0], rest / phase.taps[0]);
        let (from, to) = (block * BLOCK + lane, phase.channel + channel);
        if from >= self.spec.channels_in {
            return 0.0;
        }
        let [y, x] = match self.spec.resampling {
            // The image is read forwards, so the kernel backwards.
            Resampling::Transposed { stride, .. } => {
                let tap =
                    |axis: usize, at: usize| phase.start[axis] + stride[axis] * (phase.taps[axis] - 1 - at);
                [tap(0, y), tap(1, x)]
            }
            _ => [y, x],
        };
        weights[((to * self.spec.channels_in + from) * rows + y) * columns + x]
    }

    /// Biases of a phase's channels.
    pub(super) fn bias<'a>(&self, bias: &'a [f32], phase: &Phase) -> &'a [f32] {
        &bias[phase.channel..phase.channel + self.channels]
    }

    /// Rows (axis 0) or columns of a phase in a result.
    fn length(&self, phase: &Phase, result: Shape, axis: usize) -> usize {
        let all = [result.height, result.width][axis];
        all.saturating_sub(phase.offset[axis]).div_ceil(self.step[axis])
    }

    /// Cuts the work into bands.
    pub(super) fn bands(&self, shape: Shape, result: Shape) -> Vec<Band> {
        let longest =
            |axis| self.phases.iter().map(|phase| self.length(phase, result, axis)).max().unwrap_or(0);
        let [rows, columns] = [longest(0), longest(1)];
        let (corner, reach) = self.reach();
        let needed = |axis: usize, count: usize| (count - 1) * self.stride[axis] + reach[axis];
        let row = |columns| self.blocks() * needed(1, columns) * self.lanes * size_of::<f32>();
        let mut pieces = 1;
        while needed(0, GOOD_ROWS) * row(columns.div_ceil(pieces)) > BAND
            && columns.div_ceil(pieces) > MIN_COLUMNS
        {
            pieces += 1;
        }
        let columns_each = columns.div_ceil(pieces);
        let fitting = (BAND / row(columns_each)).saturating_sub(reach[0]) / self.stride[0] + 1;
        // Bands of nearly the same height.
        let rows_each = rows.div_ceil(rows.div_ceil(fitting.max(MIN_PIXELS.div_ceil(columns_each))));
        let images_each = if rows_each < rows || pieces > 1 {
            1
        } else {
            let fitting = BAND / (row(columns) * needed(0, rows));
            fitting.max(MIN_PIXELS.div_ceil(rows * columns)).min(shape.images)
        };
        let mut bands = Vec::new();
        for image in (0..shape.images).step_by(images_each) {
            for y in (0..rows).step_by(rows_each) {
                for x in (0..columns).step_by(columns_each) {
                    let (end_y, end_x) = ((y + rows_each).min(rows), (x + columns_each).min(columns));
                    bands.push(Band {
                        images: [image, (image + images_each).min(shape.images)],
                        rows: [y, end_y],
                        columns: [x, end_x],
                        size: [needed(0, end_y - y), needed(1, end_x - x)],
                        corner: [0, 1].map(|axis| corner[axis] + ([y, x][axis] * self.stride[axis]) as isize),
                    });
                }
            }
        }
        bands
    }

    /// Bytes that the largest band takes, with `per_pixel` floats for each of its pixels, the lists of its pixels' places, and
    /// the list of all bands; lists have room for twice as much, and may just have been half as long.
    pub(super) fn scratch_bytes(&self, shape: Shape, result: Shape, per_pixel: usize) -> usize {
        let bands = self.bands(shape, result);
        let of_band = |band: &Band| {
            let images = band.images[1] - band.images[0];
            let gathered = images * self.blocks() * band.size[0] * band.size[1] * self.lanes;
            let pixels = images * (band.rows[1] - band.rows[0]) * (band.columns[1] - band.columns[0]);
            size_of::<f32>() * (gathered + pixels * per_pixel) + 3 * 2 * size_of::<usize>() * pixels
        };
        bands.iter().map(of_band).max().unwrap_or(0) + 3 * size_of_val(&bands[..])
    }

    /// Where the first tap of any phase lies for the first pixel, and how many rows and columns all phases' taps take.
    fn reach(&self) -> ([isize; 2], [usize; 2]) {
        let mut corner = [isize::MAX; 2];
        let mut end = [isize::MIN; 2];
        for phase in &self.phases {
            for axis in 0..2 {
                let taps = (phase.taps[axis].max(1) - 1) * self.spec.dilation[axis];
                corner[axis] = corner[axis].min(phase.first[axis]);
                end[axis] = end[axis].max(phase.first[axis] + taps as isize + 1);
            }
        }
        (corner, [0, 1].map(|axis| (end[axis] - corner[axis]) as usize))
    }

    /// Where a phase's runs of terms begin in a band, from a pixel's place; and how long they are.
    pub(super) fn runs(&self, band: &Band, phase: &Phase) -> (Vec<usize>, usize) {
        let (corner, _) = self.reach();
        let shift = [0, 1].map(|axis| (phase.first[axis] - corner[axis]) as usize);
        let [dilation_y, dilation_x] = self.spec.dilation;
        // Neighbouring taps of a row lie side by side, unless the kernel is dilated.
        let (pieces, run) =
            if dilation_x == 1 { (1, phase.taps[1] * self.lanes) } else { (phase.taps[1], self.lanes) };
        let mut runs = Vec::with_capacity(self.blocks() * phase.taps[0] * pieces);
        for block in 0..self.blocks() {
            for y in 0..phase.taps[0] {
                let row = block * band.size[0] + shift[0] + y * dilation_y;
                for piece in 0..pieces {
                    runs.push((row * band.size[1] + shift[1] + piece * dilation_x) * self.lanes);
                }
            }
        }
        (runs, run)
    }

    /// Of each pixel of a phase in a band: its place in the band, and its row and column, counted over all images, in the result.
    pub(super) fn pixels(
        &self,
        band: &Band,
        phase: &Phase,
        result: Shape,
        mut take: impl FnMut(usize, [usize; 3]),
    ) {
        let [rows, columns] = [0, 1].map(|axis| self.length(phase, result, axis));
        let image_size = self.blocks() * band.size[0] * band.size[1] * self.lanes;
        for image in band.images[0]..band.images[1] {
            for row in band.rows[0]..band.rows[1].min(rows) {
                let start = (image - band.images[0]) * image_size
                    + (row - band.rows[0]) * self.stride[0] * band.size[1] * self.lanes;
                let y = phase.offset[0] + row * self.step[0];
                for column in band.columns[0]..band.columns[1].min(columns) {
                    let x = phase.offset[1] + column * self.step[1];
                    let place = (column - band.columns[0]) * self.stride[1] * self.lanes;
                    take(start + place, [image, y, x]);
                }
            }
        }
    }

    /// Copies a band's part of the images, in blocks, with the border around them.
    pub(super) fn gather<'a>(
        &self,
        images: &[f32],
        shape: Shape,
        band: &Band,
        buffer: &'a mut Aligned,
    ) -> &'a [f32] {
        let [rows, columns] = band.size;
        let planes = (band.images[1] - band.images[0]) * self.blocks();
        let buffer = room(buffer, planes * rows * columns * self.lanes);
        let first = band.images[0] * self.blocks();
        for (index, row) in buffer.chunks_exact_mut(columns * self.lanes).enumerate() {
            let (plane, y) = (first + index / rows, index % rows);
            let source = border_index(band.corner[0] + y as isize, shape.height, self.spec.border);
            match source {
                None => row.fill(0.0),
                Some(source) => {
                    let start = plane * shape.plane() + source * shape.width * BLOCK;
                    self.gather_row(&images[start..start + shape.width * BLOCK], band.corner[1], row);
                }
            }
        }
        buffer
    }

    /// A row of an image into a row of a band that begins at column `corner` of the image.
    fn gather_row(&self, from: &[f32], corner: isize, row: &mut [f32]) {
        let (width, columns, lanes) = (from.len() / BLOCK, row.len() / self.lanes, self.lanes);
        // The columns of the band that lie on the image.
        let first = (-corner).clamp(0, columns as isize) as usize;
        let last = (width as isize - corner).clamp(first as isize, columns as isize) as usize;
        for column in (0..first).chain(last..columns) {
            let pixel = &mut row[column * lanes..][..lanes];
            match border_index(corner + column as isize, width, self.spec.border) {
                None => pixel.fill(0.0),
                Some(source) => pixel.copy_from_slice(&from[source * BLOCK..][..lanes]),
            }
        }
        let source = &from[(first as isize + corner).max(0) as usize * BLOCK..];
        let target = &mut row[first * lanes..last * lanes];
        if lanes == BLOCK {
            target.copy_from_slice(&source[..target.len()]);
        } else {
            for (pixel, source) in target.chunks_exact_mut(lanes).zip(source.chunks_exact(BLOCK)) {
                pixel.copy_from_slice(&source[..lanes]);
            }
        }
    }
}

/// The phase of a transposed convolution whose pixels begin at `offset`: the result at `stride * i + k - before` gets pixel `i`
/// times tap `k`, so a phase sees every `stride`th tap.
fn transposed_phase(spec: &Spec, stride: [usize; 2], offset: [usize; 2]) -> Phase {
    let (mut first, mut taps, mut start) = ([0; 2], [0; 2], [0; 2]);
    for axis in 0..2 {
        let place = offset[axis] + spec.before[axis];
        start[axis] = place % stride[axis];
        taps[axis] = spec.kernel[axis].saturating_sub(start[axis]).div_ceil(stride[axis]);
        first[axis] = (place / stride[axis]) as isize + 1 - taps[axis].max(1) as isize;
    }
    Phase { offset, first, taps, start, channel: 0 }
}

/// The row or column of an image that is read at `index`, which may lie in its border; `None` where 0 is read.
pub(super) fn border_index(index: isize, length: usize, border: Border) -> Option<usize> {
    if (0..length as isize).contains(&index) {
        return Some(index as usize);
    }
    match border {
        Border::Zero => None,
        Border::Reflect => {
            let last = length as isize - 1;
            let inside = index.rem_euclid((2 * last).max(1));
            Some(if inside > last { 2 * last - inside } else { inside } as usize)
        }
    }
}
