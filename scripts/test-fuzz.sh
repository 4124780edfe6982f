#!/usr/bin/env bash
# Fuzzes each target for 30 seconds from the committed inputs, as many at once as there are processors. Its seed is always the same,
# so that what fails here fails again; new seeds are for scripts/release/fuzz.sh.
set -euo pipefail
shopt -s inherit_errexit
cd "$(dirname "$0")/.."

say() { echo "test-fuzz: $*"; }

say "build"
runner=$(fuzz/build.sh)
say "30 s a target"
code=0
"$runner" all --seconds 30 --seed 1 --jobs "$(nproc)" | tee target/fuzz/printed || code=$?
if [ "$code" -ne 0 ]; then
  # What ran out of sight can be run again elsewhere.
  sed -n 's/^  saved as //p' target/fuzz/printed | while read -r file; do
    echo "$file, in base64:"
    base64 "$file"
  done
  exit "$code"
fi
if grep -q ' blind,' target/fuzz/printed; then say "FAILED: not instrumented" >&2; exit 1; fi
say "passed"
