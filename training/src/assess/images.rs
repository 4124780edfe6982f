//! A study's images as they are measured and drawn: on one grid of 1 mm along the patient's axes, 0..1 inside the brain.

use mrisynth::prepare::normalize::{self, Scale};
use mrisynth::prepare::{brain, resample, standard};
use mrisynth::{Contrast, Grid, Limits, Volume, Watch, metrics};
use ndarray::Array3;

use crate::data::pairs::Pair;
use crate::error::Error;

/// What was acquired and what was synthesized. Axes lead to the right, to the front and to the top.
#[derive(Clone, Debug)]
pub struct Images {
    /// Where the voxels lie.
    pub grid: Grid,
    /// What the model was given.
    pub source: Array3<f32>,
    /// The target as it was acquired.
    pub real: Array3<f32>,
    /// The target as it was synthesized, after the one factor and offset that bring it nearest to the real one.
    pub synthetic: Array3<f32>,
    /// Where the real target has signal.
    pub brain: Array3<bool>,
    /// Lesions, where the study has a mask of them.
    pub lesions: Option<Array3<bool>>,
}

impl Images {
    /// Of a pair and what was made of it, all on one grid. Voxels of 1 mm along the patient's axes are copied, others
    /// interpolated once.
    ///
    /// # Errors
    /// [`Error::Library`] for a volume without a brain.
    pub fn of(pair: &Pair, source: Contrast, target: Contrast, synthetic: &Volume) -> Result<Self, Error> {
        let watch = Watch::default();
        let real = pair.volume(target);
        let inside = real.voxels().mapv(|value| value > 0.0);
        let bounds = brain::bounding_box(&pair.brain).ok_or_else(|| Error::Data("no brain".into()))?;
        let grid = standard::grid_around(&real.grid(), bounds, &Limits::default())?;
        let mask_onto = |mask: &Array3<bool>| resample::mask_onto(mask, &real.grid(), &grid, &watch);
        let there = mask_onto(&inside)?;
        let onto = |volume: &Volume| resample::brain_onto(volume, &inside, &grid, &there, &watch);
        let [real, synthetic] = metrics::on_one_scale(&onto(real)?, &onto(synthetic)?, &there, true)?;
        let source = onto(pair.volume(source))?;
        let scale = Scale { low: 0.0, high: normalize::top_intensity(&source, &there)? };
        let source = source.voxels().mapv(|value| scale.apply(value));
        let lesions = pair.lesions.as_ref().map(mask_onto).transpose()?;
        Ok(Self { grid, source, real, synthetic, brain: there, lesions })
    }

    /// Voxel sizes in millimetres.
    pub fn sizes(&self) -> [f32; 3] {
        self.grid.affine.voxel_sizes().map(|size| size as f32)
    }

    /// T1w and T2w, as they were acquired.
    pub fn contrasts(&self, source: Contrast) -> [&Array3<f32>; 2] {
        match source {
            Contrast::T1w => [&self.source, &self.real],
            Contrast::T2w => [&self.real, &self.source],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mrisynth::Affine;

    #[test]
    fn voxels_of_a_millimetre_are_copied_in_the_order_of_the_patients_axes() {
        // As the T1w and T2w templates lie: the first axis leads to the left.
        let affine = Affine::from_rows([
            [-1.0, 0.0, 0.0, 20.0],
            [0.0, 1.0, 0.0, -30.0],
            [0.0, 0.0, 1.0, -25.0],
            [0.0, 0.0, 0.0, 1.0],
        ])
        .unwrap();
        let volume = |value: fn(usize, usize, usize) -> f32| {
            let voxels = Array3::from_shape_fn((40, 60, 50), |(i, j, k)| {
                let inside = (5..35).contains(&i) && (5..55).contains(&j) && (5..45).contains(&k);
                if inside { value(i, j, k) } else { 0.0 }
            });
            Volume::new(voxels, affine).unwrap()
        };
        let (t1w, t2w) = (volume(|i, j, _| 100.0 + (i + j) as f32), volume(|_, _, k| 10.0 + k as f32));
        let brain = brain::mask(t1w.voxels());
        let lesions = t1w.voxels().mapv(|value| value == 150.0);
        let one = Scale { low: 0.0, high: 1.0 };
        let pair = Pair {
            t1w: t1w.clone(),
            t2w,
            brain,
            lesions: Some(lesions.clone()),
            scales: [one; 2],
            notes: Vec::new(),
        };
        // Synthetic: the real one on another scale, which is fitted.
        let made = Volume::new(t1w.voxels().mapv(|value| 0.3 + value / 500.0), affine).unwrap();
        let images = Images::of(&pair, Contrast::T2w, Contrast::T1w, &made).unwrap();
        assert_eq!(images.grid.dims, [30 + 16, 50 + 16, 40 + 16]);
        let top = normalize::top_intensity(&t1w, &pair.brain).unwrap();
        // The leftmost voxel of the brain is the scan's last.
        assert_eq!(images.real[[8, 8, 8]], t1w.voxels()[[34, 5, 5]] / top);
        assert!(images.brain[[8, 8, 8]] && !images.brain[[7, 8, 8]]);
        assert!(images.source[[8, 8, 9]] > images.source[[8, 8, 8]]);
        for (real, synthetic) in images.real.iter().zip(&images.synthetic) {
            assert!((real - synthetic).abs() < 1e-3, "{synthetic} instead of {real}");
        }
        let count = |mask: &Array3<bool>| mask.iter().filter(|inside| **inside).count();
        assert_eq!(count(images.lesions.as_ref().unwrap()), count(&lesions));
        assert_eq!(images.contrasts(Contrast::T2w)[0], &images.real);
        assert_eq!(images.sizes(), [1.0; 3]);
    }
}
