//! The module as Slicer runs it: its description, its progress, its results and its refusals, by running the real program.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use mrisynth::synthesize::{Options, synthesize};
use mrisynth::{Affine, Contrast, Grid, Limits, Model, Volume, nifti};
use ndarray::{Array3, ShapeBuilder};
use serde_json::Value;
use tempfile::TempDir;

fn module() -> Command {
    Command::new(env!("CARGO_BIN_EXE_mrisynth-slicer-cli"))
}

fn run<S: AsRef<std::ffi::OsStr>>(arguments: &[S]) -> Output {
    module().args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// The prepared example scan of the repository.
fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../examples/data/example_T2w.nii.gz")
}

/// The example on every second voxel, to be quick.
fn small_example() -> Volume {
    let whole = nifti::read(&example(), &Limits::default()).unwrap().volume;
    let thinned = whole.voxels().slice(ndarray::s![..;2, ..;2, ..;2]).to_owned();
    let rows = whole.affine().rows().map(|[i, j, k, origin]| [2.0 * i, 2.0 * j, 2.0 * k, origin]);
    let mut rows = rows;
    rows[3] = [0.0, 0.0, 0.0, 1.0];
    let mut ordered = Array3::zeros(thinned.dim().f());
    ordered.assign(&thinned);
    Volume::new(ordered, Affine::from_rows(rows).unwrap()).unwrap()
}

/// The volume as Slicer writes it: an NRRD file of floats in LPS.
fn write_as_slicer(path: &Path, volume: &Volume) {
    let Grid { dims: [ni, nj, nk], affine } = volume.grid();
    let rows = affine.to_lps();
    let [i, j, k, origin] =
        [0, 1, 2, 3].map(|column| format!("({},{},{})", rows[0][column], rows[1][column], rows[2][column]));
    let header = format!(
        "NRRD0004\n# Complete NRRD file format specification at:\n# http://teem.sourceforge.net/nrrd/format.html\n\
         type: float\ndimension: 3\nspace: left-posterior-superior\nsizes: {ni} {nj} {nk}\n\
         space directions: {i} {j} {k}\nkinds: domain domain domain\nendian: little\nencoding: raw\n\
         space origin: {origin}\n\n"
    );
    let voxels: Vec<u8> = volume.as_slice().iter().flat_map(|value| value.to_le_bytes()).collect();
    std::fs::write(path, [header.into_bytes(), voxels].concat()).unwrap();
}

/// The header's lines and the voxels of an NRRD file that this module wrote.
fn read_output(path: &Path) -> (Vec<String>, Vec<f32>) {
    let bytes = std::fs::read(path).unwrap();
    let end = bytes.windows(2).position(|pair| pair == b"\n\n").unwrap();
    let lines = text(&bytes[..end]).lines().map(str::to_owned).collect();
    let voxels = bytes[end + 2..].chunks_exact(4).map(|chunk| f32::from_le_bytes(chunk.try_into().unwrap()));
    (lines, voxels.collect())
}

fn files_in(folder: &TempDir) -> Vec<String> {
    let entries = std::fs::read_dir(folder.path()).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// What the library makes of the volume.
fn expected(volume: &Volume) -> Volume {
    let model = Model::embedded(Contrast::T2w, Contrast::T1w).unwrap();
    let mut control = mrisynth::Control::default();
    synthesize(&model, volume, &volume.grid(), &Options::prepared(), &mut control).unwrap()
}

#[test]
fn the_description_is_printed_and_nothing_else() {
    let output = run(&["--xml"]);
    assert!(output.status.success() && output.stderr.is_empty());
    let xml = text(&output.stdout);
    // Slicer takes nothing before the declaration.
    assert!(xml.starts_with("<?xml version=\"1.0\""), "{xml}");
    assert!(xml.trim_end().ends_with("</executable>"));
    assert!(xml.contains(&format!("<version>{}</version>", env!("CARGO_PKG_VERSION"))));
    assert!(xml.contains("not a medical device") && !xml.contains('@'), "{xml}");
    let logo = run(&["--logo"]);
    assert!(logo.status.success() && logo.stdout.is_empty() && logo.stderr.is_empty());
}

#[test]
fn a_volume_comes_back_synthesized_on_its_own_grid() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let scan = small_example();
    write_as_slicer(&path("in.nrrd"), &scan);
    // What an earlier run left is replaced.
    std::fs::write(path("out.nrrd"), "old").unwrap();
    let output = module()
        .args(["--to", "T1w", "--state", "prepared", "--threads", "2", "--echo"])
        .args(["--processinformationaddress", "0", "--returnparameterfile"])
        .args([path("out.params"), path("in.nrrd"), path("out.nrrd")])
        .output()
        .unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");

    let (lines, voxels) = read_output(&path("out.nrrd"));
    assert_eq!(voxels, expected(&scan).as_slice());
    let (scan_lines, _) = read_output(&path("in.nrrd"));
    for field in ["type", "sizes", "space", "space directions", "space origin", "endian", "encoding"] {
        let line =
            |lines: &[String]| lines.iter().find(|line| line.starts_with(&format!("{field}:"))).cloned();
        assert_eq!(line(&lines).unwrap(), line(&scan_lines).unwrap());
    }
    let description = format!("SYNTHETIC T1w by mrisynth {}", env!("CARGO_PKG_VERSION"));
    assert!(lines.contains(&format!("content: {description}")), "{lines:?}");
    let record = lines.iter().find_map(|line| line.strip_prefix("mrisynth:=")).unwrap();
    let record: Value = serde_json::from_str(record).unwrap();
    assert_eq!((&record["Synthetic"], &record["Sources"][0]), (&true.into(), &"in.nrrd".into()));
    assert_eq!(record["Parameters"]["InputState"], "prepared");

    let parameters = std::fs::read_to_string(path("out.params")).unwrap();
    assert_eq!(parameters, format!("result = {description}\nwarnings = \n"));
    assert_eq!(files_in(&folder), ["in.nrrd", "out.nrrd", "out.params"]);
    check_progress(&text(&output.stdout));
}

/// The tags of Slicer's execution model: a start, fractions that never fall and end at 1, an end.
fn check_progress(printed: &str) {
    let (echo, told) = printed.split_at(printed.find("<filter-start>").unwrap());
    assert!(echo.starts_with("Command Line Arguments\n") && echo.contains("    state: prepared\n"), "{echo}");
    let lines: Vec<_> = told.lines().collect();
    assert_eq!(
        lines[..4],
        [
            "<filter-start>",
            "<filter-name>MRI Synthesis</filter-name>",
            "<filter-comment>synthesizes T1w from T2w</filter-comment>",
            "</filter-start>",
        ]
    );
    let [.., end, name, time, last] = lines.as_slice() else { panic!("{lines:?}") };
    assert_eq!(
        [*end, *name, *last],
        ["<filter-end>", "<filter-name>MRI Synthesis</filter-name>", "</filter-end>"]
    );
    assert!(time.starts_with("<filter-time>"));
    let fraction = |line: &&str| -> f32 {
        let text =
            line.strip_prefix("<filter-progress>").and_then(|text| text.strip_suffix("</filter-progress>"));
        text.unwrap_or_else(|| panic!("{line}")).parse().unwrap()
    };
    let fractions: Vec<_> = lines[4..lines.len() - 4].iter().map(fraction).collect();
    assert!(fractions.len() > 5 && fractions.is_sorted(), "{fractions:?}");
    assert_eq!((fractions[0], fractions.last()), (0.0, Some(&1.0)));
}

#[test]
fn nifti_goes_in_and_out_where_it_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let scan = small_example();
    write_as_slicer(&path("in.nrrd"), &scan);
    let arguments = |input, output| {
        [path(input).into_os_string(), path(output).into_os_string(), "--state".into(), "prepared".into()]
    };
    assert!(run(&arguments("in.nrrd", "out.nii")).status.success());
    let image = nifti::read(&path("out.nii"), &Limits::default()).unwrap();
    assert_eq!(image.volume, expected(&scan));
    assert!(image.header.description().starts_with("SYNTHETIC T1w"));
    // A synthetic image as the scan is used, and told of.
    let again = run(&[
        arguments("out.nii", "again.nrrd").as_slice(),
        &["--acceptImplausible".into(), "--to".into(), "T2w".into()],
    ]
    .concat());
    assert!(again.status.success(), "{again:?}");
    assert!(text(&again.stdout).contains("warning: the scan is itself synthetic\n"));
    assert!(again.stderr.is_empty());
}

#[test]
fn a_fault_is_told_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let scan = small_example();
    write_as_slicer(Path::new(&path("in.nrrd")), &scan);
    write_as_slicer(Path::new(&path("zeros.nrrd")), &Volume::zeros(&scan.grid()).unwrap());
    std::fs::write(path("text.nrrd"), "no image").unwrap();
    std::fs::write(path("bad.onnx"), "no model").unwrap();
    let before = files_in(&folder);
    let (input, output) = (path("in.nrrd"), path("out.nrrd"));
    for (arguments, part) in [
        (vec![path("none.nrrd"), output.clone()], "none.nrrd"),
        (vec![path("text.nrrd"), output.clone()], "text.nrrd: bad image: not an NRRD file"),
        (vec![path("zeros.nrrd"), output.clone()], "zeros.nrrd"),
        (vec![input.clone(), path("none/out.nrrd")], "none/out.nrrd: its folder"),
        (vec![input.clone(), path("out.png")], "must end in .nrrd"),
        (vec![input.clone(), input.clone()], "the output is the input"),
        // The scan is of the contrast that is asked for.
        (vec![input.clone(), output.clone(), "--to".into(), "T2w".into()], "in.nrrd: refused"),
        (vec![input.clone(), output.clone(), "--model".into(), path("bad.onnx")], "bad.onnx"),
        (vec![input.clone(), output.clone(), "--returnparameterfile".into(), path("none/a")], "none/a"),
    ] {
        let run = run(&[arguments.as_slice(), &["--state".into(), "prepared".into()]].concat());
        assert_eq!(run.status.code(), Some(1), "{run:?}");
        let fault = text(&run.stderr);
        assert!(fault.starts_with("mrisynth-slicer-cli: error: ") && fault.contains(part), "{part}: {fault}");
        assert_eq!(files_in(&folder), before, "{part}");
    }
    for arguments in [vec!["--state", "half"], vec!["--to", "FLAIR"], vec!["only-one"], vec![]] {
        assert_eq!(run(&arguments).status.code(), Some(2), "{arguments:?}");
    }
}

/// The module at work: its first progress has been told.
fn started(folder: &TempDir) -> (Child, BufReader<impl Read + use<>>) {
    let mut child = module()
        .args([example(), folder.path().join("out.nrrd")])
        .args(["--state", "prepared", "--threads", "1"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut told = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while !line.starts_with("<filter-progress>0.1") {
        line.clear();
        assert!(told.read_line(&mut line).unwrap() > 0, "it ended before it began");
    }
    (child, told)
}

/// Waits for the end, and says how long that took.
fn time_to_end(child: &mut Child) -> Duration {
    let start = Instant::now();
    while child.try_wait().unwrap().is_none() {
        assert!(start.elapsed() < Duration::from_secs(30), "it goes on");
        std::thread::sleep(Duration::from_millis(5));
    }
    start.elapsed()
}

#[test]
fn killed_as_slicer_cancels_it_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (mut child, _told) = started(&folder);
    child.kill().unwrap();
    assert!(time_to_end(&mut child) < Duration::from_millis(250));
    assert!(files_in(&folder).is_empty());
}

#[test]
fn a_caller_that_goes_away_stops_the_work() {
    let folder = tempfile::tempdir().unwrap();
    let (mut child, told) = started(&folder);
    drop(told);
    // A quarter of a second until it speaks, and another until the work has stopped.
    assert!(time_to_end(&mut child) < Duration::from_millis(500));
    assert!(!child.wait().unwrap().success());
    assert!(files_in(&folder).is_empty());
}
