//! The standard space, MNI152 at 1 mm: its grid, and the average brain that the library carries.
//!
//! The files are made by `scripts/make-template.py`; `template/NOTICE` says where they come from.

use std::io::Read;
use std::sync::OnceLock;

use flate2::read::GzDecoder;
use ndarray::{Array3, ShapeBuilder, s};

use crate::memory::in_memory_order;
use crate::{Affine, Error, Grid, Result, Volume};

const BRAIN: &[u8] = include_bytes!("template/brain-2mm.nii.gz");
const MASK: &[u8] = include_bytes!("template/mask-1mm.nii.gz");
/// Bytes of a NIfTI-1 header before its voxels.
const HEADER_BYTES: usize = 352;
/// Voxels of the standard grid.
const DIMS: [usize; 3] = [182, 218, 182];
/// Where the standard grid's first voxel lies, in millimetres: the rightmost one, as i runs to the left.
const ORIGIN: [f64; 3] = [90.0, -126.0, -72.0];
/// The files run to the right: their first voxel is the leftmost one.
const LEFTMOST: f64 = -91.0;

/// The standard grid, that of FSL's MNI152 at 1 mm: 182x218x182 voxels, i to the left, j to the front, k to the top.
pub fn standard_grid() -> Grid {
    Grid { dims: DIMS, affine: Affine::left_anterior_superior(ORIGIN) }
}

/// The average T1w brain at 2 mm, 1..=255 in the brain (ventricles included) and 0 outside. A voxel of it is the mean of
/// eight of the standard grid.
///
/// # Errors
/// [`Error::Internal`] if the build carries damaged data.
pub fn brain() -> Result<&'static Volume> {
    static VOLUME: OnceLock<Option<Volume>> = OnceLock::new();
    let make = || {
        let voxels = voxels(BRAIN, DIMS.map(|length| length / 2))?.mapv(f32::from);
        let origin = [LEFTMOST, ORIGIN[1], ORIGIN[2]].map(|at| at + 0.5);
        let affine = Affine::from_sizes([2.0; 3], origin).ok()?;
        Volume::new(voxels, affine).ok()
    };
    VOLUME.get_or_init(make).as_ref().ok_or_else(damaged)
}

/// The average brain's mask on the standard grid, ventricles included.
///
/// # Errors
/// [`Error::Internal`] if the build carries damaged data.
pub fn brain_mask() -> Result<&'static Array3<bool>> {
    static INSIDE: OnceLock<Option<Array3<bool>>> = OnceLock::new();
    let make = || {
        let stored = voxels(MASK, DIMS)?;
        let mut inside = in_memory_order(stored.dim(), false);
        // From left to right in the file, from right to left on the standard grid.
        inside.zip_mut_with(&stored.slice(s![..;-1, .., ..]), |inside, value| *inside = *value > 0);
        Some(inside)
    };
    INSIDE.get_or_init(make).as_ref().ok_or_else(damaged)
}

fn damaged() -> Error {
    Error::Internal("the template inside the library is damaged".into())
}

/// The voxels of a gzipped NIfTI-1 file of bytes, whose grid is known.
fn voxels(file: &[u8], dims: [usize; 3]) -> Option<Array3<u8>> {
    let mut bytes = Vec::new();
    GzDecoder::new(file).read_to_end(&mut bytes).ok()?;
    if bytes.len() < HEADER_BYTES {
        return None;
    }
    let bytes = bytes.split_off(HEADER_BYTES);
    Array3::from_shape_vec((dims[0], dims[1], dims[2]).f(), bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::sha256;

    #[test]
    fn the_files_are_those_that_the_script_made() {
        assert_eq!(sha256(BRAIN), "d595b8b40c890ce49295663e72958ad7c635cf7533eb736928b949ebfeaeae8e");
        assert_eq!(sha256(MASK), "2b6f116d53dfd0c3320f0d482571ea384fd81adcaac929787f9f66fb20ab2679");
    }

    #[test]
    fn the_brain_fills_its_mask() {
        let (brain, mask) = (brain().unwrap(), brain_mask().unwrap());
        // About 2.1 l, in one piece, ventricles included.
        assert_eq!(mask.iter().filter(|inside| **inside).count(), 2_064_362);
        let [left_ventricle, centre] = [[101, 140, 90], [90, 110, 80]];
        assert!(mask[left_ventricle] && mask[centre] && !mask[[0, 0, 0]]);
        for ((i, j, k), value) in brain.voxels().indexed_iter() {
            // The mask runs from right to left, the brain from left to right.
            let block = mask.slice(s![180 - 2 * i..182 - 2 * i, 2 * j..2 * j + 2, 2 * k..2 * k + 2]);
            assert_eq!(*value > 0.0, block.iter().filter(|inside| **inside).count() >= 4);
        }
    }
}
