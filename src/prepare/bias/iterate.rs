//! N4's iterations: sharpen the histogram, fit what that moved, look again.

use rayon::prelude::*;

use super::LevelReport;
use super::options::{BiasOptions, ConvergenceMeasure};
use super::sampling::Block;
use super::sharpen::{Bins, Deconvolution};
use super::spline::{Basis, Lattice, Positions};
use crate::{Result, Watch};

/// The field at the samples, and how it was found.
pub(super) struct Fit {
    pub(super) lattice: Lattice,
    pub(super) levels: Vec<LevelReport>,
    /// The lowest and highest value of the logarithmic field at the samples.
    pub(super) range: (f64, f64),
}

/// Runs all levels. The same for any number of threads: sums are taken block by block, in the blocks' order.
///
/// # Errors
/// [`crate::Error::Cancelled`] if `watch` says so.
pub(super) fn run(
    blocks: &mut [Block],
    positions: &[Positions; 3],
    options: &BiasOptions,
    watch: &Watch,
) -> Result<Fit> {
    let deconvolution = Deconvolution::new(options.bins, options.fwhm, options.noise);
    let mut lattice = Lattice::zeros(options.control_points);
    let mut levels = Vec::new();
    let mut spread = blocks.iter().map(Spread::of).reduce(Spread::and).unwrap_or_default();
    for level in 0..options.levels {
        if level > 0 {
            lattice = lattice.refined();
        }
        let bases = LevelBases::new(positions, lattice.points);
        let weights = scattered(blocks, &bases.squares, |_, _| 1.0, watch)?;
        let mut report = LevelReport { iterations: 0, convergence: f64::INFINITY };
        while report.iterations < options.iterations && report.convergence > options.threshold {
            // Without two different values there is nothing to sharpen: the field is what it is.
            let Some(bins) = Bins::over(spread.lowest, spread.highest, options.bins) else {
                report.convergence = 0.0;
                break;
            };
            let expected = deconvolution.expected_values(&bins, &histogram(blocks, &bins, watch)?);
            let residual = |block: &Block, sample: usize| {
                let value = block.log[sample] - block.field[sample];
                value - bins.look_up(value, &expected)
            };
            let moved = scattered(blocks, &bases.cubes, residual, watch)?;
            lattice.add_fit(&moved, &weights);
            spread = update(blocks, &bases.values, &lattice, watch)?;
            report.convergence = match options.convergence {
                ConvergenceMeasure::Exact => spread.variation(),
                ConvergenceMeasure::AsItk => variation_as_itk(blocks),
            };
            report.iterations += 1;
            let share = report.iterations as f32 / options.iterations as f32;
            watch.advance((level as f32 + share) / options.levels as f32)?;
        }
        levels.push(report);
    }
    Ok(Fit { lattice, levels, range: field_range(blocks) })
}

/// The basis functions of a level at the samples, as they are and as a fit weights them.
struct LevelBases {
    values: [Basis; 3],
    cubes: [Basis; 3],
    squares: [Basis; 3],
}

impl LevelBases {
    fn new(positions: &[Positions; 3], points: usize) -> Self {
        let values = [0, 1, 2].map(|axis: usize| positions[axis].basis(points));
        let cubes = [0, 1, 2].map(|axis: usize| values[axis].cubes());
        let squares = [0, 1, 2].map(|axis: usize| values[axis].squares());
        Self { values, cubes, squares }
    }
}

/// The histogram of the logarithmic intensities without the field.
fn histogram(blocks: &[Block], bins: &Bins, watch: &Watch) -> Result<Vec<f64>> {
    let of_block = |block: &Block| {
        watch.check()?;
        let mut histogram = vec![0.0; bins.count()];
        for (log, field) in block.log.iter().zip(&block.field) {
            bins.add(log - field, &mut histogram);
        }
        Ok(histogram)
    };
    let parts: Vec<Vec<f64>> = blocks.par_iter().map(of_block).collect::<Result<_>>()?;
    let mut sum = vec![0.0; bins.count()];
    for part in parts {
        sum.iter_mut().zip(part).for_each(|(sum, count)| *sum += count);
    }
    Ok(sum)
}

/// For each control point, the sum over all samples of `value` times the bases' weights.
fn scattered(
    blocks: &[Block],
    bases: &[Basis; 3],
    value: impl Fn(&Block, usize) -> f64 + Sync,
    watch: &Watch,
) -> Result<Vec<f64>> {
    let points = bases[0].points;
    let of_block = |block: &Block| {
        watch.check()?;
        let (mut plane, mut line) = (vec![0.0; points * points], vec![0.0; points]);
        for row in &block.rows {
            line.fill(0.0);
            for sample in row.samples.clone() {
                bases[0].scatter_value(block.i[sample], value(block, sample), &mut line);
            }
            bases[1].scatter(row.j, &line, &mut plane);
        }
        Ok(plane)
    };
    let planes: Vec<Vec<f64>> = blocks.par_iter().map(of_block).collect::<Result<_>>()?;
    let mut lattice = vec![0.0; points * points * points];
    for (block, plane) in blocks.iter().zip(planes) {
        bases[2].scatter(block.k, &plane, &mut lattice);
    }
    Ok(lattice)
}

/// Takes the field at the samples from `lattice`.
fn update(blocks: &mut [Block], bases: &[Basis; 3], lattice: &Lattice, watch: &Watch) -> Result<Spread> {
    let points = lattice.points;
    let of_block = |block: &mut Block| {
        watch.check()?;
        let (mut plane, mut line) = (vec![0.0; points * points], vec![0.0; points]);
        bases[2].gather(block.k, &lattice.values, &mut plane);
        let mut spread = Spread::default();
        for row in &block.rows {
            bases[1].gather(row.j, &plane, &mut line);
            for sample in row.samples.clone() {
                let field = bases[0].value(block.i[sample], &line);
                block.ratio[sample] = (block.field[sample] as f32 - field as f32).exp();
                spread.add(block.log[sample] - field, block.field[sample] - field);
                block.field[sample] = field;
            }
        }
        Ok(spread)
    };
    let parts: Vec<Spread> = blocks.par_iter_mut().map(of_block).collect::<Result<_>>()?;
    Ok(parts.into_iter().reduce(Spread::and).unwrap_or_default())
}

/// The coefficient of variation of the samples' ratios with the roundings of ITK's `CalculateConvergenceMeasurement`,
/// whose running mean and sum of squares are single-precision numbers and whose expressions are double-precision.
fn variation_as_itk(blocks: &[Block]) -> f64 {
    let (mut count, mut mean, mut squares) = (0.0_f64, 0.0_f32, 0.0_f32);
    for ratio in blocks.iter().flat_map(|block| &block.ratio) {
        count += 1.0;
        let apart = ratio - mean;
        squares = (f64::from(squares) + f64::from(apart * apart) * (count - 1.0) / count) as f32;
        mean = (f64::from(mean) * (1.0 - 1.0 / count) + f64::from(ratio / count as f32)) as f32;
    }
    if count < 2.0 { 0.0 } else { (f64::from(squares) / (count - 1.0)).sqrt() / f64::from(mean) }
}

fn field_range(blocks: &[Block]) -> (f64, f64) {
    let values = blocks.iter().flat_map(|block| &block.field);
    values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(*value), high.max(*value)))
}

/// How far the logarithmic intensities reach without the field, and how much the field's last change varies.
#[derive(Clone, Copy, Debug)]
struct Spread {
    lowest: f64,
    highest: f64,
    count: usize,
    /// Sums over the samples of the old field over the new one, less 1, and of its square.
    sum: f64,
    sum_of_squares: f64,
}

impl Default for Spread {
    fn default() -> Self {
        Self { lowest: f64::INFINITY, highest: f64::NEG_INFINITY, count: 0, sum: 0.0, sum_of_squares: 0.0 }
    }
}

impl Spread {
    fn of(block: &Block) -> Self {
        let mut spread = Self::default();
        block.log.iter().for_each(|log| spread.add(*log, 0.0));
        spread
    }

    #[inline]
    fn add(&mut self, log: f64, change: f64) {
        self.lowest = self.lowest.min(log);
        self.highest = self.highest.max(log);
        self.count += 1;
        let ratio_less_one = change.exp_m1();
        self.sum += ratio_less_one;
        self.sum_of_squares += ratio_less_one * ratio_less_one;
    }

    fn and(self, other: Self) -> Self {
        Self {
            lowest: self.lowest.min(other.lowest),
            highest: self.highest.max(other.highest),
            count: self.count + other.count,
            sum: self.sum + other.sum,
            sum_of_squares: self.sum_of_squares + other.sum_of_squares,
        }
    }

    /// The coefficient of variation of the old field over the new one.
    fn variation(&self) -> f64 {
        if self.count < 2 {
            return 0.0;
        }
        let (count, mean) = (self.count as f64, self.sum / self.count as f64);
        let variance = (self.sum_of_squares - count * mean * mean).max(0.0) / (count - 1.0);
        variance.sqrt() / (1.0 + mean)
    }
}
