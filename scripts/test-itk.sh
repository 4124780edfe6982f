#!/usr/bin/env bash
# Tests the ITK module and mrisynth-dicom against an installed ITK and mrisynth: plain, with sanitizers, under valgrind.
#
# What they make is compared with what the command makes: of the example, of a made-up raw head, and of a real scan
# where there is one.
set -euo pipefail
shopt -s inherit_errexit
cd "$(dirname "$0")/.."

# The heavy crates are built once, for tests and for what is installed.
export MRISYNTH_CARGO_ARGUMENTS="${MRISYNTH_CARGO_ARGUMENTS---workspace --lib --bins --tests}"
unset DESTDIR LD_LIBRARY_PATH
prefix=$PWD/target/prefix
work=$PWD/target/itk-test
rm -rf "$work"
mkdir -p "$work"
pages=(target/itk-page target/dicom-page)
rm -rf "${pages[@]}"
trap 'rm -rf "$work" "${pages[@]}"' EXIT

say() { echo "test-itk: $*"; }
fail() { echo "test-itk: $*" >&2; exit 1; }

# quietly LOG COMMAND...: shows what the command says only where it fails.
quietly() {
  local log=$work/$1
  shift
  "$@" >"$log" 2>&1 || { cat "$log"; fail "this failed: $*"; }
}

# build SOURCE BUILD ARGUMENT...: the tests run in the library, so the programs need no optimization.
build() {
  local source=$1 build=$2
  shift 2
  quietly configure.log cmake -S "bindings/itk/$source" -B "$build" -DCMAKE_BUILD_TYPE=None \
    -DMrisynth_DIR="$prefix/lib/cmake/Mrisynth" "$@"
  quietly build.log cmake --build "$build" --parallel "$(nproc)"
}

run_ctest() {
  local build=$1
  shift
  (cd "$build" && ctest --output-on-failure --no-tests=error "$@")
}

quietly install.log scripts/install.sh "$prefix"

say "the pages on ITK and DICOM"
scripts/run-page.sh docs/itk.md docs/dicom.md

# As the Rust tests find real scans.
real=()
if [ -d ../shared/reference ] && [ -d ../shared/data/open_ms ]; then
  real=(-DMRISYNTH_REAL_SCAN="$(realpath ../shared/data/open_ms/train/long_p01_s1/T2W.nii.gz)")
else
  say "SKIPPED: ../shared is not there; nothing is tested on real scans"
fi

say "the module, plain"
build . "$work/plain" -DMRISYNTH_REPOSITORY="$PWD" "${real[@]}"
# Pixel types, geometry and failures are left to the sanitizers' build.
run_ctest "$work/plain" --exclude-regex 'PixelTypes|Geometry|Exceptions'

say "the module under AddressSanitizer and UndefinedBehaviorSanitizer"
build . "$work/sanitized" -DMRISYNTH_REPOSITORY="$PWD" -DMRISYNTH_SANITIZE=ON
run_ctest "$work/sanitized" --exclude-regex 'Raw|Abort|Head'

say "the module under valgrind"
driver=$work/plain/test/MRISynthTestDriver
valgrind=(valgrind --quiet --error-exitcode=99 --leak-check=full --errors-for-leak-kinds=definite)
ending=0
"${valgrind[@]}" "$driver" itkMRISynthSanitizerTest address >"$work/valgrind.log" 2>&1 || ending=$?
[ "$ending" -eq 99 ] || fail "valgrind did not find an error on purpose: $(cat "$work/valgrind.log")"
quietly valgrind.log "${valgrind[@]}" "$driver" itkMRISynthSmallTest

heads=$work/plain/Testing/Temporary
say "mrisynth-dicom, as the page builds it"
quietly configure.log cmake -S bindings/itk/dicom -B target/dicom-page -DBUILD_TESTING=ON
quietly build.log cmake --build target/dicom-page --parallel "$(nproc)"
bindings/itk/dicom/test/run.sh target/dicom-page "$prefix/bin/mrisynth" "$heads/head_T2w.nii.gz" \
  "$heads/straight_head_T2w.nii.gz" "$work/series"

say "mrisynth-dicom under AddressSanitizer and UndefinedBehaviorSanitizer"
build dicom "$work/dicom-sanitized" -DMRISYNTH_SANITIZE=ON
bindings/itk/dicom/test/run.sh "$work/dicom-sanitized" "$prefix/bin/mrisynth" "$heads/head_T2w.nii.gz" \
  "$heads/straight_head_T2w.nii.gz" "$work/series" quick

say "passed"
