//! Tissue of elsewhere in the head, put into a patch in both contrasts.
//!
//! What lies at an unexpected place teaches a generator to believe the image and not the anatomy that it knows: masses, cavities and
//! lesions are then shown as what their intensities say, and are not painted over.

use mrisynth::Contrast;
use rand::RngExt;
use rand_pcg::Pcg64;

use super::{Place, Study};

/// Brain voxels among which a donor of fluid is looked for.
const CANDIDATES: usize = 24;
/// The part of the transplants that are taken where T2w is brightest, for fluid and lesions are few.
const BRIGHT_PART: f64 = 0.5;

/// An ellipsoid of foreign tissue in a patch.
pub(super) struct Transplant {
    /// Its middle, row and column.
    centre: [f32; 2],
    /// Half axes in pixels, within the slice.
    radii: [f32; 2],
    /// Half axis across the slices.
    depth: f32,
    /// Sine and cosine of its rotation within the slice.
    turn: (f32, f32),
    /// Pixels over which it passes into its surroundings.
    rim: f32,
}

impl Transplant {
    /// An ellipsoid of 3 to 14 pixels' half axes, its middle in the middle half of the patch.
    pub(super) fn random(patch: usize, random: &mut Pcg64) -> Self {
        let edge = patch as f32;
        let mut within = |low: f32, high: f32| random.random_range(low..high);
        Self {
            centre: [within(0.25 * edge, 0.75 * edge), within(0.25 * edge, 0.75 * edge)],
            radii: [within(3.0, 14.0), within(3.0, 14.0)],
            depth: within(1.5, 10.0),
            turn: within(0.0, std::f32::consts::PI).sin_cos(),
            rim: within(0.5, 3.0),
        }
    }

    /// The pixel at its middle: row and column.
    pub(super) fn centre(&self) -> [f32; 2] {
        self.centre
    }

    /// How much of a pixel is foreign, 0..1; `across` slices from the middle one.
    fn weight(&self, row: usize, column: usize, across: f32) -> f32 {
        let (y, x) = (row as f32 - self.centre[0], column as f32 - self.centre[1]);
        let (sine, cosine) = self.turn;
        let along = [(x * cosine + y * sine) / self.radii[0], (y * cosine - x * sine) / self.radii[1]];
        let distance = along[0].hypot(along[1]).hypot(across / self.depth);
        ((1.0 - distance) * self.radii[0].min(self.radii[1]) / self.rim + 0.5).clamp(0.0, 1.0)
    }

    /// Mixes the donor's pixels into the host's, `[slices, patch, patch]` both; only brain into brain.
    pub(super) fn apply(&self, host: &mut [f32], donor: &[f32], patch: usize) {
        let area = patch * patch;
        let half = (host.len() / area / 2) as f32;
        for (at, (host, &donor)) in host.iter_mut().zip(donor).enumerate() {
            if *host > 0.0 && donor > 0.0 {
                let weight = self.weight(at % area / patch, at % patch, (at / area) as f32 - half);
                *host += weight * (donor - *host);
            }
        }
    }
}

/// A voxel to take tissue from, and its slice: any of the brain, or one that is bright in T2w.
pub(super) fn draw_donor<'a>(study: &'a Study, random: &mut Pcg64) -> ([f32; 2], Place<'a>) {
    let mut best = draw(study, random);
    if random.random_bool(BRIGHT_PART) {
        for _ in 1..CANDIDATES {
            let other = draw(study, random);
            if other.0 > best.0 {
                best = other;
            }
        }
    }
    (best.1, best.2)
}

/// A brain voxel: its T2w intensity, place in the slice, and slice.
fn draw<'a>(study: &'a Study, random: &mut Pcg64) -> (u16, [f32; 2], Place<'a>) {
    let place = Place { study, slice: study.slices[random.random_range(0..study.slices.len())] };
    let centre = super::draw_centre(place, random);
    (study.image(Contrast::T2w)[[centre[0] as usize, centre[1] as usize, place.slice]], centre, place)
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    const PATCH: usize = 32;

    fn round() -> Transplant {
        Transplant { centre: [16.0, 12.0], radii: [6.0, 6.0], depth: 2.0, turn: (0.0, 1.0), rim: 1.0 }
    }

    #[test]
    fn what_lies_within_is_the_donors_and_what_lies_without_the_hosts() {
        let mut host = vec![0.25; 3 * PATCH * PATCH];
        round().apply(&mut host, &vec![0.75; 3 * PATCH * PATCH], PATCH);
        let at = |slice: usize, row: usize, column: usize| host[(slice * PATCH + row) * PATCH + column];
        assert_eq!(at(1, 16, 12), 0.75);
        assert_eq!(at(1, 16, 17), 0.75);
        assert_eq!(at(1, 16, 18), 0.5);
        assert_eq!(at(1, 16, 19), 0.25);
        assert_eq!(at(1, 23, 12), 0.25);
        // An ellipsoid's neighbouring slices show less of it.
        assert_eq!(at(0, 16, 12), 0.75);
        assert_eq!(at(0, 16, 18), 0.25);
        assert_eq!(at(0, 16, 12), at(2, 16, 12));
    }

    #[test]
    fn background_neither_gives_nor_takes() {
        for (host, donor) in [(0.0, 0.75), (0.25, 0.0)] {
            let mut changed = vec![host; PATCH * PATCH];
            round().apply(&mut changed, &vec![donor; PATCH * PATCH], PATCH);
            assert!(changed.iter().all(|&value| value == host));
        }
    }

    #[test]
    fn chance_draws_what_fits_into_the_patch() {
        for seed in 0..100 {
            let transplant = Transplant::random(PATCH, &mut Pcg64::seed_from_u64(seed));
            let centre = transplant.centre();
            assert!(centre.iter().all(|&at| (8.0..24.0).contains(&at)), "{centre:?}");
            assert!(transplant.weight(centre[0] as usize, centre[1] as usize, 0.0) > 0.9);
        }
    }
}
