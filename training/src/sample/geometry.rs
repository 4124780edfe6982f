//! Where a patch lies in its volume: rotation, scale, flips, bending, slice distance and thickness.

use ndarray::Array3;
use rand::RngExt;
use rand_pcg::Pcg64;

use super::UNIT;

/// Where the pixels of a patch lie in the volume.
#[derive(Clone)]
pub(super) struct Geometry {
    centre: [f32; 2],
    slice: usize,
    /// Volume offset (i, j) = matrix times patch offset (column, row).
    matrix: [[f32; 2]; 2],
    /// How the plane is bent, for few real brains are all the anatomy there is.
    bend: Option<Bend>,
    /// Distance of neighbouring input slices, in millimetres.
    slice_distance: f32,
    /// Thickness of the source's slices, in millimetres.
    thickness: f32,
}

impl Geometry {
    pub(super) fn identity(centre: [f32; 2], slice: usize) -> Self {
        Self {
            centre,
            slice,
            matrix: [[1.0, 0.0], [0.0, 1.0]],
            bend: None,
            slice_distance: 1.0,
            thickness: 1.0,
        }
    }

    /// The slice as it is, its volume's grid centred in a window: `(window - size) / 2` zeros before it, as the library does.
    pub(super) fn whole(dims: [usize; 3], window: usize, slice: usize) -> Self {
        let centre = [dims[0], dims[1]].map(|size| {
            let before = window.saturating_sub(size) / 2;
            (window / 2) as f32 - before as f32
        });
        Self::identity(centre, slice)
    }

    /// The same place, seen differently.
    pub(super) fn varied(mut self, random: &mut Pcg64) -> Self {
        // A fifth of the patches keep their own grid, so that uninterpolated sharpness is seen too.
        if random.random_bool(0.8) {
            self.matrix = random_matrix(random);
        }
        if random.random_bool(0.5) {
            for row in &mut self.matrix {
                row[0] = -row[0];
            }
        }
        if random.random_bool(0.6) {
            self.bend = Some(Bend::random(random));
        }
        if random.random_bool(0.3) {
            self.slice_distance = random.random_range(0.85..1.2);
        }
        if random.random_bool(0.3) {
            self.thickness = random.random_range(1.0..5.0);
        }
        self
    }

    /// The same place in thin slices.
    pub(super) fn thin(self) -> Self {
        Self { thickness: 1.0, ..self }
    }

    /// The same view of another place of the volume: `pixel` (row, column) of the patch shows `voxel` (i, j) of `slice`.
    pub(super) fn showing(&self, voxel: [f32; 2], slice: usize, pixel: [f32; 2], patch: usize) -> Self {
        let middle = (patch / 2) as f32;
        let offset = self.bent([pixel[1] - middle, pixel[0] - middle]);
        let centre = std::array::from_fn(|axis| voxel[axis] - self.shift(axis, offset));
        Self { centre, slice, ..self.clone() }
    }

    /// Where an offset in the patch (columns, rows) lies after bending.
    fn bent(&self, offset: [f32; 2]) -> [f32; 2] {
        self.bend.as_ref().map_or(offset, |bend| bend.apply(offset))
    }

    /// What an offset in the patch is along an axis of the volume.
    fn shift(&self, axis: usize, offset: [f32; 2]) -> f32 {
        self.matrix[axis][0] * offset[0] + self.matrix[axis][1] * offset[1]
    }

    /// Reads slices around this place, `[slices_in, patch, patch]`.
    pub(super) fn extract(&self, volume: &Array3<u16>, slices_in: usize, patch: usize, pixels: &mut [f32]) {
        let half = (slices_in / 2) as f32;
        for (channel, pixels) in pixels.chunks_mut(patch * patch).enumerate() {
            let position = self.slice as f32 + (channel as f32 - half) * self.slice_distance;
            let slices = slab(position, self.thickness, volume.dim().2);
            self.resample(volume, &slices, patch, pixels);
        }
    }

    /// Bilinear in the plane and averaged over `slices`, over brain voxels only; 0 where the nearest voxel is background.
    fn resample(&self, volume: &Array3<u16>, slices: &[(usize, f32)], patch: usize, pixels: &mut [f32]) {
        let Some(&(nearest_slice, _)) = slices.iter().max_by(|a, b| a.1.total_cmp(&b.1)) else {
            return;
        };
        let middle = (patch / 2) as f32;
        for (row, line) in pixels.chunks_mut(patch).enumerate() {
            for (column, pixel) in line.iter_mut().enumerate() {
                let offset = self.bent([column as f32 - middle, row as f32 - middle]);
                let at = |axis: usize| self.centre[axis] + self.shift(axis, offset);
                *pixel = value_at(volume, slices, nearest_slice, at(0), at(1));
            }
        }
    }
}

/// Waves that shift the pixels of a patch along both axes.
#[derive(Clone)]
struct Bend {
    /// For each axis the waves whose sum is the shift.
    waves: [[Wave; 2]; 2],
}

/// A wave over the plane.
#[derive(Clone)]
struct Wave {
    /// In pixels.
    amplitude: f32,
    /// Radians a pixel, along both axes.
    frequency: [f32; 2],
    phase: f32,
}

impl Bend {
    /// The longest shift is 3 pixels a wave. The mapping never folds: it changes by at most 2 pi 3 / 50 = 0.38 a pixel and wave.
    fn random(random: &mut Pcg64) -> Self {
        Self { waves: std::array::from_fn(|_| std::array::from_fn(|_| Wave::random(random))) }
    }

    fn apply(&self, offset: [f32; 2]) -> [f32; 2] {
        std::array::from_fn(|axis| {
            offset[axis] + self.waves[axis].iter().map(|wave| wave.at(offset)).sum::<f32>()
        })
    }
}

impl Wave {
    fn random(random: &mut Pcg64) -> Self {
        let direction = random.random_range(0.0..std::f32::consts::TAU);
        let frequency = std::f32::consts::TAU / random.random_range(50.0f32..150.0);
        Self {
            amplitude: random.random_range(0.0..3.0),
            frequency: [frequency * direction.cos(), frequency * direction.sin()],
            phase: random.random_range(0.0..std::f32::consts::TAU),
        }
    }

    fn at(&self, [x, y]: [f32; 2]) -> f32 {
        self.amplitude * (self.frequency[0] * x + self.frequency[1] * y + self.phase).sin()
    }
}

/// Rotation by up to 15 degrees, scale 0.85..1.2, a little shear and anisotropy.
fn random_matrix(random: &mut Pcg64) -> [[f32; 2]; 2] {
    let angle = random.random_range(-15f32..15.0).to_radians();
    let scale = 1.0 / random.random_range(0.85f32..1.2);
    let stretch = random.random_range(0.95f32..1.05);
    let shear = random.random_range(-0.08f32..0.08);
    let (sine, cosine) = angle.sin_cos();
    let (a, d) = (scale * stretch, scale / stretch);
    [[a * cosine, a * shear * cosine - d * sine], [a * sine, a * shear * sine + d * cosine]]
}

/// The slices that a slab around `position` covers, with the covered parts; none outside the volume.
fn slab(position: f32, thickness: f32, count: usize) -> Vec<(usize, f32)> {
    let (low, high) = (position - thickness / 2.0, position + thickness / 2.0);
    let first = (low + 0.5).floor().max(0.0) as usize;
    (first..count)
        .map(|k| {
            let covered = (high.min(k as f32 + 0.5) - low.max(k as f32 - 0.5)).max(0.0);
            (k, covered)
        })
        .take_while(|&(k, covered)| covered > 0.0 || (k as f32) < position)
        .filter(|&(_, covered)| covered > 1e-6)
        .collect()
}

fn value_at(volume: &Array3<u16>, slices: &[(usize, f32)], nearest_slice: usize, x: f32, y: f32) -> f32 {
    let (ni, nj, _) = volume.dim();
    let nearest = [(x + 0.5).floor(), (y + 0.5).floor()];
    let inside = |i: f32, j: f32| i >= 0.0 && j >= 0.0 && i < ni as f32 && j < nj as f32;
    if !inside(nearest[0], nearest[1])
        || volume[[nearest[0] as usize, nearest[1] as usize, nearest_slice]] == 0
    {
        return 0.0;
    }
    let (x0, y0) = (x.floor(), y.floor());
    let (fx, fy) = (x - x0, y - y0);
    let (mut sum, mut total) = (0.0, 0.0);
    for (i, wx) in [(x0, 1.0 - fx), (x0 + 1.0, fx)] {
        for (j, wy) in [(y0, 1.0 - fy), (y0 + 1.0, fy)] {
            if wx * wy <= 0.0 || !inside(i, j) {
                continue;
            }
            for &(k, wz) in slices {
                let voxel = volume[[i as usize, j as usize, k]];
                if voxel > 0 {
                    let weight = wx * wy * wz;
                    sum += weight * f32::from(voxel);
                    total += weight;
                }
            }
        }
    }
    if total > 0.0 { sum / total * UNIT } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::super::Study;
    use super::super::tests::ball;
    use super::*;
    use crate::data::store::Origin;
    use mrisynth::Contrast;

    #[test]
    fn geometry_is_the_same_for_both_contrasts() {
        let study = Study::new(ball("a", Origin::Real));
        for seed in 0..20 {
            let random = &mut Pcg64::seed_from_u64(seed);
            let geometry = Geometry::identity([18.0, 22.0], 20).varied(random).thin();
            let (mut source, mut target) = (vec![0.0; 3 * 1024], vec![0.0; 1024]);
            geometry.extract(study.image(Contrast::T1w), 3, 32, &mut source);
            geometry.extract(study.image(Contrast::T2w), 1, 32, &mut target);
            for (s, t) in source[1024..2048].iter().zip(&target) {
                assert!((*s == 0.0 && *t == 0.0) || (s + t - 1.0).abs() < 1e-4);
            }
        }
    }

    #[test]
    fn another_place_is_shown_at_the_pixel_that_was_asked_for() {
        let mut volume = Array3::from_elem((40, 40, 8), 1);
        volume[[23, 17, 5]] = u16::MAX;
        for seed in 0..20 {
            let random = &mut Pcg64::seed_from_u64(seed);
            let geometry = Geometry::identity([12.0, 20.0], 3).varied(random).thin();
            let mut pixels = vec![0.0; 32 * 32];
            geometry.showing([23.0, 17.0], 5, [11.0, 14.0], 32).extract(&volume, 1, 32, &mut pixels);
            assert!(pixels[11 * 32 + 14] > 0.999, "seed {seed}: {}", pixels[11 * 32 + 14]);
        }
    }

    #[test]
    fn bending_never_folds_the_plane() {
        for seed in 0..200 {
            let bend = Bend::random(&mut Pcg64::seed_from_u64(seed));
            for at in (0..200).map(|n| [(n * 7 % 128) as f32 - 64.0, (n * 31 % 128) as f32 - 64.0]) {
                let [x, y] = bend.apply(at);
                let [right, below] = [bend.apply([at[0] + 0.1, at[1]]), bend.apply([at[0], at[1] + 0.1])];
                let (a, b, c, d) = (right[0] - x, below[0] - x, right[1] - y, below[1] - y);
                assert!(a * d - b * c > 0.0, "seed {seed} at {at:?}");
            }
        }
    }

    #[test]
    fn a_slab_covers_its_thickness() {
        assert_eq!(slab(5.0, 1.0, 10), [(5, 1.0)]);
        assert_eq!(slab(5.25, 1.0, 10), [(5, 0.75), (6, 0.25)]);
        assert_eq!(slab(5.0, 3.0, 10), [(4, 1.0), (5, 1.0), (6, 1.0)]);
        assert_eq!(slab(-1.0, 1.0, 10), []);
        assert_eq!(slab(10.0, 1.0, 10), []);
        assert_eq!(slab(0.0, 5.0, 10), [(0, 1.0), (1, 1.0), (2, 1.0)]);
    }
}
