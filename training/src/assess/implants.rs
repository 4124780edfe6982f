//! Masses, cavities and missing parts that are put into a scan: does the synthetic image show them, and nothing else?

use mrisynth::prepare::{morphology, normalize};
use ndarray::{Array2, Array3, ArrayView3, Axis};
use serde::Serialize;

use super::tissue::{Levels, Tissue, distance_to};

/// An implant fades into the brain over so many millimetres to both sides of its surface.
const EDGE: f64 = 1.5;
/// What lies so many millimetres or more below its surface is its core, where changes are measured.
const CORE: f64 = 3.0;
/// What lies farther than this above its surface, in millimetres, should not change.
const RIM: f64 = 10.0;
/// The least brain around an implant in millimetres: it touches no background.
const LEAST_BRAIN_AROUND: f64 = 3.0;
/// An implant that changes its core by less, on average, is not shown.
const LEAST_CHANGE: f64 = 0.05;
/// A mass is shown from this part of the way from white matter to fluid on.
const MASS_SHOWN: f64 = 0.25;
/// A cavity is shown from this part of the way on.
const CAVITY_SHOWN: f64 = 0.75;
/// A missing part is shown if its core has at most this part of its brightness left.
const MISSING_SHOWN: f64 = 0.5;
/// Voxels beyond the rim may change by this; of those that change by more there may be one in a thousand.
const SMALL_CHANGE: f64 = 0.05;
const MOST_PERCENT: f64 = 99.9;

/// Where implants are put: a name, parts of the brain's extent to the right, to the front and upwards, and a radius in
/// millimetres.
const PLACES: [(&str, [f64; 3], f64); 3] = [
    ("left frontal", [0.30, 0.70, 0.58], 8.0),
    ("right parietal", [0.70, 0.33, 0.62], 11.0),
    ("left deep", [0.33, 0.48, 0.55], 15.0),
];

/// What is put into a scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Half as bright as white matter and fluid together, as tumours, plaques and grey matter are.
    Mass,
    /// As bright as fluid.
    Cavity,
    /// Nothing: background, enclosed by brain.
    Missing,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 3] = [Self::Mass, Self::Cavity, Self::Missing];

    /// Its name in a table.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mass => "mass",
            Self::Cavity => "cavity",
            Self::Missing => "missing part",
        }
    }

    fn level(self, source: &Levels) -> f32 {
        match self {
            Self::Mass => (source.white + source.fluid) / 2.0,
            Self::Cavity => source.fluid,
            Self::Missing => 0.0,
        }
    }
}

/// A ball inside the brain.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Place {
    /// What the place is called.
    pub name: &'static str,
    /// The voxel in its middle.
    pub centre: [usize; 3],
    /// In millimetres.
    pub radius: f64,
}

impl Place {
    fn distance(&self, (i, j, k): (usize, usize, usize), sizes: [f32; 3]) -> f64 {
        let index = [i, j, k];
        let away = |axis: usize| index[axis].abs_diff(self.centre[axis]) as f64 * f64::from(sizes[axis]);
        (0..3).map(|axis| away(axis).powi(2)).sum::<f64>().sqrt()
    }
}

/// What a synthetic image shows of an implant.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// What was put in.
    pub kind: Kind,
    /// Where.
    pub place: Place,
    /// White matter and fluid in the synthetic image of the scan as it was.
    pub levels: Levels,
    /// The synthetic image's mean in the core without the implant.
    pub before: f64,
    /// The same with it.
    pub after: f64,
    /// Where `after` lies on the way from white matter (0) to fluid (1).
    pub towards_fluid: f64,
    /// Mean absolute change in the core.
    pub change_inside: f64,
    /// Mean absolute change of the brain more than 10 mm from the implant.
    pub change_far: f64,
    /// What 99.9 % of that brain change less than.
    pub most_change_far: f64,
    /// The largest change there.
    pub largest_change_far: f64,
    /// Whether the synthetic image shows the implant.
    pub shown: bool,
    /// Whether it stays what it was elsewhere.
    pub unchanged_elsewhere: bool,
}

/// A finding, and the slice through its middle: what went in, and what came out without and with the implant. Rows are
/// from back to front, columns from left to right.
#[derive(Clone, Debug)]
pub struct Tested {
    /// What was measured.
    pub finding: Finding,
    /// The source with the implant.
    pub source: Array2<f32>,
    /// The synthetic image without the implant.
    pub before: Array2<f32>,
    /// The synthetic image with it.
    pub after: Array2<f32>,
}

/// A scan for implants, on a grid whose axes lead to the right, to the front and to the top.
#[derive(Clone, Copy, Debug)]
pub struct Scan<'a> {
    /// 0..1, and 0 outside the brain.
    pub source: &'a Array3<f32>,
    /// The brain.
    pub brain: &'a Array3<bool>,
    /// Where white matter and fluid are.
    pub tissue: &'a Tissue,
    /// Voxel sizes in millimetres.
    pub sizes: [f32; 3],
}

/// Puts each kind of implant into each place, one at a time, and compares what `synthesize` makes of the scan with and
/// without it. There are fewer places in a brain that has no room for a ball; none where tissue cannot be told.
///
/// # Errors
/// Those of `synthesize`.
pub fn test<E>(
    scan: &Scan<'_>,
    mut synthesize: impl FnMut(&Array3<f32>) -> Result<Array3<f32>, E>,
) -> Result<Vec<Tested>, E> {
    let before = synthesize(scan.source)?;
    let levels = |image: &Array3<f32>| scan.tissue.levels(image.view());
    let (Some(of_source), Some(of_synthetic)) = (levels(scan.source), levels(&before)) else {
        return Ok(Vec::new());
    };
    let mut tested = Vec::new();
    for place in places(scan.brain, scan.sizes) {
        for kind in Kind::ALL {
            let source = with_implant(scan, &place, kind.level(&of_source));
            let after = synthesize(&source)?;
            let finding = judge(scan, kind, place, of_synthetic, [before.view(), after.view()]);
            let slice = |image: &Array3<f32>| axial(image, place.centre[2]);
            let [source, before, after] = [slice(&source), slice(&before), slice(&after)];
            tested.push(Tested { finding, source, before, after });
        }
    }
    Ok(tested)
}

/// An axial slice: rows from back to front, columns from left to right.
pub fn axial(image: &Array3<f32>, slice: usize) -> Array2<f32> {
    image.index_axis(Axis(2), slice).t().to_owned()
}

/// Where implants fit into a brain: the voxels nearest to the wanted places that are deep enough in it; of equally near
/// ones, the first in the order of indices.
pub fn places(brain: &Array3<bool>, sizes: [f32; 3]) -> Vec<Place> {
    let Some((low, high)) = morphology::bounding_box(brain) else {
        return Vec::new();
    };
    let depth = distance_to(brain, false, sizes);
    let mut places = Vec::new();
    for (name, part, radius) in PLACES {
        let wanted =
            [0, 1, 2].map(|axis| low[axis] + ((high[axis] - low[axis]) as f64 * part[axis]).round() as usize);
        let wanted = Place { name, centre: wanted, radius };
        let mut best: Option<(f64, [usize; 3])> = None;
        for (index, depth) in depth.indexed_iter() {
            if f64::from(*depth) < radius + LEAST_BRAIN_AROUND {
                continue;
            }
            let distance = wanted.distance(index, sizes);
            if best.is_none_or(|(least, _)| distance < least) {
                best = Some((distance, [index.0, index.1, index.2]));
            }
        }
        places.extend(best.map(|(_, centre)| Place { centre, ..wanted }));
    }
    places
}

fn with_implant(scan: &Scan<'_>, place: &Place, level: f32) -> Array3<f32> {
    let mut source = scan.source.clone();
    for (index, value) in source.indexed_iter_mut() {
        let height = place.distance(index, scan.sizes) - place.radius;
        // A smooth step from 1 inside to 0 outside.
        let part = (0.5 - height / (2.0 * EDGE)).clamp(0.0, 1.0);
        let weight = (part * part * (3.0 - 2.0 * part)) as f32;
        if weight > 0.0 {
            *value += weight * (level - *value);
        }
    }
    source
}

fn judge(
    scan: &Scan<'_>,
    kind: Kind,
    place: Place,
    levels: Levels,
    [before, after]: [ArrayView3<'_, f32>; 2],
) -> Finding {
    let (mut sums, mut core) = ([0.0; 3], 0_usize);
    let mut far = Vec::new();
    for (index, _) in scan.brain.indexed_iter().filter(|(_, inside)| **inside) {
        let height = place.distance(index, scan.sizes) - place.radius;
        let change = (after[index] - before[index]).abs();
        if height <= -CORE {
            let values = [f64::from(before[index]), f64::from(after[index]), f64::from(change)];
            sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
            core += 1;
        } else if height > RIM {
            far.push(change);
        }
    }
    let [before, after, change_inside] = sums.map(|sum| sum / core as f64);
    let change_far = far.iter().map(|change| f64::from(*change)).sum::<f64>() / far.len() as f64;
    let mut percent = |percent| normalize::percentile(&mut far, percent).map_or(f64::NAN, f64::from);
    let (most_change_far, largest_change_far) = (percent(MOST_PERCENT), percent(100.0));
    let towards_fluid = levels.towards_fluid(after);
    let as_bright_as_it_should_be = match kind {
        Kind::Mass => towards_fluid >= MASS_SHOWN,
        Kind::Cavity => towards_fluid >= CAVITY_SHOWN,
        Kind::Missing => after <= MISSING_SHOWN * before,
    };
    Finding {
        kind,
        place,
        levels,
        before,
        after,
        towards_fluid,
        change_inside,
        change_far,
        most_change_far,
        largest_change_far,
        shown: change_inside >= LEAST_CHANGE && as_bright_as_it_should_be,
        unchanged_elsewhere: most_change_far <= SMALL_CHANGE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZES: [f32; 3] = [2.0; 3];
    const SHAPE: (usize, usize, usize) = (80, 96, 76);

    fn brain() -> Array3<bool> {
        Array3::from_shape_fn(SHAPE, |(i, j, k)| {
            let part = |index: usize, middle: f64, radius: f64| ((index as f64 - middle) / radius).powi(2);
            part(i, 40.0, 34.0) + part(j, 48.0, 42.0) + part(k, 38.0, 33.0) <= 1.0
        })
    }

    /// T2w: white matter of 0.3, fluid of 0.9 in the middle, 0 outside.
    fn t2w(brain: &Array3<bool>) -> Array3<f32> {
        Array3::from_shape_fn(SHAPE, |(i, j, k)| {
            let middle = i.abs_diff(40) < 8 && j.abs_diff(48) < 12 && k.abs_diff(38) < 7;
            if brain[[i, j, k]] { if middle { 0.9 } else { 0.3 } } else { 0.0 }
        })
    }

    /// T1w is 1 - T2w, and what is nothing stays so.
    fn inverted(image: &Array3<f32>) -> Array3<f32> {
        image.mapv(|value| if value > 0.0 { 1.0 - value } else { 0.0 })
    }

    /// Runs the test with a generator of T1w.
    fn tested(synthesize: impl FnMut(&Array3<f32>) -> Array3<f32>) -> Vec<Finding> {
        let brain = brain();
        let source = t2w(&brain);
        let tissue = Tissue::of(inverted(&source).view(), source.view(), &brain, SIZES).unwrap();
        let scan = Scan { source: &source, brain: &brain, tissue: &tissue, sizes: SIZES };
        let mut synthesize = synthesize;
        let tested = test(&scan, |image| Ok::<_, std::convert::Infallible>(synthesize(image))).unwrap();
        assert_eq!(tested[0].source.dim(), (SHAPE.1, SHAPE.0));
        tested.into_iter().map(|one| one.finding).collect()
    }

    #[test]
    fn implants_lie_in_the_brain_each_time_in_the_same_place() {
        let brain = brain();
        let places = places(&brain, SIZES);
        assert_eq!(places.len(), PLACES.len());
        assert_eq!(places, super::places(&brain, SIZES));
        for place in &places {
            let outside = brain.indexed_iter().filter(|(_, inside)| !**inside);
            let nearest =
                outside.map(|(index, _)| place.distance(index, SIZES)).fold(f64::INFINITY, f64::min);
            assert!(
                nearest >= place.radius + LEAST_BRAIN_AROUND,
                "{place:?} is {nearest} mm from the background"
            );
        }
        // Left is low, the front is high.
        assert!(places[0].centre[0] < 40 && places[0].centre[1] > 48 && places[1].centre[0] > 40);
        let small =
            Array3::from_shape_fn((30, 30, 30), |(i, j, k)| [i, j, k].iter().all(|n| (2..28).contains(n)));
        let fitting = super::places(&small, [1.0; 3]);
        assert_eq!(fitting.iter().map(|place| place.radius).collect::<Vec<_>>(), [8.0]);
    }

    #[test]
    fn a_generator_that_shows_what_is_there_passes() {
        let findings = tested(inverted);
        assert_eq!(findings.len(), 9);
        for finding in &findings {
            assert!(finding.shown && finding.unchanged_elsewhere, "{finding:?}");
            assert_eq!((finding.change_far, finding.largest_change_far), (0.0, 0.0));
            // White matter of T1w is 0.7, fluid 0.1.
            assert!((finding.levels.white - 0.7).abs() < 1e-6 && (finding.levels.fluid - 0.1).abs() < 1e-6);
            let expected = match finding.kind {
                Kind::Mass => 0.4,
                Kind::Cavity => 0.1,
                Kind::Missing => 0.0,
            };
            assert!((finding.after - expected).abs() < 1e-6, "{finding:?}");
        }
        let mass = findings.iter().find(|finding| finding.kind == Kind::Mass).unwrap();
        assert!((mass.before - 0.7).abs() < 1e-6 && (mass.change_inside - 0.3).abs() < 1e-6);
        assert!((mass.towards_fluid - 0.5).abs() < 1e-6);
    }

    #[test]
    fn a_generator_that_leaves_out_what_it_has_not_seen_fails() {
        let healthy = inverted(&t2w(&brain()));
        for finding in tested(|_| healthy.clone()) {
            assert!(!finding.shown && finding.unchanged_elsewhere, "{finding:?}");
            assert_eq!(finding.change_inside, 0.0);
        }
    }

    #[test]
    fn a_generator_that_invents_something_elsewhere_is_caught() {
        let brain = brain();
        let healthy = t2w(&brain);
        // Whenever the scan is not the healthy one, a spot low in the right of the front.
        let findings = tested(|image| {
            let mut made = inverted(image);
            if *image != healthy {
                let spot = made
                    .indexed_iter_mut()
                    .filter(|((i, j, k), _)| i.abs_diff(52) < 6 && j.abs_diff(64) < 6 && k.abs_diff(20) < 6);
                spot.for_each(|(_, value)| *value = 0.0);
            }
            made
        });
        for finding in findings {
            assert!(finding.shown && !finding.unchanged_elsewhere, "{finding:?}");
            assert!(finding.most_change_far > 0.6 && finding.change_far > 0.0);
        }
    }

    #[test]
    fn a_generator_that_fills_a_hole_with_brain_fails() {
        let filled = tested(|image| inverted(&image.mapv(|value| if value < 0.3 { 0.3 } else { value })));
        for finding in filled {
            assert_eq!(finding.shown, finding.kind != Kind::Missing, "{finding:?}");
        }
    }
}
