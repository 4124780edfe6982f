//! An assessment as Markdown: one table a question.

use super::Assessment;
use crate::report::table::escaped;

/// All tables of these assessments.
pub fn draw(assessments: &[Assessment]) -> String {
    let tables = [
        scores(assessments),
        lesions(assessments),
        jumps(assessments),
        implants(assessments),
        each_lesion(assessments),
    ];
    tables.into_iter().filter(|table| !table.is_empty()).collect::<Vec<_>>().join("\n")
}

fn table(title: &str, columns: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let mut text = format!("**{title}**\n\n");
    text += &line(columns.iter().map(|column| (*column).to_owned()).collect());
    text += &format!("|{}\n", "---|".repeat(columns.len()));
    let body: Vec<String> = rows.map(line).collect();
    if body.is_empty() {
        return String::new();
    }
    text + &body.concat()
}

/// The first cells of each row: the direction and the study.
fn named(assessment: &Assessment) -> Vec<String> {
    vec![assessment.direction(), escaped(&assessment.study)]
}

fn joined(assessment: &Assessment, cells: impl IntoIterator<Item = String>) -> Vec<String> {
    named(assessment).into_iter().chain(cells).collect()
}

fn scores(assessments: &[Assessment]) -> String {
    let columns = [
        "Translation",
        "Study",
        "Fitted",
        "Whole slice PSNR / SSIM / MAE",
        "Inside the brain PSNR / SSIM / MAE",
    ];
    let rows = assessments.iter().flat_map(|one| {
        [("yes", &one.score.fitted), ("no", &one.score.direct)].map(|(fit, score)| {
            let region = |region: &mrisynth::metrics::Similarity| {
                format!("{:.2} dB / {:.3} / {:.3}", region.psnr, region.ssim, region.mae)
            };
            joined(one, [fit.into(), region(&score.whole), region(&score.brain)])
        })
    });
    table("Similarity", &columns, rows)
}

fn lesions(assessments: &[Assessment]) -> String {
    let columns = [
        "Translation",
        "Study",
        "Error in lesions / in white matter around them / in all around them",
        "Ratio to white matter",
        "Ratio to all",
        "Lesions measured",
        "Visible in the real image",
        "Vanished",
        "Median contrast left",
        "Correlation of contrasts",
    ];
    let rows = assessments.iter().filter_map(|one| {
        let lesions = one.lesions.as_ref()?;
        let or_dash =
            |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.2}"));
        Some(joined(
            one,
            [
                format!(
                    "{:.3} / {:.3} / {:.3}",
                    lesions.error_in_lesions, lesions.error_in_white_matter, lesions.error_around
                ),
                format!("{:.2}", lesions.error_ratio),
                format!("{:.2}", lesions.error_ratio_around),
                lesions.measured.to_string(),
                lesions.visible.to_string(),
                lesions.vanished.to_string(),
                or_dash(lesions.median_ratio),
                or_dash(lesions.correlation),
            ],
        ))
    });
    table("Lesions", &columns, rows)
}

fn jumps(assessments: &[Assessment]) -> String {
    let columns = [
        "Translation",
        "Study",
        "From slice to slice, synthetic / real",
        "Ratio",
        "Within slices, synthetic / real",
        "Ratio",
        "Ratio of both ratios",
    ];
    let rows = assessments.iter().map(|one| {
        let (through, within) = (&one.jumps.through_plane, &one.jumps.in_plane);
        let both = |found: &super::jumps::Roughness| format!("{:.4} / {:.4}", found.synthetic, found.real);
        let cells = [
            both(through),
            format!("{:.2}", through.ratio),
            both(within),
            format!("{:.2}", within.ratio),
            format!("{:.2}", one.jumps.anisotropy),
        ];
        joined(one, cells)
    });
    table("Mean absolute jumps between neighbouring voxels", &columns, rows)
}

fn implants(assessments: &[Assessment]) -> String {
    let columns = [
        "Translation",
        "Study",
        "Implant",
        "Shown",
        "Mean inside, without / with",
        "From white matter (0) to fluid (1)",
        "Mean change inside",
        "Mean change beyond 10 mm",
        "99.9 % change less than",
        "Largest change there",
        "Unchanged there",
    ];
    let rows = assessments.iter().flat_map(|one| {
        one.implants.iter().map(|found| {
            let yes = |holds: bool| if holds { "yes".to_owned() } else { "**no**".to_owned() };
            let place = &found.place;
            joined(
                one,
                [
                    format!("{}, {}, {:.0} mm", found.kind.name(), place.name, place.radius),
                    yes(found.shown),
                    format!("{:.2} / {:.2}", found.before, found.after),
                    format!("{:.2}", found.towards_fluid),
                    format!("{:.3}", found.change_inside),
                    format!("{:.4}", found.change_far),
                    format!("{:.3}", found.most_change_far),
                    format!("{:.3}", found.largest_change_far),
                    yes(found.unchanged_elsewhere),
                ],
            )
        })
    });
    table("Implants", &columns, rows)
}

fn each_lesion(assessments: &[Assessment]) -> String {
    let columns = [
        "Translation",
        "Study",
        "Centre (mm)",
        "Volume (mm3)",
        "Contrast, real",
        "Contrast, synthetic",
        "Synthetic / real",
        "Fate",
    ];
    let rows = assessments.iter().flat_map(|one| {
        let each = one.lesions.iter().flat_map(|lesions| &lesions.each);
        each.map(|lesion| {
            let [x, y, z] = one.millimetres(lesion.centre);
            let fate = match (lesion.visible, lesion.vanished) {
                (false, _) => "not visible in the real image",
                (true, true) => "**vanished**",
                (true, false) => "stays",
            };
            joined(
                one,
                [
                    format!("{x:.0}, {y:.0}, {z:.0}"),
                    format!("{:.0}", lesion.volume),
                    format!("{:+.3}", lesion.real),
                    format!("{:+.3}", lesion.synthetic),
                    if lesion.visible { format!("{:.2}", lesion.ratio) } else { "-".into() },
                    fate.into(),
                ],
            )
        })
    });
    table("Lesion by lesion", &columns, rows)
}
