//! What a scanner and the preparation of its images do: slices, blur, noise, a residual bias and resampling.

use std::ops::Range;

use rand::RngExt;
use rand_distr::StandardNormal;

use super::Random;
use super::field::{Band, Field};
use super::protocol::Geometry;

/// Standard deviation of a Gaussian relative to its full width at half maximum.
const DEVIATION_PER_WIDTH: f32 = 0.4247;
/// Slices thinner than this, in millimetres, are sampled on the 1 mm grid itself.
const THINNEST_SLICE: f32 = 1.25;
/// Voxels of this size, in millimetres, blur no more than the label map's grid does.
const FINEST: f32 = 0.7;
/// Standard deviation in voxels of the blur in scanners' edge enhancement.
const SHARPENING_RADIUS: f32 = 0.8;
/// The residual bias varies over this many millimetres.
const BIAS_SPACING: f32 = 50.0;

/// How one contrast was acquired and brought to the 1 mm grid.
#[derive(Clone, Debug, PartialEq)]
pub struct Acquisition {
    /// Along each axis, the samples that lie farther apart than the grid's voxels; without, the grid itself is sampled.
    samples: [Option<Samples>; 3],
    /// Standard deviation in millimetres of the blur before sampling, beyond that of the label map's grid.
    blur: [f32; 3],
    /// Standard deviation in samples of the blur by which resampling correlates the noise.
    resampling: [f32; 3],
    /// Standard deviation in samples of the blur whose difference from the image sharpens it.
    sharpening_radius: [f32; 3],
    /// Strength of the edge enhancement that scanners' filters apply.
    sharpening: f32,
    /// Signal of white matter over the standard deviation of the noise.
    signal_to_noise: f32,
    /// Standard deviation of the residual bias.
    bias: f32,
}

/// Slices, or voxels inside slices, along one axis; all in millimetres.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Samples {
    /// Centre of the first.
    first: f32,
    /// From centre to centre.
    step: f32,
    /// Standard deviation of each sample's Gaussian profile.
    profile: f32,
}

/// Quality of the images of one site or cohort.
#[derive(Clone, Debug, PartialEq)]
pub struct Quality {
    /// Signal of white matter over the standard deviation of the noise in a voxel (of 1 mm where the scan's are finer).
    pub signal_to_noise: Range<f32>,
    /// Standard deviation of the bias field that its correction leaves.
    pub bias: Range<f32>,
    /// Part of the scans that the scanner's filter sharpened.
    pub sharpened: f64,
}

impl Acquisition {
    /// Mostly 3D sequences of about 1 mm, else slices of 2 to 5 mm.
    pub fn random_t1w(random: &mut Random) -> Self {
        let thickness = match random.random_range(0..10) {
            0..6 => random.random_range(0.8..1.4),
            6..9 => random.random_range(1.4..3.3),
            _ => random.random_range(3.3..5.0),
        };
        Self::random(thickness, random)
    }

    /// Mostly slices of about 3 mm.
    pub fn random_t2w(random: &mut Random) -> Self {
        let thickness = match random.random_range(0..10) {
            0..3 => random.random_range(0.8..1.6),
            3..8 => random.random_range(2.0..3.5),
            _ => random.random_range(3.5..5.0),
        };
        Self::random(thickness, random)
    }

    /// A 3D sequence of 1 mm with little noise.
    pub fn fine() -> Self {
        Self {
            samples: [None; 3],
            blur: [0.2; 3],
            resampling: [0.3; 3],
            sharpening_radius: [SHARPENING_RADIUS; 3],
            sharpening: 0.0,
            signal_to_noise: 40.0,
            bias: 0.01,
        }
    }

    fn random(thickness: f32, random: &mut Random) -> Self {
        let axis = if thickness < 1.7 || random.random_bool(0.1) { random.random_range(0..3) } else { 2 };
        let sharpened = random.random_bool(0.3);
        let spacing = random.random_range(1.0..1.2);
        let first = random.random_range(0.0..1.0) * thickness;
        let acquisition = Self {
            samples: [None; 3],
            blur: [random.random_range(0.0..0.45); 3],
            resampling: [random.random_range(0.25..0.5); 3],
            sharpening_radius: [SHARPENING_RADIUS; 3],
            signal_to_noise: random.random_range(18.0_f32.ln()..60.0_f32.ln()).exp(),
            bias: random.random_range(0.0..0.045),
            sharpening: if sharpened { random.random_range(0.1..0.5) } else { 0.0 },
        };
        acquisition.across_slices(axis, thickness, spacing * thickness, first)
    }

    /// A scan with this geometry, at a random position of the patient.
    pub fn of_scan(geometry: &Geometry, quality: &Quality, random: &mut Random) -> Self {
        let sharpened = random.random_bool(quality.sharpened);
        let mut acquisition = Self {
            samples: [None; 3],
            blur: [0.0; 3],
            resampling: [0.0; 3],
            sharpening_radius: [SHARPENING_RADIUS; 3],
            sharpening: if sharpened { random.random_range(0.1..0.4) } else { 0.0 },
            signal_to_noise: random.random_range(quality.signal_to_noise.clone()),
            bias: random.random_range(quality.bias.clone()),
        };
        for (axis, size) in geometry.voxel_sizes().into_iter().enumerate() {
            // Drawn for every axis, so that what follows does not depend on the sizes.
            let part: f32 = random.random_range(0.0..1.0);
            if size < THINNEST_SLICE {
                acquisition.blur[axis] = deviation_on_grid(own_blur(size).powi(2));
                // Linear interpolation at a random place between two samples.
                acquisition.resampling[axis] = deviation_on_grid(size * size / 6.0);
            } else {
                let step = if axis == geometry.orientation.axis() { size + geometry.gap } else { size };
                acquisition.samples[axis] =
                    Some(Samples { first: part * step, step, profile: DEVIATION_PER_WIDTH * size });
            }
        }
        if acquisition.samples[geometry.orientation.axis()].is_some() {
            acquisition.sharpening_radius[geometry.orientation.axis()] = 0.0;
        }
        acquisition
    }

    /// Signal of white matter over the standard deviation of the noise.
    pub fn signal_to_noise(&self) -> f32 {
        self.signal_to_noise
    }

    /// With slices of this thickness along `axis`.
    fn across_slices(mut self, axis: usize, thickness: f32, step: f32, first: f32) -> Self {
        if thickness < THINNEST_SLICE {
            self.blur[axis] = self.blur[axis].max(DEVIATION_PER_WIDTH * (thickness - 0.7).max(0.0));
        } else {
            self.samples[axis] = Some(Samples { first, step, profile: DEVIATION_PER_WIDTH * thickness });
            self.blur[axis] = 0.0;
            self.resampling[axis] = 0.0;
            self.sharpening_radius[axis] = 0.0;
        }
        self
    }

    /// The image as acquired and brought back to the 1 mm grid; `white_matter` is the brightness that the noise refers
    /// to.
    pub fn apply(&self, image: Field, white_matter: f32, random: &mut Random) -> Field {
        let dims = image.dims;
        let mut image = self.with_bias(image, random).blurred(self.blur);
        for (axis, samples) in self.samples.iter().enumerate() {
            if let Some(samples) = samples {
                image = samples.taken(dims[axis]).apply(&image, axis);
            }
        }
        image = self.sharpened(image);
        add_rician_noise(&mut image, white_matter / self.signal_to_noise, random);
        image = image.blurred(self.resampling);
        for (axis, samples) in self.samples.iter().enumerate() {
            if let Some(samples) = samples {
                image = samples.interpolated(dims[axis]).apply(&image, axis);
            }
        }
        // Cubic interpolation overshoots.
        for value in &mut image.values {
            *value = value.max(0.0);
        }
        image
    }

    fn with_bias(&self, mut image: Field, random: &mut Random) -> Field {
        let bias = Field::noise(image.dims, BIAS_SPACING, random);
        for (value, bias) in image.values.iter_mut().zip(bias.values) {
            *value *= (self.bias * bias).clamp(-0.12, 0.12).exp();
        }
        image
    }

    fn sharpened(&self, image: Field) -> Field {
        if self.sharpening == 0.0 {
            return image;
        }
        let mut sharp = image.clone().blurred(self.sharpening_radius);
        for (value, original) in sharp.values.iter_mut().zip(&image.values) {
            *value = (original + self.sharpening * (original - *value)).max(0.0);
        }
        sharp
    }
}

impl Samples {
    /// How many there are on a grid of `length` voxels.
    fn count(&self, length: usize) -> usize {
        ((length as f32 - 1.0 - self.first) / self.step).floor().max(0.0) as usize + 1
    }

    /// From the grid's voxels to samples.
    fn taken(&self, length: usize) -> Band {
        let positions: Vec<f32> =
            (0..self.count(length)).map(|sample| self.first + sample as f32 * self.step).collect();
        Band::slices(length, &positions, self.profile)
    }

    /// From samples to the grid's voxels.
    fn interpolated(&self, length: usize) -> Band {
        Band::between_slices(self.count(length), length, self.first, self.step)
    }
}

/// Standard deviation in millimetres of the blur of voxels of this size beyond that of the finest.
fn own_blur(size: f32) -> f32 {
    DEVIATION_PER_WIDTH * (size * size - FINEST * FINEST).max(0.0).sqrt()
}

/// The standard deviation at which a Gaussian that is sampled once a voxel has this variance in square voxels.
///
/// Narrow ones have next to no weight beside their centre: with three weights w, 1, w the variance is 2w / (1 + 2w).
fn deviation_on_grid(variance: f32) -> f32 {
    if variance <= 0.0 {
        0.0
    } else if variance < 0.3 {
        let weight = 0.5 * variance / (1.0 - variance);
        (-0.5 / weight.ln()).sqrt()
    } else {
        variance.sqrt()
    }
}

/// The magnitude of the signal with complex Gaussian noise (Gudbjartsson and Patz 1995, MRM 34:910).
fn add_rician_noise(image: &mut Field, deviation: f32, random: &mut Random) {
    for value in &mut image.values {
        let (real, imaginary): (f32, f32) = (random.sample(StandardNormal), random.sample(StandardNormal));
        *value = (*value + deviation * real).hypot(deviation * imaginary);
    }
}

#[cfg(test)]
mod tests {
    use super::super::protocol::Orientation;
    use super::*;

    const PLAIN: Acquisition = Acquisition {
        samples: [None; 3],
        blur: [0.3; 3],
        resampling: [0.3; 3],
        sharpening_radius: [SHARPENING_RADIUS; 3],
        sharpening: 0.3,
        signal_to_noise: 1e6,
        bias: 0.0,
    };

    #[test]
    fn a_constant_image_stays_constant_without_noise_and_bias() {
        for thickness in [1.0, 3.0] {
            let acquisition = PLAIN.across_slices(2, thickness, 1.1 * thickness, 1.0);
            let image = acquisition.apply(Field::filled([20, 22, 24], 0.5), 0.5, &mut Random::new(1, 0));
            assert_eq!(image.dims, [20, 22, 24]);
            assert!(image.values.iter().all(|v| (v - 0.5).abs() < 1e-4));
        }
    }

    const NOISELESS: Quality = Quality { signal_to_noise: 1e6..1e6 + 1.0, bias: 0.0..1e-9, sharpened: 0.0 };

    /// Mean squared differences between neighbours along each axis, of noise that this geometry has imaged.
    fn roughness(geometry: &Geometry) -> [f32; 3] {
        let mut random = Random::new(3, 0);
        let acquisition = Acquisition::of_scan(geometry, &NOISELESS, &mut random);
        let mut image = Field::noise([40, 44, 48], 1.5, &mut random);
        for value in &mut image.values {
            *value += 10.0;
        }
        let image = acquisition.apply(image, 1.0, &mut random);
        [1, 40, 40 * 44].map(|step| {
            let differences = image.values.iter().zip(&image.values[step..]).map(|(a, b)| (a - b).powi(2));
            differences.sum::<f32>() / image.values.len() as f32
        })
    }

    fn axial(thickness: f32, matrix: [u16; 2]) -> Geometry {
        Geometry { orientation: Orientation::Axial, thickness, gap: 0.0, field_of_view: [256.0; 2], matrix }
    }

    #[test]
    fn thick_slices_are_smoother_across_than_inside() {
        let thin = roughness(&axial(1.0, [256, 256]));
        let thick = roughness(&axial(3.0, [256, 256]));
        assert!(thick[2] < 0.4 * thin[2], "{thick:?} {thin:?}");
        assert!(thick[2] < 0.4 * thick[0] && thick[2] < 0.4 * thick[1], "{thick:?}");
        let sagittal = Geometry { orientation: Orientation::Sagittal, ..axial(3.0, [256, 256]) };
        let sagittal = roughness(&sagittal);
        assert!(sagittal[0] < 0.6 * sagittal[1] && sagittal[0] < 0.6 * sagittal[2], "{sagittal:?}");
    }

    #[test]
    fn coarser_matrices_are_smoother_in_their_direction() {
        let roughness = [[512, 512], [256, 256], [224, 256], [192, 256], [160, 256]]
            .map(|matrix| roughness(&axial(3.0, matrix)));
        // Phase is from side to side, read from front to back.
        for pair in roughness.windows(2) {
            assert!(pair[1][0] < 0.98 * pair[0][0], "{roughness:?}");
        }
        assert!(roughness[3][0] < 0.9 * roughness[3][1], "{roughness:?}");
    }

    #[test]
    fn narrow_blurs_have_their_variance_on_the_grid() {
        for variance in [0.05_f32, 0.1, 0.17, 0.25, 0.4, 1.0] {
            let mut point = Field::filled([21, 1, 1], 0.0);
            point.values[10] = 1.0;
            let blurred = point.blurred([deviation_on_grid(variance), 0.0, 0.0]);
            let measured: f32 =
                blurred.values.iter().enumerate().map(|(at, v)| v * (at as f32 - 10.0).powi(2)).sum();
            assert!((measured / variance - 1.0).abs() < 0.1, "{measured} {variance}");
        }
        assert_eq!(deviation_on_grid(0.0), 0.0);
    }

    #[test]
    fn noise_in_the_background_has_the_rayleigh_mean() {
        let mut image = Field::filled([30, 30, 30], 0.0);
        add_rician_noise(&mut image, 0.1, &mut Random::new(2, 0));
        let mean = image.values.iter().sum::<f32>() / 27000.0;
        assert!((mean - 0.1 * (std::f32::consts::PI / 2.0).sqrt()).abs() < 2e-3, "{mean}");
    }

    #[test]
    fn even_a_single_slice_is_spread_over_the_grid() {
        let acquisition = PLAIN.across_slices(2, 5.0, 5.5, 4.9);
        let image = acquisition.apply(Field::filled([4, 4, 3], 1.0), 1.0, &mut Random::new(1, 0));
        assert!(image.values.iter().all(|v| (v - 1.0).abs() < 1e-3));
    }
}
