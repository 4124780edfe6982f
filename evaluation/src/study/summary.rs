//! What a study found, cohort by cohort: every measure compared between methods, lesions and volumes of all subjects together.

use serde::Serialize;

use super::measure::{Kind, Measure, region_name};
use super::values::Values;
use super::{Case, Cohort, EvaluatedCase, Results, distinct};
use crate::lesions::counts;
use crate::lesions::sizes::SizeDistribution;
use crate::measured::Measured;
use crate::report::plots::bland_altman::Agreement;
use crate::statistics::equivalence::{Equivalence, Margins, equivalence};
use crate::statistics::{self, Comparison, Outcome, Settings, Stars};
use crate::volumes::labels::Region;
use crate::{Error, Result};

/// The column of the real image, where a measure has one; no method may have this name.
pub const REAL: &str = "real image";

/// How methods are compared.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Options {
    /// The tests' settings.
    pub statistics: Settings,
    /// The method that the stars of tables refer to; the first of each cohort if none is named.
    pub baseline: Option<String>,
    /// Volumes are equivalent where the mean difference is surely less than this, in percent.
    pub equivalence_margin_percent: f64,
}

impl Default for Options {
    /// The paper's level of significance, the first method, and 5 %: the paper gives no margin, and this one is ours.
    fn default() -> Self {
        Self { statistics: Settings::default(), baseline: None, equivalence_margin_percent: 5.0 }
    }
}

/// What was found of one cohort.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// Which.
    #[serde(flatten)]
    pub cohort: Cohort,
    /// Its subjects.
    pub subjects: Vec<String>,
    /// Its methods.
    pub methods: Vec<String>,
    /// The method that stars refer to.
    pub baseline: String,
    /// The measures that there are values of.
    pub measures: Vec<Compared>,
    /// Lesions of all subjects together, for each method with lesion masks.
    pub lesions: Vec<LesionTotals>,
    /// Volumes of real and synthetic images, for each region and method with label maps.
    pub volumes: Vec<VolumeAgreement>,
}

/// One measure, compared.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Compared {
    /// Its key.
    pub key: String,
    /// Which.
    #[serde(skip)]
    pub measure: Measure,
    /// Its comparison.
    pub comparison: Comparison,
}

impl Compared {
    /// The stars of the comparison of two columns.
    pub fn stars(&self, first: &str, second: &str) -> Stars {
        let is = |pair: &&statistics::Pair| {
            (pair.first == first && pair.second == second) || (pair.first == second && pair.second == first)
        };
        self.comparison.pairs.iter().find(is).map_or(Stars::None, |pair| pair.stars)
    }
}

/// Lesions of all subjects together.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LesionTotals {
    /// The method.
    pub method: String,
    /// Subjects with lesion masks of both images.
    pub subjects: usize,
    /// Lesions of real images.
    pub reference: usize,
    /// Lesions of synthetic images.
    pub synthetic: usize,
    /// Lesions of real images of which the synthetic one has no voxel.
    pub failed: usize,
    /// The variance of the numbers of lesions in synthetic images over that in real ones.
    pub count_variance_ratio: Measured<f64>,
    /// Lesions by size.
    pub sizes: SizeDistribution,
}

/// How far the volumes of one region agree.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct VolumeAgreement {
    /// The region.
    pub region: Region,
    /// The method.
    pub method: String,
    /// Each subject's volumes in millilitres: of the real image, of the synthetic one.
    pub pairs_ml: Vec<(f64, f64)>,
    /// Limits of agreement in millilitres; none of fewer than two subjects.
    pub agreement: Option<Agreement>,
    /// Whether the differences in percent are within the margins.
    pub equivalence: Outcome<Equivalence>,
}

impl VolumeAgreement {
    /// The region's name for readers.
    pub fn region_name(&self) -> &'static str {
        region_name(self.region)
    }
}

impl Options {
    /// Checks the options, before any work, against the methods of each cohort.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the margin is out of range, the baseline is no method of a cohort, or a method is called [`REAL`].
    pub fn check<'a>(&self, cases: impl Iterator<Item = &'a Case> + Clone) -> Result<()> {
        let margin = self.equivalence_margin_percent;
        if !(margin > 0.0 && margin < 100.0) {
            return Err(Error::Invalid(format!("a margin of {margin} %: it must be above 0 and below 100")));
        }
        for cohort in distinct(cases.clone().map(|case| &case.cohort)) {
            let of_cohort = cases.clone().filter(|case| case.cohort == *cohort);
            let methods = distinct(of_cohort.map(|case| case.method.as_str()));
            if methods.contains(&REAL) {
                let fault = format!("no method may be called {REAL:?}: that is the real image's column");
                return Err(Error::Invalid(fault));
            }
            if let Some(baseline) = self.baseline.as_deref().filter(|baseline| !methods.contains(baseline)) {
                let name = cohort.name();
                let of = if name.is_empty() { String::new() } else { format!(" of {name}") };
                let names = methods.join(", ");
                return Err(Error::Invalid(format!("the baseline {baseline:?} is no method{of}: {names}")));
            }
        }
        Ok(())
    }
}

/// Summarizes a study's results, a cohort each.
///
/// # Errors
/// Those of [`Options::check`].
pub fn summarize(results: &Results, options: &Options) -> Result<Vec<Summary>> {
    options.check(results.measured.iter().map(|measured| &measured.case))?;
    let values = Values::of(results)?;
    results.cohorts().into_iter().map(|cohort| of_cohort(results, &values, cohort, options)).collect()
}

fn of_cohort(results: &Results, values: &Values<'_>, cohort: &Cohort, options: &Options) -> Result<Summary> {
    let methods = values.methods(cohort);
    let baseline = options.baseline.clone().or_else(|| methods.first().cloned()).unwrap_or_default();
    let compare = |measure: Measure| {
        let table = values.table(cohort, &measure)?;
        let comparison = statistics::compare(&table, options.statistics)?;
        Ok(Compared { key: measure.key.clone(), measure, comparison })
    };
    let measures: Vec<Compared> = values.measures(cohort).into_iter().map(compare).collect::<Result<_>>()?;
    let measured: Vec<&EvaluatedCase> = results.of(cohort).collect();
    let has_volumes = measures.iter().any(|compared| compared.measure.kind == Kind::Volumes);
    Ok(Summary {
        cohort: cohort.clone(),
        subjects: values.subjects(cohort),
        lesions: methods
            .iter()
            .filter_map(|method| totals(&measured, method).transpose())
            .collect::<Result<_>>()?,
        volumes: if has_volumes { agreements(&measured, &methods, options) } else { Vec::new() },
        methods,
        baseline,
        measures,
    })
}

/// Lesions of one method; none without masks.
fn totals(measured: &[&EvaluatedCase], method: &str) -> Result<Option<LesionTotals>> {
    let of_method = measured.iter().filter(|measured| measured.case.method == method);
    let lesions = of_method.map(|measured| &measured.evaluation.lesions).filter_map(|lesions| {
        let sizes = lesions.lesion_sizes.as_ref()?;
        let counts = (lesions.lesion_count_reference?, lesions.lesion_count_synthetic?);
        Some((counts, lesions.failed_lesions?, sizes))
    });
    let lesions: Vec<_> = lesions.collect();
    let Some((_, _, first)) = lesions.first() else { return Ok(None) };
    let mut sizes = SizeDistribution {
        lower_bounds_mm3: first.lower_bounds_mm3.clone(),
        reference: vec![0; first.reference.len()],
        synthetic: vec![0; first.synthetic.len()],
    };
    for (_, _, of) in &lesions {
        let add = |to: &mut [usize], counts: &[usize]| {
            to.iter_mut().zip(counts).for_each(|(to, count)| *to += count)
        };
        add(&mut sizes.reference, &of.reference);
        add(&mut sizes.synthetic, &of.synthetic);
    }
    let (reference, synthetic): (Vec<usize>, Vec<usize>) =
        lesions.iter().map(|(counts, _, _)| *counts).unzip();
    Ok(Some(LesionTotals {
        method: method.to_owned(),
        subjects: lesions.len(),
        reference: reference.iter().sum(),
        synthetic: synthetic.iter().sum(),
        failed: lesions.iter().map(|(_, failed, _)| failed).sum(),
        count_variance_ratio: counts::variance_ratio(&reference, &synthetic)?,
        sizes,
    }))
}

/// Volumes of every region that there is, by every method.
fn agreements(measured: &[&EvaluatedCase], methods: &[String], options: &Options) -> Vec<VolumeAgreement> {
    let margin = options.equivalence_margin_percent;
    let volumes = measured.iter().filter_map(|measured| measured.evaluation.volumes.as_ref());
    let mut regions = distinct(volumes.flat_map(|volumes| volumes.keys().copied()));
    regions.sort_unstable();
    let mut agreements = Vec::new();
    for region in regions {
        for method in methods {
            let of_method = measured.iter().filter(|measured| measured.case.method == *method);
            let volumes =
                of_method.filter_map(|measured| measured.evaluation.volumes.as_ref()?.get(&region).copied());
            let volumes: Vec<_> = volumes.collect();
            let percent: Vec<f64> = volumes.iter().filter_map(|volume| volume.difference_percent).collect();
            let pairs_ml: Vec<_> =
                volumes.iter().map(|volume| (volume.reference_ml, volume.synthetic_ml)).collect();
            agreements.push(VolumeAgreement {
                region,
                method: method.clone(),
                agreement: Agreement::of(&pairs_ml).ok(),
                equivalence: equivalence(
                    &percent,
                    &vec![0.0; percent.len()],
                    Margins { low: -margin, high: margin },
                    options.statistics.significance,
                )
                .into(),
                pairs_ml,
            });
        }
    }
    agreements
}
