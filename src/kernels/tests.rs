//! Every kernel on every tier that the machine has against naive loops in float64, over random shapes.

use proptest::prelude::*;

use super::images::split_shape;
use super::{
    Activation, Border, Convolution, InstanceNorm, Resampling, Shape, Spec, Tier, add, from_blocks,
    reference, to_blocks,
};

/// Values from -1 to 1 that a seed determines.
fn noise(count: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2).wrapping_add(1);
    let mut next = || {
        // PCG's multiplier; the upper bits are good.
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

fn blocked(plain: &[f32], shape: Shape) -> Vec<f32> {
    let mut blocks = vec![f32::NAN; shape.len()];
    to_blocks(plain, shape, 1, &mut blocks);
    blocks
}

fn plain(blocks: &[f32], shape: Shape) -> Vec<f32> {
    let mut plain = vec![f32::NAN; shape.plain_len()];
    from_blocks(blocks, shape, &mut plain);
    plain
}

/// Fails where a value is further from the expected one than `tolerance`.
fn close(values: &[f32], expected: &[f32], tolerance: f32) -> Result<(), TestCaseError> {
    prop_assert_eq!(values.len(), expected.len());
    for (at, (value, expected)) in values.iter().zip(expected).enumerate() {
        prop_assert!((value - expected).abs() <= tolerance, "{value} is not {expected} at {at}");
    }
    Ok(())
}

/// A limit of what is tried. Miri is some thousand times slower than a processor: it sees the same code on fewer channels and pixels.
const fn at_most(most: usize, under_miri: usize) -> usize {
    if cfg!(miri) { under_miri } else { most }
}

fn activations() -> impl Strategy<Value = Activation> {
    prop_oneof![Just(Activation::None), Just(Activation::Relu), Just(Activation::LeakyRelu(0.2))]
}

fn resamplings() -> impl Strategy<Value = Resampling> {
    let pair = |range: std::ops::RangeInclusive<usize>| [range.clone(), range];
    prop_oneof![
        3 => Just(Resampling::Stride([1, 1])),
        2 => pair(1..=3).prop_map(Resampling::Stride),
        2 => (pair(1..=3), pair(0..=1))
            .prop_map(|(stride, extra)| Resampling::Transposed { stride, extra }),
        1 => (1..=3_usize).prop_map(Resampling::Shuffle),
    ]
}

/// Any convolution, 3x3 ones more often, because they have a kernel of their own.
fn specs() -> impl Strategy<Value = Spec> {
    let pair = |range: std::ops::RangeInclusive<usize>| [range.clone(), range];
    let kernels = prop_oneof![Just([3, 3]), pair(1..=at_most(7, 3))];
    let many = at_most(33, 1)..=at_most(100, 20);
    let channels = move || prop_oneof![1..=20_usize, Just(16), Just(at_most(32, 17)), many.clone()];
    let borders = prop_oneof![Just(Border::Zero), Just(Border::Reflect)];
    (channels(), channels(), kernels, pair(1..=2), (pair(0..=3), pair(0..=3)), borders, resamplings())
        .prop_map(|(channels_in, channels_out, kernel, dilation, (before, after), border, resampling)| {
            let mut spec =
                Spec { channels_in, channels_out, kernel, dilation, before, after, border, resampling };
            match resampling {
                Resampling::Transposed { .. } => {
                    spec.dilation = [1, 1];
                    spec.border = Border::Zero;
                }
                Resampling::Shuffle(block) => spec.channels_out *= block * block,
                Resampling::Stride(_) => (),
            }
            if spec.kernel == [3, 3] {
                spec.dilation = [1, 1];
            }
            spec
        })
}

proptest! {
    #[test]
    fn convolutions_are_sums_over_their_taps(
        spec in specs(),
        images in 1..=3_usize,
        [height, width] in [1..=at_most(19, 6), 1..=at_most(19, 6)],
        with_residual: bool,
        activation in activations(),
        seed: u64,
    ) {
        let shape = Shape { images, channels: spec.channels_in, height, width };
        let Some(result) = spec.output(shape) else { return Ok(()) };
        let [rows, columns] = spec.kernel;
        let taps = spec.channels_in * rows * columns;
        let weights = noise(taps * spec.channels_out, seed);
        let bias = noise(spec.channels_out, seed ^ 1);
        let input = noise(shape.plain_len(), seed ^ 2);
        let with_residual = with_residual && !spec.is_output_plain();
        let residual = with_residual.then(|| noise(result.plain_len(), seed ^ 3));
        let mut expected = reference::convolution(&spec, &weights, &bias, &input, shape);
        for (at, value) in expected.iter_mut().enumerate() {
            *value = activation.of(*value + residual.as_ref().map_or(0.0, |residual| residual[at]));
        }
        for tier in Tier::available() {
            let convolution = Convolution::new(spec.clone(), &weights, &bias, tier);
            let length = if spec.is_output_plain() { result.plain_len() } else { result.len() };
            let mut output = vec![f32::NAN; length];
            let residual = residual.as_ref().map(|residual| blocked(residual, result));
            convolution.run(&blocked(&input, shape), shape, residual.as_deref(), activation, &mut output);
            if !spec.is_output_plain() {
                let again = plain(&output, result);
                prop_assert_eq!(&blocked(&again, result), &output, "channels that fill up a block are 0");
                output = again;
            }
            // Errors of random terms add up like their root; Winograd's transforms enlarge them.
            let error = if spec.kernel == [3, 3] { 2e-5 } else { 5e-6 };
            close(&output, &expected, error * (taps as f32).sqrt())?;
        }
    }

    #[test]
    fn an_image_does_not_depend_on_its_neighbours_in_the_batch(
        spec in specs(),
        images in 2..=4_usize,
        [height, width] in [1..=at_most(14, 6), 1..=at_most(14, 6)],
        seed: u64,
    ) {
        let one = Shape { images: 1, channels: spec.channels_in, height, width };
        let all = Shape { images, ..one };
        let Some(result) = spec.output(one) else { return Ok(()) };
        let [rows, columns] = spec.kernel;
        let weights = noise(spec.channels_in * spec.channels_out * rows * columns, seed);
        let bias = noise(spec.channels_out, seed ^ 1);
        let input = blocked(&noise(all.plain_len(), seed ^ 2), all);
        let length = if spec.is_output_plain() { result.plain_len() } else { result.len() };
        for tier in Tier::available() {
            let convolution = Convolution::new(spec.clone(), &weights, &bias, tier);
            let mut together = vec![f32::NAN; images * length];
            convolution.run(&input, all, None, Activation::Relu, &mut together);
            for (image, together) in input.chunks(one.len()).zip(together.chunks(length)) {
                let mut alone = vec![f32::NAN; length];
                convolution.run(image, one, None, Activation::Relu, &mut alone);
                prop_assert_eq!(&alone[..], together);
            }
        }
    }

    #[test]
    fn norms_give_mean_and_variance(
        shape in (1..=3_usize, 1..=at_most(40, 20), 4..=at_most(20, 6), 4..=at_most(20, 6))
            .prop_map(|(images, channels, height, width)| Shape { images, channels, height, width }),
        with_residual: bool,
        activation in activations(),
        offset in -100.0..100.0_f32,
        seed: u64,
    ) {
        let input: Vec<f32> = noise(shape.plain_len(), seed).iter().map(|value| value + offset).collect();
        let [scale, bias] = [4, 5].map(|salt| noise(shape.channels, seed ^ salt));
        let residual = with_residual.then(|| noise(shape.plain_len(), seed ^ 6));
        let mut expected = reference::instance_norm(&scale, &bias, 1e-5, &input, shape);
        for (at, value) in expected.iter_mut().enumerate() {
            *value = activation.of(*value + residual.as_ref().map_or(0.0, |residual| residual[at]));
        }
        for tier in Tier::available() {
            let norm = InstanceNorm::new(&scale, &bias, 1e-5, tier);
            let residual = residual.as_ref().map(|residual| blocked(residual, shape));
            let mut output = blocked(&input, shape);
            norm.run(&mut output, shape, residual.as_deref(), activation);
            // A mean of 100 leaves float32 five digits of the distance from it.
            close(&plain(&output, shape), &expected, 2e-4)?;
        }
    }

    #[test]
    fn sums_are_sums(length in 0..=20_usize, activation in activations(), seed: u64) {
        let [first, second] = [7, 8].map(|salt| noise(16 * length, seed ^ salt));
        for tier in Tier::available() {
            let mut sum = first.clone();
            add(tier, &mut sum, Some(&second), activation);
            let expected: Vec<f32> = first.iter().zip(&second).map(|(a, b)| activation.of(a + b)).collect();
            prop_assert_eq!(&sum, &expected);
        }
    }

    #[test]
    fn blocks_hold_all_channels_and_nothing_else(
        images in 1..=3_usize,
        channels in 1..=at_most(40, 18),
        split in 1..=3_usize,
        [rows, columns] in [1..=at_most(6, 3), 1..=at_most(6, 3)],
    ) {
        let shape = Shape { images, channels, height: rows * split, width: columns * split };
        let input: Vec<f32> = (0..shape.plain_len()).map(|value| value as f32).collect();
        let to = split_shape(shape, split);
        let mut blocks = vec![f32::NAN; to.len()];
        to_blocks(&input, shape, split, &mut blocks);
        let output = plain(&blocks, to);
        // ONNX SpaceToDepth, by its definition.
        for (at, value) in output.iter().enumerate() {
            let (x, rest) = (at % to.width, at / to.width);
            let (y, rest) = (rest % to.height, rest / to.height);
            let (channel, image) = (rest % to.channels, rest / to.channels);
            let (place, from) = (channel / channels, channel % channels);
            let (y, x) = (y * split + place / split, x * split + place % split);
            prop_assert_eq!(*value, input[((image * channels + from) * shape.height + y) * shape.width + x]);
        }
        prop_assert_eq!(blocked(&output, to), blocks, "channels that fill up a block are 0");
    }
}

#[test]
fn what_is_no_number_stays_so() {
    let shape = Shape { images: 1, channels: 16, height: 5, width: 5 };
    let mut input = vec![1.0; shape.plain_len()];
    input[12] = f32::NAN;
    for (channels_out, kernel) in [(16, 3), (16, 1), (1, 3)] {
        let spec = Spec {
            channels_in: 16,
            channels_out,
            kernel: [kernel; 2],
            dilation: [1; 2],
            before: [kernel / 2; 2],
            after: [kernel / 2; 2],
            border: Border::Zero,
            resampling: Resampling::Stride([1, 1]),
        };
        let weights = vec![1.0; 16 * channels_out * kernel * kernel];
        for tier in Tier::available() {
            let convolution = Convolution::new(spec.clone(), &weights, &vec![0.0; channels_out], tier);
            let result = spec.output(shape).unwrap();
            let length = if spec.is_output_plain() { result.plain_len() } else { result.len() };
            let mut output = vec![0.0; length];
            convolution.run(&blocked(&input, shape), shape, None, Activation::Relu, &mut output);
            assert!(output.iter().any(|value| value.is_nan()), "{tier}, {kernel} to {channels_out}");
        }
    }
}
