#!/usr/bin/env python3
"""Times reading and writing of .nii.gz files against zlib, zlib-ng and ISA-L, on the same bytes.

    python3 -m venv target/peers
    target/peers/bin/pip install zlib-ng==1.1.0 isal==1.9.1
    cargo build --release
    target/peers/bin/python benches/gzip_peers.py SCAN [--to t1w] [--rounds 5]

SCAN is a prepared T2w scan (`--to t2w`: T1w), a .nii.gz file. Each round, in turns: `mrisynth synthesize --prepared
-vv` with one thread and with two, whose stages "reading" and "writing" are taken; and each peer, which decompresses
SCAN, and compresses what mrisynth has written (level 4 as mrisynth does; ISA-L, which has no such level, at its
default 2), writes it and brings it to the disk. mrisynth's stages hold more than that: decoding to floats, hashing
the scan, encoding, and the JSON file. Printed: medians, and sizes.
"""

import argparse
import os
import re
import statistics
import subprocess
import tempfile
import time
import zlib
from pathlib import Path

# Tells zlib that there are gzip's header and checksum.
GZIP = 31


def seconds(work):
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def written(path, contents):
    with open(path, "wb") as file:
        file.write(contents)
        file.flush()
        os.fsync(file.fileno())


def ours(arguments, output, threads):
    """The seconds of reading and of writing."""
    command = [arguments.command, "synthesize", arguments.scan, "-o", output, "--prepared", "--to", arguments.to]
    command += ["--force", "-vv", "--threads", str(threads)]
    log = subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True).stderr
    return [float(re.search(rf"time: {stage}, ([0-9.]+) s", log).group(1)) for stage in ("reading", "writing")]


def theirs(module, level, scan, contents, path):
    """The seconds of reading and of writing, and the bytes written."""
    reading, _ = seconds(lambda: module.decompress(scan, GZIP))
    packed = lambda: module.compress(contents, level, wbits=GZIP)
    compressing, file = seconds(packed)
    return reading, compressing + seconds(lambda: written(path, file))[0], len(file)


def main():
    from isal import isal_zlib
    from zlib_ng import zlib_ng

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scan", type=Path)
    parser.add_argument("--to", default="t1w", choices=["t1w", "t2w"])
    parser.add_argument("--command", default="target/release/mrisynth")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    peers = {"zlib": (zlib, 4), "zlib-ng": (zlib_ng, 4), "ISA-L": (isal_zlib, 2)}
    rows = {}
    with tempfile.TemporaryDirectory(dir=".") as folder:
        output, scratch = Path(folder) / "out.nii.gz", Path(folder) / "peer.nii.gz"
        for _ in range(arguments.rounds):
            for threads in (1, 2):
                row = [*ours(arguments, output, threads), output.stat().st_size]
                rows.setdefault(f"mrisynth, {threads} threads", []).append(row)
            scan, contents = arguments.scan.read_bytes(), zlib.decompress(output.read_bytes(), GZIP)
            for name, (module, level) in peers.items():
                rows.setdefault(name, []).append(theirs(module, level, scan, contents, scratch))
    print(f"{'':20} reading, s  writing, s   bytes written")
    for name, row in rows.items():
        reading, writing, size = (statistics.median(column) for column in zip(*row))
        print(f"{name:20} {reading:10.3f}  {writing:10.3f}  {int(size):14}")


if __name__ == "__main__":
    main()
