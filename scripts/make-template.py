#!/usr/bin/env python3
"""Makes the template that the library embeds (src/prepare/register/template) from a package of PyPI.

The package is NiMARE 0.22.1 (MIT), which carries the MNI152 average brain of FSL's standard space (MNI152NLin6Asym) with
its brain mask; the template itself is under the notice in src/prepare/register/template/NOTICE.

    python3 scripts/make-template.py [--wheel FILE]

Needs numpy, scipy and pip. The files written depend on the package alone: same bytes every time (for one version of zlib).
"""

import argparse
import gzip
import hashlib
import io
import struct
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np
from scipy.ndimage import distance_transform_edt

PACKAGE = "nimare==0.22.1"
WHEEL_SHA256 = "16025cbe44c97fb580fe129df230fca62c97c2c6197887abc83b6081552e7bc1"
FOLDER = "nimare/resources/templates/tpl-MNI152NLin6Asym_res-01"
TARGET = Path(__file__).resolve().parent.parent / "src/prepare/register/template"
DIMS = (182, 218, 182)
# A few vessels are brighter than this share of the brain's voxels; they become 255 as well.
TOP_PERCENTILE = 99.9
# The package's mask has holes (ventricles) and follows the sulci. Masks of brain extraction are smoother, and take in the
# fluid around the brain, of which there is more in front and behind than at the sides. So the mask is closed by a ball and
# dilated by an ellipsoid; radii in millimetres, x, y, z.
CLOSING, DILATION = 10, (1.5, 4.0, 2.5)


def download(folder):
    subprocess.run(
        [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder, PACKAGE], check=True
    )
    return next(Path(folder).glob("*.whl"))


def read_nifti(data):
    """Voxels (i fastest) of a NIfTI-1 file on the standard grid: RAS, 1 mm, first voxel at (-91, -126, -72)."""
    data = gzip.decompress(data)
    assert data[344:348] == b"n+1\0", "not a NIfTI-1 file"
    dims = struct.unpack("<4h", data[40:48])
    assert dims == (3, *DIMS), dims
    rows = np.frombuffer(data[280:328], "<f4").reshape(3, 4)
    assert np.array_equal(rows, [[1, 0, 0, -91], [0, 1, 0, -126], [0, 0, 1, -72]]), rows
    voxel_type = {2: "<u1", 4: "<i2"}[struct.unpack("<h", data[70:72])[0]]
    start = int(struct.unpack("<f", data[108:112])[0])
    return np.frombuffer(data[start:], voxel_type).reshape(DIMS, order="F")


def nifti(voxels, size, origin, description):
    """The bytes of a NIfTI-1 file of uint8 voxels on a RAS grid."""
    header = bytearray(352)
    struct.pack_into("<i", header, 0, 348)
    struct.pack_into("<8h", header, 40, 3, *voxels.shape, 1, 1, 1, 1)
    struct.pack_into("<2h", header, 70, 2, 8)
    struct.pack_into("<8f", header, 76, 1, size, size, size, 0, 0, 0, 0)
    struct.pack_into("<3f", header, 108, 352, 1, 0)
    header[123] = 2  # millimetres
    header[148 : 148 + len(description)] = description
    struct.pack_into("<2h", header, 252, 0, 4)  # sform: MNI
    for row in range(3):
        values = [0.0, 0.0, 0.0, origin[row]]
        values[row] = size
        struct.pack_into("<4f", header, 280 + 16 * row, *values)
    header[344:348] = b"n+1\0"
    return bytes(header) + voxels.astype(np.uint8).tobytes(order="F")


def dilated(mask, radii):
    """The mask and what lies within an ellipsoid around each voxel of it."""
    return distance_transform_edt(~mask, sampling=[1 / radius for radius in radii]) <= 1


def as_extracted(mask):
    """The mask as brain extraction would have it, with what lies beyond the grid taken for outside."""
    margin = CLOSING + 1
    inner = (slice(margin, -margin),) * 3
    closed = distance_transform_edt(dilated(np.pad(mask, margin), (CLOSING,) * 3))[inner] > CLOSING
    return dilated(closed | mask, DILATION)


def in_blocks(voxels):
    """The sum over each block of 2x2x2 voxels."""
    i, j, k = (length // 2 for length in voxels.shape)
    return voxels.astype(np.float64).reshape(i, 2, j, 2, k, 2).sum(axis=(1, 3, 5))


def write(name, data):
    buffer = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", compresslevel=9, fileobj=buffer, mtime=0) as stream:
        stream.write(data)
    (TARGET / name).write_bytes(buffer.getvalue())
    print(f"{hashlib.sha256(buffer.getvalue()).hexdigest()}  {name}  {len(buffer.getvalue())} bytes")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wheel", type=Path, help="the package's wheel, if it is there already")
    wheel = parser.parse_args().wheel
    with tempfile.TemporaryDirectory() as folder:
        wheel = wheel or download(folder)
        found = hashlib.sha256(wheel.read_bytes()).hexdigest()
        assert found == WHEEL_SHA256, f"{wheel} has SHA-256 {found}, not {WHEEL_SHA256}"
        with zipfile.ZipFile(wheel) as package:
            head = read_nifti(package.read(f"{FOLDER}_T1w.nii.gz"))
            mask = as_extracted(read_nifti(package.read(f"{FOLDER}_desc-brain_mask.nii.gz")) > 0)

    # The mean of the brain's voxels in each block that is at least half brain; never 0 there, so that 0 is outside.
    count = in_blocks(mask)
    brain = in_blocks(np.where(mask, head, 0)) / np.maximum(count, 1)
    scaled = np.clip(np.rint(brain * (255 / np.percentile(head[mask], TOP_PERCENTILE))), 1, 255)
    write("brain-2mm.nii.gz", nifti(np.where(count >= 4, scaled, 0), 2.0, (-90.5, -125.5, -71.5), b"MNI152 T1w brain"))
    write("mask-1mm.nii.gz", nifti(mask, 1.0, (-91.0, -126.0, -72.0), b"MNI152 brain mask"))


if __name__ == "__main__":
    main()
