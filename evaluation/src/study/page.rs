//! A study's report: tables like the paper's, its plots, slices of two subjects, and how methods were compared.

use mrisynth::Limits;

use super::measure::Kind;
use super::summary::{Options as Comparing, Summary};
use super::values::Values;
use super::{Cohort, EvaluatedCase, Results, distinct, figures, tables};
use crate::Result;
use crate::pair::{self, Options};
use crate::report::panel::{self, Images};
use crate::report::{Block, Page, Provenance, Section};

/// The report of a study's results. Images of two subjects of each cohort, the median one and the worst, are read again.
///
/// # Errors
/// Those of reading images, and of tables and plots of numbers that cannot be shown.
pub fn of(
    results: &Results,
    summaries: &[Summary],
    measuring: &Options,
    comparing: &Comparing,
    provenance: Provenance,
) -> Result<Page> {
    let values = Values::of(results)?;
    let mut sections = vec![what_was_measured(results, summaries, measuring, comparing)];
    for kind in Kind::ALL {
        let blocks = of_kind(summaries, &values, kind)?;
        if !blocks.is_empty() {
            sections.push(Section { title: kind.title().into(), blocks });
        }
    }
    sections.push(Section { title: "Slices".into(), blocks: pictures(results, measuring)? });
    sections.push(statistics(summaries));
    Ok(Page { title: "Synthetic images compared with real ones".into(), provenance, sections })
}

fn what_was_measured(
    results: &Results,
    summaries: &[Summary],
    measuring: &Options,
    comparing: &Comparing,
) -> Section {
    let scale = if measuring.normalize {
        "Both images were brought to 0..1 first: the real one's 99.5th percentile inside the brain is 1."
            .to_owned()
    } else {
        format!(
            "Images were taken as they are; PSNR and SSIM are relative to a range of {}.",
            measuring.data_range
        )
    };
    let mut lines = vec![
        "Images were measured on each axial slice with at least 2 % brain, and averaged over these and then over subjects."
            .into(),
        scale,
        "SSIM has scikit-image's default window, 7 x 7, or the Gaussian one of Wang et al. 2004. The Laplacian's energy is that \
         of the synthetic image over that of the real one: below 1 it is smoother."
            .into(),
        "Lesions count as found by the WMH challenge's rule (one common voxel, 26 neighbours) or, strictly, by Anima's. Surface \
         distances are pooled, as MedPy has them. A failed lesion is one of the real image of which the synthetic image's mask \
         has no voxel."
            .into(),
        format!(
            "Tests are two-sided at a level of {}; which was chosen and why is in the last section. Measures are tested one by \
             one: with many of them some are significant by chance.",
            comparing.statistics.significance
        ),
    ];
    if measuring.fit {
        lines.insert(2, "Synthetic images were first fitted to the real ones inside the brain by one factor and one offset.".into());
    }
    for summary in summaries {
        let name = summary.cohort.name();
        let of = if name.is_empty() { String::new() } else { format!("{name}: ") };
        lines.push(format!(
            "{of}{} of {}.",
            counted(summary.subjects.len(), "subject"),
            counted(summary.methods.len(), "method")
        ));
    }
    let mut blocks = vec![Block::List(lines)];
    let faults: Vec<String> =
        results.faults.iter().map(|fault| format!("{}: {}", fault.case.name(), fault.fault)).collect();
    if !faults.is_empty() {
        blocks.push(Block::Paragraph(format!(
            "Left out of everything below, {}:",
            counted(faults.len(), "pair")
        )));
        blocks.push(Block::List(faults));
    }
    let warned = results.measured.iter().flat_map(|measured| {
        measured.evaluation.warnings.iter().map(|warning| format!("{}: {warning}", measured.case.name()))
    });
    let warnings: Vec<String> = distinct(warned);
    if !warnings.is_empty() {
        blocks.push(Block::Paragraph("Doubtful:".into()));
        blocks.push(Block::List(warnings));
    }
    Section { title: "What was measured".into(), blocks }
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// The tables and plots of a kind.
fn of_kind(summaries: &[Summary], values: &Values<'_>, kind: Kind) -> Result<Vec<Block>> {
    let mut blocks: Vec<Block> =
        tables::of_kind(summaries, values, kind).map(Block::Table).into_iter().collect();
    match kind {
        Kind::Lesions => blocks.extend(tables::of_lesion_totals(summaries).map(Block::Table)),
        Kind::Volumes => blocks.extend(tables::of_equivalence(summaries).map(Block::Table)),
        Kind::Fidelity | Kind::Sharpness | Kind::Texture => {}
    }
    for summary in summaries {
        let of = match summary.cohort.name() {
            name if name.is_empty() => String::new(),
            name => format!("{name}. "),
        };
        let stars = tables::STARS;
        let mut add = |plots: Vec<_>, caption: String| {
            if !plots.is_empty() {
                blocks.push(Block::Plots { plots, caption: format!("{of}{caption}") });
            }
        };
        match kind {
            Kind::Lesions => {
                add(
                    figures::boxes(summary, values, kind)?,
                    format!(
                        "Median, quartiles, whiskers to 1.5 interquartile ranges; a point is a subject; {stars}."
                    ),
                );
                add(
                    figures::lesion_sizes(summary)?.into_iter().collect(),
                    "Lesions by size, of all subjects together.".into(),
                );
            }
            _ => add(figures::bars(summary, kind)?, format!("Means with 95 % intervals; {stars}.")),
        }
        if kind == Kind::Volumes {
            add(
                figures::agreement(summary)?,
                "Agreement of volumes (Bland-Altman). Solid: mean difference; dashed: limits of agreement; bands: their 95 % \
                 intervals."
                    .into(),
            );
        }
    }
    Ok(blocks)
}

/// What was chosen, why, and what was found, in words.
fn statistics(summaries: &[Summary]) -> Section {
    let mut blocks = Vec::new();
    for summary in summaries {
        for compared in &summary.measures {
            let cohort = summary.cohort.name();
            let of = if cohort.is_empty() { String::new() } else { format!("{cohort}, ") };
            blocks.push(Block::Paragraph(format!("{of}{}:", compared.measure.name)));
            blocks.push(Block::List(compared.comparison.explanation.clone()));
        }
    }
    Section { title: "How methods were compared".into(), blocks }
}

/// Slices of the median subject and of the worst, by every method.
fn pictures(results: &Results, options: &Options) -> Result<Vec<Block>> {
    let mut blocks = Vec::new();
    for cohort in results.cohorts() {
        for (what, subject) in shown_subjects(results, cohort) {
            for measured in results.of(cohort).filter(|measured| measured.case.subject == subject) {
                blocks.push(picture(measured, what, options)?);
            }
        }
    }
    Ok(blocks)
}

fn picture(measured: &EvaluatedCase, what: &str, options: &Options) -> Result<Block> {
    let pair = measured.case.files.clone().read(&Limits::default())?;
    let images = pair::images(&pair, options)?;
    let shown = Images {
        real: images.real.view(),
        synthetic: images.synthetic.view(),
        brain: images.brain.view(),
        spacing: images.voxel_sizes_mm,
        white: options.data_range as f32,
    };
    let title = format!("{}, {}", measured.case.subject, measured.case.method);
    let fidelity = &measured.evaluation.fidelity;
    let caption = format!(
        "{}, the {what}: real, synthetic and absolute error, four axial slices. Inside the brain PSNR {:.2} dB, SSIM {:.3}.",
        measured.case.name(),
        fidelity.psnr_brain,
        fidelity.ssim_brain
    );
    Ok(Block::Picture { png: panel::draw(&title, &shown)?, caption })
}

/// Which subjects of a cohort are shown, and what they are: the median one by PSNR inside the brain, averaged over methods, and
/// the worst, of the subjects with most methods.
fn shown_subjects(results: &Results, cohort: &Cohort) -> Vec<(&'static str, String)> {
    let subjects = distinct(results.of(cohort).map(|measured| measured.case.subject.as_str()));
    let score = |subject: &&str| {
        let of: Vec<f64> = results
            .of(cohort)
            .filter(|measured| measured.case.subject == *subject)
            .map(|measured| measured.evaluation.fidelity.psnr_brain)
            .collect();
        (of.len(), of.iter().sum::<f64>() / of.len() as f64, (*subject).to_owned())
    };
    let scores: Vec<_> = subjects.iter().map(score).collect();
    let most = scores.iter().map(|(methods, ..)| *methods).max().unwrap_or(0);
    let mut scores: Vec<_> = scores.into_iter().filter(|(methods, ..)| *methods == most).collect();
    scores.sort_by(|a, b| a.1.total_cmp(&b.1));
    let Some(((_, _, worst), (_, _, median))) = scores.first().zip(scores.get(scores.len() / 2)) else {
        return Vec::new();
    };
    match scores.len() {
        1 => vec![("only subject", worst.clone())],
        _ => vec![("median subject by PSNR", median.clone()), ("worst subject by PSNR", worst.clone())],
    }
}
