#!/usr/bin/env bash
# Runs every subcommand and a program that uses the library without a network: in a namespace that has none, watched by strace, which
# must count no call about sockets, and with a filter in the kernel that kills whoever makes a socket. Each of these guards must
# first notice a program that does use the network.
set -euo pipefail
cd "$(dirname "$0")/.."

work=$PWD/target/test-offline
mrisynth=$PWD/target/release/mrisynth
module=$PWD/target/release/mrisynth-slicer-cli
example=$PWD/examples/data
# The heavy crates are built once, for tests and for this.
export MRISYNTH_CARGO_ARGUMENTS="${MRISYNTH_CARGO_ARGUMENTS---workspace --lib --bins --tests}"

say() { echo "test-offline: $*"; }
fail() { say "FAILED: $*" >&2; exit 1; }

# How a run is guarded: words before the command, set below.
guard=()
# What strace has seen, where it watches.
log=$work/sockets.log

# A program that uses the network. Without one it says that it is unreachable, with one that nobody listens.
uses_network() { "$@" bash -c 'exec 3<>/dev/tcp/127.0.0.1/9' 2>&1 || true; }

# Calls about sockets that strace has written down so far.
socket_calls() { grep -cE '^[0-9]+ +[a-z0-9_]+\(' "$log" || true; }

prepare() {
  # Words, as cargo takes them.
  # shellcheck disable=SC2086
  cargo build --release --locked $MRISYNTH_CARGO_ARGUMENTS --example made_up_head
  rm -rf "$work"
  mkdir -p "$work/lib"
  target/release/examples/made_up_head "$work/head_T2w.nii.gz"
  ln -s "$PWD/target/release/libmrisynth.so" "$work/lib/libmrisynth.so"
  ln -s "$PWD/target/release/libmrisynth.so" "$work/lib/libmrisynth.so.1"
  local version
  version=$("$mrisynth" --version)
  cc -std=c99 -Wall -Wextra -Werror -DEXPECTED_VERSION="\"${version#mrisynth }\"" -Iinclude tests/install/synthesize.c \
    -o "$work/program" -L"$work/lib" -lmrisynth -Wl,-rpath,"$work/lib" -lm
  cc -Wall -Wextra -Werror tests/offline/no_sockets.c -o "$work/no_sockets"
}

# run COMMAND...: guarded, and it must succeed; what it says is shown only where it does not.
run() {
  local output
  output=$("${guard[@]}" "$@" 2>&1) || fail "this failed without a network: $* $output"
}

# Everything that the command and the library can do.
run_everything() {
  local out=$work/out
  rm -rf "$out"
  mkdir "$out"
  cd "$out"
  run "$mrisynth" --version
  run "$mrisynth" model list
  run "$mrisynth" model info t1w-from-t2w
  run "$mrisynth" model info --cpu
  run "$mrisynth" model verify "$OLDPWD/models/t1w-from-t2w.onnx"
  run "$mrisynth" model verify "$OLDPWD/tests/signed/middle_slice.onnx" --public-key "$OLDPWD/tests/signed/key.pub"
  run "$mrisynth" selftest
  run "$mrisynth" synthesize "$example/example_T2w.nii.gz" -o t1w.nii.gz --to t1w --prepared --qc sheet.png \
    --residual residual.nii.gz
  run "$mrisynth" verify t1w.nii.gz --input "$example/example_T2w.nii.gz"
  run "$mrisynth" synthesize "$example/example_T1w.nii.gz" -o t2w.nii.gz --to t2w --prepared \
    --model "$OLDPWD/models/t2w-from-t1w.onnx"
  run "$mrisynth" synthesize "$work/head_T2w.nii.gz" -o head_T1w.nii.gz --to t1w
  run "$mrisynth" prepare "$work/head_T2w.nii.gz" -o prepared
  run "$mrisynth" segment "$example/example_T1w.nii.gz" -o tissues.nii.gz
  run "$mrisynth" evaluate --reference "$example/example_T1w.nii.gz" --synthetic t1w.nii.gz --normalize
  printf 'subject,method,reference,synthetic\n' >study.csv
  printf '%s,mrisynth,%s,t1w.nii.gz\n' one "$example/example_T1w.nii.gz" two "$example/example_T1w.nii.gz" >>study.csv
  run "$mrisynth" evaluate --study study.csv --normalize -o study
  run "$module" --xml
  run "$work/program" program.voxels
  cd "$OLDPWD"
}

# Shows that the guards work, and chooses them.
choose_guards() {
  local words
  words=$(uses_network)
  grep -q 'Connection refused' <<<"$words" || fail "a program that uses the network should be refused, but: $words"
  if unshare --net true 2>/dev/null; then
    guard=(unshare --net)
  elif unshare --map-root-user --net true 2>/dev/null; then
    guard=(unshare --map-root-user --net)
  else
    say "SKIPPED: a namespace without a network, which is not allowed here"
  fi
  if [ "${#guard[@]}" -gt 0 ]; then
    words=$(uses_network "${guard[@]}")
    grep -q 'Network is unreachable' <<<"$words" || fail "the namespace has a network: $words"
  fi
  if ! strace -o "$log" true 2>/dev/null; then
    say "SKIPPED: strace, which is not allowed here"
    return
  fi
  guard+=(strace --follow-forks --quiet=all --trace=%network,io_uring_setup --output-append-mode --output="$log")
  : >"$log"
  uses_network "${guard[@]}" >"$work/words"
  [ "$(socket_calls)" -ge 2 ] || fail "strace does not count calls about sockets: $(cat "$log" "$work/words")"
  : >"$log"
}

prepare
choose_guards
say "every subcommand and a C program without a network (${guard[*]:-no guard})"
run_everything
calls=$(socket_calls)
[ "$calls" -eq 0 ] || fail "$calls calls about sockets: $(cat "$log")"
case "${guard[*]}" in *strace*) say "strace counted $calls calls about sockets" ;; esac

code=0
"$work/no_sockets" bash -c 'exec 3<>/dev/tcp/127.0.0.1/9' &>"$work/words" || code=$?
[ "$code" -eq 159 ] || fail "a program that makes a socket should be killed by SIGSYS (159), but ended with $code"
say "the same, killed at the first socket"
guard=("$work/no_sockets")
run_everything
rm -rf "$work"
say "passed"
