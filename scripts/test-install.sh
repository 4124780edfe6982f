#!/usr/bin/env bash
# Installs mrisynth into prefixes below target/, and checks what is there: the layout, that it can be moved, that programs find it
# with CMake and with pkg-config and synthesize the same with either library, and that install.sh refuses and removes as it says.
set -euo pipefail
shopt -s inherit_errexit
cd "$(dirname "$0")/.."

# The heavy crates are built once, for tests and for what is installed.
export MRISYNTH_CARGO_ARGUMENTS="${MRISYNTH_CARGO_ARGUMENTS---workspace --lib --bins --tests}"
unset DESTDIR LD_LIBRARY_PATH PKG_CONFIG_PATH
prefix=$PWD/target/prefix
work=$PWD/target/install-test
rm -rf "$work" target/install-page
mkdir -p "$work"
trap 'rm -rf "$work" target/install-page' EXIT

say() { echo "test-install: $*"; }

fail() {
  echo "test-install: $*" >&2
  exit 1
}

# expect_failure TEXT COMMAND...: the command must fail and say the text.
expect_failure() {
  local text=$1 output
  shift
  if output=$("$@" 2>&1); then fail "this should have failed: $*"; fi
  grep -qF -e "$text" <<<"$output" || fail "$* should have said '$text', but said: $output"
}

same() { [ "$1" = "$2" ] || fail "$3 should be '$2', but is '$1'"; }

# quietly LOG COMMAND...: shows what the command says only where it fails.
quietly() {
  local log=$1
  shift
  "$@" >"$log" 2>&1 || { cat "$log"; fail "this failed: $*"; }
}

# Names of files and links below a folder.
listing() { (cd "$1" && find . ! -type d -printf '%P\n' | LC_ALL=C sort); }

check_layout() {
  say "what is where"
  local lib=$prefix/lib file
  same "$(readlink "$lib/libmrisynth.so")" "libmrisynth.so.$interface" "the name for linking"
  [[ $(readlink "$lib/libmrisynth.so.$interface") =~ ^libmrisynth\.so\.$interface\.[0-9]+\.[0-9]+$ ]] ||
    fail "libmrisynth.so.$interface is $(readlink "$lib/libmrisynth.so.$interface")"
  same "$(readelf -d "$lib/libmrisynth.so" | sed -n 's/.*SONAME.*\[\(.*\)\]/\1/p')" "libmrisynth.so.$interface" "the SONAME"
  same "$("$prefix/bin/mrisynth" --version)" "mrisynth $version" "the command's version"
  for file in bin/mrisynth include/mrisynth.hpp lib/libmrisynth.a lib/pkgconfig/mrisynth.pc \
    lib/cmake/Mrisynth/{MrisynthConfig,MrisynthConfigVersion}.cmake \
    share/doc/mrisynth/{LICENSE.txt,LICENSE-MIT,LICENSE-APACHE,README.md,THIRD-PARTY.txt}; do
    [ -s "$prefix/$file" ] || fail "$file is missing"
  done
  nm -D --defined-only "$lib/libmrisynth.so" | grep ' T mrisynth_synthesize$' >/dev/null ||
    fail "the shared library does not export mrisynth_synthesize"
  nm "$lib/libmrisynth.a" 2>/dev/null | grep -cx '[0-9a-f]* T mrisynth_synthesize' >/dev/null ||
    fail "the static library lacks mrisynth_synthesize"
  nm "$lib/libmrisynth.so" | grep . >/dev/null || fail "the shared library is stripped; docs/install.md says that it is not"
  grep -q '^tract-core .*MIT' "$prefix/share/doc/mrisynth/THIRD-PARTY.txt" ||
    fail "the notices do not name the inference engine"
  grep -q '^tract-core .*(LICENSE-MIT)$' "$prefix/share/doc/mrisynth/THIRD-PARTY.txt" ||
    fail "the notices lack the inference engine's licence"
  if grep -rlF -e "$PWD" "$prefix/lib/cmake" "$prefix/lib/pkgconfig"; then fail "these files hold absolute paths"; fi
}

# Both consumers, against a prefix. Their results are left in the folder.
check_consumers() {
  local home=$1 build=$2 program
  say "a CMake project, against '$home'"
  quietly "$build.log" cmake -S tests/install/find_package -B "$build" -DCMAKE_PREFIX_PATH="$home" \
    -DWANTED_VERSION="${version%.*}"
  quietly "$build.log" cmake --build "$build"
  (cd "$build" && ctest --output-on-failure --no-tests=error)

  say "a Makefile with pkg-config, against '$home'"
  local -x PKG_CONFIG_PATH=$home/lib/pkgconfig
  quietly "$build.log" make -C "$build" -f "$PWD/tests/install/pkg_config/Makefile"
  cd "$build"
  LD_LIBRARY_PATH=$home/lib ./pkg_config_shared pkg_config_shared.voxels
  for program in pkg_config_rpath pkg_config_static pkg_config_wholly_static; do "./$program" "$program.voxels"; done
  for program in c_shared cpp_shared pkg_config_shared pkg_config_rpath; do
    readelf -d "$program" | grep -F "[libmrisynth.so.$interface]" >/dev/null ||
      fail "$program does not ask for libmrisynth.so.$interface"
  done
  for program in c_static cpp_static pkg_config_static pkg_config_wholly_static; do
    if readelf -d "$program" | grep -F mrisynth; then fail "$program needs a shared libmrisynth"; fi
  done
  ldd pkg_config_rpath | grep -F "libmrisynth.so.$interface => $home/lib" >/dev/null ||
    fail "pkg_config_rpath does not load the installed library"
  if ldd pkg_config_static | grep -F mrisynth; then fail "pkg_config_static loads a shared libmrisynth"; fi
  same "$(find . -name '*.voxels' | wc -l)" 8 "the number of results"
  same "$(find . -name '*.voxels' -exec sha256sum {} + | cut -d ' ' -f 1 | sort -u | wc -l)" 1 "the number of different results"
  cd - >/dev/null
}

check_versions() {
  say "versions that are not installed"
  local wanted minor
  minor=${version#*.}
  minor=${minor%%.*}
  for wanted in 99 "${version%%.*}.$((minor + 1))"; do
    expect_failure "$prefix/lib/cmake/Mrisynth/MrisynthConfig.cmake, version: $version" \
      cmake -S tests/install/find_package -B "$work/version" -DCMAKE_PREFIX_PATH="$prefix" -DWANTED_VERSION="$wanted"
    rm -rf "$work/version"
  done
  expect_failure ">= 99" env PKG_CONFIG_PATH="$prefix/lib/pkgconfig" pkg-config --print-errors "mrisynth >= 99"
}

# A library with another binary interface has another name: neither the loader nor the linker takes it for this one.
check_other_interface() {
  say "another binary interface"
  local other=$work/other program=$1 next=$((interface + 1))
  mkdir "$other"
  echo "unsigned mrisynth_abi_version(void) { return $next; }" |
    cc -shared -fPIC -Wl,-soname,"libmrisynth.so.$next" -x c - -o "$other/libmrisynth.so.$next"
  ln -s "libmrisynth.so.$next" "$other/libmrisynth.so"
  expect_failure "libmrisynth.so.$interface: cannot open shared object file" env LD_LIBRARY_PATH="$other" "$program" "$work/never"
  expect_failure "cannot find -l:libmrisynth.so.$interface" cc -shared -o "$work/never" -L"$other" -l:"libmrisynth.so.$interface"
  [ ! -e "$work/never" ] || fail "something was written"
}

check_refusals() {
  say "what install.sh refuses"
  local before file=$work/a-file
  echo "not a folder" >"$file"
  before=$(find "$work")
  expect_failure "one PREFIX is needed, not 0" scripts/install.sh
  expect_failure "one PREFIX is needed, not 2" scripts/install.sh "$work/one" "$work/two"
  expect_failure "PREFIX is empty" scripts/install.sh ""
  expect_failure "must be an absolute path, not 'target/install-test/relative'" scripts/install.sh target/install-test/relative
  expect_failure "unknown option --prefix" scripts/install.sh --prefix
  expect_failure "DESTDIR must be an absolute path" env DESTDIR=target scripts/install.sh /usr
  expect_failure "$file is not a folder" scripts/install.sh "$file/below"
  # Nobody may make folders in /proc, not even root.
  expect_failure "cannot write to /proc" scripts/install.sh /proc/mrisynth
  expect_failure "no-such-option" env MRISYNTH_CARGO_ARGUMENTS=--no-such-option scripts/install.sh "$work/unbuilt"
  expect_failure "nothing to uninstall" scripts/install.sh --uninstall "$work/unbuilt"
  same "$(find "$work")" "$before" "what is there after refusals"
}

check_uninstall() {
  say "installing again, and uninstalling"
  local home=$1 list=$1/share/mrisynth/installed-files.txt
  # What an earlier version left goes; what is not ours stays.
  touch "$home/lib/libmrisynth.so.0.9.0" "$home/lib/other.so" "$home/share/doc/mrisynth/notes.txt" "$work/victim"
  echo lib/libmrisynth.so.0.9.0 >>"$list"
  quietly "$work/log" scripts/install.sh "$home"
  [ ! -e "$home/lib/libmrisynth.so.0.9.0" ] || fail "a file of an earlier version is still there"

  cp "$list" "$work/list"
  echo ../victim >>"$list"
  expect_failure "is damaged" scripts/install.sh --uninstall "$home"
  [ -e "$work/victim" ] && [ -e "$home/bin/mrisynth" ] || fail "a damaged list was followed"
  cp "$work/list" "$list"
  scripts/install.sh --uninstall "$home"
  same "$(listing "$home")" "$(printf 'lib/other.so\nshare/doc/mrisynth/notes.txt')" "what is left of others"
  [ ! -e "$home/lib/cmake/Mrisynth" ] && [ ! -e "$home/share/mrisynth" ] || fail "folders of our own are left"
}

interface=$(awk '$2 == "MRISYNTH_ABI_VERSION" { print $3 }' include/mrisynth.h)
version=$(awk '$1 == "version" { gsub(/"/, "", $3); print $3; exit }' Cargo.toml)
say "installing mrisynth $version, binary interface $interface, into $prefix"
scripts/install.sh "$prefix"
check_layout
check_refusals
check_versions

say "installing for a package, with spaces in the path, and moving it"
DESTDIR="$work/staged for a package" quietly "$work/log" scripts/install.sh "/opt/mri tools"
staged="$work/staged for a package/opt/mri tools"
same "$(cat "$staged/share/mrisynth/installed-files.txt")" "$(listing "$staged")" "the list of what is installed"
same "$(cat "$prefix/share/mrisynth/installed-files.txt")" "$(listing "$staged")" "the same list in another prefix"
home="$work/another home"
mv "$staged" "$home"
mkdir "$work/consumers"
check_consumers "$home" "$work/consumers/build"
check_other_interface "$work/consumers/build/pkg_config_shared"
check_uninstall "$home"

say "the page"
scripts/run-page.sh docs/install.md

say "passed"
