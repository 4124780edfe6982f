//! Clips the norm that all gradients of a module have together.

use burn::module::{AutodiffModule, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;
use burn::tensor::backend::AutodiffBackend;

/// Scales the gradients down to the norm `limit` (0: leaves them) and returns the norm they had, shape `[1]`.
///
/// Nothing is read back from the device.
pub fn clip<B: AutodiffBackend, M: AutodiffModule<B>>(
    module: &M,
    gradients: &mut GradientsParams,
    limit: f64,
    device: &B::Device,
) -> Tensor<B::InnerBackend, 1> {
    let mut squares = Squares::<B> { gradients, sum: Tensor::zeros([1], device) };
    module.visit(&mut squares);
    let norm = squares.sum.sqrt();
    if limit > 0.0 {
        let factor = (norm.clone() + 1e-12).recip() * limit;
        module.visit(&mut Scale::<B> { gradients, factor: factor.clamp_max(1.0) });
    }
    norm
}

struct Squares<'a, B: AutodiffBackend> {
    gradients: &'a GradientsParams,
    sum: Tensor<B::InnerBackend, 1>,
}

impl<B: AutodiffBackend> ModuleVisitor<B> for Squares<'_, B> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
        if let Some(gradient) = self.gradients.get::<B::InnerBackend, D>(param.id) {
            self.sum = self.sum.clone() + (gradient.clone() * gradient).sum();
        }
    }
}

struct Scale<'a, B: AutodiffBackend> {
    gradients: &'a mut GradientsParams,
    factor: Tensor<B::InnerBackend, 1>,
}

impl<B: AutodiffBackend> ModuleVisitor<B> for Scale<'_, B> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
        if let Some(gradient) = self.gradients.remove::<B::InnerBackend, D>(param.id) {
            let scaled = gradient * self.factor.clone().unsqueeze::<D>();
            self.gradients.register(param.id, scaled);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::backend::{Autodiff, Flex};
    use burn::nn::{Linear, LinearConfig};

    type B = Autodiff<Flex>;

    fn norm_after(limit: f64) -> (f32, f32) {
        let device = Default::default();
        let layer: Linear<B> = LinearConfig::new(3, 1).init(&device);
        let output = layer.forward(Tensor::<B, 2>::from_floats([[3.0, 0.0, 0.0]], &device));
        let mut gradients = GradientsParams::from_grads((output * 4.0).sum().backward(), &layer);
        let before = clip::<B, _>(&layer, &mut gradients, limit, &device).into_scalar();
        let after = clip::<B, _>(&layer, &mut gradients, 0.0, &device).into_scalar();
        (before, after)
    }

    #[test]
    fn the_common_norm_is_limited() {
        // d/dw = 4 * 3, d/db = 4.
        let norm = 160f32.sqrt();
        let (before, after) = norm_after(2.0);
        assert!((before - norm).abs() < 1e-4);
        assert!((after - 2.0).abs() < 1e-4);
        let (_, after) = norm_after(100.0);
        assert!((after - norm).abs() < 1e-4);
        let (_, after) = norm_after(0.0);
        assert!((after - norm).abs() < 1e-4);
    }
}
