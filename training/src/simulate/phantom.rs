//! A brain made of formulas alone, for an example scan that belongs to nobody: ellipsoids, tubes and noise folded into
//! a cortex, in the position of the MNI template.

use super::Random;
use super::distance::distance_to;
use super::field::{Field, index};
use super::labels::LabelMap;
use super::tissue::Tissue;

/// MNI millimetres of the first voxel's centre; x to the right, y to the front, z to the top.
pub const ORIGIN: [f32; 3] = [-86.0, -122.0, -82.0];
/// Voxels of 1 mm.
const DIMS: [usize; 3] = [173, 209, 179];
/// Thickness of the cortex in millimetres.
const CORTEX: f32 = 3.6;
/// Thickness of the cerebellum's cortex with its folia too fine to draw, in millimetres.
const CEREBELLAR_CORTEX: f32 = 4.5;
/// The value of the folding noise, away from 0, at which a sulcus ends.
const SULCUS: f32 = 0.13;

/// An ellipsoid on the right side or the midline; for the left side, x changes sign.
struct Ellipsoid {
    centre: [f32; 3],
    radii: [f32; 3],
}

const fn ellipsoid(centre: [f32; 3], radii: [f32; 3]) -> Ellipsoid {
    Ellipsoid { centre, radii }
}

const CEREBRUM: Ellipsoid = ellipsoid([0.0, -18.0, 20.0], [67.0, 85.0, 54.0]);
const TEMPORAL_LOBE: Ellipsoid = ellipsoid([43.0, -16.0, -18.0], [22.0, 46.0, 22.0]);
const CEREBELLUM: Ellipsoid = ellipsoid([0.0, -64.0, -35.0], [50.0, 31.0, 23.0]);

/// Structures inside the brain, each over those after it.
const NUCLEI: [(Tissue, Ellipsoid); 9] = [
    (Tissue::Ventricle, ellipsoid([0.0, -14.0, 3.0], [1.8, 15.0, 9.0])),
    (Tissue::Ventricle, ellipsoid([0.0, -47.0, -32.0], [6.0, 5.0, 9.0])),
    (Tissue::Thalamus, ellipsoid([11.0, -18.0, 8.0], [8.5, 14.0, 9.0])),
    (Tissue::Caudate, ellipsoid([13.0, 14.0, 8.0], [4.5, 11.0, 8.0])),
    (Tissue::Pallidum, ellipsoid([20.0, -3.0, 0.0], [4.0, 9.0, 6.0])),
    (Tissue::Putamen, ellipsoid([26.0, 3.0, 2.0], [5.5, 16.0, 9.5])),
    (Tissue::VentralDiencephalon, ellipsoid([9.0, -14.0, -8.0], [8.0, 10.0, 6.0])),
    (Tissue::Hippocampus, ellipsoid([27.0, -24.0, -13.0], [6.0, 19.0, 6.0])),
    (Tissue::Hippocampus, ellipsoid([23.0, -4.0, -19.0], [8.0, 7.0, 8.0])),
];

/// The lateral ventricle's centre line and radius, from the frontal horn to the temporal one.
const VENTRICLE: [([f32; 3], f32); 7] = [
    ([9.0, 32.0, 4.0], 3.0),
    ([8.0, 16.0, 16.0], 4.5),
    ([9.0, -8.0, 22.0], 4.0),
    ([14.0, -30.0, 20.0], 5.0),
    ([25.0, -40.0, 8.0], 6.0),
    ([33.0, -28.0, -9.0], 2.5),
    ([30.0, -12.0, -17.0], 2.0),
];
/// Its occipital horn.
const OCCIPITAL_HORN: [([f32; 3], f32); 2] = [([24.0, -40.0, 9.0], 5.5), ([22.0, -66.0, 6.0], 2.0)];
/// Midbrain, pons and medulla.
const BRAIN_STEM: [([f32; 3], f32); 4] = [
    ([0.0, -22.0, -8.0], 12.0),
    ([0.0, -26.0, -26.0], 14.0),
    ([0.0, -32.0, -40.0], 11.0),
    ([0.0, -40.0, -62.0], 7.5),
];

/// The label map of the phantom; `random` folds its cortex.
pub fn label_map(random: &mut Random) -> LabelMap {
    let folding = Folding::random(random);
    let bodies = drawn(|place| body(place, &folding));
    let to_fluid = distance_to(DIMS, [1.0; 3], |at| bodies[at] == Body::Outside);
    let tissues = drawn_with_index(|at, place| match bodies[at] {
        Body::Outside => Tissue::Background,
        Body::Stem => Tissue::BrainStem,
        Body::Cerebrum => inner_structure(place).unwrap_or(if to_fluid.values[at] <= CORTEX {
            Tissue::Cortex
        } else {
            Tissue::WhiteMatter
        }),
        Body::Cerebellum => inner_structure(place).unwrap_or(if to_fluid.values[at] <= CEREBELLAR_CORTEX {
            Tissue::CerebellarCortex
        } else {
            Tissue::CerebellarWhiteMatter
        }),
    });
    LabelMap { dims: DIMS, sizes: [1.0; 3], tissues }
}

#[derive(Clone, Copy, PartialEq)]
enum Body {
    Outside,
    Cerebrum,
    Cerebellum,
    Stem,
}

/// Noise whose zeros are the sulci, drawn on the brain's surface so that they run inwards.
struct Folding {
    gyri: Field,
    depth: Field,
}

impl Folding {
    fn random(random: &mut Random) -> Self {
        Self { gyri: Field::noise(DIMS, 7.5, random), depth: Field::noise(DIMS, 25.0, random) }
    }

    /// Whether a sulcus is at a place at this relative radius of `lobe` (1 at the surface).
    fn is_sulcus(&self, lobe: &Ellipsoid, place: [f32; 3], radius: f32) -> bool {
        let centre = [lobe.centre[0].copysign(place[0]), lobe.centre[1], lobe.centre[2]];
        let at = |part: f32| {
            [0, 1, 2].map(|axis| centre[axis] + (place[axis] - centre[axis]) * part / radius - ORIGIN[axis])
        };
        // Not straight inwards, so that the walls of sulci bend.
        let below = 1.0 - 0.6 * (1.0 - radius);
        let width = SULCUS * (1.0 - 1.5 * (1.0 - radius)).max(0.4);
        let deepest = 0.66 + 0.07 * self.depth.sample(at(1.0));
        radius > deepest && self.gyri.sample(at(below)).abs() < width
    }
}

fn body(place: [f32; 3], folding: &Folding) -> Body {
    let [x, y, z] = place;
    if tube_distance(&BRAIN_STEM, place) < 0.0 {
        return Body::Stem;
    }
    let temporal = TEMPORAL_LOBE.radius(place);
    if temporal < 1.0 && z < sylvian_height(y) {
        let is_fold = x.abs() > 30.0 && folding.is_sulcus(&TEMPORAL_LOBE, place, temporal);
        return if is_fold { Body::Outside } else { Body::Cerebrum };
    }
    let cerebrum = CEREBRUM.radius(place);
    // Flat below: the frontal lobe's base, and the tentorium at the back.
    let base = if y > -40.0 { -16.0 } else { -10.0 };
    if cerebrum < 1.0 && z > base && !is_gap(place) {
        return if folding.is_sulcus(&CEREBRUM, place, cerebrum) { Body::Outside } else { Body::Cerebrum };
    }
    let cerebellum = CEREBELLUM.radius(place);
    if cerebellum < 1.0 && z < -12.0 - 0.1 * (y + 64.0).abs() {
        // Folia: thin, nearly horizontal sheets of fluid.
        let folium = (z + 0.004 * x * x + 0.3 * (y + 64.0).abs()).rem_euclid(7.0);
        return if cerebellum > 0.72 && folium < 1.0 { Body::Outside } else { Body::Cerebellum };
    }
    Body::Outside
}

/// Height of the fissure between the temporal lobe and what is above.
fn sylvian_height(y: f32) -> f32 {
    -4.0 - 0.22 * (y + 10.0)
}

/// The fissure between the hemispheres down to the corpus callosum, and the Sylvian fissure.
fn is_gap([x, y, z]: [f32; 3]) -> bool {
    let callosum = 30.0 - 0.012 * (y + 8.0) * (y + 8.0);
    let beyond_callosum = !(-48.0..=32.0).contains(&y);
    let hemispheres = x.abs() < 1.3 && (z > callosum || beyond_callosum);
    let sylvian = x.abs() > 34.0 && (-45.0..25.0).contains(&y) && (z - sylvian_height(y)).abs() < 1.6;
    hemispheres || sylvian
}

fn inner_structure(place: [f32; 3]) -> Option<Tissue> {
    if tube_distance(&VENTRICLE, place) < 0.0 || tube_distance(&OCCIPITAL_HORN, place) < 0.0 {
        return Some(Tissue::Ventricle);
    }
    NUCLEI.iter().find(|(_, shape)| shape.radius(place) < 1.0).map(|(tissue, _)| *tissue)
}

impl Ellipsoid {
    /// 1 on the surface, less inside, for the nearer of both sides.
    fn radius(&self, [x, y, z]: [f32; 3]) -> f32 {
        let mirrored = [x.abs(), y, z];
        let squared = |axis: usize| ((mirrored[axis] - self.centre[axis]) / self.radii[axis]).powi(2);
        (squared(0) + squared(1) + squared(2)).sqrt()
    }
}

/// Distance in millimetres to the surface of a tube of changing radius, negative inside, for the nearer of both sides.
fn tube_distance(line: &[([f32; 3], f32)], [x, y, z]: [f32; 3]) -> f32 {
    let place = [x.abs(), y, z];
    let segment = |pair: &[([f32; 3], f32)]| {
        let ((from, radius), (to, end_radius)) = (pair[0], pair[1]);
        let along = [0, 1, 2].map(|axis| to[axis] - from[axis]);
        let away = [0, 1, 2].map(|axis| place[axis] - from[axis]);
        let part = (dot(away, along) / dot(along, along)).clamp(0.0, 1.0);
        let rest = [0, 1, 2].map(|axis| away[axis] - part * along[axis]);
        dot(rest, rest).sqrt() - (radius + (end_radius - radius) * part)
    };
    line.windows(2).map(segment).fold(f32::INFINITY, f32::min)
}

fn dot(a: [f32; 3], b: [f32; 3]) -> f32 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

fn drawn<T>(value: impl Fn([f32; 3]) -> T) -> Vec<T> {
    drawn_with_index(|_, place| value(place))
}

fn drawn_with_index<T>(value: impl Fn(usize, [f32; 3]) -> T) -> Vec<T> {
    let mut values = Vec::with_capacity(DIMS.iter().product());
    for k in 0..DIMS[2] {
        for j in 0..DIMS[1] {
            for i in 0..DIMS[0] {
                let place = [0, 1, 2].map(|axis| [i, j, k][axis] as f32 + ORIGIN[axis]);
                values.push(value(index(DIMS, [i, j, k]), place));
            }
        }
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_phantom_has_the_volumes_of_a_brain() {
        let map = label_map(&mut Random::new(1, 0));
        let millilitres =
            |tissue: Tissue| map.tissues.iter().filter(|&&t| t == tissue).count() as f32 / 1000.0;
        let ranges = [
            (Tissue::WhiteMatter, 300.0..700.0),
            (Tissue::Cortex, 350.0..800.0),
            (Tissue::Ventricle, 10.0..60.0),
            (Tissue::Thalamus, 5.0..20.0),
            (Tissue::CerebellarCortex, 40.0..160.0),
        ];
        for (tissue, range) in ranges {
            assert!(range.contains(&millilitres(tissue)), "{tissue:?} {}", millilitres(tissue));
        }
    }

    #[test]
    fn the_phantom_ends_before_its_grid() {
        let map = label_map(&mut Random::new(1, 0));
        let (low, high) =
            super::super::labels::bounding_box(map.dims, |at| map.tissues[at] != Tissue::Background).unwrap();
        for axis in 0..3 {
            assert!(low[axis] > 8 && high[axis] + 8 < map.dims[axis], "{low:?} {high:?}");
        }
    }
}
