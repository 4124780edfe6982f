#!/usr/bin/env bash
# Runs the whole command on processors that this machine is not, emulated by QEMU: x86-64 without AVX, and ARM. A small scan must
# become what it becomes here, up to the stated tolerance, prepared and raw. Builds everything for ARM first: some fifteen minutes of
# a processor's time.
set -euo pipefail
cd "$(dirname "$0")/../.."

work=$PWD/target/processors
arm=aarch64-unknown-linux-gnu
here=$PWD/target/release/mrisynth
there=$work/$arm/release/mrisynth
scans=(target/python/bin/python tests/processors/scans.py)

say() { echo "processors: $*"; }
fail() { say "FAILED: $*" >&2; exit 1; }

without_avx() { qemu-x86_64 -cpu Nehalem "$here" "$@"; }
on_arm() { qemu-aarch64 -L /usr/aarch64-linux-gnu "$there" "$@"; }

# same PROCESSOR SCAN [OPTION...]: synthesizes from the scan here and there, and compares.
same() {
  local processor=$1 scan=$2 start=$SECONDS found
  shift 2
  "$here" synthesize "$work/$scan.nii" -o "$work/here.nii" --to t1w --quiet --force --accept-implausible "$@"
  "$processor" synthesize "$work/$scan.nii" -o "$work/there.nii" --to t1w --quiet --force --accept-implausible "$@"
  found=$("${scans[@]}" compare "$work/here.nii" "$work/there.nii") || fail "$processor, $scan: $found"
  say "$processor, $scan: $found, in $((SECONDS - start)) s"
}

# Words, as cargo takes them.
# shellcheck disable=SC2086
cargo build --release --locked ${MRISYNTH_CARGO_ARGUMENTS---workspace --lib --bins --tests}
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
cargo build --release --locked --package mrisynth-cli --target "$arm" --target-dir "$work"
[ "$(od -An -tx1 -j18 -N2 "$there")" = " b7 00" ] || fail "$there is not for ARM"
"${scans[@]}" brain "$work/brain.nii"
"${scans[@]}" head "$work/head.nii"

if [ "$(uname -m)" = x86_64 ]; then
  same without_avx brain --prepared
  same without_avx head
fi
same on_arm brain --prepared
same on_arm head
# Plain Rust on ARM too, whose best is NEON.
MRISYNTH_KERNELS=generic same on_arm brain --prepared
say "passed"
