#!/usr/bin/env bash
# Runs the tests of the library's two modules with `unsafe` in Miri, which finds undefined behaviour: the C interface, and the kernels in
# plain Rust. First it must find some that is made on purpose. Wants a nightly toolchain with Miri, and takes it with rustup.
#
# One synthesis is run whole, engine and threads included, with a network of a single layer. crossbeam, by which rayon's threads talk,
# does not keep the rules of stacked borrows, and rayon's threads outlive the call: that run goes by tree borrows, and lets them.
set -euo pipefail
cd "$(dirname "$0")/../.."

work=$PWD/target/miri
# Cases of each property; files, such as those that hold the cases that failed, may be read.
export PROPTEST_CASES=${PROPTEST_CASES-4} MIRIFLAGS=-Zmiri-disable-isolation

say() { echo "miri: $*"; }
fail() { say "FAILED: $*" >&2; exit 1; }

rustup +nightly component list --installed 2>/dev/null | grep -q '^miri' ||
  rustup toolchain install nightly --profile minimal --component miri --component rust-src

say "a fault made on purpose"
mkdir -p "$work/fault/src"
printf '[package]\nname = "fault"\nedition = "2024"\n[workspace]\n' >"$work/fault/Cargo.toml"
printf 'fn main() { let v = vec![1_u8]; println!("{}", unsafe { *v.as_ptr().add(1) }); }\n' >"$work/fault/src/main.rs"
if output=$(cargo +nightly miri run --manifest-path "$work/fault/Cargo.toml" --target-dir "$work" 2>&1); then fail "not found"; fi
grep -q 'Undefined Behavior' <<<"$output" || fail "failed with other words: $output"

test_library() { cargo +nightly miri test --lib --locked --no-default-features --features capi --target-dir "$work" -- "$@"; }

say "the C interface"
test_library capi:: --skip a_whole_call
say "the kernels"
cargo +nightly miri test --locked --manifest-path tests/processors/Cargo.toml --target-dir "$work" -- kernels::
say "a whole synthesis through the C interface: more than an hour"
MIRIFLAGS="$MIRIFLAGS -Zmiri-tree-borrows -Zmiri-ignore-leaks" test_library a_whole_call
say "passed"
