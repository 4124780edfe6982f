//! How a patch's intensities are varied: intensity curve, scale, bias field, blur, noise, motion, missing slices, left-over skull.

use rand::RngExt;
use rand_distr::{Distribution, StandardNormal};
use rand_pcg::Pcg64;

use super::UNIT;

/// How the source's intensities differ from the stored ones.
pub(super) struct Appearance {
    gamma: f32,
    /// How much the middle of the intensities is spread or narrowed, -1..1.
    curve: f32,
    scale: f32,
    /// Coefficients of the bias field's smooth terms over the patch.
    bias: [f32; 5],
    /// Part of a pixel that comes from each neighbour in a three-pixel blur.
    blur: f32,
    noise: f32,
    rician: bool,
    /// A ghost of the head, as motion makes along the phase-encoding axis.
    ghost: Option<Ghost>,
    /// A rim of skull that an extraction has left.
    skull: Option<Skull>,
    /// For each neighbouring slice in turn whether it is missing; the middle one never is.
    missing: [bool; 4],
}

/// A shifted image that is added.
struct Ghost {
    /// Its part of the intensity.
    part: f32,
    /// Shift in rows and columns.
    shift: [isize; 2],
}

/// Tissue outside of the brain on one side of it.
struct Skull {
    /// Shift of the outline in rows and columns.
    shift: [isize; 2],
    intensity: f32,
}

impl Appearance {
    pub(super) fn random(random: &mut Pcg64) -> Self {
        let sometimes = |random: &mut Pcg64, probability: f64, low: f32, high: f32, else_: f32| {
            let drawn = random.random_range(low..high);
            if random.random_bool(probability) { drawn } else { else_ }
        };
        let log_gamma = sometimes(random, 0.6, 0.7f32.ln(), 1.4f32.ln(), 0.0);
        let strength = sometimes(random, 0.5, 0.0, 0.2, 0.0);
        Self {
            gamma: log_gamma.exp(),
            curve: sometimes(random, 0.4, -0.6, 0.6, 0.0),
            scale: sometimes(random, 0.6, 0.9, 1.1, 1.0),
            bias: random_bias(strength, random),
            blur: sometimes(random, 0.2, 0.02, 0.22, 0.0),
            noise: sometimes(random, 0.5, 0.0, 0.04, 0.0),
            rician: random.random_bool(0.5),
            ghost: random.random_bool(0.15).then(|| Ghost::random(random)),
            skull: random.random_bool(0.05).then(|| Skull::random(random)),
            missing: std::array::from_fn(|_| random.random_bool(0.05)),
        }
    }

    /// Keeps brain pixels in 0..1 and above 0, and all others 0 but for left-over skull.
    pub(super) fn apply(&self, source: &mut [f32], patch: usize, random: &mut Pcg64) {
        for pixels in source.chunks_mut(patch * patch) {
            if let Some(skull) = &self.skull {
                skull.add(pixels, patch);
            }
            if let Some(ghost) = &self.ghost {
                ghost.add(pixels, patch);
            }
            if self.blur > 0.0 {
                blur(pixels, patch, self.blur);
            }
            for (row, line) in pixels.chunks_mut(patch).enumerate() {
                for (column, pixel) in line.iter_mut().enumerate() {
                    if *pixel > 0.0 {
                        let value = curved(pixel.powf(self.gamma), self.curve) * self.scale;
                        let value = value * self.bias_at(row, column, patch);
                        // A brain pixel never becomes exactly 0, which would be background.
                        *pixel = self.noisy(value, random).clamp(UNIT, 1.0);
                    }
                }
            }
        }
        self.repeat_middle(source, patch * patch);
    }

    /// Puts the middle slice in the place of those that are missing, as readers do that fill gaps.
    fn repeat_middle(&self, source: &mut [f32], area: usize) {
        let slices = source.len() / area;
        let middle = slices / 2;
        for (slice, _) in (0..slices).filter(|&slice| slice != middle).zip(self.missing).filter(|pair| pair.1)
        {
            source.copy_within(middle * area..(middle + 1) * area, slice * area);
        }
    }

    fn bias_at(&self, row: usize, column: usize, patch: usize) -> f32 {
        let unit = |n: usize| 2.0 * n as f32 / patch as f32 - 1.0;
        let (y, x) = (unit(row), unit(column));
        let terms = [x, y, x * y, x * x - 0.5, y * y - 0.5];
        1.0 + terms.iter().zip(&self.bias).map(|(term, weight)| term * weight).sum::<f32>()
    }

    fn noisy(&self, value: f32, random: &mut Pcg64) -> f32 {
        if self.noise == 0.0 {
            return value;
        }
        let mut draw = || -> f32 {
            let drawn: f32 = StandardNormal.sample(random);
            drawn * self.noise
        };
        if self.rician { (value + draw()).hypot(draw()) } else { value + draw() }
    }
}

impl Ghost {
    fn random(random: &mut Pcg64) -> Self {
        Self { part: random.random_range(0.02..0.15), shift: random_shift(random, 3, 40) }
    }

    fn add(&self, pixels: &mut [f32], patch: usize) {
        let before = pixels.to_vec();
        for (at, pixel) in pixels.iter_mut().enumerate().filter(|(_, pixel)| **pixel > 0.0) {
            let ghost = shifted(&before, patch, at, self.shift);
            *pixel = (1.0 - self.part) * *pixel + self.part * ghost;
        }
    }
}

impl Skull {
    fn random(random: &mut Pcg64) -> Self {
        Self { shift: random_shift(random, 1, 5), intensity: random.random_range(0.1..1.0) }
    }

    fn add(&self, pixels: &mut [f32], patch: usize) {
        let before = pixels.to_vec();
        for (at, pixel) in pixels.iter_mut().enumerate().filter(|(_, pixel)| **pixel == 0.0) {
            if shifted(&before, patch, at, self.shift) > 0.0 {
                *pixel = self.intensity;
            }
        }
    }
}

/// A shift of `least..most` pixels along a random one of both axes, and less along the other.
fn random_shift(random: &mut Pcg64, least: i16, most: i16) -> [isize; 2] {
    let far = random.random_range(least..most);
    let near = random.random_range(0..=far / 4);
    let sign = |random: &mut Pcg64| if random.random_bool(0.5) { 1 } else { -1 };
    let (far, near) = (isize::from(far * sign(random)), isize::from(near * sign(random)));
    if random.random_bool(0.5) { [far, near] } else { [near, far] }
}

/// The pixel that lies `shift` rows and columns from `at`; 0 outside the patch.
fn shifted(pixels: &[f32], patch: usize, at: usize, shift: [isize; 2]) -> f32 {
    let row = (at / patch).checked_add_signed(shift[0]).filter(|&row| row < patch);
    let column = (at % patch).checked_add_signed(shift[1]).filter(|&column| column < patch);
    row.zip(column).and_then(|(row, column)| pixels.get(row * patch + column)).copied().unwrap_or(0.0)
}

/// A curve that rises from (0, 0) to (1, 1) everywhere for `strength` in -1..1, steeper or flatter in the middle.
fn curved(value: f32, strength: f32) -> f32 {
    value - strength * (std::f32::consts::TAU * value).sin() / std::f32::consts::TAU
}

/// Random weights of the smooth terms whose absolute values sum to `strength`.
fn random_bias(strength: f32, random: &mut Pcg64) -> [f32; 5] {
    let mut weights = [0.0; 5];
    for weight in &mut weights {
        *weight = random.random_range(-1.0f32..1.0);
    }
    let total: f32 = weights.iter().map(|w| w.abs()).sum::<f32>().max(1e-6);
    weights.map(|weight| weight / total * strength)
}

/// A separable three-pixel blur over brain pixels; background neither gives nor takes.
fn blur(pixels: &mut [f32], patch: usize, side: f32) {
    for stride in [1, patch] {
        let before = pixels.to_vec();
        for (at, pixel) in pixels.iter_mut().enumerate() {
            if *pixel == 0.0 {
                continue;
            }
            let position = (at / stride) % patch;
            let (mut sum, mut total) = ((1.0 - 2.0 * side) * *pixel, 1.0 - 2.0 * side);
            let mut add = |neighbour: f32| {
                if neighbour > 0.0 {
                    sum += side * neighbour;
                    total += side;
                }
            };
            if position > 0 {
                add(before[at - stride]);
            }
            if position + 1 < patch {
                add(before[at + stride]);
            }
            *pixel = sum / total;
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    const PATCH: usize = 16;

    fn none() -> Appearance {
        Appearance {
            gamma: 1.0,
            curve: 0.0,
            scale: 1.0,
            bias: [0.0; 5],
            blur: 0.0,
            noise: 0.0,
            rician: false,
            ghost: None,
            skull: None,
            missing: [false; 4],
        }
    }

    /// Three slices with brain in the middle 8 x 8 pixels, of intensities that tell the slices apart.
    fn slices() -> Vec<f32> {
        (0..3 * PATCH * PATCH)
            .map(|at| {
                let (slice, row, column) = (at / (PATCH * PATCH), at / PATCH % PATCH, at % PATCH);
                let inside = (4..12).contains(&row) && (4..12).contains(&column);
                if inside { 0.2 * (slice + 1) as f32 + 0.01 * row as f32 } else { 0.0 }
            })
            .collect()
    }

    fn applied(appearance: &Appearance) -> Vec<f32> {
        let mut changed = slices();
        appearance.apply(&mut changed, PATCH, &mut Pcg64::seed_from_u64(1));
        changed
    }

    #[test]
    fn nothing_varied_is_nothing_changed() {
        assert_eq!(applied(&none()), slices());
    }

    #[test]
    fn the_curve_rises_from_0_to_1() {
        for strength in [-0.6, -0.2, 0.3, 0.6] {
            let values: Vec<f32> = (0..=100).map(|n| curved(n as f32 / 100.0, strength)).collect();
            assert!(values[0].abs() < 1e-6 && (values[100] - 1.0).abs() < 1e-6);
            assert!(values.windows(2).all(|pair| pair[1] > pair[0]), "{strength}");
        }
    }

    #[test]
    fn a_ghost_changes_the_brain_alone() {
        let changed = applied(&Appearance { ghost: Some(Ghost { part: 0.1, shift: [2, 0] }), ..none() });
        let at = |row: usize, column: usize| row * PATCH + column;
        let before = slices();
        assert!((changed[at(4, 5)] - (0.9 * before[at(4, 5)] + 0.1 * before[at(6, 5)])).abs() < 1e-6);
        // What lies two rows further is background.
        assert!((changed[at(11, 5)] - 0.9 * before[at(11, 5)]).abs() < 1e-6);
        assert!(changed.iter().zip(&before).all(|(c, b)| (*c > 0.0) == (*b > 0.0)));
    }

    #[test]
    fn left_over_skull_lies_outside_on_one_side() {
        let changed = applied(&Appearance { skull: Some(Skull { shift: [0, 3], intensity: 0.7 }), ..none() });
        for (at, (after, before)) in changed.iter().zip(slices()).enumerate() {
            let (row, column) = (at / PATCH % PATCH, at % PATCH);
            let skull = (4..12).contains(&row) && (1..4).contains(&column);
            assert_eq!(*after, if skull { 0.7 } else { before });
        }
    }

    #[test]
    fn a_missing_slice_repeats_the_middle_one() {
        let (changed, before) =
            (applied(&Appearance { missing: [false, true, false, false], ..none() }), slices());
        let area = PATCH * PATCH;
        assert_eq!(changed[..2 * area], before[..2 * area]);
        assert_eq!(changed[2 * area..], before[area..2 * area]);
    }

    #[test]
    fn what_chance_draws_keeps_intensities_and_background() {
        for seed in 0..100 {
            let random = &mut Pcg64::seed_from_u64(seed);
            let (mut changed, before) = (slices(), slices());
            let appearance = Appearance::random(random);
            appearance.apply(&mut changed, PATCH, random);
            for (after, before) in changed.iter().zip(before) {
                assert!((0.0..=1.0).contains(after) && (before == 0.0 || *after > 0.0));
                assert!(before > 0.0 || *after == 0.0 || appearance.skull.is_some());
            }
        }
    }
}
