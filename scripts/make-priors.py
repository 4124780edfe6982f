#!/usr/bin/env python3
"""Makes the tissue priors that mrisynth-evaluation embeds (evaluation/src/segmentation/priors) from a package of PyPI.

The package is nilearn 0.14.1 (BSD-3-Clause), which carries grey and white matter maps of the ICBM 152 nonlinear symmetric
average brain, 2009a; the maps are under the notice in evaluation/src/segmentation/priors/NOTICE.

    python3 scripts/make-priors.py [--wheel FILE]

Needs numpy, nibabel and pip. The file written depends on the package alone: same bytes every time (for one version of zlib).
"""

import argparse
import gzip
import hashlib
import io
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import nibabel
import numpy as np

PACKAGE = "nilearn==0.14.1"
WHEEL_SHA256 = "725206484e9fb3f6691f9c2d20204a068759d5072f12055324702ee0cb2bbe8a"
MAP = "nilearn/datasets/data/mni_icbm152_{}_tal_nlin_sym_09a_converted.nii.gz"
TARGET = Path(__file__).resolve().parent.parent / "evaluation/src/segmentation/priors/tissue-3mm.nii.gz"
# Millimetres of a block that becomes one voxel. An affine registration leaves gyri a few millimetres off, so that more detail
# would tell nothing.
BLOCK = 3
# Steps of the shares that are stored: 1.6 %, for a smaller file.
STEP = 4


def download(folder):
    subprocess.run(
        [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder, PACKAGE], check=True
    )
    return next(Path(folder).glob("*.whl"))


def read(package, tissue):
    data = gzip.decompress(package.read(MAP.format(tissue)))
    image = nibabel.Nifti1Image.from_bytes(data)
    assert image.shape == (197, 233, 189), image.shape
    assert np.array_equal(image.affine[:3], [[1, 0, 0, -98], [0, 1, 0, -134], [0, 0, 1, -72]]), image.affine
    share = np.asarray(image.dataobj, float)
    assert share.min() == 0 and share.max() == 255
    return share


def in_blocks(share):
    """The mean of each block, zeros taken for what lies beyond the last voxels."""
    share = np.pad(share, [(0, -length % BLOCK) for length in share.shape])
    i, j, k = (length // BLOCK for length in share.shape)
    return share.reshape(i, BLOCK, j, BLOCK, k, BLOCK).mean(axis=(1, 3, 5))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wheel", type=Path, help="the package's wheel, if it is there already")
    wheel = parser.parse_args().wheel
    with tempfile.TemporaryDirectory() as folder:
        wheel = wheel or download(folder)
        found = hashlib.sha256(wheel.read_bytes()).hexdigest()
        assert found == WHEEL_SHA256, f"{wheel} has SHA-256 {found}, not {WHEEL_SHA256}"
        with zipfile.ZipFile(wheel) as package:
            maps = np.stack([in_blocks(read(package, tissue)) for tissue in ("gm", "wm")], axis=3)

    stored = np.minimum(np.rint(maps / STEP) * STEP, 255).astype(np.uint8)
    affine = np.diag([BLOCK, BLOCK, BLOCK, 1.0])
    affine[:3, 3] = np.array([-98, -134, -72]) + (BLOCK - 1) / 2
    image = nibabel.Nifti1Image(stored, affine)
    image.header["descrip"] = b"ICBM 152 2009a grey and white matter"
    image.header.set_sform(affine, code="mni")
    buffer = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", compresslevel=9, fileobj=buffer, mtime=0) as stream:
        stream.write(image.to_bytes())
    TARGET.parent.mkdir(exist_ok=True)
    TARGET.write_bytes(buffer.getvalue())
    print(f"{hashlib.sha256(buffer.getvalue()).hexdigest()}  {TARGET.name}  {len(buffer.getvalue())} bytes")
    print(f"voxels {stored.shape}, first at {affine[:3, 3]} mm")


if __name__ == "__main__":
    main()
