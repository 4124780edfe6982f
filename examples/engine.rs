//! Runs a model's network alone on slices from a file, for `benches/engines.py`, which times it against other engines.
//!
//! `engine MODEL THREADS INPUT OUTPUT SLICES CHANNELS HEIGHT WIDTH`: INPUT holds float32 values (slices, channels, height, width) in the
//! machine's byte order, and OUTPUT gets (slices, height, width). After that, each line on the standard input makes the
//! network run once more, and a line with its seconds is printed.

use std::error::Error;
use std::io::{BufRead, Write};
use std::path::Path;
use std::time::Instant;

use mrisynth::Model;
use mrisynth::model::LoadOptions;
use ndarray::Array4;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [model, threads, input, output, dims @ ..] = &arguments[..] else {
        return Err("usage: engine MODEL THREADS INPUT OUTPUT SLICES CHANNELS HEIGHT WIDTH".into());
    };
    let dims = dims.iter().map(|length| length.parse()).collect::<Result<Vec<usize>, _>>()?;
    let &[slices, channels, height, width] = &dims[..] else { return Err("four dimensions".into()) };
    let model = Model::open(Path::new(model), &LoadOptions::default())?;
    let slices = Array4::from_shape_vec((slices, channels, height, width), read(Path::new(input))?)?;
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads.parse()?).build()?;
    let images = pool.install(|| model.run(slices.view()))?;
    let bytes: Vec<u8> = images.iter().flat_map(|value| value.to_ne_bytes()).collect();
    std::fs::write(output, bytes)?;
    let (input, mut answers) = (std::io::stdin().lock(), std::io::stdout().lock());
    writeln!(answers, "ready, mrisynth {}", env!("CARGO_PKG_VERSION"))?;
    answers.flush()?;
    for line in input.lines() {
        line?;
        let start = Instant::now();
        pool.install(|| model.run(slices.view()))?;
        writeln!(answers, "{}", start.elapsed().as_secs_f64())?;
        answers.flush()?;
    }
    Ok(())
}

fn read(path: &Path) -> Result<Vec<f32>, Box<dyn Error>> {
    let bytes = std::fs::read(path)?;
    let values = bytes.as_chunks::<4>().0.iter().map(|value| f32::from_ne_bytes(*value));
    Ok(values.collect())
}
