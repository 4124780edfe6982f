"""Small scans for emulated processors, and the comparison of what becomes of them.

    scans.py brain FILE.nii            a prepared T2w scan of a brain, 0.3 times as long as the average one
    scans.py head FILE.nii             a raw T2w scan of a head in a skull of formulas, in voxels of 4 mm
    scans.py compare FILE.nii FILE.nii fails unless both are images of one brain, the same up to the tolerance between tiers
"""

import gzip
import pathlib
import re
import struct
import sys

import numpy

ROOT = pathlib.Path(__file__).resolve().parents[2]
TEMPLATE = ROOT / "src/prepare/register/template/brain-2mm.nii.gz"
TYPES = {2: numpy.uint8, 16: numpy.float32}


def read(path):
    """The voxels of a NIfTI-1 file, i fastest, without scaling."""
    content = gzip.open(path).read() if path.suffix == ".gz" else path.read_bytes()
    dims = struct.unpack_from("<8h", content, 40)[1:4]
    (datatype,) = struct.unpack_from("<h", content, 70)
    (offset,) = struct.unpack_from("<f", content, 108)
    count = int(numpy.prod(dims))
    return numpy.frombuffer(content, TYPES[datatype], count, int(offset)).reshape(dims, order="F").astype(numpy.float32)


def write(path, voxels, size):
    """Floats with voxels of this size in millimetres, stored from left to right, from back to front and upwards."""
    header = bytearray(352)
    struct.pack_into("<i", header, 0, 348)
    struct.pack_into("<8h", header, 40, 3, *voxels.shape, 1, 1, 1, 1)
    struct.pack_into("<2h", header, 70, 16, 32)
    struct.pack_into("<8f", header, 76, 1, size, size, size, 0, 0, 0, 0)
    struct.pack_into("<f", header, 108, 352)
    header[123] = 2
    struct.pack_into("<h", header, 254, 1)
    for row, length in enumerate(voxels.shape):
        values = [0.0] * 4
        values[row], values[3] = size, -size * (length - 1) / 2
        struct.pack_into("<4f", header, 280 + 16 * row, *values)
    header[344:348] = b"n+1\0"
    path.write_bytes(bytes(header) + voxels.astype("<f4").tobytes(order="F"))


def brain(path):
    template = read(TEMPLATE)
    write(path, numpy.where(template > 0, 1000 - 3 * template, 0), 0.6)


def head(path):
    """Fluid, skull and scalp around the average brain, with the noise that brain extraction is used to."""
    template = read(TEMPLATE)[::2, ::2, ::2]
    padded = numpy.pad(template, 6)
    inside = padded > 0
    voxels = numpy.where(inside, 300 - padded, 0)
    layers = [(1, 280), (1, 12), (1, 12), (1, 130)]
    for thickness, value in layers:
        for _ in range(thickness):
            grown = inside.copy()
            for axis in range(3):
                for shift in (-1, 1):
                    grown |= numpy.roll(inside, shift, axis)
            voxels[grown & ~inside] = value
            inside = grown
    noise = numpy.random.default_rng(1).normal(0, 3, voxels.shape)
    write(path, numpy.maximum(voxels + noise, 0), 4)


def tolerance():
    """The one that the library states."""
    source = (ROOT / "src/kernels/tier.rs").read_text()
    return float(re.search(r"TOLERANCE_BETWEEN_TIERS: f32 = ([0-9.e-]+);", source)[1])


def compare(one, other):
    one, other = read(one), read(other)
    both = (one != 0) & (other != 0)
    flipped = int(((one != 0) != (other != 0)).sum())
    difference = float(abs(one - other)[both].max())
    print(f"{int(both.sum())} voxels of brain, largest difference {difference:.1e}, {flipped} voxels in one alone")
    if not (one.max() > 0.5 and both.sum() > 1000):
        sys.exit("no image of a brain")
    if difference > tolerance() or flipped > 1e-5 * both.sum():
        sys.exit(f"they differ by more than {tolerance()}")


if __name__ == "__main__":
    action, *paths = sys.argv[1:]
    {"brain": brain, "head": head, "compare": compare}[action](*map(pathlib.Path, paths))
