//! 3x3 convolutions by Winograd's minimal filtering F(4x4, 3x3): a quarter of the multiplications.
//!
//! Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016, equations 8 and 9 with the matrices for
//! F(4x4, 3x3): tiles of 6x6 pixels, 36 products of matrices (tiles x channels in) (channels in x channels out), tiles of 4x4 results.

use super::bands::border_index;
use super::convolution::{Border, Call, Spec};
use super::lanes::Lanes;
use super::product::{Panels, Sink, Terms, multiply};
use super::scratch::room;
use super::tier::Kernel;
use super::{Activation, BLOCK, Shape, Tier, scratch};

/// Rows and columns of a tile of results.
const STEP: usize = 4;
/// Rows and columns of a tile of the input.
const TILE: usize = 6;
/// Values of such a tile.
const POSITIONS: usize = TILE * TILE;
/// Tiles that are transformed and multiplied at once: weights are read once for each such group.
const GROUP: usize = 48;

#[derive(Debug)]
pub(super) struct Winograd {
    /// Transformed weights at each position of a tile.
    weights: Vec<Panels>,
    bias: Vec<f32>,
    channels_in: usize,
    channels_out: usize,
    before: [usize; 2],
    border: Border,
}

impl Winograd {
    pub(super) fn new(spec: &Spec, weights: &[f32], bias: &[f32], tier: Tier) -> Self {
        let (channels_in, channels_out) = (spec.channels_in, spec.channels_out);
        let terms = channels_in.next_multiple_of(BLOCK);
        let room = |_| Panels::new(channels_out, terms, tier.columns());
        let mut panels: Vec<Panels> = (0..POSITIONS).map(room).collect();
        tier.run(Pack { weights, panels: &mut panels, channels_in, channels_out });
        let weights = panels;
        let mut bias = bias.to_vec();
        bias.resize(channels_out.next_multiple_of(BLOCK), 0.0);
        let (before, border) = (spec.before, spec.border);
        Self { weights, bias, channels_in, channels_out, before, border }
    }

    pub(super) fn bytes(&self) -> usize {
        self.weights.iter().map(Panels::bytes).sum::<usize>() + size_of_val(&self.bias[..])
    }

    /// Bytes of the largest matrices, and of the list of all tiles, which has room for twice as much and may just have been half
    /// as long.
    pub(super) fn scratch_bytes(&self, result: Shape) -> usize {
        let floats = |channels| Matrices::new(channels, GROUP).len();
        let tiles = result.images * result.height.div_ceil(STEP) * result.width.div_ceil(STEP);
        size_of::<f32>() * (floats(self.channels_in) + floats(self.channels_out))
            + 3 * size_of::<Tile>() * tiles
    }

    pub(super) fn run(&self, call: Call<'_>, tier: Tier) {
        let tiles = tiles(call.result);
        // Groups of nearly the same size.
        let groups = tiles.len().div_ceil(GROUP);
        scratch::with(|scratch| {
            for group in tiles.chunks(tiles.len().div_ceil(groups)) {
                let [sizes_in, sizes_out] =
                    [self.channels_in, self.channels_out].map(|c| Matrices::new(c, group.len()));
                let transformed = room(&mut scratch.tiles, sizes_in.len());
                let products = room(&mut scratch.products, sizes_out.len());
                tier.run(Forwards { winograd: self, call: &call, group, to: transformed, sizes: sizes_in });
                scratch.pixels.clear();
                scratch.pixels.extend((0..group.len()).map(|tile| tile * sizes_in.channels));
                tier.run(Products {
                    winograd: self,
                    pixels: &scratch.pixels,
                    from: transformed,
                    to: products,
                    sizes_in,
                    sizes_out,
                });
                let (result, activation, residual) = (call.result, call.activation, call.residual);
                let output = &mut *call.output;
                tier.run(Backwards {
                    winograd: self,
                    result,
                    residual,
                    activation,
                    output,
                    group,
                    products,
                    sizes: sizes_out,
                });
            }
        });
    }
}

/// Kernels, transformed: `G kernel G'`.
struct Pack<'a> {
    weights: &'a [f32],
    /// One for each position, of the same shape.
    panels: &'a mut [Panels],
    channels_in: usize,
    channels_out: usize,
}

impl Kernel for Pack<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Lanes>(self) {
        for block in (0..self.channels_out).step_by(BLOCK) {
            let channels = BLOCK.min(self.channels_out - block);
            let (start, step) = self.panels[0].place(block);
            for from in 0..self.channels_in {
                // The kernels of a block side by side.
                let mut kernels = [[0.0_f32; BLOCK]; 9];
                for channel in 0..channels {
                    let kernel = &self.weights[((block + channel) * self.channels_in + from) * 9..][..9];
                    for (tap, value) in kernel.iter().enumerate() {
                        kernels[tap][channel] = *value;
                    }
                }
                let place = start + from * step;
                for lane in (0..BLOCK).step_by(V::COUNT) {
                    let transformed = transform_kernels::<V>(&kernels, lane);
                    for (position, value) in transformed.iter().enumerate() {
                        let to = &mut self.panels[position].values_mut()[place + lane..][..V::COUNT];
                        // SAFETY: so many floats are there.
                        unsafe { value.store(to.as_mut_ptr()) };
                    }
                }
            }
        }
    }
}

/// `G kernel G'` of kernels of 3 x 3, one in each lane.
#[inline(always)]
fn transform_kernels<V: Lanes>(kernels: &[[f32; BLOCK]; 9], lane: usize) -> [V; POSITIONS] {
    let mut rows = [[V::splat(0.0); 3]; TILE];
    for x in 0..3 {
        let mut column = [V::splat(0.0); 3];
        for y in 0..3 {
            // SAFETY: a lane and the vector after it are within a block.
            column[y] = unsafe { V::load(kernels[3 * y + x].as_ptr().add(lane)) };
        }
        let column = transform_kernel_line(column);
        for y in 0..TILE {
            rows[y][x] = column[y];
        }
    }
    let mut transformed = [V::splat(0.0); POSITIONS];
    for y in 0..TILE {
        let line = transform_kernel_line(rows[y]);
        for x in 0..TILE {
            transformed[y * TILE + x] = line[x];
        }
    }
    transformed
}

/// The matrix G times a line of a kernel.
#[inline(always)]
fn transform_kernel_line<V: Lanes>(g: [V; 3]) -> [V; TILE] {
    let outer = g[0].add(g[2]).mul(V::splat(-1.0 / 6.0));
    let middle = g[1].mul(V::splat(1.0 / 6.0));
    let far = g[2].mul_add(V::splat(1.0 / 6.0), g[0].mul(V::splat(1.0 / 24.0)));
    let half = g[1].mul(V::splat(1.0 / 12.0));
    [g[0].mul(V::splat(0.25)), outer.sub(middle), outer.add(middle), far.add(half), far.sub(half), g[2]]
}

/// A tile of results: its image, and its first row and column.
#[derive(Clone, Copy)]
struct Tile {
    image: usize,
    y: usize,
    x: usize,
}

fn tiles(result: Shape) -> Vec<Tile> {
    let rows = (0..result.height).step_by(STEP);
    let columns = |image, y| (0..result.width).step_by(STEP).map(move |x| Tile { image, y, x });
    let image = |image| rows.clone().flat_map(move |y| columns(image, y));
    (0..result.images).flat_map(image).collect()
}

/// A matrix (tiles x channels) for each position of a tile.
#[derive(Clone, Copy)]
struct Matrices {
    /// Channels, whole blocks.
    channels: usize,
    /// From one position to the next. A little more than the matrix, so that the same place in all of them does not lie a
    /// power of two apart and compete for the same lines of the cache.
    position: usize,
}

impl Matrices {
    fn new(channels: usize, tiles: usize) -> Self {
        let channels = channels.next_multiple_of(BLOCK);
        Self { channels, position: channels * tiles + BLOCK }
    }

    fn len(&self) -> usize {
        self.position * POSITIONS
    }
}

/// Tiles of the input, transformed: `B' tile B`.
struct Forwards<'a> {
    winograd: &'a Winograd,
    call: &'a Call<'a>,
    group: &'a [Tile],
    to: &'a mut [f32],
    sizes: Matrices,
}

impl Kernel for Forwards<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Lanes>(self) {
        let shape = self.call.shape;
        let mut patch = [0.0; POSITIONS * BLOCK];
        assert_eq!(self.to.len(), self.sizes.len());
        for (index, tile) in self.group.iter().enumerate() {
            let corner = [
                tile.y as isize - self.winograd.before[0] as isize,
                tile.x as isize - self.winograd.before[1] as isize,
            ];
            let inside = corner[0] >= 0
                && corner[1] >= 0
                && corner[0] as usize + TILE <= shape.height
                && corner[1] as usize + TILE <= shape.width;
            for block in 0..shape.blocks() {
                let plane = &self.call.images[(tile.image * shape.blocks() + block) * shape.plane()..]
                    [..shape.plane()];
                let (from, row) = if inside {
                    (
                        &plane[(corner[0] as usize * shape.width + corner[1] as usize) * BLOCK..],
                        shape.width * BLOCK,
                    )
                } else {
                    self.gather(plane, corner, &mut patch);
                    (&patch[..], TILE * BLOCK)
                };
                let place = index * self.sizes.channels + block * BLOCK;
                for lane in (0..BLOCK).step_by(V::COUNT) {
                    // SAFETY: six rows of six pixels lie within `from`, by `inside` or in the patch, and the tile's place
                    // within each position's matrix.
                    unsafe {
                        let to = self.to.as_mut_ptr().add(place + lane);
                        transform_tile::<V>(from.as_ptr().add(lane), row, to, self.sizes.position);
                    }
                }
            }
        }
    }
}

impl Forwards<'_> {
    /// The tile with what lies beyond the edge of the image.
    fn gather(&self, plane: &[f32], corner: [isize; 2], patch: &mut [f32; POSITIONS * BLOCK]) {
        let shape = self.call.shape;
        for (index, pixel) in patch.chunks_exact_mut(BLOCK).enumerate() {
            let [y, x] = [index / TILE, index % TILE];
            let y = border_index(corner[0] + y as isize, shape.height, self.winograd.border);
            let x = border_index(corner[1] + x as isize, shape.width, self.winograd.border);
            match (y, x) {
                (Some(y), Some(x)) => {
                    pixel.copy_from_slice(&plane[(y * shape.width + x) * BLOCK..][..BLOCK]);
                }
                _ => pixel.fill(0.0),
            }
        }
    }
}

/// # Safety
/// Six rows, `row` floats apart, of six pixels, [`BLOCK`] floats apart, can be read at `from`, and 36 vectors, `position` floats
/// apart, be written at `to`.
#[inline(always)]
unsafe fn transform_tile<V: Lanes>(from: *const f32, row: usize, to: *mut f32, position: usize) {
    let mut rows = [[V::splat(0.0); TILE]; TILE];
    for x in 0..TILE {
        let mut column = [V::splat(0.0); TILE];
        for y in 0..TILE {
            // SAFETY: the caller's promise.
            column[y] = unsafe { V::load(from.add(y * row + x * BLOCK)) };
        }
        let column = transform_line(column);
        for y in 0..TILE {
            rows[y][x] = column[y];
        }
    }
    for y in 0..TILE {
        let line = transform_line(rows[y]);
        for x in 0..TILE {
            // SAFETY: the caller's promise.
            unsafe { line[x].store(to.add((y * TILE + x) * position)) };
        }
    }
}

/// The matrix B' times a line of a tile.
#[inline(always)]
fn transform_line<V: Lanes>(d: [V; TILE]) -> [V; TILE] {
    let (two, four, five) = (V::splat(2.0), V::splat(4.0), V::splat(-5.0));
    let minus_four = V::splat(-4.0);
    // d4 - 4 d2, d3 - 4 d1, d4 - d2, 2 (d3 - d1)
    let (a, b) = (d[2].mul_add(minus_four, d[4]), d[1].mul_add(minus_four, d[3]));
    let (c, e) = (d[4].sub(d[2]), d[3].sub(d[1]).mul(two));
    [
        d[0].mul_add(four, d[2].mul_add(five, d[4])),
        a.add(b),
        a.sub(b),
        c.add(e),
        c.sub(e),
        d[1].mul_add(four, d[3].mul_add(five, d[5])),
    ]
}

/// The products at every position.
struct Products<'a> {
    winograd: &'a Winograd,
    pixels: &'a [usize],
    from: &'a [f32],
    to: &'a mut [f32],
    sizes_in: Matrices,
    sizes_out: Matrices,
}

impl Kernel for Products<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Lanes>(self) {
        assert!(self.from.len() == self.sizes_in.len() && self.to.len() == self.sizes_out.len());
        for (position, panels) in self.winograd.weights.iter().enumerate() {
            let values = &self.from[position * self.sizes_in.position..][..self.sizes_in.position];
            let terms = Terms { values, pixels: self.pixels, runs: &[0], run: self.sizes_in.channels };
            let to = &mut self.to[position * self.sizes_out.position..][..self.sizes_out.position];
            for (first, width, weights) in panels.iter() {
                let sink = ToMatrix { to: to[first..].as_mut_ptr(), channels: self.sizes_out.channels };
                // SAFETY: the matrix holds the channels of all tiles, the panel was packed for them, and the other matrix holds
                // the products of all tiles.
                unsafe { multiply::<V>(terms, weights, width / V::COUNT, &sink) };
            }
        }
    }
}

/// Sums into a matrix (tiles x channels).
struct ToMatrix {
    /// The panel's first channel of the first tile.
    to: *mut f32,
    channels: usize,
}

impl<V: Lanes> Sink<V> for ToMatrix {
    #[inline(always)]
    unsafe fn take<const P: usize, const Q: usize>(&self, pixel: usize, sums: &[[V; Q]; P]) {
        for (p, sums) in sums.iter().enumerate() {
            for (q, sum) in sums.iter().enumerate() {
                // SAFETY: the matrix holds all channels of all tiles.
                unsafe { sum.store(self.to.add((pixel + p) * self.channels + q * V::COUNT)) };
            }
        }
    }
}

/// Tiles of results: `A' products A`, and what follows.
struct Backwards<'a> {
    winograd: &'a Winograd,
    result: Shape,
    residual: Option<&'a [f32]>,
    activation: Activation,
    output: &'a mut [f32],
    group: &'a [Tile],
    products: &'a [f32],
    sizes: Matrices,
}

impl Kernel for Backwards<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Lanes>(self) {
        let result = self.result;
        assert_eq!(self.products.len(), self.sizes.len());
        for (index, tile) in self.group.iter().enumerate() {
            let rows = STEP.min(result.height - tile.y);
            let columns = STEP.min(result.width - tile.x);
            for block in 0..result.blocks() {
                let place = (tile.image * result.blocks() + block) * result.plane()
                    + (tile.y * result.width + tile.x) * BLOCK;
                for lane in (0..BLOCK).step_by(V::COUNT) {
                    let channel = block * BLOCK + lane;
                    // SAFETY: a tile's place lies within each position's matrix, biases are filled up to whole blocks, and the
                    // rows and columns lie within the image.
                    unsafe {
                        let from = self.products.as_ptr().add(index * self.sizes.channels + channel);
                        let tile = untransform_tile::<V>(from, self.sizes.position);
                        let bias = V::load(self.winograd.bias.as_ptr().add(channel));
                        for (y, row) in tile.iter().enumerate().take(rows) {
                            for (x, value) in row.iter().enumerate().take(columns) {
                                let place = place + (y * result.width + x) * BLOCK + lane;
                                let mut value = value.add(bias);
                                if let Some(residual) = self.residual {
                                    value = value.add(V::load(residual.as_ptr().add(place)));
                                }
                                self.activation.apply(value).store(self.output.as_mut_ptr().add(place));
                            }
                        }
                    }
                }
            }
        }
    }
}

/// # Safety
/// 36 vectors, `position` floats apart, can be read at `from`.
#[inline(always)]
unsafe fn untransform_tile<V: Lanes>(from: *const f32, position: usize) -> [[V; STEP]; STEP] {
    let mut rows = [[V::splat(0.0); TILE]; STEP];
    for x in 0..TILE {
        let mut column = [V::splat(0.0); TILE];
        for y in 0..TILE {
            // SAFETY: the caller's promise.
            column[y] = unsafe { V::load(from.add((y * TILE + x) * position)) };
        }
        let column = untransform_line(column);
        for y in 0..STEP {
            rows[y][x] = column[y];
        }
    }
    let mut tile = [[V::splat(0.0); STEP]; STEP];
    for y in 0..STEP {
        tile[y] = untransform_line(rows[y]);
    }
    tile
}

/// The matrix A' times a line of a tile.
#[inline(always)]
fn untransform_line<V: Lanes>(m: [V; TILE]) -> [V; STEP] {
    let (a, b) = (m[1].add(m[2]), m[1].sub(m[2]));
    let (c, e) = (m[3].add(m[4]), m[3].sub(m[4]));
    [
        m[0].add(a).add(c),
        e.mul_add(V::splat(2.0), b),
        c.mul_add(V::splat(4.0), a),
        e.mul_add(V::splat(8.0), b).add(m[5]),
    ]
}
