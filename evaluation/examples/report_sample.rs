//! Writes a report of made-up numbers, to look at its layout: `cargo run -p mrisynth-evaluation --example report_sample -- FILE`.

use std::error::Error;

use mrisynth_evaluation::lesions::sizes::SizeBins;
use mrisynth_evaluation::report::plots::bars::{Bar, BarChart};
use mrisynth_evaluation::report::plots::bland_altman::{BlandAltman, Method};
use mrisynth_evaluation::report::plots::boxes::{BoxPlot, Group};
use mrisynth_evaluation::report::plots::lesion_sizes::{Counts, LesionSizes};
use mrisynth_evaluation::report::plots::{Comparison, Svg};
use mrisynth_evaluation::report::table::{Best, Cell, Entry, Row, Table};
use mrisynth_evaluation::report::{Block, Page, Png, Provenance, Section, panel};
use ndarray::Array3;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const METHODS: [&str; 3] = ["CycleGAN", "CycleGAN + SN", "Pix2Pix"];
const STARS: &str = "* p \u{2264} 0.05, ** p \u{2264} 0.01, *** p \u{2264} 0.001";

fn main() -> Result<()> {
    let path = std::env::args_os().nth(1).ok_or("usage: report_sample FILE")?;
    std::fs::write(path, page()?.html()?)?;
    Ok(())
}

fn page() -> Result<Page> {
    let section = |title: &str, blocks| Section { title: title.into(), blocks };
    Ok(Page {
        title: "Sample report: every number and picture is MADE UP".into(),
        provenance: Provenance {
            command: ["report_sample", "a file.html"].map(String::from).to_vec(),
            versions: vec![("mrisynth-evaluation".into(), env!("CARGO_PKG_VERSION").into())],
            counts: vec![("made-up subjects".into(), 11), ("made-up methods".into(), 3)],
        },
        sections: vec![
            section("Fidelity (made up)", vec![
                Block::Paragraph("Measured on axial slices with at least 2 % brain, averaged per subject.".into()),
                Block::Table(fidelity()),
                Block::Plots { plots: bars()?, caption: format!("Means with 95 % intervals; {STARS}.") },
            ]),
            section("Lesions (made up)", vec![
                Block::Table(lesions()),
                Block::Plots {
                    plots: boxes()?,
                    caption: "Median, quartiles, whiskers to 1.5 interquartile ranges; a point is a subject.".into(),
                },
                Block::Plots { plots: vec![sizes()?], caption: "Lesions by size, of all subjects together.".into() },
            ]),
            section("Volumes (made up)", vec![Block::Plots {
                plots: vec![volumes()?],
                caption: "Agreement of volumes. Solid: mean difference; dashed: limits of agreement; bands: their 95 % intervals."
                    .into(),
            }]),
            section("Slices (made up)", vec![Block::Picture {
                png: slices()?,
                caption: "Subject <made-up 01>, \"Pix2Pix\": real, synthetic and absolute error.".into(),
            }]),
        ],
    })
}

/// Eleven numbers between -1 and 1 that look irregular.
fn spread(seed: usize) -> Vec<f64> {
    (0..11).map(|n| ((n * 7 + seed * 5) as f64 * 1.7).sin()).collect()
}

fn fidelity() -> Table {
    let measures = [
        ("PSNR (dB)", Best::Highest, 2, [26.88, 26.19, 28.52], 0.5),
        ("SSIM", Best::Highest, 3, [0.901, 0.886, 0.933], 0.004),
        ("MAE", Best::Lowest, 3, [0.028, 0.029, 0.024], 0.002),
    ];
    let mut rows = Vec::new();
    for direction in ["T2w to T1w", "T1w to T2w"] {
        for (measure, best, decimals, means, half) in measures {
            let entry = |(mean, stars): (f64, &str)| Entry {
                cell: Cell::Mean {
                    mean,
                    deviation: Some(1.5 * half),
                    interval: Some((mean - half, mean + half)),
                    count: 11,
                    decimals,
                },
                stars: stars.into(),
            };
            rows.push(Row {
                keys: vec!["made up (N = 11)".into(), direction.into(), measure.into()],
                best,
                entries: means.into_iter().zip(["", "*", "***"]).map(entry).collect(),
            });
        }
    }
    Table {
        caption: "Fidelity of synthetic images.".into(),
        keys: ["Dataset", "Translation", "Metric"].map(String::from).to_vec(),
        columns: METHODS.map(String::from).to_vec(),
        rows,
        notes: vec![format!("{STARS}, against CycleGAN (Tukey's test).")],
    }
}

fn lesions() -> Table {
    let numbers = |values: [f64; 3]| values.map(|value| Cell::Number { value, decimals: 3 }.into()).to_vec();
    let row = |name: &str, best, entries| Row { keys: vec![name.into()], best, entries };
    let mut failed: Vec<Entry> = [0, 2].map(|part| Cell::Share { part, whole: 11 }.into()).to_vec();
    failed.push(Cell::Undefined("the real images hold no lesion".into()).into());
    Table {
        caption: "Lesion counts and failures.".into(),
        keys: vec!["Metric".into()],
        columns: METHODS.map(String::from).to_vec(),
        rows: vec![
            row("Lesion-wise F1", Best::Highest, numbers([0.698, 0.638, 0.734])),
            row("Lesion count agreement score", Best::Highest, numbers([0.664, 0.743, 0.756])),
            row("Failed lesions (n/N)", Best::Lowest, failed),
            row("Count variance ratio", Best::Nearest(1.0), numbers([1.24, 1.65, 0.76])),
        ],
        notes: vec![],
    }
}

fn starred(first: usize, second: usize, stars: &str) -> Comparison {
    Comparison { first, second, stars: stars.into() }
}

fn bars() -> Result<Vec<Svg>> {
    let chart = |title: &str, up: &str, means: &[f64], names: &[&str], half: f64, comparisons| BarChart {
        title: title.into(),
        up: up.into(),
        bars: means
            .iter()
            .zip(names)
            .map(|(mean, name)| Bar {
                name: (*name).into(),
                mean: *mean,
                interval: Some((mean - half, mean + half)),
                is_real: false,
            })
            .collect(),
        comparisons,
    };
    let all = vec![starred(0, 1, "*"), starred(1, 2, "***"), starred(0, 2, "**")];
    let six =
        ["CycleGAN", "CycleGAN + SN", "Pix2Pix", "a network with a very long name", "copy", "intensity map"];
    Ok(vec![
        chart("T2w to T1w", "PSNR (dB)", &[26.9, 26.2, 28.5], &METHODS, 0.5, all).draw()?,
        chart("T2w to T1w", "MAE", &[0.028, 0.024], &METHODS, 0.002, vec![]).draw()?,
        chart(
            "Volume difference of white matter, six methods",
            "synthetic \u{2212} real (%)",
            &[-1.2, -1.5, -1.1, 0.4, 2.0, -0.1],
            &six,
            0.6,
            vec![starred(0, 3, "**"), starred(0, 4, "***"), starred(4, 5, "*"), starred(1, 2, "*")],
        )
        .draw()?,
    ])
}

fn boxes() -> Result<Vec<Svg>> {
    let plot = |title: &str, up: &str, centre: f64, scale: f64| BoxPlot {
        title: title.into(),
        up: up.into(),
        groups: METHODS
            .iter()
            .enumerate()
            .map(|(n, name)| Group {
                name: (*name).into(),
                values: spread(n).iter().map(|value| centre + scale * (value + n as f64 / 2.0)).collect(),
            })
            .collect(),
        comparisons: vec![starred(0, 2, "*")],
    };
    Ok(vec![
        plot("Lesion overlap", "Dice", 0.7, 0.08).draw()?,
        plot("Surface distance", "HD95 (mm)", 6.0, 3.0).draw()?,
    ])
}

fn sizes() -> Result<Svg> {
    let synthetic = [[40, 92, 70, 42, 22, 7, 1], [35, 85, 69, 45, 20, 9, 0], [44, 101, 75, 41, 24, 8, 2]];
    let synthetic = METHODS.iter().zip(synthetic);
    let plot = LesionSizes {
        title: "Lesion size distribution".into(),
        bins: SizeBins::default(),
        real: vec![61, 110, 74, 43, 23, 8, 2],
        synthetic: synthetic
            .map(|(name, counts)| Counts { name: (*name).into(), counts: counts.to_vec() })
            .collect(),
    };
    Ok(plot.draw()?)
}

fn volumes() -> Result<Svg> {
    let pairs = |n: usize| {
        let (base, noise) = (spread(9), spread(n));
        let pair = |(base, noise): (&f64, &f64)| {
            let real = 480.0 + 60.0 * base;
            (real, real - 6.0 + 4.0 * n as f64 + 5.0 * noise)
        };
        base.iter().zip(&noise).map(pair).collect()
    };
    let methods = METHODS.iter().enumerate();
    let plot = BlandAltman {
        title: "White matter".into(),
        unit: "ml".into(),
        methods: methods.map(|(n, name)| Method { name: (*name).into(), pairs: pairs(n) }).collect(),
    };
    Ok(plot.draw()?)
}

/// An ellipsoid with a bright spot that the synthetic image lacks.
fn slices() -> Result<Png> {
    let part = |at: usize, length: f64| (at as f64 + 0.5) / length * 2.0 - 1.0;
    let radius = |(i, j, k): (usize, usize, usize)| {
        (part(i, 90.0).powi(2) + part(j, 110.0).powi(2) + part(k, 90.0).powi(2)).sqrt()
    };
    let size = (90, 110, 90);
    let brain = Array3::from_shape_fn(size, |at| radius(at) < 0.9);
    let synthetic = Array3::from_shape_fn(size, |at| match radius(at) {
        near if near < 0.3 => 0.25,
        near if near < 0.7 => 0.8,
        near if near < 0.9 => 0.55,
        _ => 0.0,
    });
    let real = Array3::from_shape_fn(size, |(i, j, k)| {
        let spot = (60..68).contains(&i) && (70..80).contains(&j);
        synthetic[[i, j, k]] + if spot { 0.2_f32 } else { 0.0 }
    });
    let images = panel::Images {
        real: real.view(),
        synthetic: synthetic.view(),
        brain: brain.view(),
        spacing: [2.0; 3],
        white: 1.0,
    };
    Ok(panel::draw("MADE UP: no scan of anybody", &images)?)
}
