#!/usr/bin/env bash
# Runs every test and check of the project: the Rust tests, the C and C++ programs and the Python that they run, formatting,
# clippy, and then the bindings against an installed library.
# One profile (release) for all of it, so that the heavy dependencies are built once.
set -euo pipefail
cd "$(dirname "$0")/.."
# Here a missing Python environment is a fault; a lone `cargo test` goes without.
export MRISYNTH_REQUIRE_PYTHON=1

cargo fmt --all --check
cargo test --release --workspace --locked
cargo clippy --release --workspace --all-targets --locked -- -D warnings

for bindings in scripts/test-*.sh; do "$bindings"; done
