//! How near a synthetic image is to the real one: PSNR, SSIM, MAE and sharpness, on whole slices and inside the brain.
//!
//! Every measure is taken on each axial slice that holds at least 2 % brain and averaged over these slices, as the paper
//! does it. Images are taken as they are: what brings them onto one scale is `mrisynth::metrics::on_one_scale`.

pub mod sharpness;

use mrisynth::metrics::ssim::{self, Window};
use mrisynth::metrics::{self, Errors};
use ndarray::{Array2, ArrayView2, ArrayView3, Axis};
use rayon::prelude::*;
use serde::Serialize;

use crate::extent::{check_finite, check_same};
use crate::measured::Measured;
use crate::{Error, Result};

/// The measures of one region: of one slice, or averaged over slices.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Region {
    /// Peak signal-to-noise ratio in dB, the peak being the data range; at most 120, which equal slices have.
    pub psnr: f64,
    /// Structural similarity, -1..1, by scikit-image's default: [`Window::Uniform`].
    pub ssim: f64,
    /// Structural similarity, -1..1, by Wang's window: [`Window::Gaussian`].
    pub ssim_gaussian: f64,
    /// Mean absolute error, in units of intensity.
    pub mae: f64,
    /// Mean square of the real image's Laplacian ([`sharpness::laplacian`]): the more, the sharper.
    pub laplacian_energy_reference: f64,
    /// The same of the synthetic image.
    pub laplacian_energy_synthetic: f64,
    /// The synthetic image's energy over the real one's: below 1 where the synthetic image is smoother. Averaged over
    /// slices, it is the quotient of the averages.
    pub laplacian_energy_ratio: Measured<f64>,
    /// Mean absolute difference of the gradients' magnitudes ([`sharpness::gradient_magnitude`]), in intensity per voxel.
    pub gradient_mae: f64,
}

/// One slice's measures.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct SliceFidelity {
    /// The slice's index k.
    pub slice: usize,
    /// Over the whole slice, background included. SSIM leaves out a margin of half a window, as scikit-image does.
    pub whole: Region,
    /// Over the slice's voxels in the brain. Windows, Laplacians and gradients at its surface look outside.
    pub brain: Region,
}

/// How near one person's synthetic image is to the real one.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Fidelity {
    /// The range of intensities that PSNR and SSIM are relative to.
    pub data_range: f64,
    /// Slices that counted.
    pub slices: usize,
    /// Averages over whole slices.
    pub whole: Region,
    /// Averages inside the brain.
    pub brain: Region,
}

/// Averages over the axial slices (index k) with at least 2 % brain. Intensities of the three arrays of one size are
/// relative to `data_range`, which is 1 for images of 0..1.
///
/// # Errors
/// Those of [`of_slices`].
pub fn measure(
    reference: ArrayView3<'_, f32>,
    synthetic: ArrayView3<'_, f32>,
    brain: ArrayView3<'_, bool>,
    data_range: f64,
) -> Result<Fidelity> {
    let slices = of_slices(reference, synthetic, brain, data_range)?;
    let average = |region: fn(&SliceFidelity) -> &Region| Region::average(slices.iter().map(region));
    Ok(Fidelity {
        data_range,
        slices: slices.len(),
        whole: average(|slice| &slice.whole),
        brain: average(|slice| &slice.brain),
    })
}

/// The measures of each axial slice (index k) with at least 2 % brain, in order; of one, at least. On all threads of the
/// current pool.
///
/// # Errors
/// [`Error::Invalid`] if the arrays differ in size, an image has values that are not finite, or no slice holds 2 % brain;
/// [`Error::Library`] if the data range is none that SSIM can be relative to, or slices are smaller than its window
/// (11 x 11).
pub fn of_slices(
    reference: ArrayView3<'_, f32>,
    synthetic: ArrayView3<'_, f32>,
    brain: ArrayView3<'_, bool>,
    data_range: f64,
) -> Result<Vec<SliceFidelity>> {
    check_same(("the real image", reference.dim()), ("the synthetic image", synthetic.dim()))?;
    check_same(("the real image", reference.dim()), ("the brain mask", brain.dim()))?;
    check_finite("the real image", reference)?;
    check_finite("the synthetic image", synthetic)?;
    let at = |k: usize| {
        // Rows of j and columns of i: the order in which voxels lie in memory.
        let slice = Slice {
            reference: reference.index_axis(Axis(2), k).reversed_axes(),
            synthetic: synthetic.index_axis(Axis(2), k).reversed_axes(),
            brain: brain.index_axis(Axis(2), k).reversed_axes(),
            data_range,
        };
        slice.holds_brain().then(|| slice.measure(k))
    };
    let slices = (0..reference.dim().2).into_par_iter().filter_map(at).collect::<Result<Vec<_>>>()?;
    if slices.is_empty() {
        return Err(Error::Invalid("no axial slice holds 2 % brain".into()));
    }
    Ok(slices)
}

/// One axial slice of the two images and the brain mask.
struct Slice<'a> {
    reference: ArrayView2<'a, f32>,
    synthetic: ArrayView2<'a, f32>,
    brain: ArrayView2<'a, bool>,
    data_range: f64,
}

impl Slice<'_> {
    fn holds_brain(&self) -> bool {
        metrics::holds_brain(self.brain.iter().filter(|inside| **inside).count(), self.brain.len())
    }

    fn measure(&self, k: usize) -> Result<SliceFidelity> {
        let ssim = |window| ssim::map(self.reference, self.synthetic, window, self.data_range);
        let [uniform, gaussian] = [ssim(Window::Uniform)?, ssim(Window::Gaussian)?];
        let sharpness = Sharpness::of(self.reference, self.synthetic);
        let everywhere = Array2::from_elem(self.brain.dim(), true);
        let mut whole = self.region(everywhere.view(), [&uniform, &gaussian], &sharpness)?;
        for (value, map, window) in [
            (&mut whole.ssim, &uniform, Window::Uniform),
            (&mut whole.ssim_gaussian, &gaussian, Window::Gaussian),
        ] {
            *value = ssim::mean(map, window)
                .ok_or_else(|| Error::Invalid("a slice without a voxel inside SSIM's margin".into()))?;
        }
        let brain = self.region(self.brain, [&uniform, &gaussian], &sharpness)?;
        Ok(SliceFidelity { slice: k, whole, brain })
    }

    /// The measures over the voxels where `inside` holds, SSIM as the mean of its map there.
    fn region(
        &self,
        inside: ArrayView2<'_, bool>,
        [uniform, gaussian]: [&Array2<f64>; 2],
        sharpness: &Sharpness,
    ) -> Result<Region> {
        let errors = Errors::inside(self.reference, self.synthetic, inside)?;
        let mean = |map: &Array2<f64>| metrics::mean_inside(map.view(), inside);
        let [reference, synthetic] = [mean(&sharpness.reference)?, mean(&sharpness.synthetic)?];
        Ok(Region {
            psnr: metrics::psnr(errors.mean_squared / (self.data_range * self.data_range)),
            ssim: mean(uniform)?,
            ssim_gaussian: mean(gaussian)?,
            mae: errors.mean_absolute,
            laplacian_energy_reference: reference,
            laplacian_energy_synthetic: synthetic,
            laplacian_energy_ratio: energy_ratio(reference, synthetic),
            gradient_mae: mean(&sharpness.gradients_apart)?,
        })
    }
}

/// Maps that the measures of sharpness are means of.
struct Sharpness {
    /// Squares of the real image's Laplacian.
    reference: Array2<f64>,
    /// Squares of the synthetic image's Laplacian.
    synthetic: Array2<f64>,
    /// Absolute differences of the gradients' magnitudes.
    gradients_apart: Array2<f64>,
}

impl Sharpness {
    fn of(reference: ArrayView2<'_, f32>, synthetic: ArrayView2<'_, f32>) -> Self {
        let energy = |slice| sharpness::laplacian(slice).mapv_into(|value| value * value);
        let mut gradients_apart = sharpness::gradient_magnitude(reference);
        gradients_apart.zip_mut_with(&sharpness::gradient_magnitude(synthetic), |reference, synthetic| {
            *reference = (*reference - synthetic).abs();
        });
        Self { reference: energy(reference), synthetic: energy(synthetic), gradients_apart }
    }
}

fn energy_ratio(reference: f64, synthetic: f64) -> Measured<f64> {
    Measured::quotient(synthetic, reference, "the real image has no edge: its Laplacian is 0")
}

impl Region {
    /// The average of the regions, of which there is one at least.
    fn average<'a>(regions: impl Iterator<Item = &'a Self> + Clone) -> Self {
        let count = regions.clone().count() as f64;
        let mean = |value: fn(&Self) -> f64| regions.clone().map(value).sum::<f64>() / count;
        let [reference, synthetic] = [
            mean(|region| region.laplacian_energy_reference),
            mean(|region| region.laplacian_energy_synthetic),
        ];
        Self {
            psnr: mean(|region| region.psnr),
            ssim: mean(|region| region.ssim),
            ssim_gaussian: mean(|region| region.ssim_gaussian),
            mae: mean(|region| region.mae),
            laplacian_energy_reference: reference,
            laplacian_energy_synthetic: synthetic,
            laplacian_energy_ratio: energy_ratio(reference, synthetic),
            gradient_mae: mean(|region| region.gradient_mae),
        }
    }
}

#[cfg(test)]
mod tests;
