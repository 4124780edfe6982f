#!/usr/bin/env bash
# Tests the Slicer extension and the command-line module: the library through ctypes in any Python with numpy, and the modules in a
# real MRML scene without a window, as slicer-core has it (1 GB, from PyPI, in target/slicer-venv). Without room or a way to PyPI the
# scene is skipped, and that is said.
set -euo pipefail
cd "$(dirname "$0")/.."

packages=(slicer-core==5.13.31053.0 ctk-cli==1.5)
python=target/slicer-venv/bin/python
tests=bindings/slicer/MRISynth/Testing

# The heavy crates are built once, for tests and for what is installed.
export MRISYNTH_CARGO_ARGUMENTS="${MRISYNTH_CARGO_ARGUMENTS---workspace --lib --bins --tests}"
export MRISYNTH_COMMAND="$PWD/target/release/mrisynth" MRISYNTH_SLICER_CLI="$PWD/target/release/mrisynth-slicer-cli"

echo "test-slicer: the page's commands: the module's XML and a synthesis, and the extension built with a stand-in for Slicer"
rm -rf target/slicer-build target/slicer-extension
SLICER_DIR="$PWD/$tests/SlicerStandIn" scripts/run-page.sh docs/slicer.md
cmake --install target/slicer-build --prefix target/slicer-extension >/dev/null
target/slicer-extension/lib/Slicer/cli-modules/mrisynth-slicer-cli --xml >/dev/null
# From here on the module is the installed one, and the library the one in its folder.
export MRISYNTH_MODULE_FOLDER="$PWD/target/slicer-extension/lib/Slicer/qt-scripted-modules"
unset MRISYNTH_LIBRARY

echo "test-slicer: the library through ctypes, without Slicer"
target/python/bin/python -m unittest discover -s "$tests" -p 'test_[jl]*.py'

# Asks the environment itself, so that nothing is downloaded twice.
is_complete() {
  "$python" - "${packages[@]}" 2>/dev/null <<'END'
import importlib.metadata, sys
sys.exit(any(importlib.metadata.version(p.split("==")[0]) != p.split("==")[1] for p in sys.argv[1:]))
END
}

skip() {
  echo "test-slicer: SKIPPED: $1: the modules were not run in a scene; all before that was tested" >&2
  exit 0
}

if ! is_complete; then
  free=$(df --output=avail --block-size=1M target | tail -1)
  [ "$free" -ge 5000 ] || skip "only $free MB of disk are free, of the 5000 that it takes to install slicer-core"
  python3 -c 'import sys; sys.exit(sys.version_info[:2] < (3, 10))' || skip "slicer-core needs Python 3.10 or newer"
  python3 -m venv --clear target/slicer-venv
  "$python" -m pip install --quiet --disable-pip-version-check --retries 1 "${packages[@]}" ||
    skip "pip cannot install ${packages[*]}"
fi

echo "test-slicer: the modules in a real scene without a window"
"$python" -m unittest discover -s "$tests" -p 'test_[cdsw]*.py'
"$python" bindings/slicer/make_screenshot.py target/slices.png
cmp -n 24 target/slices.png bindings/slicer/Screenshots/slices.png

if "$python" -c 'import qt' 2>/dev/null; then
  echo "test-slicer: note: qt is there, and the widget's stand-ins are to be given up for it" >&2
else
  echo "test-slicer: the widget was worked with stand-ins for Qt, which slicer-core lacks; nothing was drawn"
fi
