#!/usr/bin/env bash
# Prints how many lines of the library (src/) the Rust tests run, and fails under 92 %. Takes about as long as the tests, and again as
# long for building: tests are built anew with counters; the heavy crates, which are not counted, are taken from target/release if
# they are there.
#
# Wants cargo-llvm-cov (`cargo install cargo-llvm-cov --locked`) and the component llvm-tools.
set -euo pipefail
cd "$(dirname "$0")/../.."

least=92
target=target/llvm-cov-target
rustup component add llvm-tools >/dev/null 2>&1 || true
if [ ! -d "$target/release" ] && [ -d target/release ]; then
  mkdir -p "$target"
  cp -a target/release "$target/"
  # Our own packages must be built anew.
  rm -rf "$target"/release/.fingerprint/mrisynth*
fi
if [ "${1-}" != --report ]; then
  cargo llvm-cov clean --workspace --profraw-only
  cargo llvm-cov --no-report --release --workspace --locked
fi
# Lines of other packages are left out, and those of test modules in files of their own.
cargo llvm-cov report --release --ignore-filename-regex '(/(bindings|evaluation|picture|training|tests|fuzz|examples)/|/tests\.rs$|/reference\.rs$)' \
  --summary-only --fail-under-lines "$least"
