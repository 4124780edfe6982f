#!/usr/bin/env bash
# Checks every package that is compiled in: its licence, that it comes from the registry, that it comes in one version, and that no
# fault of it is known. First each check must find a fault made on purpose. Installs cargo-deny where it is missing.
#
# Known faults are looked up in RustSec's database, which lies on GitHub: where that cannot be reached, it says so and the rest counts.
set -euo pipefail
cd "$(dirname "$0")/../.."

version=0.20.2
tools=$PWD/target/tools
work=$PWD/target/dependencies
export PATH=$tools/bin:$PATH

say() { echo "dependencies: $*"; }
fail() { say "FAILED: $*" >&2; exit 1; }

# deny CONFIGURATION CHECK...
deny() { cargo deny --locked --workspace --config "$1" check "${@:2}"; }

# finds WORDS CHANGE CHECK: with deny.toml changed by sed, the check must fail and say the words.
finds() {
  local output
  sed "$2" deny.toml >"$work/faulty.toml"
  if output=$(deny "$work/faulty.toml" "$3" 2>&1); then fail "not found: $1"; fi
  grep -q -e "$1" <<<"$output" || fail "failed with other words than '$1': $output"
}

[ "$(cargo deny --version 2>/dev/null)" = "cargo-deny $version" ] ||
  cargo install cargo-deny --version "$version" --locked --root "$tools"
rm -rf "$work"
mkdir -p "$work"
cargo fetch --locked

say "faults made on purpose"
finds 'rejected: license is not explicitly allowed' 's/"Zlib"//' licenses
finds "found 2 duplicate entries for crate 'miniz_oxide'" '/miniz_oxide/d' bans
finds 'detected .* source not explicitly allowed' 's/^unknown-git/allow-registry = []\n&/' sources

say "what is in the library and the commands"
deny deny.toml licenses bans sources
say "what is in training, tests and benchmarks"
deny training/deny.toml licenses bans sources

if cargo deny --config deny.toml fetch db 2>"$work/fetch"; then
  deny deny.toml advisories
  deny training/deny.toml advisories
else
  say "SKIPPED: known faults, because the database of advisories cannot be reached"
fi
rm -rf "$work"
say "passed"
