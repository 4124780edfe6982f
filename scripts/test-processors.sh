#!/usr/bin/env bash
# Tests the kernels on processors that this machine is not: x86-64 without AVX, and ARM, both emulated by QEMU; and that a
# default model without AVX makes what it makes here, up to rounding. Wants what scripts/test.sh has built.
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

  say "a default model without AVX"
  target/python/bin/python -c 'import numpy, sys
numpy.random.default_rng(1).random((2, 3, 32, 48), numpy.float32).tofile(sys.argv[1])' "$work/slices"
  engine=(target/release/examples/engine models/t1w-from-t2w.onnx 1 "$work/slices")
  "${engine[@]}" "$work/here" 2 3 32 48 </dev/null
  without_avx "${engine[@]}" "$work/without-avx" 2 3 32 48 </dev/null
  target/python/bin/python - "$work"/{here,without-avx} <<'END'
import sys
import numpy
here, there = (numpy.fromfile(path, numpy.float32) for path in sys.argv[1:])
difference = abs(here - there).max()
print(f"test-processors: largest difference {difference:.1e} of 1")
sys.exit(not (here.size == 2 * 32 * 48 and difference < 1e-4 and here.max() > 0.1))
END
fi

if ! rustup target list --installed 2>/dev/null | grep -qx "$arm" && ! rustup target add "$arm" 2>/dev/null; then
  say "SKIPPED: kernels on ARM, because Rust's library for $arm cannot be had"
  exit 0
fi
say "kernels on ARM"
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
qemu-aarch64 -L /usr/aarch64-linux-gnu "$(built_for --target "$arm")"
