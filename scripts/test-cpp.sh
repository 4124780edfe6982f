#!/usr/bin/env bash
# Tests the C++ header and its example against an installed prefix: plain, with sanitizers and with valgrind, each of which
# must first find faults made on purpose; then that Rust, C, C++ and the command make the same image of a scan, to the bit.
set -euo pipefail
cd "$(dirname "$0")/.."

prefix=$PWD/target/prefix
work=$PWD/target/test-cpp
scan=$PWD/examples/data/example_T2w.nii.gz
head=$work/scans/head_T2w.nii.gz
export CMAKE_PREFIX_PATH=$prefix
# The heavy crates are built once, for tests and for what is installed.
export MRISYNTH_CARGO_ARGUMENTS="${MRISYNTH_CARGO_ARGUMENTS---workspace --lib --bins --tests}"

# The library is not built with ThreadSanitizer, which therefore sees neither its atomics nor its futexes: it would call
# every value that the library passes from one of its threads to another a race. With this option it leaves alone what
# such code does, and still watches everything that C++ does, in threads of its own and in callbacks.
export TSAN_OPTIONS=ignore_noninstrumented_modules=1
# The sanitizers of GCC 12 do not know the memory layout of kernels that randomize more bits than they used to.
fixed_layout=()
if setarch -R true 2>/dev/null; then fixed_layout=(setarch -R); fi

say() { echo "test-cpp: $*"; }
fail() { say "FAILED: $*" >&2; exit 1; }

# fails WORDS COMMAND...: the command must fail, and print what matches the words.
fails() {
  local words=$1 output
  shift
  if output=$("${fixed_layout[@]}" "$@" 2>&1); then fail "not found: $words ($*)"; fi
  grep -q -e "$words" <<<"$output" || fail "failed with other words than '$words': $* $output"
}

# ends_with CODE WORDS COMMAND...: as `fails`, with an exit code.
ends_with() {
  local expected=$1 words=$2 code=0 output
  shift 2
  output=$("$@" 2>&1) || code=$?
  [ "$code" -eq "$expected" ] || fail "ended with $code and not with $expected: $* $output"
  grep -q -e "$words" <<<"$output" || fail "ended with other words than '$words': $* $output"
}

nifti() { python3 tests/cpp/nifti.py "$@"; }

# build SOURCE NAME [-DOPTION...] [-- TARGET...]: configures and builds in a folder of that name.
build() {
  local source=$1 folder=$work/$2 options=()
  shift 2
  while [ "$#" -gt 0 ] && [ "$1" != -- ]; do options+=("$1"); shift; done
  if [ "${1-}" = -- ]; then set -- --target "${@:2}"; fi
  cmake -S "$source" -B "$folder" -DCMAKE_BUILD_TYPE=RelWithDebInfo "${options[@]}" >/dev/null
  cmake --build "$folder" --parallel 2 "$@" >/dev/null
}

# build_tests NAME SANITIZERS TARGET...
build_tests() {
  local name=$1 sanitizers=$2
  shift 2
  build tests/cpp "$name" -DMRISYNTH_SANITIZE="$sanitizers" -DMRISYNTH_MODEL_FILE="$PWD/models/t1w-from-t2w.onnx" -- "$@"
}

# build_c_tests NAME SANITIZERS TARGET...: those of the C interface.
build_c_tests() {
  local name=$1 flags="-fsanitize=$2 -fno-sanitize-recover=all -fno-omit-frame-pointer"
  shift 2
  build tests/c "$name" -DCMAKE_C_FLAGS="$flags" -DCMAKE_CXX_FLAGS="$flags" -DMRISYNTH_INCLUDE_DIR="$prefix/include" \
    -DMRISYNTH_SHARED_LIBRARY="$prefix/lib/libmrisynth.so" -DMRISYNTH_STATIC_LIBRARY="$prefix/lib/libmrisynth.a" \
    -DMRISYNTH_MODEL_FILE="$PWD/models/t1w-from-t2w.onnx" -- "$@"
}

# run_tests NAME TESTS: those whose names match.
run_tests() {
  (cd "$work/$1" && "${fixed_layout[@]}" ctest --parallel 2 --output-on-failure --no-tests=error --tests-regex "$2" | grep -v '^ *Start')
}

prepare() {
  say "install into $prefix"
  scripts/install.sh "$prefix"
  # Words, as cargo takes them.
  # shellcheck disable=SC2086
  cargo build --release --locked $MRISYNTH_CARGO_ARGUMENTS --examples
  rm -rf "$work/scans"
  mkdir -p "$work/scans"
  target/release/examples/made_up_head "$head"
}

test_plain() {
  say "plain"
  build_tests plain "" all
  run_tests plain .
  time_cancelling "$scan" prepared
  time_cancelling "$head" raw
}

# Shows the times, beside which nothing may be printed.
time_cancelling() {
  local times
  times=$("$work/plain/cancel" "$1" "$2" --show 2>&1) || fail "cancelling: $times"
  echo "$times"
  if grep -v ' ms to the exception$' <<<"$times"; then fail "something printed that"; fi
}

test_addresses() {
  say "AddressSanitizer, LeakSanitizer and UndefinedBehaviorSanitizer"
  build_tests address address,undefined fault images callbacks threads errors
  fails 'AddressSanitizer: heap-buffer-overflow' "$work/address/fault" heap
  fails 'LeakSanitizer: detected memory leaks' "$work/address/fault" leak
  fails 'runtime error: signed integer overflow' "$work/address/fault" overflow
  run_tests address '^(images|callbacks|threads|errors)$'

  say "the C programs with the same"
  build_c_tests address-c address,undefined test_c99_shared test_cpp17_shared
  run_tests address-c '^test_(c99|cpp17)_shared$'
}

test_races() {
  say "ThreadSanitizer"
  build_tests thread thread fault racing_progress callbacks threads
  fails 'ThreadSanitizer: data race' "$work/thread/fault" race
  fails 'ThreadSanitizer: data race.*racing_progress.cpp' "$work/thread/racing_progress"
  run_tests thread '^(callbacks|threads)$'

  say "the C interface from threads with the same"
  build_c_tests thread-c thread test_cpp17_shared
  run_tests thread-c '^test_cpp17_shared$'
}

# valgrind 3.19 knows no AVX-512 and tells programs so: the library then takes its AVX2 kernels, whatever the processor has.
# Nothing is suppressed.
test_memory() {
  say "valgrind"
  local memcheck=(valgrind --quiet --error-exitcode=9 --leak-check=full --{show,errors-for}-leak-kinds=definite)
  fails 'Invalid read of size 4' "${memcheck[@]}" "$work/plain/fault" heap
  fails 'definitely lost' "${memcheck[@]}" "$work/plain/fault" leak
  "${memcheck[@]}" "$work/plain/once"
}

# What came out of INPUT, raw or prepared, in all four ways.
test_identity() {
  local input=$1 state=$2 out=$work/scans/$2 flag=()
  say "the same $state scan from the command, Rust, C and C++"
  if [ "$state" = prepared ]; then flag=(--prepared); fi
  mkdir "$out"
  target/release/mrisynth synthesize "$input" -o "$out/command.nii.gz" --to t1w --quiet "${flag[@]}" >/dev/null
  target/release/examples/synthesize "$input" "$out/rust.nii" "${flag[@]}" 2>/dev/null
  nifti to-c "$input" "$out/voxels" "$out/grid"
  "$work/plain/from_c" "$out/voxels" "$out/grid" "$out/c.floats" "$state"
  "$work/example/synthesize" "$input" "$out/cpp.nii.gz" t1w-from-t2w "${flag[@]}" 2>/dev/null
  nifti recorded "$out/command.nii.gz" "$input"
  nifti same "$out/command.nii.gz" "$out/rust.nii"
  nifti same "$out/command.nii.gz" "$out/cpp.nii.gz"
  nifti same-floats "$out/cpp.nii.gz" "$out/c.floats"
  nifti same-place "$out/cpp.nii.gz" "$input"
  nifti synthetic "$out/cpp.nii.gz"
}

# The same numbers in the same place, in files of other kinds.
test_kinds_of_files() {
  local variants=$work/scans/variants made=$work/scans/prepared
  say "NIfTI-2, the other byte order, pairs of files"
  mkdir "$variants"
  nifti variants "$scan" "$variants"
  for input in nifti2.nii pair.hdr; do
    "$work/example/synthesize" "$variants/$input" "$variants/from_$input.nii" t1w-from-t2w --prepared 2>/dev/null
    nifti same-floats "$variants/from_$input.nii" "$made/c.floats"
    nifti same-place "$variants/$input" "$variants/from_$input.nii"
  done
}

test_example_faults() {
  local example=$work/example/synthesize variants=$work/scans/variants out=$work/scans/out
  say "the example's failures, after each of which there is no file"
  mkdir "$out"
  ends_with 2 usage "$example"
  ends_with 2 usage "$example" "$scan" "$out/o.nii" t1w
  ends_with 2 usage "$example" "$scan" "$out/o.nii" t1w-from-t2w --raw
  ends_with 12 'no_such_file.nii: No such file' "$example" no_such_file.nii "$out/o.nii" t1w-from-t2w
  ends_with 12 'not a regular file' "$example" "$out" "$out/o.nii" t1w-from-t2w
  ends_with 12 'exists already' "$example" "$scan" "$head" t1w-from-t2w
  ends_with 12 'folder does not exist' "$example" "$scan" "$out/none/o.nii" t1w-from-t2w
  ends_with 11 'must end in .nii' "$example" "$scan" "$out/o.img" t1w-from-t2w
  ends_with 14 'README.md: not a NIfTI file' "$example" README.md "$out/o.nii" t1w-from-t2w
  ends_with 14 'truncated.nii: truncated' "$example" "$variants/truncated.nii" "$out/o.nii" t1w-from-t2w --prepared
  ends_with 14 'nan.nii: .*not finite' "$example" "$variants/nan.nii" "$out/o.nii" t1w-from-t2w --prepared
  ends_with 18 'T2w.nii.gz: refused: .*looks T2w' "$example" "$scan" "$out/o.nii" t2w-from-t1w --prepared
  # A limit on the size of files stands for a full disk.
  ends_with 12 'could not be written whole' bash -c 'trap "" XFSZ; ulimit -f 100; exec "$@"' limited \
    "$example" "$scan" "$out/o.nii" t1w-from-t2w --prepared
  test_interrupt "$example" "$out"
  [ -z "$(ls -A "$out")" ] || fail "failures left $(ls -A "$out")"
}

# Ctrl-C once the work has begun.
test_interrupt() {
  local example=$1 out=$2 log=$work/scans/interrupted code=0 tries=0
  "$example" "$head" "$out/o.nii" t1w-from-t2w 2>"$log" &
  local process=$!
  until grep -q ' 2 %' "$log"; do
    sleep 0.1
    tries=$((tries + 1))
    [ "$tries" -lt 600 ] || fail "the example does not begin"
  done
  kill -INT "$process"
  wait "$process" || code=$?
  [ "$code" -eq 17 ] || fail "Ctrl-C ended with $code and not with 17"
  grep -q 'head_T2w.nii.gz: cancelled' "$log" || fail "Ctrl-C: $(cat "$log")"
}

# The snippets of the documentation are C++ that compiles.
test_page() {
  local page=$work/page.cpp blocks
  say "docs/cpp.md"
  blocks=$(awk '/^```/ { inside = !inside && $0 == "```cpp"; next } inside' docs/cpp.md)
  {
    printf '#include <%s>\n' iostream vector
    grep '^#include' <<<"$blocks"
    echo 'void show(float fraction);'
    echo 'void page(std::vector<float> &t2w, const std::array<double, 16> &index_to_lps, void *buffer, bool user_wants_to_stop) {'
    grep -v '^#include' <<<"$blocks"
    echo '}'
  } >"$page"
  c++ -std=c++17 -Wall -Wextra -Wno-unused -Werror -fsyntax-only -I"$prefix/include" "$page"
  scripts/run-page.sh docs/cpp.md
}

prepare
test_plain
test_addresses
test_races
test_memory
build examples/cpp example
test_identity "$scan" prepared
test_identity "$head" raw
test_kinds_of_files
test_example_faults
test_page
rm -rf "$work/scans"
say "passed"
