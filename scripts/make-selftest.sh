#!/usr/bin/env bash
# Makes what `mrisynth selftest` compares with anew, after a change that is meant to change images: the scan, the digests for every
# tier of instructions that this machine has, and the samples for all others, by plain Rust. Digests of other machines are lost:
# they may be wrong now.
set -euo pipefail
cd "$(dirname "$0")/.."

folder=bindings/cli/data
build() { cargo build --release --workspace --lib --bins --examples --locked; }

build
target/release/examples/made_up_head "$folder/selftest_T2w.nii.gz" --small
echo '{"digests": {}, "samples": {}}' >"$folder/selftest.json"
build
# Where the processor has more than AVX2, one is emulated that has not: for machines with nothing better. That takes a quarter of an hour.
if [ "$(uname -m)" = x86_64 ] && target/release/mrisynth model info --cpu | grep -q 'tier: avx512'; then
  qemu-x86_64 -cpu Haswell target/release/mrisynth selftest --threads 2 --write-reference "$folder" >/dev/null 2>&1
fi
# The best comes first and plain Rust last, whose samples stay.
for tier in $(target/release/mrisynth model info --cpu --json | python3 -c 'import json, sys
print(*json.load(sys.stdin)["cpu"]["available"])'); do
  MRISYNTH_KERNELS=$tier target/release/mrisynth selftest --write-reference "$folder" >/dev/null
done
build
target/release/mrisynth selftest
