#!/usr/bin/env bash
# Prints what other packages are compiled into the library and the command, under which licences, and the texts of these. Their
# licences ask that the texts go with the binaries. Each text is printed once.
set -euo pipefail
cd "$(dirname "$0")/.."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
host=$(rustc -vV | sed -n 's/^host: //p')
target=${CARGO_BUILD_TARGET:-$host}

# Lines of name, version, licence and repository; what lies in this repository (a path in parentheses) is not a third party's.
cargo tree --locked --offline --package mrisynth --package mrisynth-cli --target "$target" --edges normal,no-proc-macro \
  --prefix none --no-dedupe --format '{p}|{l}|{r}' | grep -v '^$\|(/' | sed 's/ v/|/' | LC_ALL=C sort -u >"$work/packages"
[ -s "$work/packages" ] || { echo "third-party-notices: cargo names no packages" >&2; exit 1; }

# The licence files of a package: in cargo's copy of the registry, or where `cargo vendor` puts the packages. (`cargo metadata` would
# say where, but wants all packages of the workspace to be there, those for training too.)
texts_of() {
  local folder
  for folder in "${CARGO_HOME:-$HOME/.cargo}"/registry/src/*/"$1-$2" "vendor/$1-$2" "vendor/$1"; do
    if [ -d "$folder" ]; then break; fi
  done
  [ -d "$folder" ] || return 0
  find "$folder" -maxdepth 1 -type f -iregex '.*/\(licen[cs]e\|copying\|copyright\|notice\|unlicense\)[^/]*' | LC_ALL=C sort
}

echo "Packages that are compiled into mrisynth, with their licences; the texts follow below."
echo
mkdir "$work/texts"
while IFS='|' read -r name version licence repository; do
  mapfile -t texts < <(texts_of "$name" "$version")
  without=""
  [ "${#texts[@]}" -gt 0 ] || without="; no text comes with it"
  echo "$name $version: $licence ($repository)$without"
  for text in "${texts[@]}"; do
    read -r key _ < <(sha256sum <"$text")
    [ -e "$work/texts/$key" ] || cp "$text" "$work/texts/$key"
    echo "$name $version (${text##*/})" >>"$work/texts/$key.users"
  done
done <"$work/packages"
# Rust's standard library is in every binary that Rust makes.
echo "$(rustc -V | cut -d ' ' -f 1,2) standard library: MIT OR Apache-2.0 (https://github.com/rust-lang/rust)"

for users in "$work/texts"/*.users; do
  printf '\n%s\n' "================================================================================"
  cat "$users"
  printf '%s\n\n' "--------------------------------------------------------------------------------"
  cat "${users%.users}"
done
