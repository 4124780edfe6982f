//! The histogram step of N4: what the intensities would be if no field had blurred their histogram.
//!
//! Sled, Zijdenbos and Evans 1998, "A nonparametric method for automatic correction of intensity nonuniformity in MRI
//! data", sections II-B and II-C, as `SharpenImage` of ITK's `itkN4BiasFieldCorrectionImageFilter` has it.

use std::f64::consts::{LN_2, PI};
use std::sync::Arc;

use rustfft::num_complex::Complex;
use rustfft::{Fft, FftPlanner};

/// A histogram's bins: their centres are evenly spaced from the lowest to the highest value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Bins {
    lowest: f64,
    width: f64,
    count: usize,
}

impl Bins {
    /// None if the values do not differ, or `count` is under two.
    pub(super) fn over(lowest: f64, highest: f64, count: usize) -> Option<Self> {
        let width = (highest - lowest) / (count.max(2) - 1) as f64;
        (width > 0.0 && width.is_finite()).then_some(Self { lowest, width, count: count.max(2) })
    }

    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// The bin centre at or under `value`, with another above it, and how far above it the value is (0 to 1 of a bin).
    #[inline]
    fn place(&self, value: f64) -> (usize, f64) {
        let position = (value - self.lowest) / self.width;
        // A value outside (rounding can take the highest there) counts as the nearest.
        let bin = (position as usize).min(self.count - 2);
        (bin, (position - bin as f64).clamp(0.0, 1.0))
    }

    /// Shares `value` out to the two bins around it.
    #[inline]
    pub(super) fn add(&self, value: f64, histogram: &mut [f64]) {
        let (bin, above) = self.place(value);
        histogram[bin] += 1.0 - above;
        histogram[bin + 1] += above;
    }

    /// The mapping from bins to values, `of_bins`, interpolated at `value`.
    #[inline]
    pub(super) fn look_up(&self, value: f64, of_bins: &[f64]) -> f64 {
        let (bin, above) = self.place(value);
        of_bins[bin] + (of_bins[bin + 1] - of_bins[bin]) * above
    }
}

/// Wiener deconvolution of histograms by a Gaussian.
pub(super) struct Deconvolution {
    /// Full width at half maximum of the Gaussian, in the values' unit.
    fwhm: f64,
    noise: f64,
    forward: Arc<dyn Fft<f64>>,
    backward: Arc<dyn Fft<f64>>,
}

impl Deconvolution {
    /// For histograms of `bins` bins.
    pub(super) fn new(bins: usize, fwhm: f64, noise: f64) -> Self {
        // Twice the next power of two, as ITK pads: 512 for 200.
        let padded = bins.next_power_of_two() * 2;
        let mut planner = FftPlanner::new();
        let (forward, backward) = (planner.plan_fft_forward(padded), planner.plan_fft_inverse(padded));
        Self { fwhm, noise, forward, backward }
    }

    /// For each bin, the value expected without the field of one whose bin it is.
    pub(super) fn expected_values(&self, bins: &Bins, histogram: &[f64]) -> Vec<f64> {
        let padded = self.forward.len();
        let offset = (padded - bins.count) / 2;
        let gaussian = self.transformed(&self.gaussian(bins.width));
        let mut spread = vec![0.0; padded];
        spread[offset..offset + bins.count].copy_from_slice(histogram);
        let mut sharp = self.transformed(&spread);
        for (v, f) in sharp.iter_mut().zip(&gaussian) {
            // The real part of Wiener's filter: the imaginary one is rounding, for the Gaussian is even.
            *v *= f.re / (f.norm_sqr() + self.noise);
        }
        let sharp: Vec<f64> = self.back(sharp).map(|u| u.max(0.0)).collect();
        let value = |n: usize| bins.lowest + (n as f64 - offset as f64) * bins.width;
        let moments: Vec<f64> = sharp.iter().enumerate().map(|(n, u)| value(n) * u).collect();
        let numerator = self.convolved(&moments, &gaussian);
        let denominator = self.convolved(&sharp, &gaussian);
        let mean = |(n, d): (f64, f64)| if d == 0.0 { 0.0 } else { n / d };
        numerator.zip(denominator).skip(offset).take(bins.count).map(mean).collect()
    }

    /// The Gaussian in bins of `width`, its middle at 0, wrapped around.
    fn gaussian(&self, width: f64) -> Vec<f64> {
        let fwhm = self.fwhm / width;
        let (exponent, height) = (4.0 * LN_2 / (fwhm * fwhm), 2.0 * (LN_2 / PI).sqrt() / fwhm);
        let padded = self.forward.len();
        let at = |n: usize| height * (-exponent * (n.min(padded - n) as f64).powi(2)).exp();
        (0..padded).map(at).collect()
    }

    fn transformed(&self, values: &[f64]) -> Vec<Complex<f64>> {
        let mut buffer: Vec<_> = values.iter().map(|v| Complex::new(*v, 0.0)).collect();
        self.forward.process(&mut buffer);
        buffer
    }

    fn back(&self, mut buffer: Vec<Complex<f64>>) -> impl Iterator<Item = f64> {
        self.backward.process(&mut buffer);
        let scale = 1.0 / buffer.len() as f64;
        buffer.into_iter().map(move |value| value.re * scale)
    }

    fn convolved(&self, values: &[f64], by: &[Complex<f64>]) -> impl Iterator<Item = f64> {
        let mut buffer = self.transformed(values);
        for (value, factor) in buffer.iter_mut().zip(by) {
            *value *= factor;
        }
        self.back(buffer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_shared_by_distance_and_none_is_lost() {
        let bins = Bins::over(2.0, 6.0, 5).unwrap();
        let mut histogram = vec![0.0; 5];
        for value in [2.0, 2.25, 6.0, 6.0 + 1e-12, 2.0 - 1e-12] {
            bins.add(value, &mut histogram);
        }
        assert_eq!(histogram, [2.75, 0.25, 0.0, 0.0, 2.0]);
        assert_eq!(bins.look_up(5.5, &[0.0, 0.0, 0.0, 10.0, 20.0]), 15.0);
        assert_eq!(Bins::over(1.0, 1.0, 200), None);
        assert_eq!(Bins::over(1.0, f64::INFINITY, 200), None);
    }

    #[test]
    fn a_blurred_peak_is_drawn_together() {
        let bins = Bins::over(0.0, 2.0, 200).unwrap();
        let histogram: Vec<f64> =
            (0..200).map(|n| (-((f64::from(n) - 100.0) / 12.0).powi(2)).exp()).collect();
        let expected = Deconvolution::new(200, 0.15, 0.01).expected_values(&bins, &histogram);
        let (below, middle, above) = (expected[88], expected[100], expected[112]);
        assert!((middle - 100.0 * bins.width).abs() < 2e-3);
        assert!(above - below < 0.5 * 24.0 * bins.width, "{below} {above}");
        assert!(expected.iter().all(|value| value.is_finite()));
    }
}
