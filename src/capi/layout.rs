//! Where the voxels of a caller's buffer lie: dimensions and byte strides, checked once.

use crate::{Error, Limits, Result};

/// Dimensions and byte strides under which every voxel has bytes of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    /// Voxels along i, j, k, each at least 1.
    pub(super) dims: [usize; 3],
    /// Bytes between neighbours; of no meaning along an axis with one voxel.
    strides: [isize; 3],
    /// Byte offsets from the first voxel: of the first byte of all, and of the one after the last.
    reach: (isize, isize),
}

impl Layout {
    /// Checks what the caller says. Strides that are all zero stand for packed voxels, i fastest.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if an axis has no voxel, there are more voxels than `limits` allow, voxels share
    /// bytes (or cannot be shown not to), or the offsets leave the address space.
    pub(super) fn new(
        dims: [u64; 3],
        strides: [i64; 3],
        element_size: usize,
        limits: &Limits,
    ) -> Result<Self> {
        let dims = check_dims(dims, limits)?;
        let strides = if strides == [0; 3] { packed_strides(dims, element_size) } else { strides };
        check_overlap(dims, strides, element_size)?;
        let reach = reach(dims, strides, element_size);
        let too_far = || Error::InvalidArgument(format!("strides {strides:?} leave the address space"));
        let narrow = |offset: i128| isize::try_from(offset).map_err(|_| too_far());
        let mut layout = Self { dims, strides: [0; 3], reach: (narrow(reach.0)?, narrow(reach.1)?) };
        for axis in (0..3).filter(|&axis| dims[axis] > 1) {
            layout.strides[axis] = narrow(strides[axis].into())?;
        }
        Ok(layout)
    }

    /// True if all bytes can lie in the address space when the first voxel is at `address`.
    pub(super) fn fits_at(&self, address: usize) -> bool {
        let ends = [self.reach.0, self.reach.1].map(|offset| address.checked_add_signed(offset));
        ends.iter().all(Option::is_some)
    }

    /// Calls `visit` with the byte offset of every voxel from the first, i fastest.
    pub(super) fn for_each_offset(&self, mut visit: impl FnMut(isize)) {
        let [ni, nj, nk] = self.dims;
        // An index is below 1024 or so; it fits, and `new` has shown that the offsets do.
        let along = |axis: usize, index: usize| index as isize * self.strides[axis];
        for k in 0..nk {
            for j in 0..nj {
                let row = along(2, k) + along(1, j);
                for i in 0..ni {
                    visit(row + along(0, i));
                }
            }
        }
    }
}

fn check_dims(dims: [u64; 3], limits: &Limits) -> Result<[usize; 3]> {
    let voxels = dims.iter().try_fold(1_u64, |product, &length| product.checked_mul(length));
    let fits = voxels.is_some_and(|voxels| (1..=limits.max_voxels).contains(&voxels));
    if !fits || dims.iter().any(|&length| length > limits.max_axis) {
        let Limits { max_axis, max_voxels, .. } = limits;
        return Err(Error::InvalidArgument(format!(
            "{dims:?} voxels: must be 1 to {max_axis} along each axis, and at most {max_voxels} together"
        )));
    }
    let [Ok(i), Ok(j), Ok(k)] = dims.map(usize::try_from) else {
        return Err(Error::InvalidArgument(format!(
            "{dims:?} voxels are more than this machine can address"
        )));
    };
    Ok([i, j, k])
}

fn packed_strides(dims: [usize; 3], element_size: usize) -> [i64; 3] {
    // The limits on the dimensions keep the products far from overflow.
    [1, dims[0], dims[0] * dims[1]].map(|voxels| (voxels * element_size) as i64)
}

/// Refuses strides under which two voxels may share a byte.
///
/// Axes must nest: from the shortest stride to the longest, each must step over all that those before it span. A few
/// layouts without overlap are refused too; no image library makes them.
fn check_overlap(dims: [usize; 3], strides: [i64; 3], element_size: usize) -> Result<()> {
    let mut axes: Vec<usize> = (0..3).filter(|&axis| dims[axis] > 1).collect();
    axes.sort_by_key(|&axis| strides[axis].unsigned_abs());
    let mut span = element_size as u128;
    for axis in axes {
        let step = u128::from(strides[axis].unsigned_abs());
        if step < span {
            return Err(Error::InvalidArgument(format!(
                "strides of {strides:?} bytes: voxels of {element_size} bytes in {dims:?} would overlap"
            )));
        }
        span += step * (dims[axis] as u128 - 1);
    }
    Ok(())
}

/// Byte offsets of the first byte and of the one after the last. 128 bits hold any of them.
fn reach(dims: [usize; 3], strides: [i64; 3], element_size: usize) -> (i128, i128) {
    let ends = (0..3).map(|axis| i128::from(strides[axis]) * (dims[axis] as i128 - 1));
    ends.fold((0, element_size as i128), |(low, high), end| (low + end.min(0), high + end.max(0)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn layout(dims: [u64; 3], strides: [i64; 3], element_size: usize) -> Result<Layout> {
        Layout::new(dims, strides, element_size, &Limits::default())
    }

    fn offsets(layout: &Layout) -> Vec<isize> {
        let mut offsets = Vec::new();
        layout.for_each_offset(|offset| offsets.push(offset));
        offsets
    }

    fn bytes_are_distinct(layout: &Layout, element_size: usize) -> bool {
        let mut bytes: Vec<isize> = offsets(layout)
            .into_iter()
            .flat_map(|offset| (0..element_size as isize).map(move |byte| offset + byte))
            .collect();
        bytes.sort_unstable();
        bytes.windows(2).all(|pair| pair[0] != pair[1])
    }

    #[test]
    fn zero_strides_stand_for_packed_voxels() {
        assert_eq!(layout([2, 3, 4], [0; 3], 4).unwrap(), layout([2, 3, 4], [4, 8, 24], 4).unwrap());
        let layout = layout([2, 2, 2], [0; 3], 2).unwrap();
        assert_eq!(offsets(&layout), [0, 2, 4, 6, 8, 10, 12, 14]);
    }

    #[test]
    fn dimensions_that_no_buffer_has_are_refused() {
        for dims in [[0, 4, 4], [4, 4, 0], [1025, 4, 4], [1024; 3], [u64::MAX; 3], [1 << 32, 1 << 32, 4]] {
            assert!(matches!(layout(dims, [0; 3], 4), Err(Error::InvalidArgument(_))), "{dims:?}");
        }
    }

    #[test]
    fn shared_bytes_are_refused() {
        let overlapping = [[4, 0, 0], [2, 8, 24], [4, 4, 24], [4, 8, 8], [0, 4, 12], [4, -4, 24], [4, 7, 24]];
        for strides in overlapping {
            assert!(matches!(layout([2, 3, 4], strides, 4), Err(Error::InvalidArgument(_))), "{strides:?}");
        }
    }

    #[test]
    fn padded_permuted_and_mirrored_layouts_are_accepted() {
        for strides in [[4, 16, 64], [48, 16, 4], [-4, 8, 24], [-48, -16, -4], [6, 12, 36]] {
            let layout = layout([2, 3, 4], strides, 4).unwrap();
            assert!(bytes_are_distinct(&layout, 4), "{strides:?}");
        }
    }

    #[test]
    fn the_stride_of_a_single_voxel_means_nothing() {
        assert!(layout([2, 1, 3], [4, 0, 8], 4).is_ok());
        assert!(layout([2, 1, 3], [4, i64::MIN, 8], 4).is_ok());
    }

    #[test]
    fn strides_that_leave_the_address_space_are_refused() {
        for stride in [i64::MIN, i64::MAX, i64::MAX / 2] {
            assert!(
                matches!(layout([2, 3, 4], [4, 8, stride], 4), Err(Error::InvalidArgument(_))),
                "{stride}"
            );
        }
        let mirrored = layout([2, 3, 4], [4, 8, -24], 4).unwrap();
        assert!(!mirrored.fits_at(71) && mirrored.fits_at(72));
        let packed = layout([2, 3, 4], [0; 3], 4).unwrap();
        assert!(packed.fits_at(usize::MAX - 96) && !packed.fits_at(usize::MAX - 95));
    }

    proptest! {
        #[test]
        fn accepted_strides_never_overlap(
            dims in prop::array::uniform3(1_u64..5), strides in prop::array::uniform3(-40_i64..40),
            element_size in prop::sample::select(vec![1_usize, 2, 4, 8]),
        ) {
            if let Ok(layout) = layout(dims, strides, element_size) {
                prop_assert!(bytes_are_distinct(&layout, element_size));
                let offsets = offsets(&layout);
                prop_assert_eq!(offsets.len() as u64, dims.iter().product::<u64>());
                prop_assert_eq!(*offsets.iter().min().unwrap(), layout.reach.0);
                prop_assert_eq!(offsets.iter().max().unwrap() + element_size as isize, layout.reach.1);
            }
        }

        #[test]
        fn nested_strides_are_accepted(
            dims in prop::array::uniform3(1_u64..5), padding in prop::array::uniform3(0_i64..20),
            order in prop::sample::select(vec![[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]]),
            signs in 0_u8..8, element_size in prop::sample::select(vec![1_usize, 2, 4, 8]),
        ) {
            let mut strides = [0; 3];
            let mut span = element_size as i64;
            for axis in order {
                let step: i64 = span + padding[axis];
                strides[axis] = if signs >> axis & 1 == 1 { -step } else { step };
                span += step * (dims[axis] as i64 - 1);
            }
            prop_assert!(layout(dims, strides, element_size).is_ok());
        }
    }
}
