//! `mrisynth model`: what models there are, what they say of themselves, and whether a file is sound.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use mrisynth::model::{LoadOptions, Model};
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

/// Prints the card of an embedded model or a model file.
///
/// # Errors
/// Those of loading it, and of printing.
pub fn info(name_or_file: &Path, json: bool) -> Result<()> {
    let model = find(name_or_file)?;
    let entries = model.card().entries();
    if json {
        let card = entries.map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        return print_json(&Information { identity: Identity::of(&model), card });
    }
    for (key, value) in entries {
        print(&one_line(&format!("{key}: {value}")))?;
    }
    print(&format!("sha256: {}", model.sha256()))
}

/// Loads a model file with every check and says that it is sound.
///
/// # Errors
/// What is wrong with the file.
pub fn verify(file: &Path, sha256: Option<&str>) -> Result<()> {
    let model =
        Model::open(file, &LoadOptions { sha256: sha256.map(str::to_owned), ..LoadOptions::default() })?;
    let card = model.card();
    print(&one_line(&format!("{}  version {}  SHA-256 {}  OK", card.name, card.version, model.sha256())))
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
