#!/usr/bin/env bash
# Prints how many lines of the library (src/) the Rust tests run, and fails under 92 %. Tests are built anew with counters; the heavy
# crates, which are not counted, are taken from target/release if they are there. Tests of time, of memory and of faults are left out:
# counters slow the kernels down. Some twenty minutes on two processors.
#
# coverage.sh --report prints it again. Wants cargo-llvm-cov (`cargo install cargo-llvm-cov --locked`) and the component llvm-tools.
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
# cover PROCESSOR TARGET... [-- OPTION...]: runs these tests. Threads that count in the same places wait for each other, so one
# processor alone is faster than two.
cover() {
  local processor=$1
  shift
  taskset -c "$processor" cargo llvm-cov --no-report --no-fail-fast --release --workspace --locked "$@"
}

if [ "${1-}" != --report ]; then
  cargo llvm-cov clean --workspace --profraw-only
  cargo llvm-cov --no-report --release --workspace --locked -- --list >/dev/null
  cover 0 --lib --test={synthesis,plausibility,models} &
  # Nor do these wait for kernels that count; those of the first half do.
  MRISYNTH_KERNELS=none cover "$(($(nproc) > 1))" \
    --test={brain_extraction,exit_codes,header,model_files,nifti_files,preparation,residual,verify}
  wait $!
fi
# Lines of other packages are left out, and those of test modules in files of their own.
cargo llvm-cov report --release --ignore-filename-regex '(/(bindings|evaluation|picture|training|tests|fuzz|examples)/|/tests\.rs$|/reference\.rs$)' \
  --summary-only --fail-under-lines "$least"
