#!/usr/bin/env python3
"""Bias correction against SimpleITK and niimath: time from file to files, and how far the fields agree.

    benches/n4_peers.py [--command target/release/mrisynth] [--runs 5] [--threads 2] SCAN.nii.gz ...

Runs take turns, so that what else the machine does strikes all alike. Each tool reads the compressed scan and writes the
compressed corrected scan and field: shrink factor 4, four levels of 50 iterations, threshold 0.001, Otsu's mask. The
peers' packages go to a virtual environment, target/peers, made on the first call.

Correlations are of logarithmic fields inside the mask, on the
scan's grid. Oblique scans whose samples fall between two voxels differ by which of them rounding makes ITK take (see
AxisSampling in src/prepare/bias/sampling.rs); src/prepare/bias/tests.rs compares on the very samples that ITK took.
"""

import argparse
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
PEERS = ROOT / "target" / "peers"
PACKAGES = ["SimpleITK==2.5.7", "niimath==1.0.20261016", "numpy==2.3.5", "nibabel==5.3.2"]
SIMPLE_ITK = """
import sys
import SimpleITK as sitk
scan, mask, corrected, field, threads = sys.argv[1:]
sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(int(threads))
image = sitk.ReadImage(scan, sitk.sitkFloat32)
head = sitk.OtsuThreshold(image, 0, 1, 200)
sitk.WriteImage(head, mask)
n4 = sitk.N4BiasFieldCorrectionImageFilter()
n4.SetMaximumNumberOfIterations([50] * 4)
n4.SetConvergenceThreshold(1e-3)
n4.Execute(sitk.Shrink(image, [4] * 3), sitk.Shrink(head, [4] * 3))
log_field = n4.GetLogBiasFieldAsImage(image)
factor = sitk.Exp(sitk.Cast(log_field, sitk.sitkFloat32))
sitk.WriteImage(factor, field)
sitk.WriteImage(image / factor, corrected)
"""


def in_peers_environment():
    """Starts this script again in the virtual environment, which it makes first."""
    python = PEERS / "bin" / "python"
    if pathlib.Path(sys.prefix) == PEERS:
        return
    if not (PEERS / "bin" / "niimath").exists():
        subprocess.run([sys.executable, "-m", "venv", PEERS], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
    os.execv(python, [python, *sys.argv])


def commands(command, scan, folder, threads):
    """Each tool's command, and the field that it writes."""
    mask, ours = folder / "otsu.nii.gz", folder / "mrisynth"
    itk = [folder / name for name in ("itk_corrected.nii.gz", "itk_field.nii.gz")]
    niimath = [folder / name for name in ("niimath_corrected.nii.gz", "niimath_field.nii.gz")]
    return {
        "SimpleITK": ([sys.executable, "-c", SIMPLE_ITK, scan, mask, *itk, threads], itk[1]),
        "niimath": (
            [PEERS / "bin" / "niimath", scan, "-n4", "-shrink", 4, "-iter", "50x50x50x50"]
            + ["-convergence", 1e-3, "-mask", mask, "-rescale", 0, "-field", niimath[1], niimath[0]],
            niimath[1],
        ),
        "mrisynth": (
            [command, "prepare", scan, "-o", ours, "--bias", "itk", "--bias-only", "--threads", threads, "--force"],
            ours / "bias.nii.gz",
        ),
    }


def seconds(command, threads):
    environment = os.environ | {"OMP_NUM_THREADS": str(threads), "RAYON_NUM_THREADS": str(threads)}
    start = time.perf_counter()
    subprocess.run([str(word) for word in command], check=True, env=environment, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def log_field(path, mask):
    import numpy
    import SimpleITK

    field = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path), SimpleITK.sitkFloat64))
    inside = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(mask))) > 0
    return numpy.log(field[inside])


def give_header(mask, scan):
    """Gives a mask the scan's own header: niimath refuses the one that SimpleITK's rounding makes of an oblique affine."""
    import nibabel
    import numpy

    voxels = numpy.asarray(nibabel.load(mask).dataobj).astype(numpy.uint8)
    header = nibabel.load(scan).header.copy()
    header.set_data_dtype(numpy.uint8)
    header.set_slope_inter(1, 0)
    nibabel.Nifti1Image(voxels, None, header).to_filename(mask)


def compare(scan, arguments):
    import numpy

    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        tools = commands(arguments.command, scan, folder, arguments.threads)
        times = {name: [] for name in tools}
        # SimpleITK comes first: it writes the mask that niimath is given.
        for _ in range(arguments.runs):
            for name, (command, _) in tools.items():
                times[name].append(seconds(command, arguments.threads))
                if name == "SimpleITK":
                    give_header(folder / "otsu.nii.gz", scan)
        medians = {name: statistics.median(values) for name, values in times.items()}
        expected = log_field(tools["SimpleITK"][1], folder / "otsu.nii.gz")
        print(scan)
        for name, (_, field) in tools.items():
            found = log_field(field, folder / "otsu.nii.gz")
            r = numpy.corrcoef(expected, found)[0, 1]
            largest = numpy.abs(expected - found).max()
            ratio = medians[name] / medians["mrisynth"]
            print(
                f"  {name:10} {medians[name]:7.3f} s  {ratio:6.2f} times mrisynth's"
                f"  r {r:.7f}  largest difference {largest:.1e}"
            )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--command", type=pathlib.Path, default=ROOT / "target" / "release" / "mrisynth")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("scans", nargs="+", type=pathlib.Path)
    arguments = parser.parse_args()
    in_peers_environment()
    for scan in arguments.scans:
        compare(scan, arguments)


if __name__ == "__main__":
    main()
