//! Takes steps and the time.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use burn::module::AutodiffModule;
use burn::optim::{GradientsParams, Optimizer};
use burn::tensor::activation::relu;
use burn::tensor::backend::AutodiffBackend;
use burn::tensor::{Tensor, TensorData};

use super::Arguments;
use super::cases::{Case, Network};
use super::table::Line;
use crate::error::Error;
use crate::method::cyclegan::CycleGan;
use crate::method::paired::Paired;
use crate::network::{Discriminator, Generator};
use crate::onnx::test_image;
use crate::recipe::{self, Recipe};
use crate::run::{Learner, Optimizing, adam};
use crate::sample::Batch;

/// Most steps between two readings of the clock.
const MOST_STEPS: f64 = 1000.0;
const LEARNING_RATE: f64 = 2e-4;

/// Times the variants of one network in turns.
pub(super) fn time<B: AutodiffBackend>(
    cases: &[Case],
    arguments: &Arguments,
    device: &B::Device,
) -> Result<Vec<Line>, Error> {
    let mut runners = Vec::with_capacity(cases.len());
    for case in cases {
        let stepper = stepper::<B>(case, arguments, device)?;
        runners.push(Runner { stepper: Some(stepper), steps: 1, seconds: Vec::new() });
    }
    for runner in &mut runners {
        runner.warm_up(arguments.seconds, device);
    }
    for _ in 0..arguments.rounds {
        for runner in &mut runners {
            runner.turn(device);
        }
    }
    let line = |(case, runner): (&Case, Runner<B>)| Line {
        network: case.name.clone(),
        arithmetic: case.arithmetic_name(),
        steps_per_second: runner.median().map(|seconds| 1.0 / seconds),
        operations: case.operations(arguments.window).map(|one| one * arguments.batch as u64),
    };
    Ok(cases.iter().zip(runners).map(line).collect())
}

/// Something that can take a training step.
trait Stepper<B: AutodiffBackend> {
    fn step(&mut self);
}

/// A network with its optimizer, and what it is trained on.
struct Training<B: AutodiffBackend, M: AutodiffModule<B>> {
    model: M,
    optimizer: Optimizing<B, M>,
    input: Tensor<B, 4>,
    target: Tensor<B, 4>,
    loss: fn(&M, Tensor<B, 4>, Tensor<B, 4>) -> Tensor<B, 1>,
    /// What is done to the network before a step.
    prepare: fn(M) -> M,
}

impl<B: AutodiffBackend, M: AutodiffModule<B>> Stepper<B> for Training<B, M> {
    fn step(&mut self) {
        let model = (self.prepare)(self.model.clone());
        let loss = (self.loss)(&model, self.input.clone(), self.target.clone());
        let gradients = GradientsParams::from_grads(loss.backward(), &model);
        self.model = self.optimizer.step(LEARNING_RATE, model, gradients);
    }
}

/// A method with all its networks, and the batch that it gets each time.
struct Method<L> {
    learner: L,
    batch: Batch,
    step: u64,
}

impl<B: AutodiffBackend, L: Learner<B, Batch = Batch>> Stepper<B> for Method<L> {
    fn step(&mut self) {
        self.learner.advance(self.step, LEARNING_RATE, self.batch.clone());
        self.step += 1;
    }
}

fn method<B: AutodiffBackend>(recipe: &Recipe, device: &B::Device) -> Result<Box<dyn Stepper<B>>, Error> {
    let edge = recipe.framing().edge();
    let count = recipe.batch_size * edge * edge;
    let (source, target) = (test_image(count * recipe.network.slices_in()), test_image(count));
    let batch = Batch { step: 0, source, target };
    Ok(match recipe.method {
        recipe::Method::CycleGan => {
            Box::new(Method { learner: CycleGan::<B>::new(recipe, device)?, batch, step: 0 })
        }
        recipe::Method::Supervised | recipe::Method::Pix2Pix => {
            Box::new(Method { learner: Paired::<B>::new(recipe, device)?, batch, step: 0 })
        }
    })
}

fn stepper<B: AutodiffBackend>(
    case: &Case,
    arguments: &Arguments,
    device: &B::Device,
) -> Result<Box<dyn Stepper<B>>, Error> {
    let image = |channels: usize| {
        let shape = [arguments.batch, channels, arguments.window, arguments.window];
        let values = test_image(shape.iter().product());
        Tensor::<B, 4>::from_data(TensorData::new(values, shape), device)
    };
    let (input, target) = (image(case.channels()), image(1));
    Ok(match &case.network {
        Network::Generator(config) => Box::new(Training {
            model: config.init::<B>(case.arithmetic, 1, device)?,
            optimizer: adam(0.5),
            input,
            target,
            loss: |model: &Generator<B>, input, target| (model.forward(input) - target).abs().mean(),
            prepare: |model| model,
        }),
        Network::Discriminator(config) => Box::new(Training {
            model: config.init::<B>(case.channels(), case.arithmetic, 1, device),
            optimizer: adam(0.5),
            input,
            target,
            loss: |model: &Discriminator<B>, input, _| relu(model.forward(input).neg() + 1.0).mean(),
            prepare: Discriminator::iterate,
        }),
        Network::Method(recipe) => {
            method(&Recipe { arithmetic: case.arithmetic, ..(**recipe).clone() }, device)?
        }
    })
}

/// A variant on its way through the rounds.
struct Runner<B: AutodiffBackend> {
    /// Nothing once the backend has failed at it, for want of memory or of a kernel.
    stepper: Option<Box<dyn Stepper<B>>>,
    steps: usize,
    /// Seconds a step, of every round.
    seconds: Vec<f64>,
}

impl<B: AutodiffBackend> Runner<B> {
    /// Compiles and tunes kernels, and finds how many steps take about `seconds`.
    fn warm_up(&mut self, seconds: f64, device: &B::Device) {
        self.take(1, device);
        if let Some(step) = self.take(1, device) {
            self.steps = (seconds / step).clamp(1.0, MOST_STEPS) as usize;
        }
    }

    fn turn(&mut self, device: &B::Device) {
        let taken = self.take(self.steps, device);
        self.seconds.extend(taken);
    }

    /// Seconds a step over `steps` steps; nothing if the backend fails.
    fn take(&mut self, steps: usize, device: &B::Device) -> Option<f64> {
        let stepper = self.stepper.as_mut()?;
        // Backends panic where they cannot go on; the other variants still can.
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            B::sync(device).ok()?;
            let began = Instant::now();
            (0..steps).for_each(|_| stepper.step());
            B::sync(device).ok()?;
            Some(began.elapsed().as_secs_f64() / steps as f64)
        }));
        let taken = outcome.ok().flatten();
        if taken.is_none() {
            self.stepper = None;
        }
        taken
    }

    fn median(&self) -> Option<f64> {
        self.stepper.as_ref()?;
        let mut seconds = self.seconds.clone();
        seconds.sort_by(f64::total_cmp);
        let middle = seconds.len() / 2;
        match seconds.len() {
            0 => None,
            odd if odd % 2 == 1 => Some(seconds[middle]),
            _ => Some(0.5 * (seconds[middle - 1] + seconds[middle])),
        }
    }
}
