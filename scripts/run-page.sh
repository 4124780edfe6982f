#!/usr/bin/env bash
# Runs the commands of documentation pages: every block marked `sh`, in order, in one shell a page, in the repository's root.
# Stops at the first that fails. So a page's commands are tested as they stand; they write below target/ only.
set -euo pipefail
cd "$(dirname "$0")/.."

[ "$#" -gt 0 ] || { echo "usage: scripts/run-page.sh PAGE.md ..." >&2; exit 2; }
# The heavy crates are built once, for tests and for what is installed: see scripts/install.sh.
export MRISYNTH_CARGO_ARGUMENTS="${MRISYNTH_CARGO_ARGUMENTS---workspace --lib --bins --tests}"
for page in "$@"; do
  commands=$(awk '/^```/ { inside = !inside && $0 == "```sh"; next } inside' "$page")
  [ -n "$commands" ] || { echo "run-page: $page has no block marked sh" >&2; exit 1; }
  echo "run-page: $page"
  bash -euxo pipefail -c "$commands"
done
