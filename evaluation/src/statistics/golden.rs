//! Every golden value of statistics, read from the shared file where it is there.

use serde_json::Value;

use super::testing::{assert_close, golden_groups, golden_groups_with_ties};
use super::*;

/// Relative tolerances: of what has a closed form, and of Tukey's p.
const CLOSED: f64 = 1e-6;
const TUKEY: f64 = 1e-3;

#[test]
fn the_golden_file_is_met() {
    let Some(golden) = crate::golden::read("stats.json") else { return };
    let groups = golden_groups();
    for (group, expected) in groups.iter().zip(array(&golden["g"])) {
        assert_all(group, expected, 1e-12);
    }
    descriptions(&golden, &groups);
    means(&golden, &groups);
    ranks(&golden, &groups);
    normal(&golden, &groups);
    pairs_of_groups(&golden, &groups);
    studentized(&golden);
}

fn descriptions(golden: &Value, groups: &[Vec<f64>; 4]) {
    for (place, group) in groups.iter().enumerate() {
        let interval = describe::t_interval(group, 0.95).unwrap();
        assert_all(&[interval.low, interval.high], &golden["t_ci95_mean"][place], CLOSED);
        let interval = describe::normal_interval(group, 0.95).unwrap();
        assert_all(&[interval.low, interval.high], &golden["normal_ci95_mean"][place], CLOSED);
        let found = [describe::mean(group).unwrap(), describe::standard_deviation(group).unwrap()];
        assert_all(&found, &golden["mean_sd"][place], CLOSED);
    }
    let percentiles = golden["percentile_linear_g1"].as_object().unwrap();
    assert!(!percentiles.is_empty());
    for (percent, expected) in percentiles {
        let found = describe::quantile(&groups[0], percent.parse::<f64>().unwrap() / 100.0).unwrap();
        assert_close(found, number(expected), CLOSED);
    }
}

fn means(golden: &Value, groups: &[Vec<f64>; 4]) {
    let found = anova::anova(groups).unwrap();
    assert_close(found.f, number(&golden["anova"]["F"]), CLOSED);
    assert_close(found.p, number(&golden["anova"]["p"]), CLOSED);
    assert_eq!(Some(found.freedom_between as u64), golden["anova"]["df1"].as_u64());
    assert_eq!(Some(found.freedom_within as u64), golden["anova"]["df2"].as_u64());
    let levene = anova::levene(groups).unwrap();
    assert_close(levene.f, number(&golden["levene_median"]["W"]), CLOSED);
    assert_close(levene.p, number(&golden["levene_median"]["p"]), CLOSED);
    let tukey = tukey::tukey(groups, &found, 0.95).unwrap();
    let (scipy, statsmodels) = (&golden["tukey_scipy"], &golden["tukey_statsmodels"]);
    assert_eq!(tukey.len(), array(&statsmodels["p"]).len());
    for (place, pair) in tukey.iter().enumerate() {
        let of = |key: &str| number(&scipy[key][pair.first][pair.second]);
        assert_close(pair.difference, of("statistic_mean_i_minus_j"), CLOSED);
        assert_close(pair.p, of("p"), TUKEY);
        assert_close(pair.interval.low, of("ci_low"), TUKEY);
        assert_close(pair.interval.high, of("ci_high"), TUKEY);
        assert_close(-pair.difference, number(&statsmodels["meandiffs_j_minus_i"][place]), CLOSED);
        assert_close(pair.p, number(&statsmodels["p"][place]), TUKEY);
        assert_all(&[-pair.interval.high, -pair.interval.low], &statsmodels["ci"][place], TUKEY);
    }
}

fn ranks(golden: &Value, groups: &[Vec<f64>; 4]) {
    let found = friedman::friedman(groups).unwrap();
    assert_close(found.chi_squared, number(&golden["friedman"]["chi2"]), CLOSED);
    assert_close(found.p, number(&golden["friedman"]["p"]), CLOSED);
    assert_close(found.kendall_w, number(&golden["friedman"]["kendall_W"]), CLOSED);
    assert_eq!(Some(found.freedom as u64), golden["friedman"]["df"].as_u64());
    let tied = &golden["friedman_with_ties_round1"];
    for (group, expected) in golden_groups_with_ties().iter().zip(array(&tied["groups"])) {
        assert_all(group, expected, 1e-12);
    }
    let found = friedman::friedman(&golden_groups_with_ties()).unwrap();
    assert_close(found.chi_squared, number(&tied["chi2"]), CLOSED);
    assert_close(found.p, number(&tied["p"]), CLOSED);
    let kruskal = kruskal::kruskal_wallis(groups).unwrap();
    assert_close(kruskal.h, number(&golden["kruskal"]["H"]), CLOSED);
    assert_close(kruskal.p, number(&golden["kruskal"]["p"]), CLOSED);
}

fn normal(golden: &Value, groups: &[Vec<f64>; 4]) {
    let squares: Vec<f64> = (0..20).map(|i| f64::from(i * i)).collect();
    let many: Vec<f64> = (0..200).map(|i| f64::from(i * 7919 % 1009) / 1008.0).collect();
    let samples: Vec<&[f64]> = groups.iter().chain([&squares, &many]).map(Vec::as_slice).collect();
    assert_eq!(samples.len(), array(&golden["shapiro"]).len());
    for (values, expected) in samples.iter().zip(array(&golden["shapiro"])) {
        let found = shapiro_wilk::shapiro_wilk(values).unwrap();
        assert_close(found.w, number(&expected["W"]), CLOSED);
        assert_close(found.p, number(&expected["p"]), CLOSED);
    }
    let found = dagostino::dagostino(&many).unwrap();
    assert_close(found.k_squared, number(&golden["dagostino_k2"][0]["K2"]), CLOSED);
    assert_close(found.p, number(&golden["dagostino_k2"][0]["p"]), CLOSED);
}

fn pairs_of_groups(golden: &Value, [first, second, third, _]: &[Vec<f64>; 4]) {
    let found = wilcoxon::wilcoxon(first, second).unwrap();
    assert_eq!(found.statistic, number(&golden["wilcoxon_g1_g2"]["stat"]));
    assert_close(found.p, number(&golden["wilcoxon_g1_g2"]["p"]), CLOSED);
    let found = paired_t::paired_t(first, second, 0.95).unwrap();
    assert_close(found.t, number(&golden["ttest_rel_g1_g2"]["t"]), CLOSED);
    assert_close(found.p, number(&golden["ttest_rel_g1_g2"]["p"]), CLOSED);
    let d = effect::cohen_d(third, first).unwrap();
    assert_close(d, number(&golden["cohen_d_pooled_g3_g1"]), CLOSED);
    assert_close(d, number(&golden["pingouin_d_unpaired_g3_g1"]), CLOSED);
    assert_close(effect::hedges_g(third, first).unwrap(), number(&golden["hedges_g3_g1"]), CLOSED);
    assert_close(effect::cohen_d_z(third, first).unwrap(), number(&golden["cohen_dz_g3_g1"]), CLOSED);
}

fn studentized(golden: &Value) {
    let (tails, quantiles) = (
        array(&golden["studentized_range"]["sf(q,k,df)"]),
        array(&golden["studentized_range"]["ppf(0.95,k,df)"]),
    );
    assert!(!tails.is_empty() && !quantiles.is_empty());
    for tail in tails {
        let found =
            studentized_range::above(number(&tail[0]), groups_of(&tail[1]), number(&tail[2])).unwrap();
        assert_close(found, number(&tail[3]), TUKEY);
    }
    for quantile in quantiles {
        let found = studentized_range::quantile(0.95, groups_of(&quantile[0]), number(&quantile[1])).unwrap();
        assert_close(found, number(&quantile[2]), TUKEY);
    }
}

fn array(value: &Value) -> &[Value] {
    value.as_array().expect("an array")
}

#[track_caller]
fn number(value: &Value) -> f64 {
    value.as_f64().expect("a number")
}

fn groups_of(value: &Value) -> usize {
    value.as_u64().expect("a count") as usize
}

#[track_caller]
fn assert_all(found: &[f64], expected: &Value, relative: f64) {
    assert_eq!(found.len(), array(expected).len());
    for (found, expected) in found.iter().zip(array(expected)) {
        assert_close(*found, number(expected), relative);
    }
}
