//! What a scanner and the preparation of its images do: slices, blur, noise, a residual bias and resampling.

use rand::RngExt;
use rand_distr::StandardNormal;

use super::Random;
use super::field::{Band, Field};

/// Standard deviation of a Gaussian relative to its full width at half maximum.
const DEVIATION_PER_WIDTH: f32 = 0.4247;
/// Slices thinner than this, in millimetres, are sampled on the 1 mm grid itself.
const THINNEST_SLICE: f32 = 1.25;
/// The residual bias varies over this many millimetres.
const BIAS_SPACING: f32 = 50.0;

/// How one contrast was acquired.
#[derive(Clone, Debug, PartialEq)]
pub struct Acquisition {
    /// The axis across the slices: 0 sagittal, 1 coronal, 2 axial.
    axis: usize,
    /// Slice thickness in millimetres.
    thickness: f32,
    /// Distance between slice centres relative to the thickness.
    spacing: f32,
    /// Position of the first slice in millimetres.
    offset: f32,
    /// Standard deviation in millimetres of the blur inside a slice, beyond that of the label map's grid.
    blur: f32,
    /// Standard deviation in millimetres of the blur by which resampling correlates the noise.
    resampling: f32,
    /// Signal of white matter over the standard deviation of the noise.
    signal_to_noise: f32,
    /// Standard deviation of the residual bias.
    bias: f32,
    /// Strength of the edge enhancement that scanners' filters apply.
    sharpening: f32,
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
            axis: 2,
            thickness: 1.0,
            spacing: 1.0,
            offset: 0.0,
            blur: 0.2,
            resampling: 0.3,
            signal_to_noise: 40.0,
            bias: 0.01,
            sharpening: 0.0,
        }
    }

    fn random(thickness: f32, random: &mut Random) -> Self {
        let axis = if thickness < 1.7 || random.random_bool(0.1) { random.random_range(0..3) } else { 2 };
        let sharpened = random.random_bool(0.3);
        Self {
            axis,
            thickness,
            spacing: random.random_range(1.0..1.2),
            offset: random.random_range(0.0..1.0) * thickness,
            blur: random.random_range(0.0..0.45),
            resampling: random.random_range(0.25..0.5),
            signal_to_noise: random.random_range(18.0_f32.ln()..60.0_f32.ln()).exp(),
            bias: random.random_range(0.0..0.045),
            sharpening: if sharpened { random.random_range(0.1..0.5) } else { 0.0 },
        }
    }

    /// The image as acquired and brought back to the 1 mm grid; `white_matter` is the brightness that the noise refers
    /// to.
    pub fn apply(&self, image: Field, white_matter: f32, random: &mut Random) -> Field {
        let mut image = self.with_bias(image, random);
        let mut blur = [self.blur; 3];
        if self.thickness < THINNEST_SLICE {
            blur[self.axis] = blur[self.axis].max(DEVIATION_PER_WIDTH * (self.thickness - 0.7).max(0.0));
        } else {
            blur[self.axis] = 0.0;
        }
        image = image.blurred(blur);
        let length = image.dims[self.axis];
        let noise = white_matter / self.signal_to_noise;
        if self.thickness < THINNEST_SLICE {
            image = self.sharpened(image, [0.8; 3]);
            add_rician_noise(&mut image, noise, random);
            return image.blurred([self.resampling; 3]);
        }
        let step = self.thickness * self.spacing;
        let count = ((length as f32 - 1.0 - self.offset) / step).floor().max(0.0) as usize + 1;
        let positions: Vec<f32> = (0..count).map(|slice| self.offset + slice as f32 * step).collect();
        let profile = DEVIATION_PER_WIDTH * self.thickness;
        image = Band::slices(length, &positions, profile).apply(&image, self.axis);
        let mut in_plane = [0.8; 3];
        in_plane[self.axis] = 0.0;
        image = self.sharpened(image, in_plane);
        add_rician_noise(&mut image, noise, random);
        let mut resampling = [self.resampling; 3];
        resampling[self.axis] = 0.0;
        let mut image = Band::between_slices(count, length, self.offset, step)
            .apply(&image.blurred(resampling), self.axis);
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

    fn sharpened(&self, image: Field, deviations: [f32; 3]) -> Field {
        if self.sharpening == 0.0 {
            return image;
        }
        let mut sharp = image.clone().blurred(deviations);
        for (value, original) in sharp.values.iter_mut().zip(&image.values) {
            *value = (original + self.sharpening * (original - *value)).max(0.0);
        }
        sharp
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
    use super::*;

    const PLAIN: Acquisition = Acquisition {
        axis: 2,
        thickness: 3.0,
        spacing: 1.1,
        offset: 1.0,
        blur: 0.3,
        resampling: 0.3,
        signal_to_noise: 1e6,
        bias: 0.0,
        sharpening: 0.3,
    };

    #[test]
    fn a_constant_image_stays_constant_without_noise_and_bias() {
        for thickness in [1.0, 3.0] {
            let acquisition = Acquisition { thickness, ..PLAIN };
            let image = acquisition.apply(Field::filled([20, 22, 24], 0.5), 0.5, &mut Random::new(1, 0));
            assert_eq!(image.dims, [20, 22, 24]);
            assert!(image.values.iter().all(|v| (v - 0.5).abs() < 1e-4));
        }
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
        let acquisition = Acquisition { thickness: 5.0, offset: 4.9, ..PLAIN };
        let image = acquisition.apply(Field::filled([4, 4, 3], 1.0), 1.0, &mut Random::new(1, 0));
        assert!(image.values.iter().all(|v| (v - 1.0).abs() < 1e-3));
    }
}
