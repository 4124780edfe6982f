"""What the tests share: the example scans, the command to compare with, and what a process prints on its file descriptors."""

import contextlib
import functools
import gzip
import os
import pathlib
import struct
import subprocess
import sys
import tempfile
import unittest

import numpy

ROOT = pathlib.Path(__file__).resolve().parents[4]
EXAMPLES = ROOT / "examples" / "data"
BUILT = ROOT / "target" / "release"
# The module as it lies in the repository, or as it was installed.
MODULE_FOLDER = pathlib.Path(os.environ.get("MRISYNTH_MODULE_FOLDER", pathlib.Path(__file__).resolve().parents[1]))
COMMAND = os.environ.get("MRISYNTH_COMMAND", str(BUILT / "mrisynth"))
SLICER_CLI = os.environ.get("MRISYNTH_SLICER_CLI", str(BUILT / "mrisynth-slicer-cli"))

sys.path.insert(0, str(MODULE_FOLDER))

# The longest time between a wish to stop and the end of the work.
LONGEST_CANCEL = 0.25


def read_nifti(path):
    """The voxels of an uncompressed little-endian NIfTI-1 file, indexed [i, j, k], and its sform: read here, without any library."""
    content = pathlib.Path(path).read_bytes()
    dims = struct.unpack_from("<8h", content, 40)
    assert dims[0] == 3 and content[344:348] == b"n+1\0"
    kind = {4: "<i2", 16: "<f4", 64: "<f8"}[struct.unpack_from("<h", content, 70)[0]]
    offset = int(struct.unpack_from("<f", content, 108)[0])
    slope, intercept = struct.unpack_from("<2f", content, 112)
    voxels = numpy.frombuffer(content, kind, int(numpy.prod(dims[1:4])), offset).reshape(dims[1:4], order="F")
    if slope not in (0.0, 1.0) or intercept != 0.0:
        voxels = (voxels * float(slope) + float(intercept)).astype(numpy.float32)
    sform = numpy.array(struct.unpack_from("<12f", content, 280), dtype=float).reshape(3, 4)
    return voxels, numpy.vstack([sform, [0, 0, 0, 1]])


def unpacked(path):
    """The voxels of a gzipped NIfTI-1 file, indexed [i, j, k], and its sform."""
    with tempfile.TemporaryDirectory() as folder:
        plain = pathlib.Path(folder) / "scan.nii"
        plain.write_bytes(gzip.decompress(pathlib.Path(path).read_bytes()))
        return read_nifti(plain)


def to_lps(matrix):
    """A matrix to RAS millimetres as one to LPS millimetres."""
    return numpy.diag([-1.0, -1.0, 1.0, 1.0]) @ matrix


@functools.cache
def example(contrast):
    """The prepared example scan: voxels [i, j, k] as the file's values, and the matrix to LPS millimetres."""
    voxels, matrix = unpacked(EXAMPLES / f"example_{contrast}.nii.gz")
    return voxels, to_lps(matrix)


@functools.cache
def slab():
    """Few slices of the example's brain, to be quick; they are refused unless what is implausible is accepted."""
    voxels, matrix = example("T2w")
    first = 30
    moved = matrix.copy()
    moved[:, 3] = matrix @ [0, 0, first, 1]
    return numpy.asfortranarray(voxels[:, :, first : first + 16]), moved


@functools.cache
def made_by_command(contrast="T1w", options=("--prepared",), scan=None):
    """What `mrisynth` makes of the example, or of another scan: voxels [i, j, k], the matrix to LPS millimetres, and the JSON beside
    the image."""
    source = {"T1w": "T2w", "T2w": "T1w"}[contrast]
    scan = scan or EXAMPLES / f"example_{source}.nii.gz"
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "out.nii"
        subprocess.run([COMMAND, "synthesize", scan, "-o", path, "--to", contrast.lower(), "--quiet", *options], check=True)
        voxels, matrix = read_nifti(path)
        return voxels, to_lps(matrix), path.with_suffix(".json").read_text()


class Printed:
    """What was printed on standard output and standard error."""

    text = None


@contextlib.contextmanager
def captured():
    """Takes all that this process writes to the file descriptors 1 and 2, whatever language it is written in."""
    printed = Printed()
    sys.stdout.flush(), sys.stderr.flush()
    saved = [os.dup(1), os.dup(2)]
    with tempfile.TemporaryFile() as taken:
        os.dup2(taken.fileno(), 1), os.dup2(taken.fileno(), 2)
        try:
            yield printed
        finally:
            sys.stdout.flush(), sys.stderr.flush()
            for descriptor, original in zip((1, 2), saved):
                os.dup2(original, descriptor)
                os.close(original)
            taken.seek(0)
            printed.text = taken.read().decode()


class NothingPrinted(unittest.TestCase):
    """Tests during each of which nothing may be printed, by whatever code."""

    def setUp(self):
        super().setUp()
        context = captured()
        printed = context.__enter__()

        def check():
            context.__exit__(None, None, None)
            self.assertEqual(printed.text, "")

        self.addCleanup(check)
