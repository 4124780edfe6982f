//! Texts: lists, tables, cards, names, and NRRD files, whose headers are text.

use super::{model, named};
use crate::Seed;

const SIGNATURE: &[u8] = include_bytes!("../../../tests/signed/middle_slice.onnx.minisig");
const OTHER_SIGNATURE: &[u8] = include_bytes!("../../../tests/signed/model.minisig");
const KEY: &[u8] = include_bytes!("../../../tests/signed/key.pub");
const OTHER_KEY: &[u8] = include_bytes!("../../../tests/signed/other.pub");

pub(crate) fn lists() -> Vec<Seed> {
    let list = |text: &str| [b"\0", text.as_bytes()].concat();
    let table = |text: &str| [b"\x04", text.as_bytes()].concat();
    let beside = |text: &str| [b"\x07", text.as_bytes()].concat();
    let sha256 = mrisynth::digest::sha256(&model::stub());
    named([
        ("list", list("subject,method,reference,synthetic\np1,A,r.nii,s.nii\np1,B,r.nii,t.nii\n")),
        (
            "list-all-columns",
            list(
                "\u{feff}method, subject,synthetic,reference,mask,translation,dataset,lesions_reference,lesions_synthetic,\
                 labels_reference,labels_synthetic\r\n\"A, \"\"B\"\"\",p1,s/1.nii,r.nii,/m.nii,T2w to T1w,,,,,\r\n",
            ),
        ),
        ("list-faulty-lines", list("subject,method,reference,synthetic\n,m,r,s\np,,r,\n")),
        ("list-unclosed", list("subject,method,reference,synthetic\n\"p,m,r,s\n")),
        ("table", table("# labels\n1 csf\n2 grey_matter grey matter # of all kinds\n\n3 white_matter\n")),
        ("table-twice", table("1 csf\n1 csf\n")),
        ("table-no-tissue", table("65535 brain\n")),
        ("sha256", beside(&format!("{sha256}  model.onnx\n"))),
        ("sha256-upper-case", beside(&sha256.to_ascii_uppercase())),
        ("sha256-of-nothing", beside(" \n")),
        ("signature", [b"\x06", SIGNATURE].concat()),
        ("signature-of-another", [b"\x06", OTHER_SIGNATURE].concat()),
        ("key", [b"\x0e", KEY].concat()),
        ("key-of-another", [b"\x0e", OTHER_KEY].concat()),
        ("nothing", Vec::new()),
    ])
}

pub(crate) fn cards() -> Vec<Seed> {
    let good = [
        ("format", "1"),
        ("orientation", "axial-ras"),
        ("spacing_mm", "1"),
        ("normalization", "p99.5"),
        ("name", "t1w-from-t2w"),
        ("version", "1"),
        ("source", "t2w"),
        ("target", "t1w"),
        ("slices_in", "3"),
        ("size_multiple", "16"),
    ];
    let card = |more: &[(&str, &str)]| {
        let entries = good
            .iter()
            .chain(more)
            .map(|(key, value)| [b"mrisynth.", key.as_bytes(), &[0xfe], value.as_bytes()].concat());
        entries.collect::<Vec<_>>().join(&0xff)
    };
    named([
        ("good", card(&[])),
        ("window", card(&[("window", "256"), ("license", "MIT")])),
        ("window-of-no-multiple", card(&[("window", "100")])),
        ("twice", card(&[("name", "again")])),
        ("nul", card(&[("license", "a\0b")])),
        ("another-programs", [b"someone.else\xfeignored\xff".to_vec(), card(&[])].concat()),
    ])
}

pub(crate) fn names() -> Vec<Seed> {
    let names = |lines: &[&str]| lines.join("\n").into_bytes();
    named([
        (
            "dataset",
            names(&[
                "sub-01/anat/sub-01_T1w.nii.gz",
                "sub-01/anat/sub-01_desc-brain_mask.nii.gz",
                "sub-01/anat/sub-01_label-lesion_mask.nii.gz",
                "sub-01/anat/sub-01_dseg.nii",
                "derivatives/A/sub-01/anat/sub-01_desc-synthetic_T1w.nii.gz",
                "derivatives/A/sub-01/anat/sub-01_label-lesion_mask.nii.gz",
                "derivatives/A/sub-01/anat/sub-01_dseg.nii.gz",
            ]),
        ),
        (
            "dataset-sessions",
            names(&[
                "sub-02/ses-a/anat/sub-02_ses-a_run-1_T2w.nii.gz",
                "sub-02/ses-a/anat/sub-02_ses-a_run-2_T2w.nii.gz",
                "derivatives/B/sub-02/ses-a/anat/sub-02_ses-a_acq-x_desc-synthetic_T2w.nii.gz",
            ]),
        ),
        (
            "dataset-prepared",
            names(&[
                "derivatives/prepared/sub-01/anat/sub-01_desc-prepared_T1w.nii.gz",
                "derivatives/A/sub-01/anat/sub-01_desc-synthetic_T1w.nii.gz",
            ]),
        ),
        (
            "scans",
            names(&["scan.1.5mm.nii.gz", "A.HDR", "a.img.gz", "T2w.NII", ".nii", "sub-x_desc-_T1w.nii"]),
        ),
        ("amounts", names(&["500MB", "2 GiB", "0", "99999999999999999999", "7 parsecs"])),
    ])
}

pub(crate) fn nrrd() -> Vec<Seed> {
    let header = |kind: &str, rest: &str| {
        format!(
            "NRRD0004\n# comment\ntype: {kind}\ndimension: 3\nspace: left-posterior-superior\nsizes: 3 2 2\n\
             space directions: (-2,0,0) (0,-2,0) (0,0,2)\nkinds: domain domain domain\nspace origin: (73.5,1e2,-7)\n\
             key:=value\n{rest}\n\n"
        )
        .into_bytes()
    };
    let file = |kind: &str, size: usize, rest: &str| {
        [header(kind, rest), (0..12 * size).map(|at| (at * 37) as u8).collect()].concat()
    };
    // Twelve bytes in a stored block of a gzip member.
    let gzipped = {
        use std::io::Write;
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::none());
        encoder.write_all(&[7; 12]).and_then(|()| encoder.finish()).expect("memory takes all bytes")
    };
    named([
        ("float.nrrd", file("float", 4, "endian: little\nencoding: raw\ncontent: SYNTHETIC T1w")),
        ("short-big-endian.nrrd", file("short", 2, "endian: big\nencoding: raw")),
        ("byte.nrrd", file("uchar", 1, "encoding: raw\nspace units: \"mm\" \"mm\" \"mm\"")),
        ("long.nrrd", file("unsigned long long int", 8, "endian: little\nencoding: raw")),
        ("gzip.nrrd", [header("int8", "encoding: gzip"), gzipped].concat()),
        ("data-elsewhere.nrrd", file("int8", 1, "encoding: raw\ndata file: x.raw")),
        ("truncated.nrrd", file("double", 1, "endian: little\nencoding: raw")),
    ])
}
