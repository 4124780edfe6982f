#!/usr/bin/env python3
"""Times the whole preparation of a raw scan, side by side with N4 of SimpleITK and the affine registration of ANTs.

    python3 -m venv target/peers
    target/peers/bin/pip install nibabel==5.3.2 numpy==2.3.5 scipy==1.16.3 SimpleITK==2.5.7 antspyx==0.6.3
    cargo build --release
    target/peers/bin/python benches/preparation_peers.py SCAN --template MNI152_BRAIN [--rounds 3] [--threads 2]

SCAN is a raw scan with skull; MNI152_BRAIN the brain of MNI152 at 1 mm (FSL's MNI152_T1_1mm_brain.nii.gz, say). Each round
runs, one after the other: `mrisynth prepare` (reading, brain extraction, N4, registration, normalization, resampling and
writing all files), then N4 of SimpleITK (shrink factor 4, Otsu mask, 4 levels of 50) with the affine registration of ANTs on
its result inside the brain that mrisynth found. Brain extraction, resampling and writing of the peers are not counted.
Printed: medians, and their ratio.
"""

import argparse
import os
import statistics
import tempfile
from pathlib import Path

import numpy as np

from scans import run, seconds


def peers(scan, mask, template, threads):
    import ants
    import SimpleITK as sitk

    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(threads)
    image = sitk.ReadImage(str(scan), sitk.sitkFloat32)
    head = sitk.OtsuThreshold(image, 0, 1, 200)
    n4 = sitk.N4BiasFieldCorrectionImageFilter()
    n4.SetMaximumNumberOfIterations([50] * 4)
    n4.SetConvergenceThreshold(1e-3)
    n4.Execute(sitk.Shrink(image, [4] * 3), sitk.Shrink(head, [4] * 3))
    corrected = image / sitk.Exp(sitk.Cast(n4.GetLogBiasFieldAsImage(image), sitk.sitkFloat32))
    array = sitk.GetArrayFromImage(corrected).transpose(2, 1, 0)
    moving = ants.image_read(str(scan)).new_image_like(np.ascontiguousarray(array))
    moving = moving * ants.image_read(str(mask))
    return ants.registration(ants.image_read(str(template)), moving, "Affine")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scan", type=Path)
    parser.add_argument("--template", type=Path, required=True)
    parser.add_argument("--command", default="target/release/mrisynth")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--alone", action="store_true", help="time mrisynth only")
    arguments = parser.parse_args()
    os.environ["ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"] = str(arguments.threads)
    times = {"mrisynth prepare": [], "SimpleITK N4 + ANTs affine": []}
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "prepared"
        ours = ["prepare", arguments.scan, "-o", result, "--force", "--threads", arguments.threads, "-q"]
        for _ in range(arguments.rounds):
            times["mrisynth prepare"].append(seconds(lambda: run(arguments.command, *ours))[0])
            if not arguments.alone:
                work = lambda: peers(arguments.scan, result / "mask.nii.gz", arguments.template, arguments.threads)
                times["SimpleITK N4 + ANTs affine"].append(seconds(work)[0])
    medians = {name: statistics.median(values) for name, values in times.items() if values}
    for name, median in medians.items():
        print(f"{name:28} {median:7.2f} s   of {', '.join(f'{value:.2f}' for value in times[name])}")
    if len(medians) == 2:
        ours, theirs = medians.values()
        print(f"mrisynth takes {ours / theirs:.3f} of the peers' time")


if __name__ == "__main__":
    main()
