//! What is in a folder of a dataset.

use std::path::{Path, PathBuf};
use std::{fs, io};

/// The names in a folder, in their order. Hidden ones are left out: file systems and programs keep their own things by such names.
///
/// # Errors
/// Those of reading the folder; whoever calls this names it.
pub fn names(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let names = fs::read_dir(folder)?.map(|entry| Ok(PathBuf::from(entry?.file_name())));
    let mut names = names.collect::<io::Result<Vec<_>>>()?;
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
        assert!(names(&folder.path().join("none")).is_err());
    }
}
