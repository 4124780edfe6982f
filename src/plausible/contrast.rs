//! Is a scan T1w, T2w, or neither? Told by two signs: whether fluid is dark or bright, and whether grey matter is darker or
//! brighter than white matter.
//!
//! Fluid is dark and grey matter darker than white in T1w, fluid is bright and grey matter brighter than white in T2w.
//! FLAIR and CT have dark fluid and bright grey matter, and so are neither. Both limits lie in the middle of a gap between
//! scans of all kinds (`benches/input_check.py`).

use std::sync::OnceLock;

use ndarray::Array3;

use crate::model::{Card, Contrast};
use crate::prepare::distance::distance_to;
use crate::prepare::normalize::percentile;
use crate::prepare::register::template;
use crate::{Affine, Error, Result, Transform, Volume};

/// Only tissue at least so deep in the brain, in millimetres, is looked at: at its rim masks differ.
const DEPTH: f32 = 8.0;
/// Every so manyth voxel of the template, whose voxels are 2 mm long.
const STEP: usize = 2;
/// A box around the lateral ventricles of MNI152, in millimetres, and the percentage of it that is fluid all through.
const VENTRICLES: [[f64; 2]; 3] = [[-30.0, 30.0], [-45.0, 35.0], [0.0, 32.0]];
const FLUID: f64 = 8.0;
/// Percentiles of the template, deep in the brain, between which it is grey matter, and above which it is white matter.
const GREY: [f64; 2] = [25.0, 45.0];
const WHITE: f64 = 70.0;
/// The percentiles that make the range of intensities, and its middle.
const RANGE: [f64; 3] = [2.0, 50.0, 98.0];
/// Above this [`Signs::fluid`] fluid is bright.
const BRIGHT_FLUID: f64 = 0.1;
/// Above this [`Signs::white_over_grey`] white matter is the brighter one.
const BRIGHT_WHITE: f64 = 0.02;
/// Fewer points than this in a tissue tell nothing.
const LEAST_POINTS: usize = 20;

/// Why a scan is not what the model reads; none if it is, or if so little of the brain is there that it cannot be told.
/// `brain` lies on the scan's grid, the standard brain where `standard_to_scan` leads to.
///
/// # Errors
/// [`Error::Internal`] if the build carries a damaged template.
pub(super) fn doubt(
    scan: &Volume,
    brain: &Array3<bool>,
    standard_to_scan: &Transform,
    card: &Card,
) -> Result<Option<String>> {
    let look = look_unlike(scan, brain, standard_to_scan, Some(card.source))?;
    Ok(look.map(|look| {
        format!(
            "contrast: the scan looks {look}, and {} reads {}: is it the right file, and the right model?",
            card.name, card.source
        )
    }))
}

/// What a scan looks like, in words, if that is not `wanted` (none: neither T1w nor T2w, as FLAIR is); none if it is, or if so
/// little of the brain is there that it cannot be told.
///
/// # Errors
/// [`Error::Internal`] if the build carries a damaged template.
pub(super) fn look_unlike(
    scan: &Volume,
    brain: &Array3<bool>,
    standard_to_scan: &Transform,
    wanted: Option<Contrast>,
) -> Result<Option<String>> {
    let signs = Signs::of(scan, brain, standard_to_scan, tissues()?);
    Ok(signs.filter(|signs| signs.contrast() != wanted).map(Signs::in_words))
}

/// Places in the standard space, in millimetres, that are of one tissue in most brains.
struct Tissues {
    /// Everything deep in the brain.
    inner: Vec<[f64; 3]>,
    fluid: Vec<[f64; 3]>,
    grey: Vec<[f64; 3]>,
    white: Vec<[f64; 3]>,
}

fn tissues() -> Result<&'static Tissues> {
    static TISSUES: OnceLock<Option<Tissues>> = OnceLock::new();
    let damaged = || Error::Internal("the template inside the library has no tissues".into());
    let brain = template::brain()?;
    TISSUES.get_or_init(|| Tissues::of(brain)).as_ref().ok_or_else(damaged)
}

impl Tissues {
    fn of(template: &Volume) -> Option<Self> {
        let values = template.as_slice();
        let size = template.affine().voxel_sizes().map(|size| size as f32);
        let depth = distance_to(template.dims(), size, |at| values[at] <= 0.0);
        let [ni, nj, _] = template.dims();
        let (mut inner, mut near) = (Vec::new(), Vec::new());
        for (at, (value, depth)) in values.iter().zip(depth).enumerate() {
            let index = [at % ni, at / ni % nj, at / (ni * nj)];
            if *value <= 0.0 || index.iter().any(|i| i % STEP != 0) {
                continue;
            }
            let place = template.affine().to_millimetres(index.map(|i| i as f64));
            if depth >= DEPTH {
                inner.push((*value, place));
            }
            if (0..3).all(|axis| (VENTRICLES[axis][0]..=VENTRICLES[axis][1]).contains(&place[axis])) {
                near.push((*value, place));
            }
        }
        let limit = |of: &[(f32, [f64; 3])], percent| {
            percentile(&mut of.iter().map(|(value, _)| *value).collect::<Vec<_>>(), percent)
        };
        let fluid = limit(&near, FLUID)?;
        let (dark, middle, white) = (limit(&inner, GREY[0])?, limit(&inner, GREY[1])?, limit(&inner, WHITE)?);
        let part = |of: &[(f32, [f64; 3])], wanted: &dyn Fn(f32) -> bool| {
            of.iter().filter(|(value, _)| wanted(*value)).map(|(_, place)| *place).collect()
        };
        Some(Self {
            fluid: part(&near, &|value| value < fluid),
            grey: part(&inner, &|value| value > dark && value < middle),
            white: part(&inner, &|value| value > white),
            inner: part(&inner, &|_| true),
        })
    }
}

/// What tells contrasts apart; both in units of the range of intensities deep in the brain.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Signs {
    /// How much brighter fluid is than white matter where the standard brain has them, and how much further the brightest
    /// intensities lie from the middle one than the darkest do: the few that are far off are fluid.
    fluid: f64,
    white_over_grey: f64,
}

impl Signs {
    fn of(
        scan: &Volume,
        brain: &Array3<bool>,
        standard_to_scan: &Transform,
        tissues: &Tissues,
    ) -> Option<Self> {
        let millimetres = Affine::from_sizes([1.0; 3], [0.0; 3]).ok()?;
        let to_index = millimetres.then(standard_to_scan).ok()?.to_indices_of(scan.affine());
        let values = |places: &[[f64; 3]]| -> Option<Vec<f32>> {
            let at = |place: &[f64; 3]| {
                let index = to_index.apply(*place).map(|i| i.round());
                if index.iter().any(|i| *i < 0.0) {
                    return None;
                }
                let index = index.map(|i| i as usize);
                brain.get(index).filter(|inside| **inside)?;
                scan.voxels().get(index).copied()
            };
            let found: Vec<f32> = places.iter().filter_map(at).collect();
            (found.len() >= LEAST_POINTS).then_some(found)
        };
        let median = |places| percentile(&mut values(places)?, 50.0).map(f64::from);
        let mut inner = values(&tissues.inner)?;
        let [low, middle, high] = RANGE.map(|percent| percentile(&mut inner, percent).map(f64::from));
        let (low, middle, high) = (low?, middle?, high?);
        let (fluid, grey, white) = (median(&tissues.fluid)?, median(&tissues.grey)?, median(&tissues.white)?);
        let range = if high > low { high - low } else { 1.0 };
        Some(Self {
            fluid: (fluid - white + high + low - 2.0 * middle) / range,
            white_over_grey: (white - grey) / range,
        })
    }

    fn has_bright_fluid(&self) -> bool {
        self.fluid > BRIGHT_FLUID
    }

    fn has_bright_white(&self) -> bool {
        self.white_over_grey > BRIGHT_WHITE
    }

    fn in_words(self) -> String {
        let looks = self.contrast().map_or("neither T1w nor T2w".to_owned(), |contrast| contrast.to_string());
        format!(
            "{looks} (fluid is {}, grey matter {} than white matter)",
            if self.has_bright_fluid() { "bright" } else { "dark" },
            if self.has_bright_white() { "darker" } else { "not darker" }
        )
    }

    fn contrast(&self) -> Option<Contrast> {
        match (self.has_bright_fluid(), self.has_bright_white()) {
            (false, true) => Some(Contrast::T1w),
            (true, false) => Some(Contrast::T2w),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The standard brain with each intensity changed.
    fn seen(change: impl Fn(f32) -> f32) -> Signs {
        let brain = template::brain().unwrap();
        let mask = brain.voxels().mapv(|value| value > 0.0);
        let voxels = brain.voxels().mapv(|value| if value > 0.0 { change(value / 255.0) } else { 0.0 });
        let scan = Volume::new(voxels, *brain.affine()).unwrap();
        Signs::of(&scan, &mask, &Transform::IDENTITY, tissues().unwrap()).unwrap()
    }

    #[test]
    fn contrasts_are_told_apart_by_fluid_and_by_grey_and_white_matter() {
        let line = |points: &'static [(f32, f32)]| {
            move |value: f32| {
                let after = points.iter().position(|(at, _)| *at >= value).unwrap_or(points.len() - 1).max(1);
                let ((a, low), (b, high)) = (points[after - 1], points[after]);
                low + (high - low) * ((value - a) / (b - a)).clamp(0.0, 1.0)
            }
        };
        let t1w = seen(|value| 40.0 + value);
        let low_contrast_t1w = seen(line(&[(0.2, 100.0), (0.7, 300.0), (0.9, 330.0)]));
        let t2w = seen(line(&[(0.2, 900.0), (0.6, 400.0), (0.9, 300.0)]));
        // Fluid dark, grey matter bright, white matter between: FLAIR, and with hardly any contrast CT.
        let flair = seen(line(&[(0.2, 50.0), (0.65, 400.0), (0.9, 330.0)]));
        let ct = seen(line(&[(0.2, 8.0), (0.65, 38.0), (0.9, 30.0)]));
        let uniform = seen(|_| 7.0);
        for (signs, contrast) in [
            (t1w, Some(Contrast::T1w)),
            (low_contrast_t1w, Some(Contrast::T1w)),
            (t2w, Some(Contrast::T2w)),
            (flair, None),
            (ct, None),
            (uniform, None),
        ] {
            assert_eq!(signs.contrast(), contrast, "{signs:?}");
        }
    }

    #[test]
    fn where_too_little_is_in_view_nothing_is_said() {
        let brain = template::brain().unwrap();
        let nothing = brain.voxels().mapv(|_| false);
        let signs = Signs::of(brain, &nothing, &Transform::IDENTITY, tissues().unwrap());
        assert_eq!(signs, None);
    }
}
