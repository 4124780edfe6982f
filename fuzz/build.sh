#!/usr/bin/env bash
# Builds the runner with counters in our own crates, in target/fuzz, and prints its path. The crates of others are taken over from
# target, where they are built already; as hard links, which take no room. Nothing of ours is: it would be without counters.
set -euo pipefail
cd "$(dirname "$0")/.."

build=$PWD/target/fuzz
mkdir -p "$build"
if [ -d target/release ] && ! cmp -s Cargo.lock "$build/Cargo.lock"; then
  rm -rf "$build/release"
  cp -al target/release "$build/"
  find "$build/release" -name '*mrisynth*' -prune -exec rm -rf {} +
  cp Cargo.lock "$build/"
fi
# The features of the crates of others are those that all of the workspace's tests ask for: one test makes cargo take these.
RUSTC_WORKSPACE_WRAPPER=$PWD/fuzz/instrument.sh cargo build --release --workspace --bin mrisynth-fuzz --test runner --locked \
  --target-dir "$build" >&2
echo "$build/release/mrisynth-fuzz"
