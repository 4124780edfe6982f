#!/usr/bin/env python3
"""Scores the brain masks of `mrisynth prepare` against reference masks on real scans.

    python3 -m venv target/peers
    target/peers/bin/pip install nibabel==5.3.2 numpy==2.3.5 pillow==12.0.0
    cargo build --release
    target/peers/bin/python benches/brain_masks.py --data FOLDER --references FOLDER [--pictures FOLDER] [--keep FOLDER]

--data holds studies (`train/long_p01_s1`, ...) with T1W.nii.gz, T2W.nii.gz, the ITK transforms T1W_to_FLAIR.txt,
T2W_to_FLAIR.txt and FLAIR_to_common.txt, and brainmask_common.nii.gz; --references holds p01_T1W/mask_robex.nii.gz for
study 1 of patient p01, p01s2_T1W/mask_robex.nii.gz for study 2. A T1w reference goes to the T2w scan by
x_T1 = T_T1(T_T2^-1(x_T2)). Printed for each scan: the Dice coefficient with the reference, and the part of
brainmask_common, as far as the scan shows it, that the mask covers.
"""

import argparse
import re
import sys
import tempfile
from pathlib import Path

import nibabel
import numpy as np

from scans import LPS, dice, itk_transform, run, t1_from_t2


def positions(image):
    """LPS millimetres of every voxel, as 4 x n."""
    grid = np.indices(image.shape[:3]).reshape(3, -1)
    return LPS @ image.affine @ np.vstack([grid, np.ones(grid.shape[1])])


def sample(image, mask, points):
    """The mask at LPS points (nearest voxel), and which of the points lie in the image."""
    index = np.rint(np.linalg.inv(LPS @ image.affine) @ points)[:3].astype(int)
    shape = np.array(mask.shape)[:, None]
    inside = ((index >= 0) & (index < shape)).all(axis=0)
    index = np.clip(index, 0, shape - 1)
    return mask[tuple(index)] & inside, inside


def voxels(image):
    return np.asarray(image.dataobj) > 0.5


def found_mask(command, scan, folder):
    run(command, "prepare", scan, "-o", folder, "-q")
    image = nibabel.load(folder / "mask.nii.gz")
    mask = voxels(image)
    return image, mask


def reference(study, name, references):
    """The reference mask on the scan's own grid, or None."""
    patient, session = re.fullmatch(r"long_(p\d+)_s(\d)", study.name).groups()
    folders = [f"{patient}s{session}_T1W"] + ([f"{patient}_T1W"] if session == "1" else [])
    found = [references / folder / "mask_robex.nii.gz" for folder in folders]
    found = [path for path in found if path.exists()]
    if not found:
        return None
    image = nibabel.load(found[0])
    if name == "T1W":
        return voxels(image)
    scan = nibabel.load(study / f"{name}.nii.gz")
    return sample(image, voxels(image), t1_from_t2(study) @ positions(scan))[0].reshape(scan.shape)


def covered(study, name, image, mask):
    """The part of brainmask_common in the scan's view that the mask covers, or None."""
    path = study / "brainmask_common.nii.gz"
    if not path.exists():
        return None
    common = nibabel.load(path)
    to_scan = itk_transform(study / f"{name}_to_FLAIR.txt") @ itk_transform(study / "FLAIR_to_common.txt")
    points = positions(common)[:, voxels(common).ravel()]
    inside, in_view = sample(image, mask, to_scan @ points)
    return inside.sum() / in_view.sum()


def picture(scan, mask, other, path):
    """Three planes and four axial slices, the mask's outline in red, the reference's in green."""
    from PIL import Image

    image = nibabel.load(scan)
    order = nibabel.io_orientation(image.affine)
    turn = lambda array: nibabel.apply_orientation(np.asarray(array), order)
    sizes = nibabel.as_closest_canonical(image).header.get_zooms()[:3]
    grey = turn(image.dataobj).astype(float)
    grey = np.clip(grey / np.percentile(grey[grey > 0], 97), 0, 1)
    masks = [turn(mask)] + ([turn(other)] if other is not None else [])
    planes = []
    middle = [int(np.median(at)) for at in np.nonzero(masks[0])] if masks[0].any() else [n // 2 for n in grey.shape]
    cuts = [(0, middle[0]), (0, int(middle[0] * 0.75)), (1, middle[1])]
    low, high = (np.nonzero(masks[0].any(axis=(0, 1)))[0][[0, -1]]) if masks[0].any() else (0, grey.shape[2] - 1)
    cuts += [(2, int(low + part * (high - low))) for part in (0.12, 0.3, 0.55, 0.85)]
    for axis, at in cuts:
        across = [sizes[n] for n in range(3) if n != axis]
        tile = lambda array, how: np.asarray(
            Image.fromarray(np.flipud(np.take(array, at, axis).T)).resize(
                tuple(round(n * s * 1.2) for n, s in zip(np.take(array, at, axis).shape, across)), how
            )
        )
        rgb = np.repeat(tile((255 * grey).astype(np.uint8), Image.Resampling.BILINEAR)[..., None], 3, axis=2)
        for one, colour in reversed(list(zip(masks, ([255, 0, 0], [0, 255, 0])))):
            area = tile((255 * one).astype(np.uint8), Image.Resampling.BILINEAR) > 127
            edge = area & ~(np.roll(area, 1, 0) & np.roll(area, -1, 0) & np.roll(area, 1, 1) & np.roll(area, -1, 1))
            rgb[edge] = colour
        planes.append(rgb)
    height = max(plane.shape[0] for plane in planes)
    planes = [np.pad(plane, ((0, height - plane.shape[0]), (0, 3), (0, 0))) for plane in planes]
    Image.fromarray(np.concatenate(planes, axis=1)).save(path)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--references", type=Path, required=True)
    parser.add_argument("--command", default="target/release/mrisynth")
    parser.add_argument("--pictures", type=Path)
    parser.add_argument("--keep", type=Path)
    arguments = parser.parse_args()
    if arguments.pictures:
        arguments.pictures.mkdir(parents=True, exist_ok=True)
    scores, covers = [], []
    studies = sorted(path.parent for path in arguments.data.glob("*/long_*/T1W.nii.gz"))
    scans = [(study, name, study / f"{name}.nii.gz") for study in studies for name in ("T1W", "T2W")]
    others = sorted(arguments.data.glob("*/unpaired/*.nii.gz")) + sorted(arguments.data.glob("*/cs_*/T[12].nii.gz"))
    scans += [(None, None, path) for path in others]
    for study, name, scan in scans:
        label = f"{scan.parent.name}_{scan.name.removesuffix('.nii.gz')}"
        with tempfile.TemporaryDirectory() as temporary:
            folder = arguments.keep / label if arguments.keep else Path(temporary)
            image, mask = found_mask(arguments.command, scan, folder)
        wanted = reference(study, name, arguments.references) if study else None
        cover = covered(study, name, image, mask) if study else None
        millilitres = mask.sum() * abs(np.linalg.det(image.affine[:3, :3])) / 1000
        line = f"{label:32} {millilitres:6.0f} ml"
        if wanted is not None:
            scores.append(dice(mask, wanted))
            ratio = mask.sum() / wanted.sum()
            line += f"  Dice {scores[-1]:.4f}  volume {ratio:.3f} of the reference's"
        if cover is not None:
            covers.append(cover)
            line += f"  covers {cover:.4f}"
        print(line, flush=True)
        if arguments.pictures:
            picture(scan, mask, wanted, arguments.pictures / f"{label}.png")
    if scores:
        print(f"Dice: mean {np.mean(scores):.4f}, worst {min(scores):.4f}")
    if covers:
        print(f"covers: mean {np.mean(covers):.4f}, worst {min(covers):.4f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
