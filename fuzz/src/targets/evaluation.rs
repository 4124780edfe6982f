//! The evaluation of small images, masks and label maps of any values.

use mrisynth::{Affine, Grid, Volume};
use mrisynth_evaluation::pair::input::Input;
use mrisynth_evaluation::pair::{self, Options, Pair};
use mrisynth_evaluation::volumes::table::LabelTable;

use super::{sound_evaluation, take};
use crate::source::Source;

/// Options and a grid, then what each image holds.
pub(super) fn pair(bytes: &[u8]) {
    let mut source = Source::new(bytes);
    let options = options(&mut source);
    let Some(grid) = grid(&mut source) else { return };
    let parts = source.u8();
    let reference = image(&grid, &mut source);
    let synthetic = image(&grid, &mut source);
    let mut optional =
        |bit: u8| (parts & bit == bit).then(|| Input::new("part.nii", image(&grid, &mut source)));
    let pair = Pair {
        mask: optional(1),
        lesions_reference: optional(2),
        lesions_synthetic: optional(4),
        labels_reference: optional(8),
        labels_synthetic: optional(16),
        ..Pair::new(Input::new("real.nii", reference), Input::new("synthetic.nii", synthetic))
    };
    let Some(evaluation) = sound_evaluation(pair::evaluate(&pair, &options)) else { return };
    take();
    // A report must be writable, and has no number that is none.
    let json = serde_json::to_string(&evaluation).expect("an evaluation can be written as JSON");
    assert!(!json.contains("NaN"));
    sound_evaluation(pair::images(&pair, &options));
}

fn options(source: &mut Source<'_>) -> Options {
    let how = source.u8();
    let range = if how & 16 == 16 { source.f64() } else { 1.0 };
    let table = if how & 1 == 1 { LabelTable::freesurfer() } else { LabelTable::three_classes() };
    let range = sound_evaluation(Options::for_range(range));
    Options {
        normalize: how & 2 == 2,
        fit: how & 4 == 4,
        label_table: table,
        accept_implausible: how & 8 == 8,
        ..range.unwrap_or_else(|| Options::for_range(1.0).expect("a range of 1 is one"))
    }
}

fn grid(source: &mut Source<'_>) -> Option<Grid> {
    let dims = [(); 3].map(|()| 1 + source.below(16));
    let sizes = [(); 3].map(|()| f64::from(source.u8()) / 16.0);
    let affine = Affine::from_sizes(sizes, [0.0; 3]).ok()?;
    Some(Grid { dims, affine })
}

/// An image whose values are one thing for each choice of the first byte.
fn image(grid: &Grid, source: &mut Source<'_>) -> Volume {
    let mut volume = Volume::zeros(grid).expect("so few voxels can be had");
    let [ni, nj, _] = grid.dims;
    let (kind, scale, seed) = (source.below(8), source.f32(), source.u8());
    let voxels = volume.as_mut_slice().iter_mut().enumerate();
    let hash = |at: usize| (at as u32 + u32::from(seed)).wrapping_mul(2_654_435_761) >> 24;
    voxels.for_each(|(at, voxel)| {
        let place = [at % ni, at / ni % nj, at / ni / nj];
        let inside = (0..3).all(|axis| place[axis] > 0 && place[axis] + 1 < grid.dims[axis]);
        *voxel = match kind {
            0 => f32::from(u8::from(inside)) * hash(at) as f32 / 255.0,
            1 => f32::from(u8::from(inside)),
            2 => f32::from(u8::from(hash(at) > 200)),
            3 => hash(at) as f32 / 255.0,
            4 => (hash(at) % 4) as f32,
            5 => scale,
            6 => hash(at) as f32 * scale,
            _ => source.f32(),
        };
    });
    volume
}
