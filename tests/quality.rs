//! The scores of the embedded models on the simulated example scan, which may not fall.
//!
//! The example is made from formulas: its scores say nothing of how good a model is on patients. They are here so that
//! a change of the library, or a model that is exchanged for a worse one, does not go unseen. `quality/measured.json` holds
//! what was measured with the shipped models; `cargo test --release --workspace --locked --test quality -- --nocapture`
//! prints it anew, to be put there when better models are shipped (models/README.md, "Exchanging a model").

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::LazyLock;

use mrisynth::metrics::{Score, Scores, Similarity};
use mrisynth::prepare::normalize::top_intensity;
use mrisynth::synthesize::Options;
use mrisynth::{Contrast, Control, Limits, Model, Volume, nifti, synthesize};
use ndarray::{Array3, Axis, Zip, s};
use serde::{Deserialize, Serialize};

/// So far a score may lie below what was measured: rounding, and processors that add in another order.
const TOLERANCE: Figures = Figures { psnr: 0.05, ssim: 0.002 };
/// So far below its floor an image that is plainly worse must score inside the brain, as it is and fitted.
const CLEARLY: Figures = Figures { psnr: 0.1, ssim: 0.02 };
/// Jumps from slice to slice of the synthetic T1w, as a share of those of the real one, may not be larger.
const MOST_JUMPS: f64 = 1.0;

/// Decibels, and structural similarity.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Figures {
    psnr: f64,
    ssim: f64,
}

impl Figures {
    fn of(similarity: &Similarity) -> Self {
        Self { psnr: similarity.psnr, ssim: similarity.ssim }
    }

    fn rounded(self) -> Self {
        Self { psnr: (100.0 * self.psnr).round() / 100.0, ssim: (1e4 * self.ssim).round() / 1e4 }
    }

    fn less(self, margin: Self) -> Self {
        Self { psnr: self.psnr - margin.psnr, ssim: self.ssim - margin.ssim }
    }

    fn reach(self, floor: Self) -> bool {
        self.psnr >= floor.psnr && self.ssim >= floor.ssim
    }

    fn are_both_below(self, floor: Self) -> bool {
        self.psnr < floor.psnr && self.ssim < floor.ssim
    }
}

/// Figures by region and fit, such as `brain, fitted`; of every direction by its name.
type Table = BTreeMap<String, BTreeMap<String, Figures>>;

fn figures_of(scores: &Scores) -> BTreeMap<String, Figures> {
    let regions = |fit: &str, score: &Score| {
        [("whole slices", &score.whole), ("brain", &score.brain)]
            .map(|(region, similarity)| (format!("{region}, {fit}"), Figures::of(similarity)))
    };
    regions("as it is", &scores.direct).into_iter().chain(regions("fitted", &scores.fitted)).collect()
}

/// One direction on the example: what goes in, what it is compared with, and what comes out.
struct Case {
    name: String,
    source: Volume,
    real: Volume,
    synthetic: Volume,
}

static CASES: LazyLock<[Case; 2]> =
    LazyLock::new(|| [(Contrast::T2w, Contrast::T1w), (Contrast::T1w, Contrast::T2w)].map(case));

fn case((from, to): (Contrast, Contrast)) -> Case {
    let read = |contrast: Contrast| {
        let name = format!("examples/data/example_{contrast}.nii.gz");
        nifti::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join(name), &Limits::default()).unwrap().volume
    };
    let (model, source, real) = (Model::embedded(from, to).unwrap(), read(from), read(to));
    let (grid, options) = (source.grid(), Options::prepared());
    let synthetic = synthesize(&model, &source, &grid, &options, &mut Control::default()).unwrap();
    Case { name: format!("{from} to {to}"), source, real, synthetic }
}

fn floors() -> Table {
    serde_json::from_str(include_str!("quality/measured.json")).unwrap()
}

#[test]
fn no_score_falls() {
    let scores = |case: &Case| figures_of(&Scores::of(&case.real, &case.synthetic).unwrap());
    let found: Table = CASES.iter().map(|case| (case.name.clone(), scores(case))).collect();
    let rounded = |of: &BTreeMap<String, Figures>| {
        of.iter().map(|(name, figures)| (name.clone(), figures.rounded())).collect()
    };
    let table: Table = found.iter().map(|(name, of)| (name.clone(), rounded(of))).collect();
    println!("{}", serde_json::to_string_pretty(&table).unwrap());
    for (direction, measured) in floors() {
        for (what, measured) in measured {
            let (figures, floor) = (found[&direction][&what], measured.less(TOLERANCE));
            assert!(figures.reach(floor), "{direction}, {what}: {figures:?} under the floor {floor:?}");
        }
    }
    let regions = |table: &Table| table.values().map(BTreeMap::len).sum::<usize>();
    assert_eq!((regions(&floors()), regions(&found)), (8, 8), "the table is not whole");
}

/// A copy of the input counts as it is alone: a fit may turn its contrast round, and the example's contrasts are nearly
/// each other's negative, so that the negative of the input scores higher than the models do.
#[test]
fn a_worse_image_falls_below_the_floors() {
    let both = ["brain, as it is", "brain, fitted"];
    let mut kept = Vec::new();
    for case in &*CASES {
        let floors = floors().remove(&case.name).unwrap();
        let brain = case.real.voxels().mapv(|value| value > 0.0);
        let copy = ("the input itself", normalized(&case.source), &both[..1]);
        let blurred = ("blurred", blurred(&case.synthetic, &brain), &both[..]);
        for (what, image, counted) in [copy, blurred] {
            let figures = figures_of(&Scores::of(&case.real, &image).unwrap());
            for region in both {
                let (found, floor) = (figures[region], floors[region].less(TOLERANCE).less(CLEARLY));
                let line = format!("{}, {what}, {region}: {:?}", case.name, found.rounded());
                println!("{line}");
                let counts = counted.contains(&region);
                kept.extend((counts && !found.are_both_below(floor)).then_some(line));
            }
        }
    }
    assert!(kept.is_empty(), "not clearly below the floors: {kept:#?}");
}

#[test]
fn the_synthetic_t1w_does_not_jump_from_slice_to_slice() {
    let [case, _] = &*CASES;
    let brain = case.real.voxels().mapv(|value| value > 0.0);
    let (real, synthetic) = (normalized(&case.real), &case.synthetic);
    let (real_jump, synthetic_jump) = (mean_jump(&real, &brain), mean_jump(synthetic, &brain));
    println!("{}: mean jump {synthetic_jump:.4}, in the real scan {real_jump:.4}", case.name);
    assert!(synthetic_jump <= MOST_JUMPS * real_jump, "{synthetic_jump} against {real_jump}");
    // Slices that take turns in brightness are seen.
    let axial = Axis(case.real.affine().nearest_axes()[2].0);
    let mut striped = synthetic.clone();
    for (k, mut slice) in striped.voxels_mut().axis_iter_mut(axial).enumerate() {
        slice *= if k % 2 == 0 { 1.1 } else { 0.9 };
    }
    assert!(mean_jump(&striped, &brain) > MOST_JUMPS * real_jump);
}

/// The volume with its brain's 99.5th percentile, and all above it, at 1.
fn normalized(volume: &Volume) -> Volume {
    let top = top_intensity(volume, &volume.voxels().mapv(|value| value > 0.0)).unwrap();
    Volume::new(volume.voxels().mapv(|value| (value / top).clamp(0.0, 1.0)), *volume.affine()).unwrap()
}

/// The mean of each voxel and those of its 26 neighbours that lie in the brain.
fn blurred(volume: &Volume, brain: &Array3<bool>) -> Volume {
    let voxels = volume.voxels();
    let around = |n: usize| n.saturating_sub(1)..n + 2;
    let mean = |(i, j, k): (usize, usize, usize)| {
        let (mut sum, mut count) = (0.0, 0.0);
        for (i, j, k) in
            around(i).flat_map(|i| around(j).flat_map(move |j| around(k).map(move |k| (i, j, k))))
        {
            if brain.get([i, j, k]) == Some(&true) {
                sum += voxels[[i, j, k]];
                count += 1.0;
            }
        }
        if brain[[i, j, k]] { sum / count } else { 0.0 }
    };
    Volume::new(Array3::from_shape_fn(brain.dim(), mean), *volume.affine()).unwrap()
}

/// The mean absolute difference of neighbouring voxels of neighbouring axial slices, both in the brain.
fn mean_jump(volume: &Volume, brain: &Array3<bool>) -> f64 {
    let axial = volume.affine().nearest_axes()[2].0;
    let mut voxels = volume.voxels();
    let mut brain = brain.view();
    voxels.swap_axes(axial, 2);
    brain.swap_axes(axial, 2);
    let (mut sum, mut count) = (0.0, 0_usize);
    Zip::from(voxels.slice(s![.., .., 1..]))
        .and(voxels.slice(s![.., .., ..-1]))
        .and(brain.slice(s![.., .., 1..]))
        .and(brain.slice(s![.., .., ..-1]))
        .for_each(|above, below, &inside_above, &inside_below| {
            if inside_above && inside_below {
                sum += f64::from((above - below).abs());
                count += 1;
            }
        });
    sum / count as f64
}
