//! Images of a caller: structs of any content, and buffers as large as these say.

use super::abi::Image;
use super::struct_size;
use crate::source::Source;

/// Bytes that a buffer has, at most.
const MOST_BUFFER: i128 = 1 << 20;
/// The header's limits: along an axis, and together.
const MOST_ALONG_AXIS: u64 = 1024;
const MOST_VOXELS: u128 = 128 << 20;

/// A struct, and how much memory its buffer must have.
#[derive(Clone, Copy, Debug)]
pub(super) struct Described {
    pub(super) image: Image,
    /// Bytes of the buffer before the first voxel, and from it to the end.
    pub(super) before: usize,
    pub(super) after: usize,
    pub(super) is_null: bool,
}

impl Described {
    /// Any image whose buffer can be had, or that must be refused for its numbers alone; none for others.
    pub(super) fn from(source: &mut Source<'_>) -> Option<Self> {
        let how = source.u8();
        let size = struct_size(source, size_of::<Image>());
        let dtype = if how & 1 == 1 { source.u32() } else { source.pick(&[1, 2, 3, 4, 5, 6]) };
        let mut dims = [(); 3].map(|()| 1 + source.below(10) as u64);
        if how & 2 == 2 {
            dims[source.below(3)] = if source.u8() > 128 { source.u64() } else { source.below(256) as u64 };
        }
        let strides = strides(source, dims, element_size(dtype));
        let image = Image {
            struct_size: size as u32,
            dtype,
            data: std::ptr::null_mut(),
            dims,
            strides,
            index_to_lps: affine(source),
        };
        Self::of(image, how & 0x1c == 0x1c)
    }

    /// The same grid as another's, in a voxel type and a layout of its own.
    pub(super) fn like(other: &Self, source: &mut Source<'_>) -> Option<Self> {
        let mut image = other.image;
        image.dtype = source.pick(&[1, 2, 3, 4, 5, 6]);
        image.strides = strides(source, image.dims, element_size(image.dtype));
        Self::of(image, false)
    }

    fn of(image: Image, is_null: bool) -> Option<Self> {
        match reach(&image) {
            Some((low, high)) if high - low <= MOST_BUFFER => {
                Some(Self { image, before: low.unsigned_abs() as usize, after: high as usize, is_null })
            }
            // Nothing of it may be touched.
            _ if is_beyond_limits(&image) => Some(Self { image, before: 0, after: 0, is_null }),
            _ => None,
        }
    }

    /// Bytes of the buffer.
    pub(super) fn bytes(&self) -> usize {
        self.before + self.after
    }

    /// The struct in as many bytes as it says it has; at least the size itself.
    pub(super) fn to_bytes(self) -> Vec<u8> {
        let mut bytes = vec![0x5a; (self.image.struct_size as usize).max(size_of::<u32>())];
        let length = bytes.len().min(size_of::<Image>());
        // SAFETY: both have as many bytes; a struct of integers, floats and a pointer, without padding, is bytes.
        unsafe {
            let from = (&raw const self.image).cast::<u8>();
            std::ptr::copy_nonoverlapping(from, bytes.as_mut_ptr(), length);
        }
        bytes
    }

    /// Byte offsets of all voxels from the first, i fastest, and the bytes of each; none for an image with more voxels than its
    /// buffer has bytes, which cannot be accepted.
    pub(super) fn voxels(&self) -> (Vec<isize>, usize) {
        let Image { dims, dtype, .. } = self.image;
        let strides = effective_strides(&self.image);
        let mut offsets = Vec::new();
        let voxels = dims.iter().try_fold(1_u64, |product, &length| product.checked_mul(length));
        if voxels.is_some_and(|voxels| voxels <= self.bytes() as u64) {
            for k in 0..dims[2] as i64 {
                for j in 0..dims[1] as i64 {
                    offsets.extend((0..dims[0] as i64).map(|i| {
                        let along =
                            [i, j, k].into_iter().zip(strides).map(|(at, stride)| at.wrapping_mul(stride));
                        along.fold(0_i64, i64::wrapping_add) as isize
                    }));
                }
            }
        }
        (offsets, element_size(dtype))
    }

    /// Millimetres that the grid spans, at most, as a product over the axes; infinite where it cannot be told.
    pub(super) fn cubic_millimetres(&self) -> f64 {
        let Image { dims, index_to_lps, .. } = self.image;
        let along =
            |row: usize| (0..3).map(|axis| dims[axis] as f64 * index_to_lps[4 * row + axis].abs()).sum();
        let product: f64 = [0, 1, 2].map(along).iter().map(|along: &f64| along.max(1.0)).product();
        if product.is_nan() { f64::INFINITY } else { product }
    }
}

/// Bytes of a voxel; the most there are for types that there are not.
fn element_size(dtype: u32) -> usize {
    match dtype {
        1 => 1,
        2..=4 => 2,
        5 => 4,
        _ => 8,
    }
}

/// Packed where all are zero, as the header says.
fn effective_strides(image: &Image) -> [i64; 3] {
    if image.strides != [0; 3] {
        return image.strides;
    }
    let [i, j, _] = image.dims.map(|length| length as i64);
    let size = element_size(image.dtype) as i64;
    [size, size.wrapping_mul(i), size.wrapping_mul(i).wrapping_mul(j)]
}

/// Offsets from the first voxel of the first byte and of the one after the last; none where they pass all bounds, or there is no
/// voxel.
fn reach(image: &Image) -> Option<(i128, i128)> {
    let (mut low, mut high) = (0_i128, element_size(image.dtype) as i128);
    for (length, stride) in image.dims.into_iter().zip(effective_strides(image)) {
        // A stride along a single voxel means nothing.
        let steps = i128::from(length.checked_sub(1)?);
        let end = steps.checked_mul(stride.into())?;
        low = low.checked_add(end.min(0))?;
        high = high.checked_add(end.max(0))?;
    }
    Some((low, high))
}

/// True if the header says that dimensions like these are refused.
fn is_beyond_limits(image: &Image) -> bool {
    let voxels = image.dims.iter().map(|&length| u128::from(length)).try_fold(1_u128, u128::checked_mul);
    image.dims.iter().any(|&length| length == 0 || length > MOST_ALONG_AXIS)
        || voxels.is_none_or(|voxels| voxels > MOST_VOXELS)
}

/// Packed, padded, in another order, backwards, or anything.
fn strides(source: &mut Source<'_>, dims: [u64; 3], size: usize) -> [i64; 3] {
    const ORDERS: [[usize; 3]; 6] = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
    let how = source.u8();
    match how % 8 {
        0..=3 => [0; 3],
        4 => [(); 3].map(|()| i64::from(source.u16() as i16)),
        5 if how > 250 => [(); 3].map(|()| source.i64()),
        _ => {
            let (mut strides, mut span) = ([0; 3], size as i64);
            for axis in source.pick(&ORDERS) {
                let padding = source.below(40) as i64;
                let step = span.wrapping_add(padding / 2);
                strides[axis] = if padding % 2 == 1 { step.wrapping_neg() } else { step };
                span = span.wrapping_add(step.wrapping_mul((dims[axis] as i64).wrapping_sub(1)));
            }
            strides
        }
    }
}

/// Along the patient's axes in some order, or with any numbers in it.
fn affine(source: &mut Source<'_>) -> [f64; 16] {
    let how = source.u8();
    let mut matrix = [0.0; 16];
    matrix[15] = 1.0;
    let shift = usize::from(how / 16 % 3);
    for axis in 0..3 {
        let size = f64::from(1 + source.u8() % 128) / 8.0;
        matrix[4 * ((axis + shift) % 3) + axis] = if how >> (5 + axis % 3) & 1 == 1 { -size } else { size };
        matrix[4 * axis + 3] = f64::from(source.u8()) - 128.0;
    }
    match how % 8 {
        5 => matrix[source.below(16)] = source.f64(),
        6 => matrix[source.below(12)] = f64::from(source.f32()),
        7 => matrix.iter_mut().for_each(|entry| *entry = source.f64()),
        _ => {}
    }
    matrix
}
