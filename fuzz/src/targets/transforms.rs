//! Affines and transforms of any numbers, and volumes on their grids: there and back.

use mrisynth::nifti::{self, Header, VoxelType, WriteOptions};
use mrisynth::{Affine, Grid, Limits, Transform, Volume};

use super::{sound, take};
use crate::files;
use crate::source::Source;

/// Sixteen numbers of an affine, sixteen of a transform, and three dimensions.
pub(super) fn run(bytes: &[u8]) {
    let mut source = Source::new(bytes);
    let (rows, transform) = (matrix(&mut source), matrix(&mut source));
    let dims = [(); 3].map(|()| 1 + source.below(12));
    let transform = sound(Transform::from_rows(transform));
    sound(Transform::from_lps(rows));
    let Some(affine) = sound(Affine::from_rows(rows)) else { return };
    assert_eq!(affine.rows(), rows.map(|row| row.map(|entry| entry + 0.0)));
    assert_eq!(sound(Affine::from_lps(affine.to_lps())), Some(affine));
    if let Some(transform) = transform {
        use_transform(&affine, &transform);
    }
    use_grid(&Grid { dims, affine });
    take();
}

/// A 4x4 matrix; three bits of the first byte say how much of it is usual.
fn matrix(source: &mut Source<'_>) -> [[f64; 4]; 4] {
    let how = source.u8();
    let mut rows = [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0]];
    let given = if how & 1 == 1 { 4 } else { 3 };
    for row in &mut rows[..given] {
        for entry in row {
            *entry =
                if how & 2 == 2 { source.f64() } else { f64::from(i32::from(source.u16() as i16)) / 100.0 };
        }
    }
    rows
}

fn use_transform(affine: &Affine, transform: &Transform) {
    let there = transform.apply([1.0, 2.0, 3.0]);
    transform.inverse().apply(there);
    transform.to_lps();
    sound(affine.then(transform));
    assert!(transform.then(&Transform::IDENTITY) == *transform);
}

fn use_grid(grid: &Grid) {
    let axes = grid.affine.nearest_axes();
    let mut named = axes.map(|(axis, _)| axis);
    named.sort_unstable();
    assert_eq!(named, [0, 1, 2], "every axis is named once");
    assert!((0.0..=90.0).contains(&grid.affine.obliqueness_degrees()));
    let Some(mut volume) = sound(Volume::zeros(grid)) else { return };
    volume.as_mut_slice().iter_mut().zip(0_u16..).for_each(|(voxel, number)| *voxel = number.into());
    let turned = volume.clone().into_ras();
    let back = turned.back_onto(grid).expect("an image goes back where it came from");
    assert_eq!(back, volume, "turned there and back");
    write(&volume);
}

/// An image from no file gets a header that says where it lies, as far as single precision goes.
fn write(volume: &Volume) {
    let options =
        WriteOptions { voxel_type: VoxelType::Float32, description: "", extension: None, overwrite: true };
    let path = files::path("made.nii");
    let header = Header::for_grid(&volume.grid());
    // A place that single precision cannot tell is refused.
    if sound(nifti::write(&path, volume, &header, &options)).is_none() {
        return;
    }
    let again = nifti::read(&path, &Limits::default()).expect("what was written can be read").volume;
    assert_eq!(again.as_slice(), volume.as_slice());
    let apart = again.grid().corners_apart(&volume.grid());
    assert!(apart.iter().all(|apart| *apart <= 1e-3), "{apart:?} mm apart");
}
