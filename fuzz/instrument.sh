#!/usr/bin/env bash
# A wrapper of rustc for our own crates (RUSTC_WORKSPACE_WRAPPER) that adds a counter to each edge of their code, so that
# fuzzing sees which way an input goes. Crates from elsewhere never come here, and stay as they are built already.
set -euo pipefail

crate=
is_library=
previous=
for argument in "$@"; do
  case "$previous $argument" in
    "--crate-name "*) crate=$argument ;;
    "--crate-type lib" | "--crate-type rlib") is_library=yes ;;
  esac
  previous=$argument
done
# The runner counts; what measures must not be measured. Other programs, such as build scripts, could not be linked.
case "$crate$is_library" in
  mrisynthyes | mrisynth_evaluationyes | mrisynth_fuzzyes)
    exec "$@" -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=3 \
      -Cllvm-args=-sanitizer-coverage-inline-8bit-counters ;;
esac
exec "$@"
