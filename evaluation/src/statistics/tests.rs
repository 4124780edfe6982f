//! Comparisons as a whole: the choice of tests, what is said of it, and tables that allow less.

use proptest::prelude::*;
use serde_json::Value;

use super::bootstrap::Resampling;
use super::choose::Test;
use super::comparison::PairedTest;
use super::testing::{assert_close, golden_groups};
use super::*;

/// Few bootstrap samples, so that tests are quick.
fn settings() -> Settings {
    Settings { resampling: Resampling { count: 50, seed: 1 }, ..Settings::default() }
}

/// A table of columns, one a method (A, B, ...); subjects are s1, s2, ...
fn table(columns: &[Vec<Option<f64>>]) -> Table {
    let subjects = columns.first().map_or(0, Vec::len);
    let rows = (0..subjects).map(|subject| columns.iter().map(|column| column[subject]).collect()).collect();
    let methods = ('A'..).take(columns.len()).map(String::from).collect();
    Table::new((1..=subjects).map(|n| format!("s{n}")).collect(), methods, rows).unwrap()
}

fn full(columns: &[Vec<f64>]) -> Table {
    table(&columns.iter().map(|column| column.iter().copied().map(Some).collect()).collect::<Vec<_>>())
}

fn comparison(columns: &[Vec<f64>]) -> Comparison {
    compare(&full(columns), settings()).unwrap()
}

#[track_caller]
fn assert_says(comparison: &Comparison, sentence: &str) {
    assert!(
        comparison.explanation.iter().any(|said| said == sentence),
        "not said: {sentence}\nbut:\n{comparison}"
    );
}

#[track_caller]
fn reason(comparison: &Comparison) -> &str {
    match &comparison.test {
        Test::Absent { reason } => reason,
        test => panic!("there is a test: {test:?}"),
    }
}

#[test]
fn normal_methods_are_compared_by_anova_and_tukey() {
    let comparison = comparison(&golden_groups());
    let Test::Anova { result, tukey, repeated, .. } = &comparison.test else {
        panic!("{:?}", comparison.test)
    };
    assert_close(result.p, 0.00012490897044364327, 1e-6);
    assert_close(repeated.value().unwrap().p_corrected, 7.922585231773214e-10, 1e-6);
    let names: Vec<String> =
        comparison.pairs.iter().map(|pair| format!("{}{}", pair.first, pair.second)).collect();
    assert_eq!(names, ["AB", "AC", "AD", "BC", "BD", "CD"]);
    for (pair, tukey) in comparison.pairs.iter().zip(tukey) {
        assert_eq!(pair.p.value(), Some(&tukey.p));
        assert_close(pair.mean_difference, tukey.difference, 1e-9);
        assert!(matches!(pair.paired_test.value(), Some(PairedTest::PairedT(_))));
    }
    let stars: Vec<&str> = comparison.pairs.iter().map(|pair| pair.stars.text()).collect();
    assert_eq!(stars, ["", "***", "", "*", "", "***"]);
    // Of the paired t-tests' p, which scipy.stats.ttest_rel gives, the one of AB times 6 less those that are smaller.
    let [first, second, ..] = golden_groups();
    let alone = paired_t::paired_t(&first, &second, 0.95).unwrap().p;
    let smaller = comparison
        .pairs
        .iter()
        .filter(|pair| matches!(pair.paired_test.value(), Some(PairedTest::PairedT(test)) if test.p < alone))
        .count();
    assert_close(*comparison.pairs[0].p_paired.value().unwrap(), alone * (6 - smaller) as f64, 1e-9);
    assert_says(&comparison, "14 subjects with a value of each of 4 methods: A, B, C, D.");
    assert_says(
        &comparison,
        "Shapiro-Wilk finds no departure from a normal distribution in any method (A: p = 0.1698, B: p = 0.0939, \
         C: p = 0.2358, D: p = 0.1435), so: one-way ANOVA, then Tukey's comparison of all pairs.",
    );
    assert_says(
        &comparison,
        "One-way ANOVA: F(3, 52) = 8.353, p < 0.001, eta squared 0.325: the methods differ in mean.",
    );
    assert_says(
        &comparison,
        "That ANOVA takes the methods for independent groups, as the paper's does; with the subjects as repeated measures: \
         F(3, 39) = 100.184, p < 0.001 (Greenhouse-Geisser epsilon 0.476).",
    );
}

#[test]
fn what_differs_between_subjects_may_hide_a_difference_from_the_papers_anova() {
    let subjects = [10.0, 20.0, 30.0, 42.0, 55.0];
    let noise = [0.1, -0.2, 0.15, 0.05, -0.1];
    let column = |shift: f64, turn: usize| -> Vec<f64> {
        subjects.iter().enumerate().map(|(at, subject)| subject + shift + noise[(at + turn) % 5]).collect()
    };
    let comparison = comparison(&[column(0.0, 0), column(1.0, 1), column(2.0, 2)]);
    assert!(
        comparison.explanation.iter().any(|said| said.contains("no difference is shown")),
        "{comparison}"
    );
    assert!(comparison.explanation.iter().any(|said| said.contains("The two do not agree")), "{comparison}");
    assert_says(&comparison, "Of 5 subjects only gross departures from a normal distribution are found.");
    // Tukey's comparison of independent groups sees nothing, the paired one does.
    assert_eq!(comparison.pairs[1].stars, Stars::None);
    assert!(*comparison.pairs[1].p_paired.value().unwrap() < 0.001);
}

#[test]
fn unequal_spread_is_said() {
    let narrow: Vec<f64> = (0..12).map(|n| 5.0 + 0.01 * f64::from(n)).collect();
    let wide: Vec<f64> = (0..12).map(|n| 5.0 + f64::from(n * 5 % 12)).collect();
    let other: Vec<f64> = (0..12).map(|n| 4.0 + 0.01 * f64::from(n * 7 % 12)).collect();
    let comparison = comparison(&[narrow, wide, other]);
    assert!(comparison.explanation.iter().any(|said| said.starts_with("Levene's test finds unequal spread")));
}

#[test]
fn methods_that_are_not_normal_are_compared_by_friedman_and_wilcoxon() {
    let [first, second, third, _] = golden_groups();
    let mut skewed = second;
    skewed[0] += 40.0;
    let comparison = comparison(&[first, skewed, third]);
    let Test::Friedman { result, mean_ranks } = &comparison.test else { panic!("{:?}", comparison.test) };
    assert_eq!((result.freedom, mean_ranks.len()), (2, 3));
    let alone: Vec<f64> = comparison
        .pairs
        .iter()
        .map(|pair| match pair.paired_test.value() {
            Some(PairedTest::Wilcoxon(test)) => test.p,
            test => panic!("{test:?}"),
        })
        .collect();
    let adjusted: Vec<f64> = comparison.pairs.iter().map(|pair| *pair.p.value().unwrap()).collect();
    assert_eq!(adjusted, adjust::holm(&alone).unwrap());
    assert_eq!(
        comparison.explanation[1],
        "Shapiro-Wilk finds a departure from a normal distribution in B (p < 0.001), so: Friedman's test, then Wilcoxon's \
         signed-rank test of each pair, adjusted by Holm."
    );
}

#[test]
fn a_constant_method_is_not_normal() {
    let [first, second, ..] = golden_groups();
    let comparison = comparison(&[first, second, vec![1.0; 14]]);
    assert!(matches!(comparison.test, Test::Friedman { .. }));
    assert_eq!(comparison.groups[2].normality.reason(), Some(&Undefined::Constant));
    assert_eq!(
        comparison.explanation[1],
        "Tests of normality are not defined of C (all values are equal), so: Friedman's test, then Wilcoxon's signed-rank \
         test of each pair, adjusted by Holm."
    );
    assert_eq!(comparison.pairs[1].cohen_d.value().map(|d| *d > 10.0), Some(true));
}

#[test]
fn two_equal_methods_have_no_p_and_count_as_one_test() {
    let [first, ..] = golden_groups();
    let mut other = first.clone();
    other
        .iter_mut()
        .enumerate()
        .for_each(|(at, value)| *value += if at == 0 { 50.0 } else { 1.0 + at as f64 });
    let comparison = comparison(&[first.clone(), first, other]);
    assert_eq!(comparison.pairs[0].p.reason(), Some(&Undefined::NoDifference));
    assert_eq!(comparison.pairs[0].stars, Stars::None);
    assert_eq!(comparison.pairs[0].cohen_d_z.reason(), Some(&Undefined::ConstantDifference(0.0)));
    // The two others: p = 2 / 2^14 alone, times 3.
    assert_close(*comparison.pairs[1].p.value().unwrap(), 3.0 / 8192.0, 1e-12);
}

#[test]
fn two_methods_are_compared_by_their_differences() {
    let [first, second, ..] = golden_groups();
    let comparison = comparison(&[first.clone(), second.clone()]);
    let Test::PairedT { normality, result } = &comparison.test else { panic!("{:?}", comparison.test) };
    let differences: Vec<f64> = first.iter().zip(&second).map(|(a, b)| a - b).collect();
    assert_eq!(*normality, normality::normality(&differences).unwrap());
    assert_close(result.p, 5.46895032112272e-06, 1e-6);
    assert_eq!(comparison.pairs[0].p.value(), Some(&result.p));
    assert!(comparison.explanation[1].ends_with("so: the paired t-test."), "{comparison}");
    assert_says(&comparison, "Paired t-test: t(13) = -7.364, p < 0.001: the methods differ in mean.");
}

#[test]
fn two_methods_with_an_outlier_are_compared_by_ranks() {
    let [first, mut second, ..] = golden_groups();
    second[3] += 20.0;
    let comparison = comparison(&[first, second]);
    assert!(matches!(comparison.test, Test::Wilcoxon { .. }));
    assert_says(
        &comparison,
        "Wilcoxon's signed-rank test: rank sum 0 of 14 pairs that differ, p < 0.001 (exact): the methods differ.",
    );
}

#[test]
fn a_shift_that_all_share_is_compared_by_ranks() {
    let [first, ..] = golden_groups();
    let shifted = first.iter().map(|value| value + 0.35).collect();
    let comparison = comparison(&[first, shifted]);
    let Test::Wilcoxon { normality, result } = &comparison.test else { panic!("{:?}", comparison.test) };
    assert!(matches!(normality.reason(), Some(Undefined::ConstantDifference(_))));
    assert!(result.p < 0.001);
}

#[test]
fn methods_without_any_difference_have_no_test() {
    let same = vec![0.5, 0.6, 0.9, 0.7];
    assert_eq!(reason(&comparison(&[same.clone(), same.clone()])), "there is no difference in any pair");
    let constant = vec![1.0; 4];
    let all = comparison(&[constant.clone(), constant.clone(), constant]);
    assert_eq!(reason(&all), "no subject's values differ, so that there are no ranks to compare");
    assert_eq!(all.pairs.len(), 3);
    assert_eq!(all.pairs[0].mean_difference, 0.0);
    assert!(all.pairs[0].p.reason().is_some());
}

#[test]
fn one_subject_is_described_and_not_tested() {
    let comparison = comparison(&[vec![30.0], vec![31.0], vec![29.0]]);
    assert_eq!(
        reason(&comparison),
        "one subject only has a value of every method, and tests need at least 3"
    );
    assert_eq!(
        comparison.to_string(),
        "1 subject with a value of each of 3 methods: A, B, C.\n\
         No test: one subject only has a value of every method, and tests need at least 3."
    );
    assert_eq!(comparison.groups[0].compared.value().unwrap().mean, 30.0);
    assert_eq!(comparison.pairs[0].mean_difference, -1.0);
    let few = Undefined::TooFew { found: 1, least: 2 };
    assert_eq!(comparison.pairs[0].t_interval.reason(), Some(&few));
    assert_eq!(comparison.pairs[0].p.reason(), Some(&Undefined::Untested(reason(&comparison).into())));
}

#[test]
fn two_subjects_have_intervals_and_no_test() {
    let comparison = comparison(&[vec![30.0, 31.0], vec![31.0, 33.0]]);
    assert_eq!(
        reason(&comparison),
        "only 2 subjects have a value of every method, and tests need at least 3"
    );
    assert!(comparison.pairs[0].t_interval.value().is_some());
}

#[test]
fn few_subjects_are_told_what_is_out_of_reach() {
    // Three methods, one of them constant: ranks. 3 * 2 / 2^5 > 0.05
    let rising: Vec<f64> = (0..5).map(f64::from).collect();
    let steeper: Vec<f64> = (0..5).map(|n| 10.0 + 2.0 * f64::from(n)).collect();
    let comparison = comparison(&[vec![-1.0; 5], rising, steeper]);
    assert_says(&comparison, "Of 5 subjects Friedman's p is coarse.");
    assert_says(
        &comparison,
        "Of 5 subjects no pair can reach p <= 0.05 by Wilcoxon's test, however large the difference.",
    );
    assert!(comparison.pairs.iter().all(|pair| *pair.p.value().unwrap() > 0.05));
}

#[test]
fn subjects_without_a_value_are_left_out_and_named() {
    let mut columns: Vec<Vec<Option<f64>>> =
        golden_groups().iter().map(|group| group.iter().copied().map(Some).collect()).collect();
    columns[1][2] = None;
    columns[0][6] = None;
    columns[3][6] = None;
    columns.push(vec![None; 14]);
    let found = compare(&table(&columns), settings()).unwrap();
    assert_says(&found, "12 subjects with a value of each of 4 methods: A, B, C, D.");
    assert_says(
        &found,
        "Left out of tests and pairs, which need every method's value: s3 (no B), s7 (no A, D).",
    );
    assert_says(&found, "Not compared, there being no value of any subject: E.");
    assert_eq!(found.groups[0].available.value().unwrap().count, 13);
    assert_eq!(found.groups[2].available.value().unwrap().count, 14);
    assert_eq!(found.groups[2].compared.value().unwrap().count, 12);
    assert_eq!(found.groups[4].available.reason(), Some(&Undefined::TooFew { found: 0, least: 1 }));
    // The same as if those subjects and that method had never been there.
    let kept: Vec<Vec<f64>> = golden_groups()
        .iter()
        .map(|group| {
            group.iter().enumerate().filter(|(at, _)| ![2, 6].contains(at)).map(|(_, value)| *value).collect()
        })
        .collect();
    let without = comparison(&kept);
    assert_eq!((found.test, found.pairs), (without.test, without.pairs));
}

#[test]
fn tables_without_pairs_say_so() {
    assert_eq!(reason(&comparison(&[])), "no method has any value");
    assert_eq!(reason(&comparison(&[vec![1.0, 2.0, 3.0]])), "A is the only method that has values");
    let crossed = table(&[vec![Some(1.0), None], vec![None, Some(2.0)]]);
    let crossed = compare(&crossed, settings()).unwrap();
    assert_eq!(reason(&crossed), "no subject has a value of every method, and tests need at least 3");
    assert!(crossed.pairs.is_empty());
    assert_eq!(crossed.groups[0].available.value().unwrap().count, 1);
}

#[test]
fn many_names_are_counted() {
    let columns: Vec<Vec<Option<f64>>> = (0..2)
        .map(|method| {
            (0..40)
                .map(|n: i32| (method == 0 || n < 20).then(|| f64::from(n * n % 17 + method * n % 5)))
                .collect()
        })
        .collect();
    let found = compare(&table(&columns), settings()).unwrap();
    assert_eq!(found.left_out.len(), 20);
    assert!(found.explanation[1].ends_with("s32 (no B) and 8 more."), "{found}");
}

#[test]
fn settings_outside_their_ranges_are_refused() {
    let table = full(&[vec![1.0, 2.0], vec![2.0, 3.0]]);
    let fault = |settings| compare(&table, settings).unwrap_err().to_string();
    assert!(fault(Settings { significance: 0.0, ..settings() }).contains("significance"));
    assert!(fault(Settings { significance: f64::NAN, ..settings() }).contains("significance"));
    assert!(fault(Settings { confidence: 95.0, ..settings() }).contains("confidence"));
    let none = Resampling { count: 0, seed: 0 };
    assert!(fault(Settings { resampling: none, ..settings() }).contains("samples"));
}

#[test]
fn results_are_plain_json() {
    let json = serde_json::to_value(comparison(&golden_groups())).unwrap();
    assert_eq!(json["test"]["name"], "anova");
    assert_eq!(json["pairs"][1]["stars"], "***");
    assert_eq!(json["groups"][0]["normality"]["test"], "shapiro_wilk");
    assert!(json["pairs"][1]["cohen_d_z"].is_f64());
    let absent = serde_json::to_value(comparison(&[vec![1.0], vec![2.0]])).unwrap();
    assert_eq!(absent["test"]["name"], "absent");
    let reason = "too few values: 1, and at least 2 are needed";
    assert_eq!(absent["pairs"][0]["t_interval"]["undefined"], reason);
}

/// Whether nothing is `null`, which is what JSON makes of a NaN or an infinity.
fn without_null(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Array(values) => values.iter().all(without_null),
        Value::Object(values) => values.values().all(without_null),
        _ => true,
    }
}

/// Values as they come: gaps, few distinct ones (ties, constant columns), rounding, wide ranges.
fn any_value() -> impl Strategy<Value = Option<f64>> {
    prop_oneof![
        1 => Just(None),
        4 => (0..3_i32).prop_map(|value| Some(f64::from(value))),
        2 => (0..3_i32).prop_map(|value| Some(0.1 * f64::from(value) + 0.2)),
        4 => (-50.0..50.0_f64).prop_map(Some),
        1 => prop_oneof![Just(1e40), Just(-1e40), Just(1e-40), Just(-0.0), Just(1e20)].prop_map(Some),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_ever_not_a_number(
        columns in (0..5_usize, 0..9_usize).prop_flat_map(|(methods, subjects)| {
            prop::collection::vec(prop::collection::vec(any_value(), subjects), methods)
        }),
        settled in any::<bool>(),
    ) {
        // Half of the tables without gaps, so that tests are made of them.
        let columns: Vec<Vec<Option<f64>>> = columns
            .into_iter()
            .map(|column| column.into_iter().map(|value| if settled { value.or(Some(1.5)) } else { value }).collect())
            .collect();
        let found = compare(&table(&columns), settings()).unwrap();
        let json = serde_json::to_value(&found).unwrap();
        prop_assert!(without_null(&json), "{}", json);
        prop_assert!(!found.to_string().contains("NaN") && !found.to_string().contains("inf"), "{}", found);
        for pair in &found.pairs {
            for p in [pair.p.value(), pair.p_paired.value()].into_iter().flatten() {
                prop_assert!((0.0..=1.0).contains(p), "{:?}", pair);
            }
        }
    }
}
