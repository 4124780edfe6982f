#!/usr/bin/env bash
# Installs what building and testing need beside a Rust toolchain, on Debian or Ubuntu: a C and C++ compiler and CMake.
# Does nothing where they are there already.
set -euo pipefail

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
if [ "${#missing[@]}" -eq 0 ]; then
  exit 0
fi
if ! command -v apt-get >/dev/null; then
  echo "setup: install these by hand, there is no apt-get here: ${missing[*]}" >&2
  exit 1
fi
as_root=()
[ "$(id -u)" -eq 0 ] || as_root=(sudo)
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}"
