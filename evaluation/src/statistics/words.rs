//! What was chosen, why, and what was found: in words.

use super::anova::Anova;
use super::choose::{Test, may_be_normal};
use super::comparison::{Comparison, Group};
use super::friedman::Friedman;
use super::normality::Normality;
use super::repeated_anova::RepeatedAnova;
use super::significance::p_text;
use super::undefined::Outcome;
use super::wilcoxon::{Method, Wilcoxon};

/// Names that are listed one by one; the others are counted.
const MOST_NAMES: usize = 12;
/// Subjects below which tests of normality and the chi-squared approximation are coarse.
const FEW: usize = 10;

/// The sentences about a comparison: which subjects, which test and why, what it found, and what to mind.
pub(super) fn explain(comparison: &Comparison) -> Vec<String> {
    let mut sentences = vec![who(comparison)];
    sentences.extend(missing(comparison));
    match &comparison.test {
        Test::Absent { reason } => sentences.push(format!("No test: {reason}.")),
        Test::PairedT { normality, result } => {
            sentences.push(format!(
                "{} finds no departure from a normal distribution in the differences (p {}), so: the paired t-test.",
                normality.name(),
                p_text(normality.p())
            ));
            sentences.extend(few_for_normality(comparison));
            let finding = finding(comparison, result.p, "the methods differ in mean");
            sentences.push(format!(
                "Paired t-test: t({}) = {:.3}, p {}: {finding}.",
                result.freedom,
                result.t,
                p_text(result.p)
            ));
        }
        Test::Wilcoxon { normality, result } => {
            let reason = not_normal(std::iter::once(("the differences", normality)));
            sentences.push(format!("{reason}, so: Wilcoxon's signed-rank test."));
            sentences.push(of_wilcoxon(comparison, result));
            sentences.extend(out_of_reach(comparison));
        }
        Test::Anova { result, levene, repeated, .. } => {
            sentences.push(all_normal(comparison));
            sentences.extend(few_for_normality(comparison));
            sentences.push(of_anova(comparison, result));
            sentences.extend(unequal_spread(comparison, levene));
            sentences.push(of_repeated(comparison, result, repeated));
        }
        Test::Friedman { result, .. } => {
            sentences.push(some_not_normal(comparison));
            sentences.push(of_friedman(comparison, result));
            sentences.extend(few_for_friedman(comparison));
            sentences.extend(out_of_reach(comparison));
        }
    }
    sentences
}

/// How many subjects are compared, and which methods.
fn who(comparison: &Comparison) -> String {
    let subjects = match comparison.subjects.len() {
        0 => "No subject".into(),
        1 => "1 subject".into(),
        count => format!("{count} subjects"),
    };
    match comparison.methods.as_slice() {
        [] => format!("{subjects} with a value."),
        [method] => format!("{subjects} with a value of {method}."),
        methods => {
            format!("{subjects} with a value of each of {} methods: {}.", methods.len(), list(methods))
        }
    }
}

/// The subjects and methods that are left out.
fn missing(comparison: &Comparison) -> Vec<String> {
    let mut sentences = Vec::new();
    if !comparison.left_out.is_empty() {
        let named: Vec<String> = comparison
            .left_out
            .iter()
            .map(|out| format!("{} (no {})", out.subject, out.missing.join(", ")))
            .collect();
        sentences
            .push(format!("Left out of tests and pairs, which need every method's value: {}.", list(&named)));
    }
    if !comparison.methods_left_out.is_empty() {
        let named = list(&comparison.methods_left_out);
        sentences.push(format!("Not compared, there being no value of any subject: {named}."));
    }
    sentences
}

/// That all methods may be normal.
fn all_normal(comparison: &Comparison) -> String {
    let tests: Vec<(&str, &Normality)> = compared_groups(comparison)
        .filter_map(|group| Some((group.method.as_str(), group.normality.value()?)))
        .collect();
    let name = tests.first().map_or("", |(_, test)| test.name());
    let values: Vec<String> =
        tests.iter().map(|(method, test)| format!("{method}: p {}", p_text(test.p()))).collect();
    format!(
        "{name} finds no departure from a normal distribution in any method ({}), so: one-way ANOVA, then Tukey's \
         comparison of all pairs.",
        list(&values)
    )
}

/// Which methods are not normal.
fn some_not_normal(comparison: &Comparison) -> String {
    let level = comparison.settings.significance;
    let groups = compared_groups(comparison).filter(|group| !may_be_normal(&group.normality, level));
    let reasons = not_normal(groups.map(|group| (group.method.as_str(), &group.normality)));
    format!(
        "{reasons}, so: Friedman's test, then Wilcoxon's signed-rank test of each pair, adjusted by Holm."
    )
}

/// Why these do not count as normal.
fn not_normal<'a>(tests: impl Iterator<Item = (&'a str, &'a Outcome<Normality>)>) -> String {
    let (mut name, mut departing, mut undefined) = ("", Vec::new(), Vec::new());
    for (what, normality) in tests {
        match normality {
            Outcome::Value(test) => {
                name = test.name();
                departing.push(format!("{what} (p {})", p_text(test.p())));
            }
            Outcome::Undefined { undefined: reason } => undefined.push(format!("{what} ({reason})")),
        }
    }
    let departing = (!departing.is_empty())
        .then(|| format!("{name} finds a departure from a normal distribution in {}", list(&departing)));
    let undefined = (!undefined.is_empty())
        .then(|| format!("Tests of normality are not defined of {}", list(&undefined)));
    [departing, undefined].into_iter().flatten().collect::<Vec<_>>().join("; ")
}

/// What the analysis of variance found.
fn of_anova(comparison: &Comparison, result: &Anova) -> String {
    format!(
        "One-way ANOVA: F({}, {}) = {:.3}, p {}, eta squared {:.3}: {}.",
        result.freedom_between,
        result.freedom_within,
        result.f,
        p_text(result.p),
        result.eta_squared,
        finding(comparison, result.p, "the methods differ in mean")
    )
}

/// That the spread, which the analysis of variance assumes to be equal, is not.
fn unequal_spread(comparison: &Comparison, levene: &Outcome<Anova>) -> Option<String> {
    let p = levene.value()?.p;
    (p <= comparison.settings.significance).then(|| {
        format!(
            "Levene's test finds unequal spread (p {}), which ANOVA and Tukey assume to be equal.",
            p_text(p)
        )
    })
}

/// What the analysis of repeated measures found, and whether the two agree.
fn of_repeated(comparison: &Comparison, plain: &Anova, repeated: &Outcome<RepeatedAnova>) -> String {
    let introduction = "That ANOVA takes the methods for independent groups, as the paper's does; with the subjects as \
                        repeated measures";
    match repeated {
        Outcome::Undefined { undefined } => format!("{introduction} it is not defined: {undefined}."),
        Outcome::Value(repeated) => {
            let level = comparison.settings.significance;
            let agreement = if (plain.p <= level) == (repeated.p_corrected <= level) {
                ""
            } else {
                ". The two do not agree: only the latter takes out what differs between subjects"
            };
            format!(
                "{introduction}: F({}, {}) = {:.3}, p {} (Greenhouse-Geisser epsilon {:.3}){agreement}.",
                repeated.freedom_between,
                repeated.freedom_error,
                repeated.f,
                p_text(repeated.p_corrected),
                repeated.epsilon
            )
        }
    }
}

/// What Friedman's test found.
fn of_friedman(comparison: &Comparison, result: &Friedman) -> String {
    format!(
        "Friedman's test: chi-squared({}) = {:.3}, p {}, Kendall's W {:.3}: {}.",
        result.freedom,
        result.chi_squared,
        p_text(result.p),
        result.kendall_w,
        finding(comparison, result.p, "the methods differ in rank")
    )
}

/// What Wilcoxon's test found.
fn of_wilcoxon(comparison: &Comparison, result: &Wilcoxon) -> String {
    let method = match result.method {
        Method::Exact => "exact",
        Method::Normal => "normal approximation",
    };
    format!(
        "Wilcoxon's signed-rank test: rank sum {} of {} pairs that differ, p {} ({method}): {}.",
        result.statistic,
        result.count,
        p_text(result.p),
        finding(comparison, result.p, "the methods differ")
    )
}

/// What a p-value says.
fn finding(comparison: &Comparison, p: f64, difference: &'static str) -> &'static str {
    if p <= comparison.settings.significance { difference } else { "no difference is shown" }
}

/// That a test of normality has little to go by.
fn few_for_normality(comparison: &Comparison) -> Option<String> {
    let count = comparison.subjects.len();
    (count < FEW)
        .then(|| format!("Of {count} subjects only gross departures from a normal distribution are found."))
}

/// That the chi-squared distribution is coarse.
fn few_for_friedman(comparison: &Comparison) -> Option<String> {
    let count = comparison.subjects.len();
    (count < FEW).then(|| format!("Of {count} subjects Friedman's p is coarse."))
}

/// That no pair can be significant by Wilcoxon's test, whatever its values: the least p is that of all signs being alike.
fn out_of_reach(comparison: &Comparison) -> Option<String> {
    let (count, level) = (comparison.subjects.len(), comparison.settings.significance);
    let least = comparison.pairs.len() as f64 * 0.5_f64.powi(count as i32 - 1);
    (least > level).then(|| {
        format!("Of {count} subjects no pair can reach p <= {level} by Wilcoxon's test, however large the difference.")
    })
}

/// The groups that are compared.
fn compared_groups(comparison: &Comparison) -> impl Iterator<Item = &Group> {
    comparison.groups.iter().filter(|group| comparison.methods.contains(&group.method))
}

/// Items with commas, and how many more there are.
fn list(items: &[String]) -> String {
    match items.split_at_checked(MOST_NAMES) {
        Some((shown, more)) if !more.is_empty() => format!("{} and {} more", shown.join(", "), more.len()),
        _ => items.join(", "),
    }
}
