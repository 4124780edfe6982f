//! `mrisynth segment` as a user or a script runs it.

mod common;

use std::collections::VecDeque;

use common::{Outcome, Workplace};
use mrisynth::nifti::{self, Header, VoxelType, WriteOptions};
use mrisynth::prepare::morphology::dice;
use mrisynth::{Affine, Contrast, Grid, Limits, Volume};
use ndarray::Array3;

/// How bright fluid, grey matter, white matter and lesions are, and the noise's standard deviation.
type Appearance = ([f32; 4], f32);
const T1W: Appearance = ([100.0, 250.0, 330.0, 255.0], 15.0);
const T2W: Appearance = ([600.0, 330.0, 255.0, 420.0], 15.0);
const FLAIR: Appearance = ([40.0, 96.0, 84.0, 130.0], 4.0);
/// A lesion's radius in voxels.
const RADIUS: f32 = 2.6;

/// The average brain with tissues that are known, and two lesions in its white matter.
struct Phantom {
    grid: Grid,
    /// 0 outside, 1 fluid, 2 grey matter, 3 white matter.
    labels: Array3<u8>,
    lesions: Array3<bool>,
}

impl Phantom {
    fn new() -> Self {
        let scan = common::phantom_in(Contrast::T1w);
        let mut inside: Vec<f32> = scan.as_slice().iter().copied().filter(|value| *value > 0.0).collect();
        inside.sort_by(f32::total_cmp);
        // Shares of the tissues in a brain.
        let at = |share: f64| inside[(share * inside.len() as f64) as usize];
        let [fluid, grey] = [at(0.2), at(0.6)];
        let labels = scan.voxels().mapv(|value| match value {
            0.0 => 0,
            value if value < fluid => 1,
            value if value < grey => 2,
            _ => 3,
        });
        let centres = deep_white(&labels);
        let lesions = Array3::from_shape_fn(labels.dim(), |(i, j, k)| {
            labels[[i, j, k]] > 0 && centres.iter().any(|centre| apart([i, j, k], *centre) < RADIUS)
        });
        Self { grid: scan.grid(), labels, lesions }
    }

    /// Tissues with lesions counted as white matter.
    fn tissue(&self, label: u8) -> Array3<bool> {
        Array3::from_shape_fn(self.labels.dim(), |at| {
            let truth = if self.lesions[at] { 3 } else { self.labels[at] };
            truth == label
        })
    }

    fn image(&self, (levels, noise): Appearance) -> Volume {
        let mut volume = Volume::zeros(&self.grid).unwrap();
        for ((i, j, k), voxel) in volume.voxels_mut().indexed_iter_mut() {
            let label = self.labels[[i, j, k]];
            if label > 0 {
                let class = if self.lesions[[i, j, k]] { 3 } else { usize::from(label) - 1 };
                let wave = (12.9898 * i as f64 + 78.233 * j as f64 + 37.719 * k as f64).sin() * 43758.5453;
                // Uniform, with a variance of 1.
                let random = 12.0_f64.sqrt() * (wave - wave.floor() - 0.5);
                *voxel = levels[class] + noise * random as f32;
            }
        }
        volume
    }

    fn mask(&self) -> Volume {
        Volume::new(self.lesions.mapv(|lesion| f32::from(u8::from(lesion))), self.grid.affine).unwrap()
    }
}

fn apart(a: [usize; 3], b: [usize; 3]) -> f32 {
    (0..3).map(|axis| (a[axis] as f32 - b[axis] as f32).powi(2)).sum::<f32>().sqrt()
}

/// The voxel of white matter that is furthest from all else, and the one in the other half of the brain.
fn deep_white(labels: &Array3<u8>) -> [[usize; 3]; 2] {
    let depth = depths(labels);
    let half = labels.dim().0 / 2;
    let deepest = |side: std::ops::Range<usize>| {
        let there = depth.indexed_iter().filter(|((i, ..), _)| side.contains(i));
        let ((i, j, k), _) = there.max_by_key(|(at, depth)| (**depth, *at)).unwrap();
        [i, j, k]
    };
    [deepest(0..half), deepest(half..labels.dim().0)]
}

/// How many steps through voxel faces lead out of white matter.
fn depths(labels: &Array3<u8>) -> Array3<u32> {
    let (ni, nj, nk) = labels.dim();
    let mut depth = labels.mapv(|label| if label == 3 { u32::MAX } else { 0 });
    let mut front: VecDeque<_> =
        depth.indexed_iter().filter(|(_, depth)| **depth == 0).map(|(at, _)| at).collect();
    while let Some((i, j, k)) = front.pop_front() {
        let next = depth[[i, j, k]] + 1;
        for (a, b, c) in [
            (i + 1, j, k),
            (i.wrapping_sub(1), j, k),
            (i, j + 1, k),
            (i, j.wrapping_sub(1), k),
            (i, j, k + 1),
            (i, j, k.wrapping_sub(1)),
        ] {
            if a < ni && b < nj && c < nk && depth[[a, b, c]] == u32::MAX {
                depth[[a, b, c]] = next;
                front.push_back((a, b, c));
            }
        }
    }
    depth
}

fn write(workplace: &Workplace, name: &str, volume: &Volume) {
    common::write_volume(&workplace.path(name), volume);
}

/// T1w, FLAIR and the lesions of the phantom.
fn workplace(phantom: &Phantom) -> Workplace {
    let workplace = Workplace::new();
    write(&workplace, "t1w.nii.gz", &phantom.image(T1W));
    write(&workplace, "flair.nii.gz", &phantom.image(FLAIR));
    write(&workplace, "known.nii.gz", &phantom.mask());
    workplace
}

/// `mrisynth segment` with arguments parted by spaces.
fn segment(workplace: &Workplace, arguments: &str) -> Outcome {
    workplace.run(["segment"].into_iter().chain(arguments.split_whitespace()))
}

fn read(workplace: &Workplace, name: &str) -> nifti::Image {
    nifti::read(&workplace.path(name), &Limits::default()).unwrap()
}

fn labelled(volume: &Volume, label: u8) -> Array3<bool> {
    volume.voxels().mapv(|value| value == f32::from(label))
}

#[test]
fn tissues_and_lesions_of_a_phantom_are_found() {
    let phantom = Phantom::new();
    let workplace = workplace(&phantom);
    let arguments = "t1w.nii.gz -o labels.nii.gz --flair flair.nii.gz --lesions-output lesions.nii.gz --json";
    let outcome = segment(&workplace, arguments).succeeded();
    let result = outcome.json();
    assert_eq!(outcome.stderr(), "");

    let labels = read(&workplace, "labels.nii.gz");
    assert_eq!(labels.header.description(), "reference segmentation by mrisynth, not for clinical use");
    for (label, key) in [(1, "csf"), (2, "grey_matter"), (3, "white_matter")] {
        let found = labelled(&labels.volume, label);
        let agreement = dice(&found, &phantom.tissue(label));
        assert!(agreement > 0.93, "{key}: {agreement}");
        let ml = found.iter().filter(|inside| **inside).count() as f64 * 2.5_f64.powi(3) / 1000.0;
        let reported = result["volumes"][key]["labelled_ml"].as_f64().unwrap();
        assert!((ml - reported).abs() < 1e-9, "{key}: {ml} and {reported}");
    }
    let outside = labels.volume.voxels().into_iter().zip(&phantom.labels).filter(|(_, label)| **label == 0);
    assert!(outside.map(|(found, _)| *found).all(|found| found == 0.0));

    let lesions = labelled(&read(&workplace, "lesions.nii.gz").volume, 1);
    let agreement = dice(&lesions, &phantom.lesions);
    assert!(agreement > 0.7, "lesions: {agreement}");
    assert_eq!(result["lesions_filled"], "found");
    assert_eq!(result["lesions_found"]["count"], 2);
    assert_eq!(result["lesions_filled_ml"], result["lesions_found"]["ml"]);
    // Each image has its record beside it, and nothing else is there.
    let inputs = ["flair.nii.gz", "known.nii.gz", "t1w.nii.gz"];
    let mut files = ["labels.json", "labels.nii.gz", "lesions.json", "lesions.nii.gz"].to_vec();
    files.extend(inputs);
    files.sort_unstable();
    assert_eq!(workplace.files(), files);
    assert_eq!(workplace.json("lesions.json")["Sources"][0], "t1w.nii.gz");
}

#[test]
fn lesions_that_are_known_count_as_white_matter() {
    let phantom = Phantom::new();
    let workplace = workplace(&phantom);
    let share_white = |name: &str| {
        let white = labelled(&read(&workplace, name).volume, 3);
        let lesions = phantom.lesions.iter().filter(|lesion| **lesion).count();
        let both = white.iter().zip(&phantom.lesions).filter(|(white, lesion)| **white && **lesion).count();
        both as f64 / lesions as f64
    };
    let plain = segment(&workplace, "t1w.nii.gz -o plain.nii.gz").succeeded();
    assert!(
        plain.stdout().contains("white matter") && !plain.stdout().contains("filled"),
        "{}",
        plain.stdout()
    );
    let filled = segment(&workplace, "t1w.nii.gz -o filled.nii.gz --lesions known.nii.gz").succeeded();
    assert!(filled.stdout().contains("filled as healthy: given"), "{}", filled.stdout());
    let (plain, filled) = (share_white("plain.nii.gz"), share_white("filled.nii.gz"));
    assert!(plain < 0.3 && filled > 0.99, "{plain} {filled}");
    // What of it is outside the brain does not count, and is told.
    let mut beyond = phantom.mask();
    beyond.as_mut_slice()[..10].fill(1.0);
    write(&workplace, "beyond.nii.gz", &beyond);
    let outcome = segment(&workplace, "t1w.nii.gz -o same.nii.gz --lesions beyond.nii.gz").succeeded();
    assert!(outcome.stderr().contains("beyond.nii.gz: 10 of its "), "{}", outcome.stderr());
    let voxels = |name: &str| workplace.json(name)["Image"]["VoxelsSHA256"].clone();
    assert_eq!(voxels("same.json"), voxels("filled.json"));
    // A mask of probabilities, if one insists.
    let mut fractions = phantom.mask();
    fractions
        .as_mut_slice()
        .iter_mut()
        .enumerate()
        .for_each(|(n, voxel)| *voxel *= 0.1 + (n % 7) as f32 / 8.0);
    write(&workplace, "fractions.nii.gz", &fractions);
    let insists = "t1w.nii.gz -o insisted.nii.gz --lesions fractions.nii.gz --accept-implausible";
    let outcome = segment(&workplace, insists).succeeded();
    assert!(
        outcome.stderr().contains("warning: accepted as asked: fractions.nii.gz"),
        "{}",
        outcome.stderr()
    );
    assert_eq!(voxels("insisted.json"), voxels("filled.json"));
    let quiet = segment(&workplace, "t1w.nii.gz -o plain.nii.gz -q --force").succeeded();
    assert_eq!((quiet.stdout(), quiet.stderr()), ("", ""));
}

#[test]
fn t2w_scans_are_segmented_as_such() {
    let phantom = Phantom::new();
    let workplace = Workplace::new();
    write(&workplace, "t2w.nii.gz", &phantom.image(T2W));
    segment(&workplace, "t2w.nii.gz -o labels.nii.gz --contrast t2w").succeeded();
    let labels = read(&workplace, "labels.nii.gz").volume;
    for (label, least) in [(1, 0.9), (2, 0.85), (3, 0.9)] {
        let agreement = dice(&labelled(&labels, label), &phantom.tissue(label));
        assert!(agreement > least, "{label}: {agreement}");
    }
    segment(&workplace, "t2w.nii.gz -o other.nii.gz").failed(18, "t2w.nii.gz: contrast: it looks T2w");
    let insists = "t2w.nii.gz -o other.nii.gz --accept-implausible";
    segment(&workplace, insists).failed(18, "this is no T1w image");
    let bright = "t2w.nii.gz -o other.nii.gz --contrast t2w --t2w t2w.nii.gz";
    segment(&workplace, bright).failed(11, "tissues of a T1w scan");
    assert_eq!(workplace.files(), ["labels.json", "labels.nii.gz", "t2w.nii.gz"]);
}

/// The same image with its axes stored in another order: i to the back, j to the top, k to the left.
fn turned(volume: &Volume) -> Volume {
    let [ni, nj, nk] = volume.dims();
    let rows = volume.affine().rows();
    let size = volume.affine().voxel_sizes()[0];
    let corner = volume.affine().to_millimetres([ni as f64 - 1.0, nj as f64 - 1.0, 0.0]);
    assert_eq!(rows[0][1], 0.0);
    let affine = Affine::from_rows([
        [0.0, 0.0, -size, corner[0]],
        [-size, 0.0, 0.0, corner[1]],
        [0.0, size, 0.0, corner[2]],
        [0.0, 0.0, 0.0, 1.0],
    ]);
    let mut turned = Volume::zeros(&Grid { dims: [nj, nk, ni], affine: affine.unwrap() }).unwrap();
    for ((j, k, i), voxel) in turned.voxels_mut().indexed_iter_mut() {
        *voxel = volume.voxels()[[ni - 1 - i, nj - 1 - j, k]];
    }
    turned
}

#[test]
fn results_lie_on_the_scans_grid_in_its_order() {
    let phantom = Phantom::new();
    let workplace = workplace(&phantom);
    let scan = turned(&phantom.image(T1W));
    let header = Header::for_grid(&scan.grid()).in_mni152();
    let options = WriteOptions {
        voxel_type: VoxelType::Float32,
        description: "SYNTHETIC T1w",
        extension: None,
        overwrite: true,
    };
    nifti::write(&workplace.path("turned.nii.gz"), &scan, &header, &options).unwrap();
    // The FLAIR image stays in its own order.
    let rest = "--flair flair.nii.gz --json";
    let arguments = format!("t1w.nii.gz -o straight.nii.gz --lesions-output a.nii.gz --threads 2 {rest}");
    segment(&workplace, &arguments).succeeded();
    let arguments = format!("turned.nii.gz -o labels.nii.gz --lesions-output b.nii.gz --threads 1 {rest}");
    let result = segment(&workplace, &arguments).succeeded().json();
    assert_eq!(result["scan_is_synthetic"], true);
    assert_eq!(result["dims"], serde_json::json!(scan.dims()));
    let read_scan = read(&workplace, "turned.nii.gz");
    for (straight, file) in [("straight.nii.gz", "labels.nii.gz"), ("a.nii.gz", "b.nii.gz")] {
        let image = read(&workplace, file);
        assert_eq!(image.volume.grid(), read_scan.volume.grid(), "{file}");
        assert!(image.header.description().contains("SYNTHETIC scan"), "{}", image.header.description());
        assert_eq!(image.volume, turned(&read(&workplace, straight).volume), "{file}");
        let (made, given) = (unzipped(&workplace, file), unzipped(&workplace, "turned.nii.gz"));
        // Dimensions and voxel sizes; codes, quaternion, offsets and rows of the matrix.
        assert_eq!(made[40..56], given[40..56], "{file}");
        assert_eq!(made[76..108], given[76..108], "{file}");
        assert_eq!(made[252..328], given[252..328], "{file}");
        // Unsigned bytes without a scale.
        assert_eq!(made[70..74], [2, 0, 8, 0], "{file}");
    }
}

fn unzipped(workplace: &Workplace, name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let file = std::fs::File::open(workplace.path(name)).unwrap();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(file), &mut bytes).unwrap();
    bytes
}

#[test]
fn any_number_of_threads_gives_the_same_bytes() {
    let workplace = workplace(&Phantom::new());
    let with = |threads: usize| {
        let results = format!("-o labels{threads}.nii.gz --lesions-output lesions{threads}.nii.gz");
        let arguments = format!("t1w.nii.gz {results} --flair flair.nii.gz --threads {threads} -q");
        segment(&workplace, &arguments).succeeded();
        ["labels", "lesions"].map(|name| workplace.bytes(&format!("{name}{threads}.nii.gz")))
    };
    assert!(with(1) == with(2));
}

#[test]
fn what_cannot_be_segmented_is_told_and_nothing_is_written() {
    let phantom = Phantom::new();
    let workplace = workplace(&phantom);
    let grid = phantom.grid;
    write(&workplace, "empty.nii.gz", &Volume::zeros(&grid).unwrap());
    let [ni, nj, nk] = grid.dims;
    let taller = Grid { dims: [ni, nj, nk + 2], ..grid };
    write(&workplace, "taller.nii.gz", &Volume::zeros(&taller).unwrap());
    let mut fractions = phantom.mask();
    fractions
        .as_mut_slice()
        .iter_mut()
        .enumerate()
        .for_each(|(n, voxel)| *voxel *= 0.1 + (n % 7) as f32 / 8.0);
    write(&workplace, "fractions.nii.gz", &fractions);
    let mut head = phantom.image(T1W);
    head.as_mut_slice().iter_mut().for_each(|voxel| *voxel += 40.0);
    write(&workplace, "head.nii.gz", &head);
    write(&workplace, "t2w.nii.gz", &phantom.image(T2W));
    // The same voxels under a header that says the back is the front and the top the bottom.
    let mut rows = grid.affine.rows();
    for row in [1, 2] {
        rows[row][3] += rows[row][row] * (grid.dims[row] as f64 - 1.0);
        rows[row][row] = -rows[row][row];
    }
    let over = Affine::from_rows(rows).unwrap();
    write(&workplace, "over.nii.gz", &Volume::new(phantom.image(T1W).into_voxels(), over).unwrap());
    let before = workplace.files();
    for (arguments, code, part) in [
        ("gone.nii -o x.nii.gz --mask lost.nii --flair away.nii", 12, "(3 files in all)"),
        (
            "t1w.nii.gz -o x.nii.gz --flair taller.nii.gz",
            14,
            "from bottom to top 56 voxels instead of 54 (2 more)",
        ),
        ("t1w.nii.gz -o x.nii.gz --mask taller.nii.gz", 14, "from bottom to top 56 voxels"),
        ("empty.nii.gz -o x.nii.gz", 14, "constant"),
        ("t1w.nii.gz -o x.nii.gz --mask empty.nii.gz", 14, "the mask is empty"),
        ("t1w.nii.gz -o x.nii.gz --flair empty.nii.gz", 14, "empty.nii.gz"),
        ("t1w.nii.gz -o x.nii.gz --lesions fractions.nii.gz", 18, "have fractions"),
        ("t1w.nii.gz -o x.nii.gz --contrast t2w", 18, "t1w.nii.gz: contrast: it looks T1w"),
        ("flair.nii.gz -o x.nii.gz --contrast t2w", 18, "flair.nii.gz: contrast: it looks neither"),
        ("t1w.nii.gz -o x.nii.gz --flair t2w.nii.gz", 18, "t2w.nii.gz: contrast: it looks T2w"),
        ("t1w.nii.gz -o x.nii.gz --flair t1w.nii.gz", 18, "t1w.nii.gz: contrast: it looks T1w"),
        ("t1w.nii.gz -o x.nii.gz --t2w flair.nii.gz", 18, "flair.nii.gz: contrast: it looks neither"),
        ("over.nii.gz -o x.nii.gz", 18, "over.nii.gz: orientation: "),
        ("head.nii.gz -o x.nii.gz", 18, "does not look brain-extracted"),
        ("t1w.nii.gz -o flair.nii.gz --flair flair.nii.gz --force", 11, "it would replace an input"),
        ("t1w.nii.gz -o known.nii.gz", 12, "it exists already"),
        ("t1w.nii.gz -o x.nii.gz --flair flair.nii.gz --lesions-output x.nii.gz", 11, "two of the results"),
        ("t1w.nii.gz -o x.png", 11, ".nii.gz"),
        ("t1w.nii.gz -o none/x.nii.gz", 12, "its folder"),
    ] {
        let outcome = segment(&workplace, arguments).failed(code, part);
        if code == 12 && arguments.contains("gone") {
            let text = outcome.stderr();
            assert!(["gone.nii", "lost.nii", "away.nii"].iter().all(|name| text.contains(name)), "{text}");
        }
    }
    assert_eq!(workplace.files(), before);
    let failure = segment(&workplace, "empty.nii.gz -o x.nii.gz --json").json();
    assert_eq!(failure["error"]["status"], "BAD_IMAGE");
}

#[test]
fn lesions_need_one_image_to_be_found_on() {
    let workplace = Workplace::new();
    for (arguments, part) in [
        ("t1w.nii.gz -o x.nii.gz --lesions-output y.nii.gz", "--flair"),
        ("t1w.nii.gz -o x.nii.gz --flair a.nii.gz --t2w b.nii.gz", "cannot be used with"),
        ("t1w.nii.gz", "--output"),
    ] {
        let outcome = segment(&workplace, arguments);
        assert_eq!(outcome.code(), 2, "{arguments}");
        assert!(outcome.stderr().contains(part), "{}", outcome.stderr());
    }
}
