//! Limited-memory BFGS: climbs a smooth figure by its gradient.
//!
//! Nocedal and Wright, "Numerical Optimization" (2006), algorithms 7.4 and 7.5, with a backtracking line search (3.1).

use std::collections::VecDeque;

use crate::Result;

/// Pairs of steps and gradient changes that are kept.
const MEMORY: usize = 8;
/// The share of the first-order gain that a step must reach (Nocedal and Wright, equation 3.6a).
const SUFFICIENT: f64 = 1e-4;
/// Times that a step is shortened before the climb ends.
const SHORTENINGS: usize = 6;

/// When a climb ends, and how far it may go at once.
#[derive(Clone, Copy)]
pub(super) struct Climb {
    pub(super) iterations: usize,
    /// The length of the longest step, and of the first.
    pub(super) longest: [f64; 2],
    /// The climb ends with a step shorter than this.
    pub(super) shortest: f64,
}

/// A point, the figure there and its gradient.
pub(super) struct Summit {
    pub(super) at: Vec<f64>,
    pub(super) figure: f64,
    gradient: Vec<f64>,
}

/// Climbs `figure` (its value and gradient) from `start`.
///
/// # Errors
/// Those of `figure`.
pub(super) fn climb(
    climb: Climb,
    start: Vec<f64>,
    mut figure: impl FnMut(&[f64]) -> Result<(f64, Vec<f64>)>,
) -> Result<Summit> {
    let (value, gradient) = figure(&start)?;
    let mut here = Summit { at: start, figure: value, gradient };
    let mut memory: VecDeque<Pair> = VecDeque::with_capacity(MEMORY);
    for _ in 0..climb.iterations {
        let mut direction = uphill(&memory, &here.gradient);
        let mut gain = dot(&direction, &here.gradient);
        if gain.is_nan() || gain <= 0.0 {
            memory.clear();
            direction.clone_from(&here.gradient);
            gain = dot(&direction, &direction);
        }
        let length = dot(&direction, &direction).sqrt();
        if !(length > 0.0 && length.is_finite()) {
            break;
        }
        let longest = if memory.is_empty() { climb.longest[1] / length } else { 1.0 };
        let mut share = longest.min(climb.longest[0] / length);
        let Some(next) = line_search(&here, &direction, gain, &mut share, &mut figure)? else { break };
        remember(&mut memory, &here, &next);
        here = next;
        if share * length < climb.shortest {
            break;
        }
    }
    Ok(here)
}

/// The first point along `direction`, shortening `share` of it, that gains enough; none if there is none.
fn line_search(
    here: &Summit,
    direction: &[f64],
    gain: f64,
    share: &mut f64,
    figure: &mut impl FnMut(&[f64]) -> Result<(f64, Vec<f64>)>,
) -> Result<Option<Summit>> {
    for _ in 0..SHORTENINGS {
        let at: Vec<f64> = here.at.iter().zip(direction).map(|(at, along)| at + *share * along).collect();
        let (value, gradient) = figure(&at)?;
        let rise = value - here.figure;
        if rise >= SUFFICIENT * *share * gain {
            return Ok(Some(Summit { at, figure: value, gradient }));
        }
        // The top of the parabola through both figures and the slope here.
        let top = 0.5 * *share * gain / (*share * gain - rise);
        *share *= if top.is_finite() { top.clamp(0.1, 0.5) } else { 0.5 };
    }
    Ok(None)
}

/// A step and how the gradient changed along it (downhill, so that curvature is positive).
struct Pair {
    step: Vec<f64>,
    change: Vec<f64>,
    curvature: f64,
}

fn remember(memory: &mut VecDeque<Pair>, from: &Summit, to: &Summit) {
    let difference = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a - b).collect::<Vec<f64>>();
    let step = difference(&to.at, &from.at);
    let change = difference(&from.gradient, &to.gradient);
    let curvature = dot(&step, &change);
    if curvature > 1e-10 * dot(&change, &change) {
        if memory.len() == MEMORY {
            memory.pop_front();
        }
        memory.push_back(Pair { step, change, curvature });
    }
}

/// The gradient times the approximate inverse Hessian (the two-loop recursion).
fn uphill(memory: &VecDeque<Pair>, gradient: &[f64]) -> Vec<f64> {
    let mut direction = gradient.to_vec();
    let mut factors = Vec::with_capacity(memory.len());
    for pair in memory.iter().rev() {
        let factor = dot(&pair.step, &direction) / pair.curvature;
        add(&mut direction, -factor, &pair.change);
        factors.push(factor);
    }
    if let Some(last) = memory.back() {
        let scale = last.curvature / dot(&last.change, &last.change);
        direction.iter_mut().for_each(|entry| *entry *= scale);
    }
    for (pair, factor) in memory.iter().zip(factors.into_iter().rev()) {
        let back = dot(&pair.change, &direction) / pair.curvature;
        add(&mut direction, factor - back, &pair.step);
    }
    direction
}

fn add(to: &mut [f64], factor: f64, what: &[f64]) {
    to.iter_mut().zip(what).for_each(|(to, what)| *to += factor * what);
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rosenbrocks_valley_is_climbed_upside_down() {
        let figure = |at: &[f64]| {
            let (x, y) = (at[0], at[1]);
            let value = (1.0 - x).powi(2) + 100.0 * (y - x * x).powi(2);
            let gradient = [2.0 * (1.0 - x) + 400.0 * x * (y - x * x), -200.0 * (y - x * x)];
            Ok((-value, gradient.to_vec()))
        };
        let settings = Climb { iterations: 200, longest: [1.0, 0.1], shortest: 1e-9 };
        let summit = climb(settings, vec![-1.2, 1.0], figure).unwrap();
        assert!(summit.at.iter().all(|x| (x - 1.0).abs() < 1e-5), "{:?}", summit.at);
        assert!(summit.figure > -1e-10);
    }

    #[test]
    fn flat_and_senseless_figures_end_the_climb() {
        let settings = Climb { iterations: 50, longest: [1.0, 1.0], shortest: 1e-3 };
        for value in [0.0, f64::NAN] {
            let summit = climb(settings, vec![3.0], |_| Ok((value, vec![value]))).unwrap();
            assert_eq!(summit.at, [3.0]);
        }
    }
}
