#!/usr/bin/env bash
# Installs what building and testing need beside a Rust toolchain, on Debian or Ubuntu: a C and C++ compiler and CMake.
# With the argument `tests` also what the bindings are tested with (ITK, niftilib, strace, valgrind, checkers of DICOM, emulated processors), and a Python
# environment, target/python, in which ONNX Runtime runs what we export.
# Does nothing where all of it is there already.
set -euo pipefail
cd "$(dirname "$0")/.."

case "${1-}" in
  "" | tests) ;;
  *) echo "usage: scripts/setup.sh [tests]" >&2; exit 2 ;;
esac

missing=()
command -v cc >/dev/null || missing+=(gcc)
command -v c++ >/dev/null || missing+=(g++)
command -v make >/dev/null || missing+=(make)
command -v cmake >/dev/null || missing+=(cmake)
command -v nm >/dev/null || missing+=(binutils)

if ! command -v cargo >/dev/null; then
  echo "setup: no Rust toolchain found: install one from https://rustup.rs" >&2
  exit 1
fi
if [ "${1-}" = tests ] && ! python3 -c 'import ensurepip, venv' 2>/dev/null; then
  missing+=(python3 python3-venv)
fi
if [ "${1-}" = tests ]; then
  for package in dcmtk dicom3tools gcc-aarch64-linux-gnu libc6-dev-arm64-cross libgdcm-tools libinsighttoolkit5-dev libnifti-dev pkg-config qemu-user strace valgrind; do
    dpkg-query --show --showformat='${Status}' "$package" 2>/dev/null | grep -q ' installed$' || missing+=("$package")
  done
fi
if [ "${#missing[@]}" -gt 0 ]; then
  if ! command -v apt-get >/dev/null; then
    echo "setup: install these by hand, there is no apt-get here: ${missing[*]}" >&2
    exit 1
  fi
  as_root=()
  [ "$(id -u)" -eq 0 ] || as_root=(sudo)
  "${as_root[@]}" apt-get update -qq
  "${as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}"
fi

if [ "${1-}" = tests ]; then
  packages=(numpy==2.2.6 onnx==1.20.1 onnxruntime==1.23.2)
  python=target/python/bin/python
  "$python" -m pip --version >/dev/null 2>&1 || python3 -m venv --clear target/python
  # Asks the environment itself, so that nothing is downloaded twice.
  if ! "$python" - "${packages[@]}" <<'END'
import importlib.metadata, sys
try:
    wrong = [p for p in sys.argv[1:] if importlib.metadata.version(p.split("==")[0]) != p.split("==")[1]]
except importlib.metadata.PackageNotFoundError as missing:
    wrong = [missing]
sys.exit(bool(wrong))
END
  then
    "$python" -m pip install --quiet --disable-pip-version-check "${packages[@]}"
  fi
fi
