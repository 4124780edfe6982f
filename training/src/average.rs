//! The exponential moving average of a module's weights.

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

/// Moves `average` towards `latest`: `decay` of the old, the rest of the new; early steps (`step` from 0) move faster.
pub fn update<B: Backend, M: Module<B>>(average: M, latest: &M, decay: f64, step: u64) -> M {
    let early = (1.0 + step as f64) / (10.0 + step as f64);
    let mut collected = Collect { values: Vec::new() };
    latest.visit(&mut collected);
    average.map(&mut Blend { latest: collected.values.into_iter(), decay: decay.min(early) })
}

/// Every float parameter as a flat tensor, in the order of visits.
struct Collect<B: Backend> {
    values: Vec<Tensor<B, 1>>,
}

impl<B: Backend> ModuleVisitor<B> for Collect<B> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
        self.values.push(param.val().flatten(0, D - 1));
    }
}

struct Blend<B: Backend> {
    latest: std::vec::IntoIter<Tensor<B, 1>>,
    decay: f64,
}

impl<B: Backend> ModuleMapper<B> for Blend<B> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<B, D>>) -> Param<Tensor<B, D>> {
        let (id, value, mapper) = param.consume();
        // Both modules have one structure, so there is a partner for every parameter.
        let value = match self.latest.next() {
            Some(latest) => {
                let latest = latest.reshape(value.dims());
                value * self.decay + latest * (1.0 - self.decay)
            }
            None => value,
        };
        Param::from_mapped_value(id, value, mapper)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::{Arithmetic, Light, LightConfig};
    use burn::backend::Flex;

    #[test]
    fn the_average_lies_between() {
        let config = LightConfig { widths: [4; 4], ..Default::default() };
        let network = |seed| config.init::<Flex>(Arithmetic::default(), seed, &Default::default()).unwrap();
        let weights =
            |network: &Light<Flex>| -> Vec<f32> { network.head.weight.val().into_data().to_vec().unwrap() };
        let (old, new) = (network(1), network(2));
        let average = update(old.clone(), &new, 0.75, 1_000_000);
        let pairs = weights(&old).into_iter().zip(weights(&new));
        for (value, (a, b)) in weights(&average).into_iter().zip(pairs) {
            assert!((value - (0.75 * a + 0.25 * b)).abs() < 1e-6);
        }
    }
}
