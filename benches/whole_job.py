#!/usr/bin/env python3
"""Times `mrisynth synthesize` from the start of the process to the file on the disk, stage by stage, and its memory.

    cargo build --release
    cargo build --release --example made_up_head
    python3 benches/whole_job.py [--raw SCAN] [--prepared SCAN] [--threads 1 2] [--rounds 5]

The raw scan is that of `made_up_head` where none is given, and the prepared one what `mrisynth prepare` makes of
that, on MNI152's 1 mm grid; both are T2w. Each run is a process of its own, which loads its model and compiles it
(the files are in the system's cache). Runs are interleaved: each round runs every scan with every number of threads
once. Stages are the lines `time: STAGE, SECONDS s` that `-vv` prints, those of one name added up; `start-up and rest`
is what they leave of the whole process. Printed: medians over the rounds, the medians of their sums, and the largest
resident memory of any round.
"""

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
REST = "start-up and rest"
WHOLE = "whole job"
STAGES = [
    REST,
    "model's loading",
    "network's compilation",
    "reading",
    "checks",
    "brain extraction",
    "bias correction",
    "registration",
    "normalization",
    "resampling",
    "network",
    "way back",
    "writing",
    WHOLE,
]


def measured(command):
    """The seconds of each stage of a run, and its largest resident memory in MiB."""
    with tempfile.TemporaryFile("w+") as messages:
        start = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=messages)
        # Not `wait`, which does not tell the memory.
        _, status, usage = os.wait4(process.pid, 0)
        whole = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        messages.seek(0)
        text = messages.read()
    if process.returncode != 0:
        sys.exit(f"{' '.join(command)}\n{text}")
    stages = dict.fromkeys(STAGES, 0.0)
    for name, seconds in re.findall(r"time: (.*), ([0-9.]+) s$", text, re.M):
        stages[name] += float(seconds)
    stages[REST] = whole - sum(stages.values())
    stages[WHOLE] = whole
    return stages, usage.ru_maxrss / 1024


def made_up(command, folder):
    """A raw scan and a prepared one."""
    raw, prepared = folder / "head_T2w.nii.gz", folder / "prepared"
    subprocess.run([ROOT / "target/release/examples/made_up_head", raw], check=True)
    subprocess.run([command, "prepare", raw, "-o", prepared, "-q"], check=True)
    return raw, prepared / "standard.nii.gz"


def processor():
    text = Path("/proc/cpuinfo").read_text()
    return re.search(r"model name\s*: (.*)", text).group(1) if "model name" in text else "unknown"


def show(results, runs):
    print(f"{'seconds':24}" + "".join(f"{name:>22}" for name in runs))
    for stage in STAGES:
        row = [statistics.median(stages[stage] for stages, _ in results[name]) for name in runs]
        if any(row):
            print(f"{stage:24}" + "".join(f"{seconds:22.3f}" for seconds in row))
    peaks = [max(memory for _, memory in results[name]) for name in runs]
    print(f"{'peak memory, MiB':24}" + "".join(f"{memory:22.0f}" for memory in peaks))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--raw", type=Path, help="a raw scan with skull")
    parser.add_argument("--prepared", type=Path, help="a scan that is prepared")
    parser.add_argument("--to", default="t1w", choices=["t1w", "t2w"], help="the contrast that the scans are not")
    parser.add_argument("--command", default=str(ROOT / "target/release/mrisynth"))
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        scans = {"raw": arguments.raw, "prepared": arguments.prepared}
        if not all(scans.values()):
            raw, prepared = made_up(arguments.command, folder)
            scans = {"raw": arguments.raw or raw, "prepared": arguments.prepared or prepared}
        runs = {}
        for kind, scan in scans.items():
            for threads in arguments.threads:
                command = [arguments.command, "synthesize", str(scan), "-o", str(folder / "out.nii.gz")]
                command += ["--to", arguments.to, "--threads", str(threads), "--force", "-vv"]
                runs[f"{kind}, {threads} threads"] = command + (["--prepared"] if kind == "prepared" else [])
        results = {name: [] for name in runs}
        for _ in range(arguments.rounds):
            for name, command in runs.items():
                results[name].append(measured(command))
    print(f"{processor()}, {os.cpu_count()} cores; medians of {arguments.rounds} rounds")
    show(results, list(runs))


if __name__ == "__main__":
    main()
