#!/usr/bin/env bash
# fuzz.sh [SECONDS [SEED [TARGET]]]: fuzzes each target for so long (600 seconds) before a release, two at a time, and ends with 1 if
# a fault was found. Without a seed it takes one that was not there before, and prints it. Inputs that reached something new are left
# in target/fuzz/kept.
set -euo pipefail
shopt -s inherit_errexit
cd "$(dirname "$0")/../.."

seconds=${1-600}
seed=${2-$(date +%s)}
target=${3-all}
runner=$(fuzz/build.sh)
echo "fuzz: $target, $seconds s a target, seed $seed"
nice -n 10 "$runner" "$target" --seconds "$seconds" --seed "$seed" --jobs 2 --keep target/fuzz/kept
