//! What is in a folder of a dataset.

use std::fs;
use std::path::{Path, PathBuf};

use mrisynth::{Error, Result};

/// The names in a folder, in their order. Hidden ones are left out: file systems and programs keep their own things by such names.
///
/// # Errors
/// [`Error::Io`], naming the folder.
pub fn names(folder: &Path) -> Result<Vec<PathBuf>> {
    let fault = |fault| Error::io(folder, fault);
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(fault)? {
        names.push(PathBuf::from(entry.map_err(fault)?.file_name()));
    }
    names.retain(|name| !name.to_string_lossy().starts_with('.'));
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_sorted_and_hidden_ones_left_out() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b", "a", ".DS_Store", "._b", "B"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        assert_eq!(names(folder.path()).unwrap(), ["B", "a", "b"].map(PathBuf::from));
        assert!(names(&folder.path().join("none")).unwrap_err().to_string().contains("none"));
    }
}
