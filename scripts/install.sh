#!/usr/bin/env bash
# Builds mrisynth and installs it below a prefix: command, libraries, headers, and what pkg-config and CMake find them by.
#
#   scripts/install.sh PREFIX               installs, over an earlier version if there is one
#   scripts/install.sh --uninstall PREFIX   removes what was installed, and nothing else
#
# Environment: DESTDIR is put before PREFIX, for packages; CARGO_TARGET_DIR and MRISYNTH_CARGO_ARGUMENTS go to `cargo build`.
#
# Nothing is installed before all of it is built and copied. What is installed can be moved. Neither library is stripped, so that
# a crash in a host program names functions; packages may strip them.
set -euo pipefail
shopt -s inherit_errexit
umask 022

usage="usage: scripts/install.sh [--uninstall] PREFIX    (an absolute path; see docs/install.md)"
manifest=share/mrisynth/installed-files.txt
own_folders=(lib/cmake/Mrisynth share/doc/mrisynth share/mrisynth)

fail() {
  echo "install: $*" >&2
  exit 1
}

misused() {
  echo "install: $*" >&2
  echo "$usage" >&2
  exit 2
}

# Fails, before anything is built, unless files can be made below the folder. Leaves nothing there.
require_writable() {
  local existing=$1 probe
  while [ ! -e "$existing" ] && [ ! -L "$existing" ]; do existing=$(dirname "$existing"); done
  [ -d "$existing" ] || fail "cannot install into $1: $existing is not a folder"
  # Asking the file system itself also finds those that are mounted read-only.
  probe=$(mktemp -d "$existing/.mrisynth-probe.XXXXXX" 2>/dev/null) || fail "cannot install into $1: cannot write to $existing"
  rmdir "$probe"
}

# Fails if the list of what is installed names anything that is not below the folder, where we have nothing to remove.
require_sound_manifest() {
  if grep -qE '^$|^/|(^|/)\.\.(/|$)' "$1/$manifest"; then fail "$1/$manifest is damaged: it names a file that is not below $1"; fi
}

# Removes the files that a list names below the folder, but for those that another list names too.
remove_listed() {
  local folder=$1 list=$2 kept=$3 file
  while IFS= read -r file; do
    grep -qxF -e "$file" "$kept" || rm -f "$folder/$file"
  done <"$list"
}

uninstall() {
  local folder=$1 own
  [ -f "$folder/$manifest" ] || fail "nothing to uninstall: there is no $folder/$manifest"
  require_sound_manifest "$folder"
  remove_listed "$folder" "$folder/$manifest" /dev/null
  # Folders that other software uses too, such as PREFIX/lib, stay.
  for own in "${own_folders[@]}"; do
    [ ! -d "$folder/$own" ] || rmdir --ignore-fail-on-non-empty "$folder/$own"
  done
}

# A value of Cargo.toml's [package.metadata.capi.library], which is where cargo-c reads it.
capi_library() {
  awk -v key="$1" '
    /^\[/ { inside = $0 == "[package.metadata.capi.library]" }
    inside && $1 == key { gsub(/"/, "", $3); print $3 }' Cargo.toml
}

# Where cargo puts what it builds, whatever sets it: CARGO_TARGET_DIR, CARGO_BUILD_TARGET or a configuration file.
built_folder() {
  local target_directory
  target_directory=$(cargo metadata --no-deps --locked --offline --format-version 1 |
    sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
  echo "$target_directory/${CARGO_BUILD_TARGET:+$CARGO_BUILD_TARGET/}release"
}

# Lays out everything as it will be below the prefix.
stage_into() {
  local stage=$1 built=$2 package_version library_version abi_version
  package_version=$(cargo pkgid --locked --offline)
  package_version=${package_version##*[@#]}
  # The file's own version counts the binary interface: its number (the SONAME's), additions to it, fixes. The package's version
  # would not do: it begins with 0 while the interface is 1, and the two will go on apart. cargo-c takes the same one.
  library_version=$(capi_library version)
  abi_version=$(awk '$2 == "MRISYNTH_ABI_VERSION" { print $3 }' include/mrisynth.h)
  [ "${library_version%%.*}" = "$abi_version" ] ||
    fail "Cargo.toml has library version $library_version, but include/mrisynth.h has binary interface $abi_version"

  install -D -m 755 -t "$stage/bin" "$built/mrisynth" "$built/mrisynth-slicer-cli"
  install -D -m 644 -t "$stage/include" include/mrisynth.h include/mrisynth.hpp
  install -D -m 644 -t "$stage/lib" "$built/libmrisynth.a"
  install -D -m 755 "$built/libmrisynth.so" "$stage/lib/libmrisynth.so.$library_version"
  ln -s "libmrisynth.so.$library_version" "$stage/lib/libmrisynth.so.$abi_version"
  ln -s "libmrisynth.so.$abi_version" "$stage/lib/libmrisynth.so"
  cmake -DOUTPUT="$stage" -DPACKAGE_VERSION="$package_version" -DLIBRARY_VERSION="$library_version" -DABI_VERSION="$abi_version" \
    -P bindings/cmake/configure.cmake
  install -D -m 644 -t "$stage/share/doc/mrisynth" README.md LICENSE.txt LICENSE-APACHE LICENSE-MIT
  scripts/third-party-notices.sh >"$stage/share/doc/mrisynth/THIRD-PARTY.txt"

  mkdir -p "$stage/$(dirname "$manifest")"
  touch "$stage/$manifest"
  (cd "$stage" && find . \( -type f -o -type l \) -printf '%P\n' | LC_ALL=C sort) >"$work/installed-files"
  cp "$work/installed-files" "$stage/$manifest"
}

# Moves what is staged into place, each file at once, so that programs that run keep what they have loaded. Then removes what an
# earlier version had and this one has not.
move_into_place() {
  local stage=$1 folder=$2 file files earlier=$work/earlier-files
  : >"$earlier"
  if [ -f "$folder/$manifest" ]; then
    require_sound_manifest "$folder"
    cp "$folder/$manifest" "$earlier"
  fi
  mapfile -t files <"$stage/$manifest"
  for file in "${files[@]}"; do
    mkdir -p "$folder/$(dirname "$file")"
    mv -fT "$stage/$file" "$folder/$file"
  done
  remove_listed "$folder" "$earlier" "$folder/$manifest"
}

main() {
  local action=install prefix folder program built
  if [ "${1-}" = --uninstall ]; then
    action=uninstall
    shift
  fi
  [ "$#" -eq 1 ] || misused "one PREFIX is needed, not $#"
  prefix=$1
  case "$prefix" in
    "") misused "PREFIX is empty" ;;
    --help | -h) echo "$usage"; exit 0 ;;
    -*) misused "unknown option $prefix" ;;
    /*) ;;
    *) misused "PREFIX must be an absolute path, not '$prefix'" ;;
  esac
  case "${DESTDIR-}" in
    "" | /*) ;;
    *) misused "DESTDIR must be an absolute path, not '$DESTDIR'" ;;
  esac
  folder=${DESTDIR-}$prefix

  if [ "$action" = uninstall ]; then
    uninstall "$folder"
    echo "removed mrisynth from $folder"
    return
  fi

  [ "$(uname -s)" = Linux ] || fail "the layout of libraries is that of Linux, and this is $(uname -s)"
  for program in cargo cmake; do
    command -v "$program" >/dev/null || fail "$program is needed; scripts/setup.sh says how to get it"
  done
  require_writable "$folder"
  cd "$(dirname "${BASH_SOURCE[0]}")/.."
  # Words, as cargo takes them.
  # shellcheck disable=SC2086
  cargo build --release --locked ${MRISYNTH_CARGO_ARGUMENTS-}

  mkdir -p "$folder"
  # On the prefix's own file system, so that moving is renaming.
  work=$(mktemp -d "$folder/.mrisynth-install.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  built=$(built_folder)
  stage_into "$work/stage" "$built"
  move_into_place "$work/stage" "$folder"
  echo "installed mrisynth into $folder"
}

main "$@"
