//! Models: one ONNX file each, checked before it runs, shared freely between threads.

mod card;
mod check;
mod embedded;
pub(crate) mod engine;
mod layers;
mod load;
mod operators;
mod signature;

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use ndarray::{Array3, ArrayView4, Axis};
use rayon::prelude::*;

pub use card::{CARD_FORMAT, CARD_PREFIX, Card, Contrast};
pub use check::{INPUT_NAME, OUTPUT_NAME};
pub(crate) use load::Network;
pub use signature::Signer;

use crate::{Error, Limits, Result, Watch, regular_file};

/// Bytes of the file beside a model that holds its SHA-256, and perhaps the names of other files with theirs.
const MAX_SHA256_BYTES: u64 = 64 << 10;

/// A loaded model: immutable, cheap to clone, shared freely between threads.
#[derive(Clone, Debug)]
pub struct Model {
    loaded: Arc<load::Loaded>,
}

/// How to load a model file.
#[derive(Clone, Debug, Default)]
pub struct LoadOptions {
    /// Bounds on the file.
    pub limits: Limits,
    /// The SHA-256 that the file must have, in hexadecimal.
    pub sha256: Option<String>,
    /// Who must have signed the file, for [`Model::open`].
    pub signer: Option<Signer>,
    /// Bytes that loading may have allocated at once, the file included; none: no limit.
    pub memory_limit: Option<u64>,
}

impl Model {
    /// Reads, checks and loads a model file.
    ///
    /// Where a file `NAME.onnx.sha256` lies beside `NAME.onnx` and no SHA-256 is given, the one in it is checked.
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be read, otherwise those of [`Model::from_bytes`].
    pub fn open(path: &Path, options: &LoadOptions) -> Result<Self> {
        let bytes = regular_file::read(path, options.limits.max_model_bytes, Error::BadModel)?;
        let sha256 = match &options.sha256 {
            Some(given) => Some(given.clone()),
            None => sha256_beside(path)?,
        };
        if let Some(signer) = &options.signer {
            signer.check(path, &bytes).map_err(|fault| fault.in_file(path))?;
        }
        let options = LoadOptions { sha256, ..options.clone() };
        Self::from_bytes(&bytes, &options).map_err(|fault| fault.in_file(path))
    }

    /// The model in `file`, which must synthesize `target`, or without a file the default one that does.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`], naming the file, for a model that synthesizes another contrast, otherwise those of
    /// [`Model::open`] and [`Model::embedded`].
    pub fn for_target(file: Option<&Path>, target: Contrast, options: &LoadOptions) -> Result<Self> {
        let Some(file) = file else {
            return Self::embedded_by(target.other(), target, options);
        };
        let model = Self::open(file, options)?;
        let found = model.card().target;
        if found == target {
            return Ok(model);
        }
        let message = format!("the model synthesizes {found}, and {target} is asked for");
        Err(Error::InvalidArgument(message).in_file(file))
    }

    /// Checks and loads a model file that is in memory. Nothing of `bytes` is kept.
    ///
    /// # Errors
    /// [`Error::BadModel`] if the file is too large, its SHA-256 differs from the one given, it is no ONNX file, its card
    /// or graph is not what this library runs, or the engine cannot compile it; [`Error::OutOfMemory`] before anything large is
    /// allocated, if there is no memory for it or the limit would be passed.
    pub fn from_bytes(bytes: &[u8], options: &LoadOptions) -> Result<Self> {
        let loaded = load::load(bytes, options)?;
        Ok(Self { loaded: Arc::new(loaded) })
    }

    /// The default model from `source` to `target` that is inside this library.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if the contrasts are equal, [`Error::Unsupported`] if this build has no such model.
    pub fn embedded(source: Contrast, target: Contrast) -> Result<Self> {
        Self::embedded_by(source, target, &LoadOptions::default())
    }

    /// [`Model::embedded`] with the options that concern it.
    fn embedded_by(source: Contrast, target: Contrast, options: &LoadOptions) -> Result<Self> {
        if source == target {
            return Err(Error::InvalidArgument(format!("from {source} to {target}: nothing to synthesize")));
        }
        let found = embedded::EMBEDDED.iter().find(|model| (model.source, model.target) == (source, target));
        let Some(found) = found else {
            return Err(Error::Unsupported(format!("this build holds no model from {source} to {target}")));
        };
        let sha256 = found.sha256.split_whitespace().next().map(str::to_owned);
        let memory_limit = options.memory_limit;
        Self::from_bytes(found.bytes, &LoadOptions { sha256, memory_limit, ..LoadOptions::default() })
    }

    /// The contrasts (source, target) of the models that are inside this library.
    pub fn embedded_contrasts() -> impl Iterator<Item = (Contrast, Contrast)> {
        embedded::EMBEDDED.iter().map(|model| (model.source, model.target))
    }

    /// What the model says of itself.
    pub fn card(&self) -> &Card {
        &self.loaded.card
    }

    /// SHA-256 of the model file, in hexadecimal.
    pub fn sha256(&self) -> &str {
        &self.loaded.sha256
    }

    /// Runs the network alone, on slices as it reads them (slices, slices in, height, width) with values from 0 to 1 inside the
    /// brain and 0 outside, and gives what it makes of them (slices, height, width). Slices are shared out to the threads of the
    /// rayon pool that this is called in.
    ///
    /// For programs that prepare slices of their own, and for measuring; [`crate::synthesize()`] does this and all around it.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for other slices than the model's card says, [`Error::BadModel`] for a network that
    /// cannot run on them.
    pub fn run(&self, slices: ArrayView4<'_, f32>) -> Result<Array3<f32>> {
        let (count, slices_in, height, width) = slices.dim();
        let card = self.card();
        let fits = |edge: usize| {
            card.window.map_or(edge.is_multiple_of(card.size_multiple), |window| edge == window)
        };
        if slices_in != card.slices_in || slices.is_empty() || !fits(height) || !fits(width) {
            let shape = slices.shape();
            return Err(Error::InvalidArgument(format!("{} does not read slices of {shape:?}", card.name)));
        }
        let network = self.network([height, width])?;
        let mut images = Array3::zeros((count, height, width));
        let groups = slices.axis_chunks_iter(Axis(0), network.slices_at_once);
        let results = images.axis_chunks_iter_mut(Axis(0), network.slices_at_once);
        let pairs: Vec<_> = groups.zip(results).collect();
        pairs.into_par_iter().try_for_each(|(group, mut result)| {
            let values = network.run(group.to_owned(), &Watch::default())?;
            result.iter_mut().zip(values).for_each(|(to, value)| *to = value);
            Ok(())
        })?;
        Ok(images)
    }

    /// Bytes that the weights take in memory.
    pub fn weight_bytes(&self) -> u64 {
        self.loaded.weight_bytes()
    }

    /// An upper bound on the bytes that compiling a network takes for a while.
    pub(crate) fn compilation_bytes(&self) -> u64 {
        self.loaded.compilation_bytes()
    }

    /// The network compiled for an in-plane window (height, width).
    pub(crate) fn network(&self, window: [usize; 2]) -> Result<Arc<Network>> {
        self.loaded.network(window)
    }
}

/// The SHA-256 in the file beside a model, as `sha256sum` writes it, if there is one.
fn sha256_beside(path: &Path) -> Result<Option<String>> {
    let mut name = path.as_os_str().to_owned();
    name.push(".sha256");
    let beside = Path::new(&name);
    match regular_file::read_text(beside, MAX_SHA256_BYTES, Error::BadModel) {
        Ok(text) => match text.split_whitespace().next() {
            Some(sha256) => Ok(Some(sha256.to_owned())),
            None => Err(Error::BadModel("it holds no SHA-256".into()).in_file(beside)),
        },
        Err(Error::Io { source, .. }) if source.kind() == ErrorKind::NotFound => Ok(None),
        Err(fault) => Err(fault),
    }
}
