//! Texts in files: a study's list, tables of labels, and what vouches for a model: its SHA-256, a signature, a key.

use std::path::Path;
use std::sync::OnceLock;

use mrisynth::Model;
use mrisynth::model::{LoadOptions, Signer};
use mrisynth_evaluation::study::list;
use mrisynth_evaluation::volumes::table::LabelTable;

use super::{sound, sound_evaluation, take};
use crate::{files, seeds};

/// The first byte says what the rest is: a study's list, a table of labels, or what lies beside a model.
pub(super) fn read(bytes: &[u8]) {
    let Some((which, text)) = bytes.split_first() else { return };
    match which % 8 {
        0..=3 => read_list(text),
        4 | 5 => read_table(text),
        6 if which & 8 == 8 => read_key(text),
        6 => read_signature(text),
        _ => read_sha256(text),
    }
}

fn read_list(text: &[u8]) {
    let path = files::put("study.csv", text);
    let Some(study) = sound_evaluation(list::read(&path)) else { return };
    take();
    assert!(!study.cases().is_empty());
    for case in study.cases() {
        assert!(!case.subject.is_empty() && !case.method.is_empty(), "{}", case.name());
        assert!(case.files.parts().all(|file| !file.as_os_str().is_empty()));
    }
    // Its files may be any that there are on this machine, and are not read.
    assert!(!study.files().is_empty());
}

fn read_table(text: &[u8]) {
    // As the command does it: what is no text is none.
    let Ok(text) = std::str::from_utf8(text) else { return };
    let Some(table) = sound_evaluation(LabelTable::parse(text)) else { return };
    take();
    let labels: Vec<u16> = table.iter().map(|(label, _)| label).collect();
    assert!(!labels.is_empty() && labels.is_sorted() && labels[0] > 0);
    assert!(table.iter().all(|(label, structure)| table.get(label) == Some(structure)));
}

fn read_sha256(text: &[u8]) {
    static STUB: OnceLock<Vec<u8>> = OnceLock::new();
    let stub = STUB.get_or_init(seeds::model::stub);
    let path = files::put("model.onnx", stub);
    files::put("model.onnx.sha256", text);
    if let Some(model) = sound(Model::open(&path, &LoadOptions::default())) {
        take();
        // Nothing else can have been let through.
        let text = String::from_utf8_lossy(text).to_ascii_lowercase();
        assert_eq!(text.split_whitespace().next(), Some(model.sha256()));
    }
}

/// A model that the tests have signed, and the key that it was signed by.
const SIGNED: &[u8] = include_bytes!("../../../tests/signed/middle_slice.onnx");
const KEY: &str = include_str!("../../../tests/signed/key.pub");

fn read_signature(text: &[u8]) {
    let path = files::put("signed.onnx", SIGNED);
    files::put("signed.onnx.minisig", text);
    let signer = Signer { public_key: KEY.into(), signature: None };
    open_signed(&path, signer);
}

fn read_key(text: &[u8]) {
    let path = files::put("signed.onnx", SIGNED);
    files::put("signed.onnx.minisig", include_bytes!("../../../tests/signed/middle_slice.onnx.minisig"));
    let key = files::put("key.pub", text);
    if let Some(signer) = sound(Signer::new(&key.to_string_lossy(), None)) {
        open_signed(&path, signer);
    }
}

/// What is let through was signed by the tests' key: nothing makes another signature, or another key, by chance.
fn open_signed(path: &Path, signer: Signer) {
    // Its first two bytes say which kind of key it is, of which two are as good.
    let key = &KEY.lines().last().expect("a key has a line")[4..];
    let given = signer.public_key.clone();
    let options = LoadOptions { signer: Some(signer), ..LoadOptions::default() };
    if sound(Model::open(path, &options)).is_some() {
        take();
        assert!(given.contains(key), "{given:?}");
    }
}
