//! A raw scan of a made-up head through the real command: nothing but the file and the contrast is given.

mod common;
#[path = "../../../tests/head/mod.rs"]
mod head;

use common::{Workplace, write_volume};
use head::{Contrast, Head, clinical_grid, pose};
use mrisynth::prepare::morphology::dice;
use mrisynth::{Limits, nifti};

#[test]
fn a_raw_scan_is_prepared_and_synthesized_on_its_own_grid() {
    let workplace = Workplace::new();
    let (scan, brain) = Head::new().scan(clinical_grid(8.0), &pose(), Contrast::T2w);
    write_volume(&workplace.path("sub-01_T2w.nii.gz"), &scan);
    let arguments = "prepare sub-01_T2w.nii.gz -o prepared --threads 2 --qc prepared.png";
    workplace.run(arguments.split_whitespace()).succeeded();
    let mask = nifti::read(&workplace.path("prepared/mask.nii.gz"), &Limits::default()).unwrap().volume;
    let overlap = dice(&mask.voxels().mapv(|value| value > 0.5), &brain);
    assert!(overlap > 0.9, "Dice {overlap}");
    let record = workplace.json("prepared/prepare.json");
    assert_eq!(record["standard_to_scan_lps"].as_array().unwrap().len(), 16);
    assert!(workplace.bytes("prepared.png").starts_with(b"\x89PNG"));

    std::fs::create_dir(workplace.path("derived")).unwrap();
    workplace.run(["synthesize", "sub-01_T2w.nii.gz", "-o", "derived", "--to", "t1w"]).succeeded();
    let named = "derived/sub-01_desc-synthetic_T1w.nii.gz";
    let synthetic = nifti::read(&workplace.path(named), &Limits::default()).unwrap();
    assert_eq!(synthetic.volume.dims(), scan.dims());
    assert!(synthetic.header.description().starts_with("SYNTHETIC T1w"));
    let inside = synthetic.volume.voxels().mapv(|value| value > 0.0);
    let overlap = dice(&inside, &brain);
    assert!(overlap > 0.85, "Dice {overlap}");
    let origin = workplace.json("derived/sub-01_desc-synthetic_T1w.json");
    assert_eq!(origin["Parameters"]["InputState"], "raw");
}
