#!/usr/bin/env bash
# Tests mrisynth-dicom on series made from two scans: on straight axes, where its voxels are the command's, and oblique.
#
#   run.sh BUILD_FOLDER COMMAND OBLIQUE_SCAN STRAIGHT_SCAN WORK_FOLDER [quick]
#
# BUILD_FOLDER is where the program and its tests were built, COMMAND is the command mrisynth; both scans are raw T2w
# heads in NIfTI. `quick` leaves out what is slow: for builds with sanitizers.
set -euo pipefail

usage="usage: run.sh BUILD_FOLDER COMMAND OBLIQUE_SCAN STRAIGHT_SCAN WORK_FOLDER [quick]"
[ "$#" -ge 5 ] || { echo "$usage" >&2; exit 2; }
build=$1 command=$2 oblique=$3 straight=$4 work=$5 quick=${6-}
program=$build/mrisynth-dicom
rm -rf "$work"
mkdir -p "$work"

say() { echo "test-dicom: $*"; }
fail() { echo "test-dicom: $*" >&2; exit 1; }

# The first file of a folder, in the order of names.
first_file() { find "$1" -type f | LC_ALL=C sort | head -n 1; }

# Fails unless the program ends with the code, says the text and nothing of the patient, and leaves nothing behind.
expect() {
  local code=$1 text=$2 ending=0
  shift 2
  rm -rf "$work/refused"
  "$program" --to t1w "$@" "$work/refused" >"$work/stdout" 2>"$work/stderr" || ending=$?
  [ "$ending" -eq "$code" ] || fail "$* ended with $ending, not $code ('$text'): $(cat "$work/stderr")"
  grep -qE -- "$text" "$work/stderr" || fail "$* does not say '$text' but: $(cat "$work/stderr")"
  [ ! -s "$work/stdout" ] || fail "$* says on stdout: $(cat "$work/stdout")"
  [ ! -e "$work/refused" ] || fail "$* left $work/refused"
  [ -z "$(find "$work" -maxdepth 1 -name '.mrisynth*')" ] || fail "$* left a hidden folder"
  ! grep -qaE 'ller|NOBODY|A-77|bersicht' "$work/stderr" || fail "$* tells of the patient: $(cat "$work/stderr")"
}

# A copy of the straight series to do something to.
copy_series() {
  rm -rf "$work/altered"
  cp -r "$work/straight" "$work/altered"
  altered=$(first_file "$work/altered")
}

# Changes attributes of the first file of the copy.
alter() {
  copy_series
  dcmodify -nb -q "$@" "$altered"
}

say "makes series of $oblique and $straight"
"$build/test/make_series" "$oblique" "$work/oblique"
"$build/test/make_series" "$straight" "$work/straight"

say "refuses what is no whole volume of MR, and names the file"
expect 2 "no option --contrast" --contrast "$work/straight"
expect 12 "there is no such folder" "$work/none"
mkdir "$work/empty"
expect 14 "there is no DICOM image" "$work/empty"
copy_series
rm "$altered"
expect 14 "z[0-9]+: 1 slice is missing between it and .*z[0-9]+" "$work/altered"
copy_series
cp "$altered" "$work/altered/again"
expect 14 "again: the same image|the same image .* as .*again" "$work/altered"
dcmodify -nb -q -gin "$work/altered/again"
expect 14 "it lies where .* does" "$work/altered"
position=$(dcmdump +P ImagePositionPatient "$altered" | sed 's/.*\[\(.*\)\].*/\1/')
z=${position##*\\}
alter -m "ImagePositionPatient=${position%\\*}\\$(awk -v z="$z" 'BEGIN { printf "%.6f", z + 0.7 }')"
expect 14 "not evenly spaced: .* mm between it and" "$work/altered"
alter -m "ImagePositionPatient=$(awk -v x="${position%%\\*}" 'BEGIN { printf "%.6f", x + 4 }')\\${position#*\\}"
expect 14 "gantry tilt" "$work/altered"
alter -m 'ImageOrientationPatient=0\1\0\0\0\-1'
expect 14 "another orientation .* localizer" "$work/altered"
alter -m 'PixelSpacing=1\1.25'
expect 14 "PixelSpacing is not that of" "$work/altered"
alter -e ImagePositionPatient
expect 14 "ImagePositionPatient is missing" "$work/altered"
alter -m 'ImageOrientationPatient=1\0\0\0\1'
expect 14 "ImageOrientationPatient is missing or malformed" "$work/altered"
alter -m PatientID=SOMEBODY
expect 14 "PatientID is not that of" "$work/altered"
alter -m Modality=CT
expect 15 "not an MR image" "$work/altered"
alter -i NumberOfFrames=2
expect 15 "multi-frame" "$work/altered"
alter -m SOPClassUID=1.2.840.10008.5.1.4.1.1.4.1
expect 15 "Enhanced MR" "$work/altered"
alter -m SamplesPerPixel=3
expect 15 "colour" "$work/altered"
alter -m 'ImageType=DERIVED\SECONDARY\OTHER\SYNTHETIC'
expect 18 "SYNTHETIC itself" "$work/altered"
copy_series
truncate -s 30000 "$altered"
expect 14 "damaged: it ends before its pixels do" "$work/altered"
copy_series
dcmcjpeg "$altered" "$altered.jpeg"
truncate -s -4000 "$altered.jpeg"
mv "$altered.jpeg" "$altered"
expect 14 "damaged" "$work/altered"
copy_series
truncate -s 300 "$altered"
expect 14 "damaged" "$work/altered"
copy_series
find "$work/altered" -type f | LC_ALL=C sort | tail -n +2 | xargs rm
expect 14 "only slice" "$work/altered"

say "asks which series where there are several"
copy_series
cp -r "$work/oblique" "$work/altered/other"
expect 11 "there are 2 MR series; name one with --series:" "$work/altered"
[ "$(grep -c 'number 5, MR, 54 files' "$work/stderr")" -eq 2 ] ||
  fail "two series should be listed: $(cat "$work/stderr")"
expect 11 "there is no series 1.2.3, but:" --series 1.2.3 "$work/altered"

say "refuses models and outputs that do not fit"
expect 12 "none.onnx: No such file" --model "$work/none.onnx" "$work/straight"
echo "no model" >"$work/junk.onnx"
expect 13 "bad model" --model "$work/junk.onnx" "$work/straight"
ending=0
"$program" --to t1w "$work/straight" "$work/straight/out" 2>"$work/stderr" || ending=$?
[ "$ending" -eq 11 ] || fail "an output in the input's folder: $ending, $(cat "$work/stderr")"
mkdir "$work/full"
touch "$work/full/something"
ending=0
"$program" --to t1w "$work/straight" "$work/full" 2>"$work/stderr" || ending=$?
[ "$ending" -eq 12 ] && grep -q "exists already" "$work/stderr" || fail "a full output: $ending, $(cat "$work/stderr")"
say "refuses a series of the wrong contrast, as the command does"
ending=0
"$program" --to t2w "$work/straight" "$work/refused" >"$work/stdout" 2>"$work/stderr" || ending=$?
[ "$ending" -eq 18 ] && [ ! -e "$work/refused" ] || fail "T2w to T2w: $ending, $(cat "$work/stderr")"
[ "$(wc -l <"$work/stderr")" -eq 1 ] && grep -q "refused: contrast" "$work/stderr" ||
  fail "a library printed: $(cat "$work/stderr")"

say "stops when it is told to, and leaves nothing"
start=$(date +%s%N)
"$program" --to t1w "$work/straight" "$work/whole" >"$work/stdout" 2>"$work/stderr" || fail "a whole run: $(cat "$work/stderr")"
delay=$((($(date +%s%N) - start) / 2))
while :; do
  "$program" --to t1w "$work/straight" "$work/refused" >"$work/stdout" 2>"$work/stderr" &
  pid=$!
  sleep "$(printf '%d.%09d' $((delay / 1000000000)) $((delay % 1000000000)))"
  if kill -INT "$pid" 2>/dev/null; then break; fi
  # It had ended already: the whole run was much slower than this one.
  wait "$pid" || fail "it ended by itself: $(cat "$work/stderr")"
  rm -r "$work/refused"
  delay=$((delay / 2))
done
ending=0
wait "$pid" || ending=$?
[ "$ending" -eq 17 ] || fail "interrupted: $ending, $(cat "$work/stderr")"
[ ! -e "$work/refused" ] && [ -z "$(find "$work" -maxdepth 1 -name '.mrisynth*')" ] || fail "it left something"

# The hidden folders that are there, without the folder's name.
hidden() { find "$work" -maxdepth 1 -name '.mrisynth*' -printf '%f\n' | LC_ALL=C sort | tr '\n' ' '; }

say "what a killed run left is removed by the next that writes, and nothing else"
if strace -o /dev/null true 2>/dev/null; then
  for call in fsync rename; do
    ending=0
    # As a shell tells it: 128 and the signal.
    strace --follow-forks --quiet=all -o /dev/null -e "inject=/^${call}(at2?)?\$:error=EIO:signal=SIGKILL" \
      "$program" --to t1w "$work/straight" "$work/refused" >"$work/stdout" 2>"$work/stderr" || ending=$?
    [ "$ending" -eq 137 ] && [ ! -e "$work/refused" ] && [ "$(hidden | wc -w)" -eq 1 ] ||
      fail "killed at its first $call: $ending, $(hidden), $(cat "$work/stderr")"
  done
else
  say "SKIPPED: strace, which is not allowed here: only what a test leaves itself is removed"
fi
mkdir "$work/.mrisynth-dicom-aB3xyz" "$work/.mrisynth-dicom-living" "$work/.mrisynth-dicom-seven77" "$work/other"
touch "$work/.mrisynth-dicom-aB3xyz/00001.dcm" "$work/other/kept" "$work/.mrisynth-dicom-a_file"
ln -s other "$work/.mrisynth-dicom-a_link"
flock "$work/.mrisynth-dicom-living" "$program" --to t1w "$work/straight" "$work/next" >"$work/stdout" 2>"$work/stderr" ||
  fail "beside abandoned folders: $(cat "$work/stderr")"
[ "$(hidden)" = ".mrisynth-dicom-a_file .mrisynth-dicom-a_link .mrisynth-dicom-living .mrisynth-dicom-seven77 " ] ||
  fail "the next run left $(hidden)"
[ -e "$work/other/kept" ] || fail "it removed what a link led to"
[ "$(ls "$work/whole" | wc -l)" -eq "$(ls "$work/next" | wc -l)" ] || fail "the next run's series is not whole"
rm -r "$work"/.mrisynth-dicom-* "$work/other"

# What a derived series must be, whoever reads it.
check_series() {
  local folder=$1 source=$2 expected=$3 likeness=$4 file
  "$build/test/check_derived" "$source" "$folder" "$expected" "$likeness"
  for file in "$folder"/*; do
    # It names the kind of object that it takes it for; more would be a warning or an error.
    [ "$(dciodvfy "$file" 2>&1)" = MRImage ] || fail "dciodvfy: $file: $(dciodvfy "$file" 2>&1)"
  done
  dcmftest "$folder"/* | grep -v '^yes:' && fail "dcmftest: not DICOM" || true
  file=$(first_file "$folder")
  # dcmtk reads the same text as the program wrote with GDCM.
  dcmdump +L +P ImageType "$file" | grep -qF '[DERIVED\SECONDARY\OTHER\SYNTHETIC]' || fail "ImageType of $file"
  dcmdump +L +P SeriesDescription "$file" | grep -qF '[SYNTHETIC T1w' || fail "SeriesDescription of $file"
  dcmdump +L +P DerivationDescription "$file" | grep -qE '\[SYNTHETIC T1w.*SHA-256 [0-9a-f]{64}.*not for diagnosis' ||
    fail "DerivationDescription of $file"
}

say "makes the command's voxels of the straight series"
"$command" synthesize "$straight" -o "$work/straight.nii.gz" --to t1w --quiet
if [ "$quick" != quick ]; then
  mkdir "$work/derived"
  "$program" --to t1w --threads 2 "$work/straight" "$work/derived" 2>"$work/stderr"
  [ ! -s "$work/stderr" ] || fail "it printed: $(cat "$work/stderr")"
  check_series "$work/derived" "$work/straight" "$work/straight.nii.gz" same
  dcmj2pnm +Wi 1 "$work/derived/IM000027.dcm" "$work/slice.pgm" || fail "dcmj2pnm cannot draw a slice"
fi

say "reads implicit value representations and losslessly compressed pixels alike"
copy_series
find "$work/altered" -type f | while read -r file; do
  dcmcjpeg "$file" "$file.jpeg"
  dcmconv +ti "$file" "$file.implicit"
  # Half of the files this way, half that way.
  if [[ $file =~ [02468]$ ]]; then mv "$file.jpeg" "$file"; else mv "$file.implicit" "$file"; fi
  rm -f "$file.jpeg" "$file.implicit"
done
"$program" --to t1w "$work/altered" "$work/again"
check_series "$work/again" "$work/straight" "$work/straight.nii.gz" same

if [ "$quick" != quick ]; then
  say "picks one series of two, and keeps oblique geometry"
  rm -rf "$work/altered"
  mkdir "$work/altered"
  cp -r "$work/straight" "$work/oblique" "$work/altered"
  uid=$(dcmdump +P SeriesInstanceUID "$(first_file "$work/oblique")" | sed 's/.*\[\(.*\)\].*/\1/')
  "$command" synthesize "$oblique" -o "$work/oblique.nii.gz" --to t1w --quiet
  "$program" --to t1w --series "$uid" "$work/altered" "$work/picked"
  check_series "$work/picked" "$work/oblique" "$work/oblique.nii.gz" similar
fi
rm -rf "$work"
say "passed"
