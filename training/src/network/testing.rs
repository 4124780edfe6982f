//! What the networks' tests share: images, and gradients against finite differences in double precision.

use burn::backend::{Autodiff, Flex};
use burn::module::{AutodiffModule, Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::backend::Backend;
use burn::tensor::{DType, FloatDType, Tensor, TensorData};

/// The backend of the tests of gradients.
pub(crate) type Differentiable = Autodiff<Flex>;

/// An image with smooth and rough parts, 0..1, in double precision where `dtype` says so.
pub(crate) fn image<B: Backend>(shape: [usize; 4], dtype: DType) -> Tensor<B, 4> {
    let values = crate::onnx::test_image(shape.iter().product());
    Tensor::from_data(TensorData::new(values, shape), (&Default::default(), dtype))
}

/// The largest difference between two tensors, divided by the largest value of the second.
pub(crate) fn relative_difference<B: Backend, const D: usize>(a: Tensor<B, D>, b: Tensor<B, D>) -> f64 {
    assert_eq!(a.dims(), b.dims());
    let values = |tensor: Tensor<B, D>| tensor.into_data().iter::<f64>().collect::<Vec<f64>>();
    let (a, b) = (values(a), values(b));
    let top = b.iter().fold(0.0, |top: f64, value| top.max(value.abs()));
    let worst = a.iter().zip(&b).fold(0.0, |worst: f64, (a, b)| {
        assert!(a.is_finite() && b.is_finite());
        worst.max((a - b).abs())
    });
    worst / top
}

/// The module with weights in double precision, and its biases away from zero: a pixel that sees nothing but zeros would
/// lie exactly on a ReLU's kink, where no finite difference tells the slope.
pub(crate) fn in_double_precision<B: Backend, M: Module<B>>(module: M) -> M {
    struct Cast;
    impl<B: Backend> ModuleMapper<B> for Cast {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<B, D>>) -> Param<Tensor<B, D>> {
            let gradient = param.is_require_grad();
            let shift = if D == 1 { 0.05 } else { 0.0 };
            // Detached again: a cast weight would not be a leaf of the graph.
            param.map(|value| {
                let value = value.detach().cast(FloatDType::F64) + shift;
                value.detach().set_require_grad(gradient)
            })
        }
    }
    module.map(&mut Cast)
}

/// Compares the gradients of `loss` by a few weights of every parameter with finite differences; parameters that want no
/// gradient must get none. Returns how many were compared.
pub(crate) fn check_gradients<M: AutodiffModule<Differentiable>>(
    module: M,
    loss: impl Fn(&M) -> Tensor<Differentiable, 4>,
) -> usize {
    const STEP: f64 = 1e-6;
    let module = in_double_precision(module);
    let scalar = |module: &M| loss(module).sum();
    let value = scalar(&module);
    // What the rounding of the loss itself leaves in a difference of two of them.
    let rounding = 8.0 * f64::EPSILON * value.clone().into_data().iter::<f64>().sum::<f64>().abs() / STEP;
    let gradients = value.backward();
    let mut collected = Gradients { gradients: &gradients, lists: Vec::new() };
    module.visit(&mut collected);
    let mut compared = 0;
    for (index, gradient) in collected.lists.iter().enumerate() {
        let Some(gradient) = gradient else { continue };
        let top = gradient.iter().fold(0.0, |top: f64, value| top.max(value.abs()));
        for entry in [0, gradient.len() / 2, gradient.len() - 1] {
            let moved = |step| {
                let moved = module.clone().map(&mut Move { index, entry, step, seen: 0 });
                scalar(&moved).into_data().iter::<f64>().next().unwrap()
            };
            let slope = (moved(STEP) - moved(-STEP)) / (2.0 * STEP);
            assert!(
                (slope - gradient[entry]).abs() <= 1e-5 * top + rounding,
                "parameter {index}, entry {entry}: {slope} {}",
                gradient[entry]
            );
            compared += 1;
        }
    }
    compared
}

/// Every parameter's gradient as a list; nothing for those that want none.
struct Gradients<'a> {
    gradients: &'a <Differentiable as burn::tensor::backend::AutodiffBackend>::Gradients,
    lists: Vec<Option<Vec<f64>>>,
}

impl ModuleVisitor<Differentiable> for Gradients<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<Differentiable, D>>) {
        let gradient = param.val().grad(self.gradients);
        assert_eq!(gradient.is_some(), param.is_require_grad());
        self.lists.push(gradient.map(|gradient| gradient.into_data().iter::<f64>().collect()));
    }
}

/// Moves one weight of one parameter.
struct Move {
    index: usize,
    entry: usize,
    step: f64,
    seen: usize,
}

impl ModuleMapper<Differentiable> for Move {
    fn map_float<const D: usize>(
        &mut self,
        param: Param<Tensor<Differentiable, D>>,
    ) -> Param<Tensor<Differentiable, D>> {
        self.seen += 1;
        if self.seen - 1 != self.index {
            return param;
        }
        param.map(|value| {
            let (shape, device) = (value.dims(), value.device());
            let mut values: Vec<f64> = value.into_data().iter::<f64>().collect();
            values[self.entry] += self.step;
            Tensor::from_data(TensorData::new(values, shape), (&device, DType::F64)).require_grad()
        })
    }
}
