#!/usr/bin/env bash
# Tests the kernels on processors that this machine is not: x86-64 without AVX, and ARM, both emulated by QEMU; and that the command
# makes of a small scan without AVX what it makes here, up to rounding. Wants what scripts/test.sh has built. Raw scans, and the whole
# command on ARM, take scripts/release/processors.sh.
set -euo pipefail
cd "$(dirname "$0")/.."

work=$PWD/target/test-processors
crate=tests/processors/Cargo.toml
arm=aarch64-unknown-linux-gnu
# An emulated processor is some fifty times slower than a real one.
export PROPTEST_CASES=32

say() { echo "test-processors: $*"; }
fail() { say "FAILED: $*" >&2; exit 1; }

# without_avx COMMAND...: on a processor of 2008.
without_avx() { qemu-x86_64 -cpu Nehalem "$@"; }

# built_for ARGUMENTS...: builds the kernels' tests and prints their program.
built_for() {
  cargo test --release --locked --manifest-path "$crate" --target-dir "$work" --no-run --message-format=json "$@" |
    sed -n 's/.*"executable":"\([^"]*\)".*/\1/p'
}

mkdir -p "$work"
if [ "$(uname -m)" = x86_64 ]; then
  # The emulated processor must not have what is looked for.
  printf '#include <immintrin.h>\nint main(int n, char **v) { __m256 x = _mm256_set1_ps(n); float y[8]; _mm256_storeu_ps(y, x); return y[n] != n; }\n' |
    cc -O1 -mavx2 -x c - -o "$work/needs-avx"
  "$work/needs-avx" || say "this machine has no AVX either"
  if without_avx "$work/needs-avx" 2>/dev/null; then fail "the emulated processor has AVX"; fi

  say "kernels without AVX"
  without_avx "$(built_for)"

  say "the whole command without AVX"
  scans=(target/python/bin/python tests/processors/scans.py)
  "${scans[@]}" brain "$work/brain.nii"
  synthesize=(target/release/mrisynth synthesize "$work/brain.nii" --to t1w --prepared --accept-implausible --quiet --force)
  "${synthesize[@]}" -o "$work/here.nii"
  without_avx "${synthesize[@]}" -o "$work/without-avx.nii"
  "${scans[@]}" compare "$work"/{here,without-avx}.nii
fi

if ! rustup target list --installed 2>/dev/null | grep -qx "$arm" && ! rustup target add "$arm" 2>/dev/null; then
  say "SKIPPED: kernels on ARM, because Rust's library for $arm cannot be had"
  exit 0
fi
say "kernels on ARM"
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
qemu-aarch64 -L /usr/aarch64-linux-gnu "$(built_for --target "$arm")"
