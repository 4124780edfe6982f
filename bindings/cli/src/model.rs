//! `mrisynth model`: what models there are, what they say of themselves, and whether a file is sound.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use mrisynth::kernels::Tier;
use mrisynth::model::{LoadOptions, Model, Signer};
use mrisynth::{Error, Result};
use serde::Serialize;

use crate::report::{one_line, print, print_json};

/// A model as `--json` shows it.
#[derive(Serialize)]
pub struct Identity {
    name: String,
    version: String,
    sha256: String,
    source: String,
    target: String,
}

impl Identity {
    /// The identity of `model`.
    pub fn of(model: &Model) -> Self {
        let card = model.card();
        Self {
            name: card.name.clone(),
            version: card.version.clone(),
            sha256: model.sha256().to_owned(),
            source: card.source.to_string(),
            target: card.target.to_string(),
        }
    }

    /// SHA-256 of the model file.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// The model's name and version.
    pub fn name_and_version(&self) -> (&str, &str) {
        (&self.name, &self.version)
    }
}

#[derive(Serialize)]
struct List {
    models: Vec<Identity>,
}

#[derive(Serialize)]
struct Information {
    #[serde(flatten)]
    identity: Identity,
    card: BTreeMap<String, String>,
}

impl Information {
    fn of(model: &Model) -> Self {
        let entries = model.card().entries();
        let card = entries.map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        Self { identity: Identity::of(model), card }
    }
}

/// Prints the embedded models.
///
/// # Errors
/// Those of loading them, and of printing.
pub fn list(json: bool) -> Result<()> {
    let models: Vec<_> = embedded().map(|model| Ok(Identity::of(&model?))).collect::<Result<_>>()?;
    if json {
        return print_json(&List { models });
    }
    for model in &models {
        let Identity { name, version, sha256, source, target } = model;
        let line = format!("{name}  version {version}  {source} to {target}  SHA-256 {sha256}");
        print(&one_line(&line))?;
    }
    Ok(())
}

/// Prints the card of an embedded model or a model file, or with `cpu` what networks run with; or both.
///
/// # Errors
/// Those of loading the model, and of printing.
pub fn info(name_or_file: Option<&Path>, cpu: bool, json: bool) -> Result<()> {
    let model = name_or_file.map(find).transpose()?;
    let cpu = cpu.then(Processor::this);
    if json {
        let model = model.as_ref().map(Information::of);
        return print_json(&Answer { model, cpu });
    }
    if let Some(model) = model {
        for (key, value) in model.card().entries() {
            print(&one_line(&format!("{key}: {value}")))?;
        }
        print(&format!("sha256: {}", model.sha256()))?;
    }
    cpu.map_or(Ok(()), |Processor { tier, available }| {
        print(&format!("CPU tier: {tier} (this processor has {})", available.join(", ")))
    })
}

/// What `info` tells as JSON.
#[derive(Serialize)]
struct Answer {
    #[serde(flatten)]
    model: Option<Information>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cpu: Option<Processor>,
}

/// The instructions that networks run with, and those that the processor has.
#[derive(Serialize)]
pub struct Processor {
    pub tier: &'static str,
    available: Vec<&'static str>,
}

impl Processor {
    /// The processor of this machine.
    pub fn this() -> Self {
        Self { tier: Tier::current_name(), available: Tier::available().map(Tier::name).collect() }
    }
}

/// Who must have signed model files, if anyone.
///
/// # Errors
/// Those of [`Signer::new`].
pub fn signer(public_key: Option<&str>, signature: Option<PathBuf>) -> Result<Option<Signer>> {
    public_key.map(|key| Signer::new(key, signature)).transpose()
}

/// Loads a model file with every check and says that it is sound.
///
/// # Errors
/// What is wrong with the file.
pub fn verify(file: &Path, options: &LoadOptions) -> Result<()> {
    let model = Model::open(file, options)?;
    let card = model.card();
    let signed = if options.signer.is_some() { "  signature OK" } else { "" };
    let (name, version, sha256) = (&card.name, &card.version, model.sha256());
    print(&one_line(&format!("{name}  version {version}  SHA-256 {sha256}{signed}  OK")))
}

fn embedded() -> impl Iterator<Item = Result<Model>> {
    Model::embedded_contrasts().map(|(source, target)| Model::embedded(source, target))
}

/// The embedded model of that name, or else the model file.
fn find(name_or_file: &Path) -> Result<Model> {
    let mut names = Vec::new();
    for model in embedded() {
        let model = model?;
        if name_or_file.as_os_str() == model.card().name.as_str() {
            return Ok(model);
        }
        names.push(model.card().name.clone());
    }
    if !name_or_file.exists() {
        let message = format!("no such file, and no embedded model of that name ({})", names.join(", "));
        return Err(Error::io(name_or_file, io::Error::new(io::ErrorKind::NotFound, message)));
    }
    Model::open(name_or_file, &LoadOptions::default())
}
