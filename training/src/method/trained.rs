//! A module in training: its weights, Adam's moments, and the moving average of the weights.

use std::path::Path;

use burn::module::{AutodiffModule, Module};
use burn::optim::{GradientsParams, Optimizer};
use burn::tensor::Tensor;
use burn::tensor::backend::AutodiffBackend;

use crate::checkpoint::Checkpoint;
use crate::error::Error;
use crate::run::{Optimizing, adam, pack, unpack};
use crate::{average, gradient};

/// How a module's weights follow its gradients.
#[derive(Clone, Copy, Debug)]
pub struct Following {
    /// Adam's decay of the mean gradient.
    pub beta_1: f64,
    /// The highest norm of all gradients together; 0 leaves them as they are.
    pub gradient_clip: f64,
    /// Decay of the moving average of the weights; 0: none is kept.
    pub ema_decay: f64,
}

/// The names of a module's files in a checkpoint.
#[derive(Clone, Copy, Debug)]
pub struct Files {
    /// The weights.
    pub weights: &'static str,
    /// Adam's moments.
    pub optimizer: &'static str,
    /// The moving average of the weights.
    pub average: &'static str,
}

/// A module in training.
pub struct Trained<B: AutodiffBackend, M: AutodiffModule<B>> {
    /// The module as it is now.
    pub module: M,
    optimizer: Optimizing<B, M>,
    average: Option<M::InnerModule>,
    following: Following,
    device: B::Device,
}

impl<B: AutodiffBackend, M: AutodiffModule<B>> Trained<B, M> {
    /// A module that has learned nothing yet.
    pub fn new(module: M, following: Following, device: &B::Device) -> Self {
        let average = (following.ema_decay > 0.0).then(|| module.valid());
        Self { module, optimizer: adam(following.beta_1), average, following, device: device.clone() }
    }

    /// Follows the gradients of `loss` one step, counted from 0; returns their norm, shape `[1]`, which stays on the device.
    pub fn learn(&mut self, loss: Tensor<B, 1>, step: u64, rate: f64) -> Tensor<B::InnerBackend, 1> {
        let mut gradients = GradientsParams::from_grads(loss.backward(), &self.module);
        let clip = self.following.gradient_clip;
        let norm = gradient::clip::<B, _>(&self.module, &mut gradients, clip, &self.device);
        self.module = self.optimizer.step(rate, self.module.clone(), gradients);
        self.average = self.average.take().map(|average| {
            let latest = self.module.valid();
            average::update(average, &latest, self.following.ema_decay, step)
        });
        norm
    }

    /// What would be exported: the moving average, or without one the module.
    pub fn exported(&self) -> M::InnerModule {
        self.average.clone().unwrap_or_else(|| self.module.valid())
    }

    /// Everything, as files of a checkpoint.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] with `run` if a record cannot be packed.
    pub fn files(&self, run: &Path, names: Files) -> Result<Vec<(&'static str, Vec<u8>)>, Error> {
        let mut files = vec![
            (names.weights, pack::<B, _>(run, self.module.clone().into_record())?),
            (names.optimizer, pack::<B, _>(run, self.optimizer.to_record())?),
        ];
        if let Some(average) = &self.average {
            files.push((names.average, pack::<B::InnerBackend, _>(run, average.clone().into_record())?));
        }
        Ok(files)
    }

    /// Takes everything up from a checkpoint; an average that is not there starts with the weights.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] if a file is missing or does not fit.
    pub fn restore(&mut self, found: &mut Checkpoint, names: Files) -> Result<(), Error> {
        let device = self.device.clone();
        let record = unpack::<B, _>(found, names.weights, &device)?;
        self.module = self.module.clone().load_record(record);
        let record = unpack::<B, _>(found, names.optimizer, &device)?;
        self.optimizer = self.optimizer.clone().load_record(record);
        if self.average.is_some() {
            let mut average = self.module.valid();
            if found.holds(names.average) {
                average = average.load_record(unpack::<B::InnerBackend, _>(found, names.average, &device)?);
            }
            self.average = Some(average);
        }
        Ok(())
    }
}
