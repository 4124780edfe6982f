//! The layout of images: blocks of channels.

/// Channels of a block.
pub const BLOCK: usize = 16;

/// Of images with channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Shape {
    /// Images of the batch.
    pub images: usize,
    /// Channels that mean something; those that fill up the last block are 0.
    pub channels: usize,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

impl Shape {
    /// Blocks of channels.
    pub fn blocks(&self) -> usize {
        self.channels.div_ceil(BLOCK)
    }

    /// Floats of one block of one image.
    pub fn plane(&self) -> usize {
        self.height * self.width * BLOCK
    }

    /// Floats of one image in blocks.
    pub fn image(&self) -> usize {
        self.blocks() * self.plane()
    }

    /// Floats of all images in blocks.
    pub fn len(&self) -> usize {
        self.images * self.image()
    }

    /// Floats of all images without blocks: image, channel, row, column.
    pub fn plain_len(&self) -> usize {
        self.images * self.channels * self.height * self.width
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Images of (image, channel, row, column) in blocks, `split` x `split` neighbouring pixels becoming channels: the channel of
/// row `y` and column `x` among them is `(y * split + x) * channels + channel`, as ONNX SpaceToDepth says. `shape` is that of the plain
/// images.
///
/// # Panics
/// If the lengths are not those of the shape, or its sizes no multiples of `split`.
pub fn to_blocks(plain: &[f32], shape: Shape, split: usize, blocks: &mut [f32]) {
    let to = split_shape(shape, split);
    assert!(plain.len() == shape.plain_len() && blocks.len() == to.len(), "sizes of images");
    blocks.fill(0.0);
    for image in 0..shape.images {
        for channel in 0..shape.channels {
            for y in 0..shape.height {
                let from = ((image * shape.channels + channel) * shape.height + y) * shape.width;
                let row = &plain[from..from + shape.width];
                for shift in 0..split {
                    let new = ((y % split) * split + shift) * shape.channels + channel;
                    let start = (image * to.blocks() + new / BLOCK) * to.plane()
                        + (y / split) * to.width * BLOCK
                        + new % BLOCK;
                    let pixels = blocks[start..].iter_mut().step_by(BLOCK);
                    for (value, pixel) in row[shift..].iter().step_by(split).zip(pixels.take(to.width)) {
                        *pixel = *value;
                    }
                }
            }
        }
    }
}

/// The shape of images whose `split` x `split` neighbouring pixels have become channels.
pub(crate) fn split_shape(shape: Shape, split: usize) -> Shape {
    assert!(shape.height.is_multiple_of(split) && shape.width.is_multiple_of(split), "sizes of images");
    Shape {
        channels: shape.channels * split * split,
        height: shape.height / split,
        width: shape.width / split,
        ..shape
    }
}

/// Images in blocks as (image, channel, row, column).
///
/// # Panics
/// If the lengths are not those of the shape.
pub fn from_blocks(blocks: &[f32], shape: Shape, plain: &mut [f32]) {
    assert!(plain.len() == shape.plain_len() && blocks.len() == shape.len(), "sizes of images");
    let pixels = shape.height * shape.width;
    if pixels == 0 {
        return;
    }
    for (index, channel) in plain.chunks_exact_mut(pixels).enumerate() {
        let (image, channel_index) = (index / shape.channels, index % shape.channels);
        let start = (image * shape.blocks() + channel_index / BLOCK) * shape.plane() + channel_index % BLOCK;
        for (value, pixel) in channel.iter_mut().zip(blocks[start..].iter().step_by(BLOCK)) {
            *value = *pixel;
        }
    }
}
