//! An evaluation as a reader sees it: a table for each kind of measure, and why some are not there.

use std::collections::BTreeMap;

use mrisynth_evaluation::pair::BrainSource;
use mrisynth_evaluation::pair::measures::VolumeMeasures;

use super::Report;
use crate::report::one_line;

/// What stands for a value that there is none of.
const NONE: &str = "-";

/// The whole text, without a line break at its end.
pub fn of(report: &Report) -> String {
    let mut parts = vec![about(report), images(report)];
    parts.extend(lesions(report));
    parts.extend(textures(report));
    parts.extend(volumes(report));
    parts.extend(reasons(report));
    parts.join("\n\n")
}

fn about(report: &Report) -> String {
    let evaluation = &report.evaluation;
    let brain = match evaluation.brain {
        BrainSource::Mask => report.mask.clone().unwrap_or_default(),
        BrainSource::ReferenceAboveZero => "where the real image is above 0".into(),
    };
    let [i, j, k] = evaluation.dims;
    let [x, y, z] = evaluation.voxel_sizes_mm;
    let mut lines = vec![
        format!("real image       {}", report.reference),
        format!("synthetic image  {}", report.synthetic),
        format!("grid             {i} x {j} x {k} voxels of {x:.3} x {y:.3} x {z:.3} mm"),
        format!(
            "brain            {brain}: {:.1} ml, {} axial slices with at least {} % of it",
            evaluation.brain_ml,
            evaluation.fidelity.slices,
            100.0 * evaluation.settings.least_brain_share
        ),
        format!("data range       {}", evaluation.data_range),
    ];
    if evaluation.normalize {
        lines.push("normalized       the real image's 99.5th percentile in the brain is 1".into());
    }
    if evaluation.fit {
        let (factor, offset) = (evaluation.fit_factor, evaluation.fit_offset);
        lines.push(format!("fit              synthetic image times {factor:.5} plus {offset:.5}"));
    }
    lines.iter().map(|line| one_line(line)).collect::<Vec<_>>().join("\n")
}

fn images(report: &Report) -> String {
    let fidelity = &report.evaluation.fidelity;
    let row = |name: &str, whole: Option<f64>, brain: Option<f64>| {
        (name.to_owned(), vec![number(whole), number(brain)])
    };
    let rows = [
        row("PSNR (dB)", Some(fidelity.psnr), Some(fidelity.psnr_brain)),
        row("SSIM, 7 x 7 window", Some(fidelity.ssim), Some(fidelity.ssim_brain)),
        row("SSIM, Gaussian window", Some(fidelity.ssim_gaussian), Some(fidelity.ssim_gaussian_brain)),
        row("MAE", Some(fidelity.mae), Some(fidelity.mae_brain)),
        row("Laplacian energy, ratio", fidelity.laplacian_ratio, fidelity.laplacian_ratio_brain),
        row("MAE of gradients", Some(fidelity.gradient_mae), Some(fidelity.gradient_mae_brain)),
    ];
    section("Images", &["whole slices", "brain"], &rows)
}

fn lesions(report: &Report) -> Option<String> {
    let lesions = &report.evaluation.lesions;
    report.lesions_synthetic.as_ref()?;
    let one = |name: &str, value: Option<f64>| (name.to_owned(), vec![number(value)]);
    let agreement = section(
        "Lesions",
        &[""],
        &[
            one("Dice", lesions.dice),
            one("HD95 (mm)", lesions.hd95),
            one("HD95, larger directed (mm)", lesions.hd95_larger),
            one("Hausdorff distance (mm)", lesions.hausdorff),
            one("average surface distance (mm)", lesions.assd),
        ],
    );
    let two = |name: &str, first, second| (name.to_owned(), vec![number(first), number(second)]);
    let found = section(
        "Lesions found",
        &["any overlap", "strict"],
        &[
            two("F1", lesions.lesion_f1, lesions.lesion_f1_strict),
            two("precision", lesions.lesion_precision, lesions.lesion_precision_strict),
            two("sensitivity", lesions.lesion_sensitivity, lesions.lesion_sensitivity_strict),
        ],
    );
    let count = |value: Option<usize>| value.map_or(NONE.into(), |count| count.to_string());
    let sizes = section(
        "Lesion load",
        &["real", "synthetic", "difference (%)"],
        &[
            (
                "lesions".into(),
                vec![count(lesions.lesion_count_reference), count(lesions.lesion_count_synthetic)],
            ),
            (
                "volume (ml)".into(),
                vec![
                    number(lesions.lesion_volume_reference_ml),
                    number(lesions.lesion_volume_synthetic_ml),
                    number(lesions.lesion_volume_difference_percent),
                ],
            ),
            ("missed altogether".into(), vec![count(lesions.failed_lesions)]),
        ],
    );
    Some([agreement, found, sizes].join("\n\n"))
}

fn textures(report: &Report) -> Option<String> {
    report.lesions_reference.as_ref()?;
    let texture = &report.evaluation.texture;
    let row = |name: &str, real, synthetic| (name.to_owned(), vec![number(real), number(synthetic)]);
    let rows = [
        row("contrast in lesions", texture.glcm_contrast_reference, texture.glcm_contrast_synthetic),
        row(
            "dissimilarity in lesions",
            texture.glcm_dissimilarity_reference,
            texture.glcm_dissimilarity_synthetic,
        ),
        row(
            "contrast around them",
            texture.glcm_contrast_margin_reference,
            texture.glcm_contrast_margin_synthetic,
        ),
        row(
            "dissimilarity around them",
            texture.glcm_dissimilarity_margin_reference,
            texture.glcm_dissimilarity_margin_synthetic,
        ),
    ];
    Some(section("Texture (GLCM)", &["real", "synthetic"], &rows))
}

fn volumes(report: &Report) -> Option<String> {
    let volumes = report.evaluation.volumes.as_ref()?;
    let row = |name: String, volume: &VolumeMeasures| {
        let values = [Some(volume.reference_ml), Some(volume.synthetic_ml), volume.difference_percent];
        (name, values.map(number).to_vec())
    };
    let rows: Vec<_> =
        volumes.iter().map(|(region, volume)| row(region.key().replace('_', " "), volume)).collect();
    Some(section("Volumes (ml)", &["real", "synthetic", "difference (%)"], &rows))
}

/// Why there are values missing in the tables that are shown.
fn reasons(report: &Report) -> Option<String> {
    let hidden = |key: &str| match key {
        "volumes" => true,
        key if key.starts_with("glcm") => report.lesions_reference.is_none(),
        key if key.starts_with("laplacian") || key.starts_with("volumes") => false,
        // Those of lesions.
        _ => report.lesions_synthetic.is_none(),
    };
    let mut keys_of = BTreeMap::<&str, Vec<&str>>::new();
    for (key, reason) in report.evaluation.notes.iter().filter(|(key, _)| !hidden(key)) {
        keys_of.entry(reason).or_default().push(key);
    }
    let line = |(reason, keys): (&str, Vec<&str>)| format!("{NONE} {reason}: {}", keys.join(", "));
    let lines: Vec<_> = keys_of.into_iter().map(line).collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}

fn number(value: Option<f64>) -> String {
    value.map_or(NONE.into(), |value| format!("{value:.4}"))
}

/// A table: its name and the columns' above the rows, the first column to the left, the others to the right.
fn section(title: &str, columns: &[&str], rows: &[(String, Vec<String>)]) -> String {
    let line = |name: &str, cells: &mut dyn Iterator<Item = &str>| {
        cells.fold(format!("{name:<32}"), |line, cell| line + &format!("{cell:>16}")).trim_end().to_owned()
    };
    let mut lines = vec![line(title, &mut columns.iter().copied())];
    lines.extend(rows.iter().map(|(name, cells)| line(name, &mut cells.iter().map(String::as_str))));
    lines.join("\n")
}
