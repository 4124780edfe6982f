//! The same scan by all instructions that this processor has: images differ by rounding, within the stated tolerance.
//!
//! `cargo test --release --workspace --test tiers -- --nocapture` prints by how much. What an emulated processor makes of a scan is
//! tested by scripts/test-processors.sh.

mod common;
#[path = "../../../tests/head/mod.rs"]
mod head;

use std::path::Path;

use common::{Workplace, phantom_in, repository, write_volume};
use head::{Head, coarse_grid, pose};
use mrisynth::kernels::{TOLERANCE_BETWEEN_TIERS, Tier, VARIABLE};
use mrisynth::{Contrast, Limits, Volume, nifti};

/// Instructions for the kernels, and for tract, which runs what the kernels do not: the brain's extraction above all.
struct Instructions {
    name: &'static str,
    environment: Vec<(&'static str, &'static str)>,
}

/// What tract must not use, as its variable takes it.
const NO_AVX512: &str = "-avx512f,-avx512vnni,-avx512fp16,-avxvnni,-amx-int8,-amx-bf16";
const NO_AVX: &str = "-avx512f,-avx512vnni,-avx512fp16,-avxvnni,-amx-int8,-amx-bf16,-avx,-avx2,-fma,-f16c";
const OF_TRACT: &str = "TRACT_CPU_ISA";
/// Without these, the C library's logarithms and powers take the code of old processors.
const OF_LIBC: (&str, &str) = ("GLIBC_TUNABLES", "glibc.cpu.hwcaps=-AVX2,-FMA,-AVX,-AVX512F");

impl Instructions {
    /// All that this processor has, plain Rust first; and tract without the kernels.
    fn available() -> Vec<Self> {
        let tiers = Tier::available().map(|tier| {
            let mut environment = vec![(VARIABLE, tier.name())];
            match tier {
                Tier::Avx2 => environment.push((OF_TRACT, NO_AVX512)),
                Tier::Generic if cfg!(target_arch = "x86_64") => {
                    environment.extend([(OF_TRACT, NO_AVX), OF_LIBC]);
                }
                _ => (),
            }
            Self { name: tier.name(), environment }
        });
        let mut all: Vec<_> = tiers.collect();
        all.reverse();
        all.push(Self { name: "none", environment: vec![(VARIABLE, "none")] });
        assert!(all.len() >= 3, "this processor has a tier beside plain Rust");
        all
    }
}

fn read(path: &Path) -> Volume {
    nifti::read(path, &Limits::default()).unwrap().volume
}

/// The command's result for `arguments`, and a `-o out.nii`, with these instructions.
fn synthetic(workplace: &Workplace, instructions: &Instructions, arguments: &str) -> Volume {
    let arguments = format!("synthesize {arguments} -o out.nii --force");
    workplace.run_in(instructions.environment.iter().copied(), arguments.split_whitespace()).succeeded();
    read(&workplace.path("out.nii"))
}

/// The largest difference between voxels for which `counts`.
fn largest_difference(one: &Volume, other: &Volume, counts: impl Fn(f32, f32) -> bool) -> f32 {
    let pairs = one.as_slice().iter().zip(other.as_slice()).filter(|(a, b)| counts(**a, **b));
    pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

/// Each item with each that comes after it.
fn pairs<T: Clone>(items: impl Iterator<Item = T> + Clone) -> impl Iterator<Item = (T, T)> {
    let later = items.clone();
    items
        .enumerate()
        .flat_map(move |(at, item)| later.clone().skip(at + 1).map(move |other| (item.clone(), other)))
}

/// Synthesizes with all instructions, and checks all pairs of results.
fn check_prepared(workplace: &Workplace, what: &str, arguments: &str) {
    let all = Instructions::available();
    let images: Vec<_> = all.iter().map(|those| synthetic(workplace, those, arguments)).collect();
    assert!(images[0].as_slice().iter().any(|value| *value > 0.5), "the image shows a brain");
    let mut largest = 0.0_f32;
    for ((one, image), (other, against)) in pairs(all.iter().zip(&images)) {
        let difference = largest_difference(image, against, |_, _| true);
        println!("{what}: {} and {}: {difference:.1e}", one.name, other.name);
        assert!(difference <= TOLERANCE_BETWEEN_TIERS, "{} and {}: {difference}", one.name, other.name);
        largest = largest.max(difference);
    }
    // Equal images would mean that the variables chose nothing.
    assert!(largest > 0.0, "all instructions give the same bytes");
}

#[test]
fn the_example_is_the_same_up_to_rounding() {
    let workplace = Workplace::new();
    let example = repository().join("examples/data/example_T2w.nii.gz");
    std::fs::copy(example, workplace.path("scan.nii.gz")).unwrap();
    check_prepared(&workplace, "example, T1w from T2w", "scan.nii.gz --to t1w --prepared");
}

#[test]
fn the_other_model_is_the_same_up_to_rounding() {
    let workplace = Workplace::new();
    write_volume(&workplace.path("scan.nii.gz"), &phantom_in(Contrast::T1w));
    check_prepared(&workplace, "phantom, T2w from T1w", "scan.nii.gz --to t2w --prepared");
}

/// Of voxels in the brain, this part may be in one mask and not in another: those whose distance from the surface is within rounding
/// of the one where the mask ends.
const MASK_TOLERANCE: f64 = 1e-5;

/// What a raw scan becomes.
struct Outcome {
    synthetic: Volume,
    mask: Volume,
    standard: Volume,
    /// From millimetres of MNI152 to the scan's.
    transform: Vec<f64>,
}

fn raw_outcome(workplace: &Workplace, instructions: &Instructions, more: &str) -> Outcome {
    let synthetic = synthetic(workplace, instructions, &format!("scan.nii.gz --to t1w {more}"));
    let folder = format!("prepared-{}", workplace.files().len());
    let arguments = format!("prepare scan.nii.gz -o {folder} {more}");
    workplace.run_in(instructions.environment.iter().copied(), arguments.split_whitespace()).succeeded();
    let volume = |name: &str| read(&workplace.path(&format!("{folder}/{name}.nii.gz")));
    let record = workplace.json(&format!("{folder}/prepare.json"));
    let rows = record["standard_to_scan_lps"].as_array().unwrap();
    let transform = rows.iter().map(|entry| entry.as_f64().unwrap()).collect();
    Outcome { synthetic, mask: volume("mask"), standard: volume("standard"), transform }
}

/// Voxels that are in one of two images and not in the other.
fn flipped(one: &Volume, other: &Volume) -> usize {
    one.as_slice().iter().zip(other.as_slice()).filter(|(a, b)| (**a != 0.0) != (**b != 0.0)).count()
}

/// Two outcomes of one scan: the same brain in the same place, and the same image of it.
fn check_raw(names: &str, one: &Outcome, other: &Outcome, may_flip: usize) {
    let flips = flipped(&one.mask, &other.mask);
    let both = |a: f32, b: f32| a != 0.0 && b != 0.0;
    let image = largest_difference(&one.synthetic, &other.synthetic, both);
    let standard = largest_difference(&one.standard, &other.standard, both);
    let moved = one.transform.iter().zip(&other.transform).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    println!(
        "{names}: image {image:.1e}, standard {standard:.1e}, transform {moved:.1e}, {flips} voxels of the mask"
    );
    assert!(flips <= may_flip, "{names}: {flips} voxels of the mask");
    // A voxel of the mask is one of the scan's, and the standard mask's border moves with it.
    assert!(flipped(&one.synthetic, &other.synthetic) <= may_flip, "{names}: border of the image");
    assert!(image <= TOLERANCE_BETWEEN_TIERS, "{names}: {image}");
    assert!(standard <= TOLERANCE_BETWEEN_TIERS, "{names}: standard image {standard}");
    assert!(moved <= 1e-3, "{names}: moved by {moved} mm");
}

#[test]
fn a_raw_scan_is_prepared_and_synthesized_the_same_up_to_rounding() {
    let workplace = Workplace::new();
    let (scan, _) = Head::new().scan(coarse_grid(8.0), &pose(), head::Contrast::T2w);
    write_volume(&workplace.path("scan.nii.gz"), &scan);
    let all = Instructions::available();
    let outcomes: Vec<_> = all.iter().map(|those| raw_outcome(&workplace, those, "")).collect();
    let brain = outcomes[0].mask.as_slice().iter().filter(|value| **value != 0.0).count();
    let may_flip = (brain as f64 * MASK_TOLERANCE).ceil() as usize;
    for ((one, outcome), (other, against)) in pairs(all.iter().zip(&outcomes)) {
        check_raw(&format!("raw head: {} and {}", one.name, other.name), outcome, against, may_flip);
    }
}
