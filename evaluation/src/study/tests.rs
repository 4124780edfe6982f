//! Studies of small images, from files to the report.

use std::fs;

use mrisynth::nifti::{self, Header, VoxelType, WriteOptions};
use mrisynth::{Affine, Volume};
use ndarray::Array3;
use serde_json::Value;

use super::measure::Kind;
use super::summary::{Options as Comparing, REAL, Summary, summarize};
use super::*;
use crate::report::Provenance;
use crate::report::table::Cell;
use crate::statistics::{Settings, Table, compare};
use crate::threads::run_on;
use crate::volumes::table::LabelTable;

const DIMS: (usize, usize, usize) = (24, 28, 16);

fn in_brain((i, j, k): (usize, usize, usize)) -> bool {
    (4..20).contains(&i) && (4..24).contains(&j) && (2..14).contains(&k)
}

/// A number in 0..1 that looks irregular.
fn noise((i, j, k): (usize, usize, usize), seed: usize) -> f32 {
    let value =
        (12.9898 * i as f64 + 78.233 * j as f64 + 37.719 * k as f64 + 3.1 * seed as f64).sin() * 43_758.545;
    (value - value.floor()) as f32
}

/// A folder with images, and a list of them.
struct Workplace {
    folder: tempfile::TempDir,
    lines: Vec<String>,
}

impl Workplace {
    fn new() -> Self {
        let head = "dataset,translation,subject,method,reference,synthetic,lesions_reference,lesions_synthetic,\
                    labels_reference,labels_synthetic";
        Self { folder: tempfile::tempdir().unwrap(), lines: vec![head.into()] }
    }

    fn write(&self, name: &str, size: f64, value: impl Fn((usize, usize, usize)) -> f32) {
        let affine = Affine::from_sizes([size; 3], [-10.0, -20.0, -15.0]).unwrap();
        let volume = Volume::new(Array3::from_shape_fn(DIMS, value), affine).unwrap();
        let options = WriteOptions {
            voxel_type: VoxelType::Float32,
            description: "phantom",
            extension: None,
            overwrite: true,
        };
        let header = Header::for_grid(&volume.grid());
        nifti::write(&self.folder.path().join(name), &volume, &header, &options).unwrap();
    }

    /// A subject's images by methods whose errors have these sizes.
    fn add(&mut self, subject: usize, methods: &[(&str, f32)]) {
        let real = |at| if in_brain(at) { 0.3 + 0.6 * noise(at, subject) } else { 0.0 };
        self.write(&format!("real{subject}.nii"), 1.0, real);
        // A lesion each of these; their number differs between subjects.
        let lesions = |at: (usize, usize, usize)| {
            (0..=subject % 3).any(|n| (6 + 4 * n..8 + 4 * n).contains(&at.0))
                && (8..10).contains(&at.1)
                && (5..7).contains(&at.2)
        };
        self.write(&format!("lesions{subject}.nii"), 1.0, |at| f32::from(lesions(at)));
        self.write(&format!("labels{subject}.nii"), 1.0, |at| {
            if in_brain(at) { 1.0 + (at.1 % 3) as f32 } else { 0.0 }
        });
        for (number, (method, error)) in methods.iter().enumerate() {
            let synthetic = |at| {
                let value: f32 = real(at);
                if in_brain(at) { value + error * (noise(at, 7 * subject + number + 1) - 0.5) } else { 0.0 }
            };
            let names = ["synthetic", "found", "map"].map(|name| format!("{name}{subject}-{number}.nii"));
            self.write(&names[0], 1.0, synthetic);
            self.write(&names[1], 1.0, |at| f32::from(lesions(at) && at.0 > 6 + number && at.0 < 12));
            self.write(&names[2], 1.0, |at| {
                let outside = at.2 < 2 + (subject + number) % 2;
                if in_brain(at) && !outside { 1.0 + (at.1 % 3) as f32 } else { 0.0 }
            });
            let [synthetic, found, map] = names;
            self.lines.push(format!(
                "MS,T2w to T1w,p{subject},{method},real{subject}.nii,{synthetic},lesions{subject}.nii,{found},labels{subject}.nii,{map}"
            ));
        }
    }

    fn study(&self) -> Study {
        let list = self.folder.path().join("study.csv");
        fs::write(&list, self.lines.join("\n")).unwrap();
        list::read(&list).unwrap()
    }

    fn results(&self) -> Results {
        self.study().evaluate(&options(), &|_| ()).unwrap()
    }
}

fn options() -> Options {
    Options { label_table: LabelTable::three_classes(), ..Options::for_range(1.0).unwrap() }
}

/// Six subjects, two methods.
fn workplace() -> Workplace {
    let mut workplace = Workplace::new();
    for subject in 0..6 {
        let size = 0.1 + 0.02 * subject as f32;
        workplace.add(subject, &[("good", size), ("bad", 2.0 * size)]);
    }
    workplace
}

fn provenance() -> Provenance {
    Provenance { command: vec!["mrisynth".into()], ..Provenance::default() }
}

fn page_of(results: &Results, summaries: &[Summary]) -> String {
    page::of(results, summaries, &options(), &Comparing::default(), provenance()).unwrap().html().unwrap()
}

/// No result is shown that is not a number.
#[track_caller]
fn check_words(html: &str) {
    // Letters of pictures' bytes are no words.
    let words = html.split("base64,").map(|part| part.split_once('"').map_or(part, |(_, after)| after));
    let html: String = words.collect();
    assert!(!html.contains("NaN") && !html.contains(">inf<") && !html.contains("-inf"));
}

#[test]
fn every_measure_is_a_key_of_an_evaluation() {
    let workplace = workplace();
    let results = workplace.results();
    let values = values::Values::of(&results).unwrap();
    let three_classes = ["intracranial", "grey_matter", "white_matter", "csf"];
    for measure in measure::all() {
        let region = measure.key.strip_prefix("volumes.").map(|key| key.split('.').next().unwrap());
        let expected = region.is_none_or(|region| three_classes.contains(&region));
        let found = values.each(&measure).filter(|(_, found)| found.value().is_some()).count();
        assert_eq!(found > 0, expected, "{}", measure.key);
    }
}

#[test]
fn values_and_comparisons_are_those_of_the_pairs() {
    let workplace = workplace();
    let results = workplace.results();
    assert!(results.faults.is_empty());
    let summaries = summarize(&results, &Comparing::default()).unwrap();
    let [summary] = summaries.as_slice() else { panic!("{} cohorts", summaries.len()) };
    assert_eq!((summary.cohort.name().as_str(), summary.baseline.as_str()), ("MS, T2w to T1w", "good"));
    assert_eq!(summary.methods, ["good", "bad"]);

    // The comparison is that of the pairs' own values.
    let psnr = |subject: usize, method: &str| {
        let name = format!("p{subject}");
        let of = results.measured.iter().find(|of| of.case.subject == name && of.case.method == method);
        of.unwrap().evaluation.fidelity.psnr
    };
    let rows = (0..6).map(|subject| vec![Some(psnr(subject, "good")), Some(psnr(subject, "bad"))]).collect();
    let subjects = (0..6).map(|subject| format!("p{subject}")).collect();
    let table = Table::new(subjects, vec!["good".into(), "bad".into()], rows).unwrap();
    let compared = summary.measures.iter().find(|compared| compared.key == "psnr").unwrap();
    assert_eq!(compared.comparison, compare(&table, Settings::default()).unwrap());
    // Half the error: 6 dB more, in every subject.
    assert!(compared.comparison.pairs[0].mean_difference > 4.0);
    assert_ne!(compared.stars("bad", "good").text(), "");

    // Lesions: of one to three a subject, that beyond 12 is never found; both methods lack nothing else.
    let totals = &summary.lesions[0];
    assert_eq!((totals.subjects, totals.reference, totals.synthetic, totals.failed), (6, 12, 10, 2));
    assert_eq!(totals.sizes.reference.iter().sum::<usize>(), 12);
    let variance = totals.count_variance_ratio.value().unwrap();
    assert!((variance - (4.0 / 15.0) / 0.8).abs() < 1e-12, "{variance}");

    // Volumes: every other subject of the first method has all of it.
    let volume =
        summary.volumes.iter().find(|of| of.method == "good" && of.region.key() == "intracranial").unwrap();
    let ml = (16 * 20 * 12) as f64 / 1000.0;
    assert_eq!(volume.pairs_ml.len(), 6);
    assert!(volume.pairs_ml.iter().all(|(real, _)| (real - ml).abs() < 1e-9));
    let equivalence = volume.equivalence.value();
    assert!(equivalence.is_none() || (equivalence.unwrap().margins.high - 5.0).abs() < 1e-12);
}

#[test]
fn the_report_holds_tables_plots_and_pictures() {
    let results = workplace().results_in_place();
    let summaries = summarize(&results.1, &Comparing::default()).unwrap();
    let html = page_of(&results.1, &summaries);
    check_words(&html);
    for text in [
        "PSNR (dB)",
        "HD95 (mm)",
        "Failed lesions (n/N)",
        "Equivalence of volumes",
        "GLCM contrast in lesions",
        REAL,
        "Lesions by size",
        "Bland-Altman",
        "median subject by PSNR",
        "worst subject by PSNR",
        "6 subjects of 2 methods",
        "Wilcoxon",
    ] {
        assert!(html.contains(text), "{text}");
    }
    assert!(html.matches("<svg").count() > 15 && html.matches("<img").count() == 4);
    let values = values::Values::of(&results.1).unwrap();
    let fidelity = tables::of_kind(&summaries, &values, Kind::Fidelity).unwrap();
    assert_eq!(fidelity.keys, ["Dataset", "Translation", "N", "Metric"]);
    assert_eq!((fidelity.columns.as_slice(), fidelity.rows.len()), (&["good".into(), "bad".into()][..], 8));
    let Cell::Mean { count: 6, mean, .. } = fidelity.rows[0].entries[0].cell else { panic!("no mean") };
    assert!((20.0..40.0).contains(&mean));

    let csv = record::values_csv(&results.1).unwrap();
    let psnr = csv.lines().filter(|line| line.contains(",psnr,")).count();
    assert_eq!(psnr, 12);
    let comparisons = record::comparisons_csv(&summaries).unwrap();
    assert!(comparisons.lines().any(|line| line.starts_with("MS,T2w to T1w,psnr,good,bad,6,")));
    let json = record::json(&results.1, &summaries, &options(), &Comparing::default()).unwrap();
    assert_eq!(json["pairs"].as_array().unwrap().len(), 12);
    assert_eq!(
        json["pairs"][0]["evaluation"]["dice"],
        Value::from(results.1.measured[0].evaluation.lesions.dice.unwrap())
    );
    assert_eq!(json["cohorts"][0]["baseline"], "good");
}

impl Workplace {
    /// The results, with the folder that pictures are read from.
    fn results_in_place(self) -> (Self, Results) {
        let results = self.results();
        (self, results)
    }
}

#[test]
fn any_number_of_threads_gives_the_same() {
    let workplace = workplace();
    let all = |threads| {
        run_on(threads, || {
            let results = workplace.results();
            let summaries = summarize(&results, &Comparing::default())?;
            let json = record::json(&results, &summaries, &options(), &Comparing::default())?;
            Ok((json.to_string(), page_of(&results, &summaries)))
        })
        .unwrap()
    };
    assert!(all(1) == all(3));
}

#[test]
fn what_cannot_be_measured_is_named_and_the_rest_is_measured() {
    let mut workplace = workplace();
    workplace.write("other grid.nii", 1.5, |at| f32::from(in_brain(at)));
    workplace.lines[3] = workplace.lines[3].replace("synthetic1-0.nii", "other grid.nii");
    let (workplace, results) = workplace.results_in_place();
    let [Fault { case, fault }] = results.faults.as_slice() else {
        panic!("{} faults", results.faults.len())
    };
    assert_eq!((case.subject.as_str(), case.method.as_str()), ("p1", "good"));
    assert!(fault.to_string().contains("other grid.nii") && fault.to_string().contains("spacing"), "{fault}");
    assert_eq!(results.measured.len(), 11);
    let summaries = summarize(&results, &Comparing::default()).unwrap();
    let comparison = &summaries[0].measures[0].comparison;
    assert_eq!((comparison.subjects.len(), comparison.left_out[0].subject.as_str()), (5, "p1"));
    let html = page_of(&results, &summaries);
    assert!(html.contains("Left out of everything below, 1 pair") && html.contains("other grid.nii"));

    for file in ["real2.nii", "found3-1.nii"] {
        fs::remove_file(workplace.folder.path().join(file)).unwrap();
    }
    let fault = workplace.study().evaluate(&options(), &|_| ()).unwrap_err().to_string();
    assert!(fault.contains("real2.nii") && fault.contains("found3-1.nii"), "{fault}");
}

#[test]
fn one_subject_gets_figures_and_a_reason_for_the_missing_statistics() {
    let mut workplace = Workplace::new();
    workplace.add(0, &[("good", 0.1), ("bad", 0.2)]);
    let (_workplace, results) = workplace.results_in_place();
    let summaries = summarize(&results, &Comparing::default()).unwrap();
    let html = page_of(&results, &summaries);
    check_words(&html);
    assert!(html.contains("one subject only has a value of every method, and tests need at least 3"));
    assert!(html.contains("1 subject of 2 methods") && html.contains("the only subject"));
    assert!(summaries[0].volumes.iter().all(|volume| volume.agreement.is_none()));
    let totals = tables::of_lesion_totals(&summaries).unwrap();
    assert!(totals.markdown().unwrap().contains("fewer than two subjects"));
}

#[test]
fn unequal_groups_are_described_whole_and_compared_where_complete() {
    let mut workplace = workplace();
    // The last three subjects lack the second method; and a cohort of its own has no lesion masks.
    workplace.lines.retain(|line| !["p3,bad", "p4,bad", "p5,bad"].iter().any(|gone| line.contains(gone)));
    workplace.lines.push("MS,T1w to T2w,p0,good,real0.nii,synthetic0-0.nii,,,,".into());
    let (_workplace, results) = workplace.results_in_place();
    let summaries = summarize(&results, &Comparing::default()).unwrap();
    let groups = &summaries[0].measures[0].comparison.groups;
    let counts: Vec<usize> = groups.iter().map(|group| group.available.value().unwrap().count).collect();
    assert_eq!((counts, summaries[0].measures[0].comparison.subjects.len()), (vec![6, 3], 3));
    assert_eq!(summaries[1].methods, ["good"]);
    assert!(summaries[1].lesions.is_empty() && summaries[1].volumes.is_empty());
    let html = page_of(&results, &summaries);
    check_words(&html);
    assert!(html.contains("no image of this method was measured"));
}

#[test]
fn empty_masks_and_constant_images_have_reasons() {
    let mut workplace = workplace();
    workplace.write("nothing.nii", 1.0, |_| 0.0);
    for line in &mut workplace.lines {
        *line = line
            .replace("found", "nothing.nii,")
            .split("nothing.nii,")
            .next()
            .map_or(String::new(), str::to_owned)
            + if line.contains("found") { "nothing.nii,," } else { "" };
    }
    let (_workplace, results) = workplace.results_in_place();
    let summaries = summarize(&results, &Comparing::default()).unwrap();
    let csv = record::values_csv(&results).unwrap();
    let dice: Vec<&str> = csv.lines().filter(|line| line.contains(",dice,")).collect();
    assert!(dice.len() == 12 && dice.iter().all(|line| line.ends_with(",dice,0,")));
    assert_eq!(summaries[0].lesions[0].failed, 12);
    let html = page_of(&results, &summaries);
    check_words(&html);
    let values = values::Values::of(&results).unwrap();
    let precision = measure::all().into_iter().find(|measure| measure.key == "lesion_precision").unwrap();
    assert!(
        values
            .each(&precision)
            .all(|(_, found)| matches!(found, values::Found::Absent(reason) if !reason.is_empty()))
    );
}

#[test]
fn senseless_studies_and_options_are_refused() {
    assert!(Study::new(vec![]).is_err());
    let mut workplace = Workplace::new();
    workplace.add(0, &[("good", 0.1)]);
    let case = workplace.study().cases()[0].clone();
    let fault = Study::new(vec![case.clone(), case.clone()]).unwrap_err().to_string();
    assert!(fault.contains("p0, good (MS, T2w to T1w) is there twice"), "{fault}");
    assert!(Study::new(vec![Case { method: String::new(), ..case }]).is_err());

    let results = workplace.results();
    let comparing = |baseline: &str, margin| Comparing {
        baseline: Some(baseline.into()),
        equivalence_margin_percent: margin,
        ..Comparing::default()
    };
    assert!(summarize(&results, &comparing("good", 5.0)).is_ok());
    let fault = summarize(&results, &comparing("better", 5.0)).unwrap_err().to_string();
    assert!(fault.contains("\"better\" is no method of MS, T2w to T1w: good"), "{fault}");
    for margin in [0.0, -1.0, f64::NAN, 100.0] {
        assert!(summarize(&results, &comparing("good", margin)).is_err());
    }
    let mut named = Workplace::new();
    named.add(0, &[(REAL, 0.1)]);
    assert!(summarize(&named.results(), &Comparing::default()).unwrap_err().to_string().contains(REAL));
}
