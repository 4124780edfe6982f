//! Scores as Markdown tables in the form of the paper's Table 1: translations and measures down, methods across.

use std::collections::BTreeMap;

use mrisynth::Contrast;
use mrisynth::metrics::Similarity;
use serde::Serialize;

use crate::error::Error;
use crate::report::intervals::Interval;
use crate::validate::StudyScore;

/// What one method made of the studies, in one direction.
#[derive(Clone, Debug, Serialize)]
pub struct Scored {
    /// What the method is called; a column has one name for both directions.
    pub label: String,
    /// The contrast that went in.
    pub source: Contrast,
    /// The contrast that came out.
    pub target: Contrast,
    /// The scores of each study.
    pub studies: Vec<StudyScore>,
}

/// What is scored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Region {
    /// Whole slices, background included.
    Whole,
    /// The brain alone.
    Brain,
    /// The brain alone, after the one factor and offset that bring the synthetic volume nearest to the real one.
    FittedBrain,
}

impl Region {
    /// All, in the order of the tables.
    pub const ALL: [Self; 3] = [Self::Whole, Self::Brain, Self::FittedBrain];

    /// What is written above a table.
    pub fn title(self) -> &'static str {
        match self {
            Self::Whole => "Whole slices (of the brain's box and a margin)",
            Self::Brain => "Inside the brain",
            Self::FittedBrain => {
                "Inside the brain, after one factor and one offset a volume (least squares), \
                 which a tool that normalizes its input does not see"
            }
        }
    }

    fn of(self, study: &StudyScore) -> Similarity {
        match self {
            Self::Whole => study.direct.whole,
            Self::Brain => study.direct.brain,
            Self::FittedBrain => study.fitted.brain,
        }
    }
}

/// A measure: its name, its decimals in the paper, and how to get it.
type Measure = (&'static str, usize, fn(&Similarity) -> f64);
const MEASURES: [Measure; 3] = [
    ("PSNR (dB)", 2, |similarity| similarity.psnr),
    ("SSIM", 3, |similarity| similarity.ssim),
    ("MAE", 3, |similarity| similarity.mae),
];

/// What one method scored in one direction, by one measure, in one region.
#[derive(Clone, Debug, Serialize)]
pub struct Mean {
    /// The method's column.
    pub label: String,
    /// The contrast that went in.
    pub source: Contrast,
    /// The contrast that came out.
    pub target: Contrast,
    /// Where.
    pub region: Region,
    /// What was measured, with its unit.
    pub measure: &'static str,
    /// The mean over persons.
    pub interval: Interval,
    #[serde(skip)]
    decimals: usize,
}

/// The means over persons of everything; a person's studies are averaged first.
///
/// # Errors
/// [`Error::Data`] if a method has no study, or a score that is no number.
pub fn means(scored: &[Scored]) -> Result<Vec<Mean>, Error> {
    let mut means = Vec::new();
    for one in scored {
        for region in Region::ALL {
            for (measure, decimals, value) in MEASURES {
                means.push(Mean {
                    label: one.label.clone(),
                    source: one.source,
                    target: one.target,
                    region,
                    measure,
                    interval: over_persons(&one.studies, |study| value(&region.of(study)))?,
                    decimals,
                });
            }
        }
    }
    Ok(means)
}

fn over_persons(studies: &[StudyScore], value: impl Fn(&StudyScore) -> f64) -> Result<Interval, Error> {
    let mut persons: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for study in studies {
        persons.entry(&study.patient).or_default().push(value(study));
    }
    let means = persons.values().map(|values| values.iter().sum::<f64>() / values.len() as f64);
    Interval::of(&means.collect::<Vec<f64>>())
}

/// The tables, one a region: means [95 % intervals] over persons.
///
/// Columns stand in the order in which their labels first come; a method without a direction has a dash there.
pub fn draw(means: &[Mean]) -> String {
    Region::ALL.map(|region| table(means, region)).join("\n")
}

fn table(means: &[Mean], region: Region) -> String {
    let labels = in_order(means.iter().map(|mean| mean.label.as_str()));
    let names: Vec<String> = labels.iter().map(|label| escaped(label)).collect();
    let mut text = format!("**{}**\n\n", region.title());
    text += &format!("| Translation | Measure | {} |\n", names.join(" | "));
    text += &format!("|---|---|{}\n", "---|".repeat(labels.len()));
    let here = means.iter().filter(|mean| mean.region == region);
    for (source, target, measure) in in_order(here.map(|mean| (mean.source, mean.target, mean.measure))) {
        let row = (region, source, target, measure);
        let cells = labels.iter().map(|label| {
            let found = means.iter().find(|mean| mean.row() == row && mean.label == *label);
            found.map_or_else(|| "-".to_owned(), |mean| mean.interval.text(mean.decimals))
        });
        let cells: Vec<String> = cells.collect();
        text += &format!("| {source} to {target} | {measure} | {} |\n", cells.join(" | "));
    }
    text
}

impl Mean {
    fn row(&self) -> (Region, Contrast, Contrast, &str) {
        (self.region, self.source, self.target, self.measure)
    }
}

/// Each once, in the order in which they first come.
fn in_order<T: PartialEq>(all: impl Iterator<Item = T>) -> Vec<T> {
    let mut seen = Vec::new();
    for one in all {
        if !seen.contains(&one) {
            seen.push(one);
        }
    }
    seen
}

/// Text that cannot break out of its cell.
pub(crate) fn escaped(text: &str) -> String {
    text.replace('|', "\\|").replace(['\n', '\r'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use mrisynth::metrics::Score;

    fn study(patient: &str, psnr: f64) -> StudyScore {
        let of = |psnr| Similarity { psnr, ssim: psnr / 100.0, mae: 0.0123 };
        let score = |psnr| Score { slices: 9, whole: of(psnr + 1.0), brain: of(psnr) };
        StudyScore {
            id: format!("{patient}-{psnr}"),
            patient: patient.into(),
            direct: score(psnr),
            fitted: score(psnr + 2.0),
        }
    }

    fn scored(label: &str, source: Contrast, studies: Vec<StudyScore>) -> Scored {
        let target = if source == Contrast::T1w { Contrast::T2w } else { Contrast::T1w };
        Scored { label: label.into(), source, target, studies }
    }

    #[test]
    fn the_table_has_the_papers_form() {
        // Persons count, not studies: 20 and (24 + 28) / 2 = 26.
        let studies = vec![study("a", 20.0), study("b", 24.0), study("b", 28.0)];
        let all = [
            scored("CycleGAN", Contrast::T2w, studies.clone()),
            scored("CycleGAN", Contrast::T1w, studies[..1].to_vec()),
            scored("x|y", Contrast::T2w, studies[1..].to_vec()),
        ];
        let text = draw(&means(&all).unwrap());
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[2], "| Translation | Measure | CycleGAN | x\\|y |");
        assert_eq!(lines[3], "|---|---|---|---|");
        // t of one degree of freedom is 12.706, the standard error 3.
        assert_eq!(lines[4], "| T2w to T1w | PSNR (dB) | 24.00 [-14.12, 62.12] | 27.00 |");
        assert_eq!(lines[5], "| T2w to T1w | SSIM | 0.240 [-0.141, 0.621] | 0.270 |");
        assert_eq!(lines[7], "| T1w to T2w | PSNR (dB) | 21.00 | - |");
        assert!(lines[11].contains("Inside the brain") && lines[15].contains("23.00 [-15.12, 61.12]"));
        assert!(lines[26].contains("25.00"), "{}", lines[26]);
        assert_eq!(lines.len(), 32);
    }

    #[test]
    fn a_method_without_studies_is_an_error() {
        assert!(means(&[scored("a", Contrast::T2w, vec![])]).is_err());
    }
}
