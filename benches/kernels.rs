//! How long each kind of layer takes with the crate's own kernels, for four slices as they are run together.
//!
//! Criterion's throughput is in multiplications with an addition, counted as a direct convolution has them: Winograd's layers may
//! come out above what the processor can do. `MRISYNTH_KERNELS` chooses the instructions.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use mrisynth::kernels::{
    Activation, Border, Convolution, InstanceNorm, Resampling, Shape, Spec, Tier, add, from_blocks, to_blocks,
};

/// Slices that are run together.
const SLICES: usize = 4;

/// A layer: its name, channels in and out, kernel, border, resampling, and the size of its input.
type Layer = (&'static str, [usize; 2], usize, Border, Resampling, [usize; 2]);

/// Of the default models, at the size of a usual brain, and of the paper's.
fn layers() -> Vec<Layer> {
    use Border::{Reflect, Zero};
    let (once, halved, shuffled) =
        (Resampling::Stride([1, 1]), Resampling::Stride([2, 2]), Resampling::Shuffle(2));
    let doubled = Resampling::Transposed { stride: [2, 2], extra: [1, 1] };
    vec![
        ("default, stem", [12, 32], 3, Zero, once, [112, 96]),
        ("default, second stem", [32, 32], 3, Zero, once, [112, 96]),
        ("default, first down", [32, 64], 3, Zero, halved, [112, 96]),
        ("default, refine 128", [128, 128], 3, Zero, once, [28, 24]),
        ("default, residual", [256, 256], 3, Zero, once, [14, 12]),
        ("default, first up", [256, 512], 1, Zero, shuffled, [14, 12]),
        ("default, head", [32, 4], 3, Zero, shuffled, [112, 96]),
        ("paper, first 7x7", [1, 64], 7, Reflect, once, [256, 256]),
        ("paper, first down", [64, 128], 3, Zero, halved, [256, 256]),
        ("paper, last down", [512, 512], 3, Zero, halved, [32, 32]),
        ("paper, residual", [512, 512], 3, Reflect, once, [16, 16]),
        ("paper, first up", [512, 512], 3, Zero, doubled, [16, 16]),
        ("paper, last up", [128, 64], 3, Zero, doubled, [128, 128]),
        ("paper, last 7x7", [64, 1], 7, Reflect, once, [256, 256]),
    ]
}

/// Values from -0.5 to 0.5.
fn values(count: usize) -> Vec<f32> {
    (0..count).map(|at| (at * 7919 % 1000) as f32 / 1000.0 - 0.5).collect()
}

fn tier() -> Tier {
    Tier::current().unwrap_or(Tier::Generic)
}

fn convolutions(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group(format!("layers, {}", tier()));
    for (name, [channels_in, channels_out], kernel, border, resampling, [height, width]) in layers() {
        let spec = Spec {
            channels_in,
            channels_out,
            kernel: [kernel; 2],
            dilation: [1; 2],
            before: [kernel / 2; 2],
            after: [kernel / 2; 2],
            border,
            resampling,
        };
        let weights = values(channels_in * channels_out * kernel * kernel);
        let convolution = Convolution::new(spec.clone(), &weights, &values(channels_out), tier());
        let shape = Shape { images: SLICES, channels: channels_in, height, width };
        let result = spec.output(shape).unwrap();
        let images = values(shape.len());
        let plain = spec.is_output_plain();
        let mut output = vec![0.0; if plain { result.plain_len() } else { result.len() }];
        // Each value of a convolution's result, or of a transposed one's input, meets the kernel once.
        let met = match resampling {
            Resampling::Transposed { .. } => shape.plain_len() * channels_out,
            _ => result.plain_len() * channels_in,
        };
        group.throughput(Throughput::Elements((met * kernel * kernel) as u64));
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                convolution.run(black_box(&images), shape, None, Activation::Relu, &mut output);
            });
        });
    }
    group.finish();
}

fn others(criterion: &mut Criterion) {
    let shape = Shape { images: SLICES, channels: 64, height: 256, width: 256 };
    let (mut images, others) = (values(shape.len()), values(shape.len()));
    let norm = InstanceNorm::new(&values(64), &values(64), 1e-5, tier());
    criterion.bench_function("instance norm, 64 channels of 256x256", |bencher| {
        bencher.iter(|| norm.run(black_box(&mut images), shape, None, Activation::Relu));
    });
    criterion.bench_function("sum, 64 channels of 256x256", |bencher| {
        bencher.iter(|| add(tier(), black_box(&mut images), Some(&others), Activation::Relu));
    });
    let plain = values(shape.plain_len());
    let mut output = vec![0.0; shape.len()];
    criterion.bench_function("to blocks, 64 channels of 256x256", |bencher| {
        bencher.iter(|| to_blocks(black_box(&plain), shape, 1, &mut output));
    });
    let mut back = vec![0.0; shape.plain_len()];
    criterion.bench_function("from blocks, 64 channels of 256x256", |bencher| {
        bencher.iter(|| from_blocks(black_box(&images), shape, &mut back));
    });
}

fn packing(criterion: &mut Criterion) {
    let spec = Spec {
        channels_in: 256,
        channels_out: 256,
        kernel: [3; 2],
        dilation: [1; 2],
        before: [1; 2],
        after: [1; 2],
        border: Border::Zero,
        resampling: Resampling::Stride([1, 1]),
    };
    let weights = values(256 * 256 * 9);
    criterion.bench_function("packing of a Winograd layer of 256 channels", |bencher| {
        bencher.iter(|| Convolution::new(spec.clone(), black_box(&weights), &[0.0; 256], tier()));
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10).measurement_time(Duration::from_secs(3));
    targets = convolutions, others, packing
}
criterion_main!(benches);
