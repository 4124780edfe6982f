#!/usr/bin/env python3
"""Scores raw scans synthesized end to end: the synthetic contrast against the study's real scan of it.

    python3 -m venv target/peers
    target/peers/bin/pip install nibabel==5.3.2 numpy==2.3.5 scipy==1.16.3 scikit-image==0.26.0
    cargo build --release
    target/peers/bin/python benches/end_to_end.py STUDY [STUDY ...]

A study is a folder with the raw T1W.nii.gz and T2W.nii.gz of one patient and their ITK transforms T1W_to_FLAIR.txt and
T2W_to_FLAIR.txt. The T2w scan goes through `mrisynth synthesize --to t1w` as it is, without help. The real T1w scan, corrected
by `mrisynth prepare`, is carried to the T2w scan's grid by the study's own transforms (cubic), and its 99.5th percentile in
the brain becomes 1. Slices with at least 2 % brain are scored inside the brain that mrisynth found on the T2w scan, once as
they are and once after the one factor and offset that fit best; SSIM is scikit-image's default with data range 1.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np

from scans import load, onto, run, t1_from_t2, voxels


def score(real, synthetic, brain):
    from skimage.metrics import structural_similarity

    rows = []
    for k in range(brain.shape[2]):
        inside = brain[:, :, k]
        if inside.mean() < 0.02:
            continue
        difference = (real - synthetic)[:, :, k][inside]
        similarity = structural_similarity(real[:, :, k], synthetic[:, :, k], data_range=1.0, full=True)[1]
        rows.append((-10 * np.log10(np.mean(difference**2)), similarity[inside].mean(), np.abs(difference).mean()))
    return len(rows), np.mean(rows, axis=0)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("studies", nargs="+", type=Path)
    parser.add_argument("--command", default="target/release/mrisynth")
    parser.add_argument("--keep", type=Path, help="a folder for the images that were compared")
    arguments = parser.parse_args()
    print("study            fit   slices   PSNR   SSIM    MAE   (inside the brain)")
    for study in arguments.studies:
        with tempfile.TemporaryDirectory() as folder:
            folder = Path(folder)
            run(arguments.command, "prepare", study / "T1W.nii.gz", "-o", folder / "t1", "-q")
            run(arguments.command, "prepare", study / "T2W.nii.gz", "-o", folder / "t2", "-q")
            out = folder / "synthetic.nii.gz"
            run(arguments.command, "synthesize", study / "T2W.nii.gz", "-o", out, "--to", "t1w", "-q")
            target, source = load(out), load(folder / "t1" / "corrected.nii.gz")
            brain = voxels(load(folder / "t2" / "mask.nii.gz")) > 0.5
            real = onto(source, voxels(source), target, t1_from_t2(study), 3)
            # Where the T1w scan shows nothing there is nothing to compare.
            seen = onto(source, np.ones(source.shape[:3]), target, t1_from_t2(study), 1) > 0.99
            brain &= seen
            real = np.clip(real / np.percentile(real[brain], 99.5), 0, 1) * brain
            synthetic = voxels(target)
        line = np.polyfit(synthetic[brain], real[brain], 1)
        for fit, image in (("no", synthetic), ("yes", np.polyval(line, synthetic))):
            slices, (psnr, ssim, mae) = score(real, np.clip(image, 0, 1) * brain, brain)
            print(f"{study.name:16} {fit:4} {slices:7}  {psnr:6.2f} {ssim:6.3f} {mae:6.4f}")
        if arguments.keep:
            import nibabel

            arguments.keep.mkdir(parents=True, exist_ok=True)
            for name, image in (("real", real), ("synthetic", synthetic * brain)):
                path = arguments.keep / f"{study.name}_{name}.nii.gz"
                nibabel.save(nibabel.Nifti1Image(image.astype(np.float32), target.affine), path)


if __name__ == "__main__":
    main()
