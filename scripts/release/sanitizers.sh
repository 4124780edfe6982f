#!/usr/bin/env bash
# sanitizers.sh [SEED]: runs the library built with AddressSanitizer, which sees reads and writes beside an object in what is
# compiled: the kernels for every set of instructions that this processor has, the self-test's whole road with each of them, and
# fuzzing of all targets. First it must find a fault that is made on purpose. Wants a nightly toolchain, and takes it with rustup;
# the heavy crates are built anew.
set -euo pipefail
cd "$(dirname "$0")/../.."

platform=$(rustc -vV | sed -n 's/^host: //p')
build=$PWD/target/sanitizers
export RUSTFLAGS=-Zsanitizer=address
# Memory that is refused is an error of ours to tell, not a fault; a fault is a signal, which the fuzz runner hears.
export ASAN_OPTIONS=allocator_may_return_null=1:abort_on_error=1:detect_stack_use_after_return=1

say() { echo "sanitizers: $*"; }
fail() { say "FAILED: $*" >&2; exit 1; }
# with_cargo COMMAND OPTION...: cargo with the sanitizer.
with_cargo() { cargo +nightly "$1" --release --locked --target "$platform" --target-dir "$build" "${@:2}"; }

rustup toolchain list | grep -q '^nightly' || rustup toolchain install nightly --profile minimal

say "a fault made on purpose"
mkdir -p "$build/fault/src"
printf '[package]\nname = "fault"\nedition = "2024"\n[workspace]\n' >"$build/fault/Cargo.toml"
printf 'fn main() { let v = vec![1_u8]; println!("{}", unsafe { *std::hint::black_box(v.as_ptr()).add(1) }); }\n' \
  >"$build/fault/src/main.rs"
cargo generate-lockfile --quiet --manifest-path "$build/fault/Cargo.toml"
if output=$(with_cargo run --quiet --manifest-path "$build/fault/Cargo.toml" 2>&1); then fail "not found"; fi
grep -q 'AddressSanitizer: heap-buffer-overflow' <<<"$output" || fail "failed with other words: $output"

say "the kernels"
with_cargo test --manifest-path tests/processors/Cargo.toml -- kernels::

say "the self-test with every set of instructions"
with_cargo build --workspace --bin mrisynth
command=$build/$platform/release/mrisynth
tiers=$("$command" model info --cpu --json | python3 -c 'import json, sys; print(*json.load(sys.stdin)["cpu"]["available"], "none")')
for tier in $tiers; do
  say "$tier"
  MRISYNTH_KERNELS=$tier "$command" selftest
done

say "fuzzing, 30 s a target"
RUSTC_WORKSPACE_WRAPPER=$PWD/fuzz/instrument.sh with_cargo build --workspace --bin mrisynth-fuzz
"$build/$platform/release/mrisynth-fuzz" all --seconds 30 --seed "${1-1}" --time-limit 60 --jobs "$(nproc)" |
  tee "$build/printed"
if grep -q ' blind,' "$build/printed"; then fail "not instrumented"; fi
say "passed"
