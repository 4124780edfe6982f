//! The contact sheet: one picture on which each step of a run can be checked at a look.

mod panel;
mod view;

use mrisynth::model::Contrast;
use mrisynth::prepare::normalize::percentile;
use mrisynth::prepare::register::template;
use mrisynth::prepare::{Prepared, brain};
use mrisynth::residual::{Residual, Summary};
use mrisynth::{Grid, Result, Volume};
use mrisynth_picture::{Canvas, Colour, GAP, Letters, Page, WHITE};
use ndarray::Array3;

use crate::report::one_line;
use panel::{Panel, Region, TITLE_HEIGHT};
use view::{Bounds, Plane, View, interpolated, nearest};

/// Pixels of the sheet from left to right.
const WIDTH: u32 = 1800;
/// The tallest row of pictures, in pixels.
const MAX_ROW: u32 = 330;
const MASK_COLOUR: Colour = [0, 255, 60];
const TEMPLATE_COLOUR: Colour = [255, 190, 0];
const TISSUE_COLOUR: Colour = [255, 60, 60];
/// The template's intensity between grey and white matter.
const WHITE_MATTER: f32 = 210.0;
const WARNING_COLOUR: Colour = [255, 150, 60];
const HEADING_COLOUR: Colour = [150, 200, 255];
const GREY: Colour = [190, 190, 190];
/// The residual that is shown white: a quarter of the scan's range.
const WHITE_RESIDUAL: f32 = 0.25;
/// The share of a slab's voxels that must be bright for it to be shown.
const SHOWN_SHARE: f64 = 0.01;

/// What a sheet is about.
pub struct Subject<'a> {
    /// The scan's file name, without its folder.
    pub name: &'a str,
    pub scan: &'a Volume,
    /// How it was prepared, if that was done here.
    pub prepared: Option<&'a Prepared>,
    /// What was synthesized, if that was done: the image, and of which contrast.
    pub synthetic: Option<(&'a Volume, Contrast)>,
    /// What the way back from it lost, if that was looked at.
    pub residual: Option<&'a Residual>,
    pub warnings: &'a [String],
}

/// Draws the sheet, as a PNG file.
///
/// # Errors
/// [`mrisynth::Error::Internal`], which would be a defect.
pub fn draw(subject: &Subject<'_>) -> Result<Vec<u8>> {
    let found;
    let mask = match subject.prepared {
        Some(prepared) => &prepared.mask,
        None => {
            found = brain::mask(subject.scan.voxels());
            &found
        }
    };
    let top = brightest(subject.scan, mask);
    let sheet = Sheet { subject, mask, top, bounds: shown(subject.scan, mask, 0.1 * top) };
    sheet.draw()
}

/// The intensity that is shown white: a little over the brain's.
fn brightest(scan: &Volume, mask: &Array3<bool>) -> f32 {
    let voxels = scan.voxels();
    let inside = voxels.iter().zip(mask).filter(|(_, inside)| **inside).map(|(value, _)| *value);
    let mut values: Vec<f32> = inside.collect();
    percentile(&mut values, 99.5).filter(|top| *top > 0.0).unwrap_or(1.0) * 1.1
}

/// The least and the largest value inside a mask.
fn range(volume: &Volume, mask: &Array3<bool>) -> Option<(f32, f32)> {
    let voxels = volume.voxels();
    let inside = voxels.iter().zip(mask).filter(|(_, inside)| **inside).map(|(value, _)| (*value, *value));
    inside.reduce(|(low, high), (value, _)| (low.min(value), high.max(value)))
}

/// The box around what is bright or brain.
fn shown(scan: &Volume, mask: &Array3<bool>, threshold: f32) -> Bounds {
    let dims = scan.dims();
    let mut counts = dims.map(|voxels| vec![0_usize; voxels]);
    for (((i, j, k), value), inside) in scan.voxels().indexed_iter().zip(mask) {
        if *value > threshold || *inside {
            for (count, index) in counts.iter_mut().zip([i, j, k]) {
                count[index] += 1;
            }
        }
    }
    let brain = brain::bounding_box(mask);
    [0, 1, 2].map(|axis| {
        let least = SHOWN_SHARE * scan.as_slice().len() as f64 / dims[axis] as f64;
        let filled = |index: &usize| counts[axis][*index] as f64 >= least;
        let (mut first, mut last) = match ((0..dims[axis]).find(filled), (0..dims[axis]).rfind(filled)) {
            (Some(first), Some(last)) => (first, last),
            _ => (0, dims[axis] - 1),
        };
        if let Some((low, high)) = brain {
            (first, last) = (first.min(low[axis]), last.max(high[axis]));
        }
        // Room around it.
        let room = (6.0 / scan.affine().voxel_sizes()[axis]).ceil() as usize;
        (first.saturating_sub(room), (last + room).min(dims[axis] - 1))
    })
}

struct Sheet<'a> {
    subject: &'a Subject<'a>,
    mask: &'a Array3<bool>,
    /// The scan's intensity that is shown white.
    top: f32,
    /// The part of the scan that is shown.
    bounds: Bounds,
}

impl Sheet<'_> {
    fn draw(&self) -> Result<Vec<u8>> {
        let mut page = Page::new(WIDTH);
        self.draw_head(&mut page);
        self.draw_brain(&mut page);
        match self.subject.prepared {
            Some(prepared) => {
                self.draw_bias(&mut page, prepared);
                draw_standard(&mut page, prepared)?;
            }
            None => page.text(
                Letters::Medium,
                GREY,
                "Said to be prepared: no bias field was corrected, no brain extracted, nothing registered.",
            ),
        }
        if let Some((image, contrast)) = self.subject.synthetic {
            self.draw_synthetic(&mut page, image, contrast);
        }
        if let Some(residual) = self.subject.residual {
            self.draw_residual(&mut page, residual);
        }
        page.finish().to_png()
    }

    fn draw_head(&self, page: &mut Page) {
        let (subject, grid) = (self.subject, self.subject.scan.grid());
        page.text(Letters::Large, WHITE, &one_line(subject.name));
        let [i, j, k] = grid.dims;
        let [x, y, z] = grid.affine.voxel_sizes();
        let oblique = match grid.affine.obliqueness_degrees() {
            degrees if degrees < 0.5 => String::new(),
            degrees => format!(", oblique by {degrees:.0} degrees (planes are those of the scan)"),
        };
        page.text(
            Letters::Medium,
            GREY,
            &format!("{i} x {j} x {k} voxels of {x:.2} x {y:.2} x {z:.2} mm{oblique}"),
        );
        let brain = self.mask.iter().filter(|inside| **inside).count() as f64 * x * y * z / 1000.0;
        let overlap = subject.prepared.and_then(|prepared| prepared.record.overlap());
        let overlap =
            overlap.map(|dice| format!("; Dice with the MNI152 brain {dice:.3}")).unwrap_or_default();
        page.text(Letters::Medium, WHITE, &format!("Brain {brain:.0} ml{overlap}"));
        if subject.warnings.is_empty() {
            page.text(Letters::Medium, GREY, "No warnings");
        }
        for warning in subject.warnings {
            page.text(Letters::Medium, WARNING_COLOUR, &format!("WARNING: {}", one_line(warning)));
        }
        page.text(
            Letters::Small,
            GREY,
            &format!(
                "Radiological convention: the patient's right (R) is on the left of a picture. mrisynth {}: research \
                 software, not a medical device",
                env!("CARGO_PKG_VERSION")
            ),
        );
    }

    /// The slices of the scan at these places of its brain.
    fn slices(&self, places: &[(Plane, f64)]) -> Vec<(View, usize, String)> {
        slices(&self.subject.scan.grid(), &self.bounds, brain::bounding_box(self.mask), places)
    }

    fn grey_of<'v>(&self, volume: &'v Volume) -> impl Fn([f64; 3]) -> Colour + use<'v> {
        let top = self.top;
        move |index| grey(interpolated(volume, index) / top)
    }

    fn draw_brain(&self, page: &mut Page) {
        let of = self.subject.synthetic.map(|(_, target)| match target {
            Contrast::T1w => " (T2w)",
            Contrast::T2w => " (T1w)",
        });
        page.text(
            Letters::Large,
            HEADING_COLOUR,
            &format!("INPUT{}, outline: brain mask", of.unwrap_or_default()),
        );
        let (colour, region) = (self.grey_of(self.subject.scan), region_of(self.mask));
        let contours: [Region<'_>; 1] = [(&region, MASK_COLOUR)];
        for places in [evenly(Plane::Axial, 8), across()] {
            let slices = self.slices(&places);
            let panels: Vec<_> = slices
                .iter()
                .map(|(view, slice, title)| Panel {
                    contours: &contours,
                    ..plain(*view, *slice, title, &colour)
                })
                .collect();
            row(page, &panels);
        }
    }

    fn draw_bias(&self, page: &mut Page, prepared: &Prepared) {
        let Some((low, high)) = range(&prepared.bias, self.mask).filter(|(low, high)| low < high) else {
            page.text(Letters::Large, HEADING_COLOUR, "BIAS FIELD: not corrected");
            return;
        };
        let heading =
            format!("BIAS FIELD, multiplicative: {low:.2} (blue) to {high:.2} (orange) in the brain");
        page.text(Letters::Large, HEADING_COLOUR, &heading);
        let (low, high) = (f64::from(low).ln(), f64::from(high).ln());
        let field = |index: [f64; 3]| {
            let value = f64::from(interpolated(&prepared.bias, index)).ln();
            field_colour(2.0 * (value - low) / (high - low) - 1.0)
        };
        let input = self.grey_of(self.subject.scan);
        let top = brightest(&prepared.corrected, self.mask);
        let corrected = |index: [f64; 3]| grey(interpolated(&prepared.corrected, index) / top);
        let slices = self.slices(&[(Plane::Axial, 0.5), (Plane::Coronal, 0.5), (Plane::Sagittal, 0.45)]);
        let mut panels = Vec::new();
        for (view, slice, title) in &slices {
            panels.push(plain(*view, *slice, title, &input));
            panels.push(plain(*view, *slice, "bias field", &field));
            panels.push(plain(*view, *slice, "corrected", &corrected));
        }
        row(page, &panels);
    }

    /// The slices in which the result is shown.
    fn slices_of_result(&self) -> Vec<(View, usize, String)> {
        let mut places = evenly(Plane::Axial, 6).to_vec();
        places.extend([(Plane::Coronal, 0.5), (Plane::Sagittal, 0.45)]);
        self.slices(&places)
    }

    fn draw_synthetic(&self, page: &mut Page, image: &Volume, contrast: Contrast) {
        let slices = self.slices_of_result();
        let source = self.subject.prepared.map_or(self.subject.scan, |prepared| &prepared.corrected);
        let top = brightest(source, self.mask);
        let input = |index: [f64; 3]| grey(interpolated(source, index) / top);
        let synthetic = |index: [f64; 3]| grey(interpolated(image, index));
        let word = format!("SYNTHETIC {contrast}");
        page.text(Letters::Large, HEADING_COLOUR, &format!("INPUT, and below it the {word}"));
        let above: Vec<_> =
            slices.iter().map(|(view, slice, title)| plain(*view, *slice, title, &input)).collect();
        row(page, &above);
        row(page, &burnt(&slices, &word, &synthetic));
    }

    fn draw_residual(&self, page: &mut Page, Residual { map, summary }: &Residual) {
        let Summary { median, percentile_95, .. } = summary;
        let heading = format!(
            "CYCLE RESIDUAL, 0 (black) to {WHITE_RESIDUAL} (white); median {median:.3}, 95th percentile {percentile_95:.3}"
        );
        page.text(Letters::Large, HEADING_COLOUR, &heading);
        let meaning = "What a second model does not bring back of the input from the synthetic image. Bright: look \
                       there. Dark proves nothing: both models can agree on a mistake";
        page.text(Letters::Medium, GREY, meaning);
        let lost = |index: [f64; 3]| grey(interpolated(map, index) / WHITE_RESIDUAL);
        row(page, &burnt(&self.slices_of_result(), "RESIDUAL", &lost));
    }
}

/// The scan in MNI152, with the edges of the template's brain and of its white matter.
fn draw_standard(page: &mut Page, prepared: &Prepared) -> Result<()> {
    let (template, mask) = (template::brain()?, template::brain_mask()?);
    let standard = &prepared.standard;
    page.text(
        Letters::Large,
        HEADING_COLOUR,
        "IN MNI152 SPACE, edges of the template: orange its brain, red its white matter",
    );
    let either =
        ndarray::Zip::from(mask).and(&prepared.standard_mask).map_collect(|one, other| *one || *other);
    let bounds = shown(standard, &either, f32::INFINITY);
    let mut places = evenly(Plane::Axial, 4);
    places.extend([0.3, 0.6].map(|place| (Plane::Coronal, place)));
    places.extend([0.35, 0.48].map(|place| (Plane::Sagittal, place)));
    let slices = slices(&standard.grid(), &bounds, brain::bounding_box(mask), &places);
    let colour = |index: [f64; 3]| grey(interpolated(standard, index));
    let outline = region_of(mask);
    let onto_template = standard.affine().to_indices_of(template.affine());
    let white = |index: [f64; 3]| interpolated(template, onto_template.apply(index)) > WHITE_MATTER;
    let contours: [Region<'_>; 2] = [(&white, TISSUE_COLOUR), (&outline, TEMPLATE_COLOUR)];
    let panels: Vec<_> = slices
        .iter()
        .map(|(view, slice, title)| Panel { contours: &contours, ..plain(*view, *slice, title, &colour) })
        .collect();
    row(page, &panels);
    Ok(())
}

/// A panel without contours.
fn plain<'a>(view: View, slice: usize, title: &'a str, colour: &'a dyn Fn([f64; 3]) -> Colour) -> Panel<'a> {
    Panel { view, slice, title, colour, contours: &[], burnt: None }
}

/// Panels of slices without contours, with a word burnt into each.
fn burnt<'a>(
    slices: &'a [(View, usize, String)],
    word: &'a str,
    colour: &'a dyn Fn([f64; 3]) -> Colour,
) -> Vec<Panel<'a>> {
    slices
        .iter()
        .map(|(view, slice, title)| Panel { burnt: Some(word), ..plain(*view, *slice, title, colour) })
        .collect()
}

/// Places between the ends of the brain, one in the middle of each of `count` equal parts.
fn evenly(plane: Plane, count: usize) -> Vec<(Plane, f64)> {
    (0..count).map(|part| (plane, (part as f64 + 0.5) / count as f64)).collect()
}

/// The coronal and sagittal slices that show a mask's faults: frontal and temporal poles, brain stem, middle.
fn across() -> Vec<(Plane, f64)> {
    let coronal = [0.25, 0.5, 0.75].map(|place| (Plane::Coronal, place));
    let sagittal = [0.25, 0.5, 0.75].map(|place| (Plane::Sagittal, place));
    coronal.into_iter().chain(sagittal).collect()
}

/// Views of a grid, with the slices at these fractions of the way through the brain, and titles.
fn slices(
    grid: &Grid,
    bounds: &Bounds,
    brain: Option<([usize; 3], [usize; 3])>,
    places: &[(Plane, f64)],
) -> Vec<(View, usize, String)> {
    let slice = |&(plane, place): &(Plane, f64)| {
        let view = View::new(grid, bounds, plane);
        let axis = view.through();
        let ends = brain.map_or(bounds[axis], |(first, last)| (first[axis], last[axis]));
        let slice = view.slice_at(place, ends);
        (view, slice, format!("{} {}/{}", plane.name(), slice + 1, grid.dims[axis]))
    };
    places.iter().map(slice).collect()
}

fn region_of(mask: &Array3<bool>) -> impl Fn([f64; 3]) -> bool {
    let (i, j, k) = mask.dim();
    move |index| nearest([i, j, k], index).is_some_and(|at| mask[at])
}

fn grey(brightness: f32) -> Colour {
    [(brightness.clamp(0.0, 1.0) * 255.0).round() as u8; 3]
}

/// From blue (-1) over grey (0) to orange (1).
fn field_colour(value: f64) -> Colour {
    let value = value.clamp(-1.0, 1.0);
    let end = if value < 0.0 { [20.0, 90.0, 255.0] } else { [255.0, 140.0, 0.0] };
    end.map(|part: f64| (110.0 + (part - 110.0) * value.abs()).round() as u8)
}

/// Adds pictures side by side, all on one scale, as large as fit.
fn row(page: &mut Page, panels: &[Panel<'_>]) {
    let sizes: Vec<_> = panels.iter().map(|panel| panel.view.millimetres()).collect();
    let across: f64 = sizes.iter().map(|[width, _]| width).sum();
    let tallest = sizes.iter().map(|[_, height]| *height).fold(1.0, f64::max);
    let free = WIDTH - GAP * (panels.len() as u32 + 1);
    // A pixel each may be lost in rounding.
    let scale = (f64::from(free - panels.len() as u32) / across.max(1.0)).min(f64::from(MAX_ROW) / tallest);
    let height = panels.iter().map(|panel| panel.pixels(scale)[1]).max().unwrap_or(0);
    let mut strip = Canvas::new(WIDTH, height + TITLE_HEIGHT + GAP);
    let mut left = GAP as i32;
    for panel in panels {
        panel.draw(&mut strip, (left, 0), scale);
        left += (panel.pixels(scale)[0] + GAP) as i32;
    }
    page.strip(strip);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn field_colours_are_blue_grey_and_orange() {
        assert_eq!(field_colour(0.0), [110; 3]);
        assert_eq!(field_colour(-2.0), [20, 90, 255]);
        assert_eq!(field_colour(1.0), [255, 140, 0]);
    }
}
