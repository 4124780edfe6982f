//! Finds the libraries that were built for C.

use std::path::{Path, PathBuf};

/// The newest file called `name` beside this test or one folder above.
///
/// `cargo test` leaves the libraries in `deps`, `cargo build` one folder above; the newest is the one of this build.
pub fn built_library(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let deps = test.parent().unwrap();
    let folders = [deps, deps.parent().unwrap()];
    let modified = |path: &PathBuf| path.metadata().and_then(|metadata| metadata.modified()).ok();
    let candidates = folders.map(|folder| folder.join(name));
    let newest = candidates.into_iter().filter(|path| path.is_file()).max_by_key(modified);
    newest.unwrap_or_else(|| {
        panic!(
            "{name} is neither in {} nor above it: run cargo build --release --workspace --all-targets",
            deps.display()
        )
    })
}

/// The repository's root.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
