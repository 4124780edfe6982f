#!/usr/bin/env python3
"""Counts which scans are refused before synthesis: good ones that should not be, and spoiled ones that should.

    python3 -m venv target/peers
    target/peers/bin/pip install nibabel==5.3.2 numpy==2.3.5 scipy==1.16.3
    cargo build --release --workspace --example check_input
    target/peers/bin/python benches/input_check.py --t1w FILE... --t2w FILE... [--raw-t1w FILE...] [--raw-t2w FILE...]

--t1w and --t2w are prepared scans (`mrisynth-train simulate --nifti FOLDER` writes some; `standard.nii.gz` of `mrisynth prepare`
is one), --raw-t1w and --raw-t2w scans as they left the scanner; --flair prepared FLAIR scans. Each scan is offered as what it is
and as the other contrast. Of every prepared scan (or of each --every-th) spoiled versions are made: turned over, turned back
to front, both, lying on other axes, cut to half along each axis and to a slab, all surrounded by background as before; less the
top 10 and 15 % of its length (which may pass); and made-up CT (fluid 8, grey matter 38, white matter 29, noise of 4) and FLAIR
(fluid suppressed). Each file's answer is printed with --verbose.
"""

import argparse
import subprocess
import tempfile
from pathlib import Path

import nibabel
import numpy as np

FLIP = {"upside down": [2], "back to front": [1], "upside down and back to front": [1, 2]}


def canonical(path):
    """The scan's voxels along right, front and top."""
    image = nibabel.as_closest_canonical(nibabel.load(path))
    return np.asarray(image.dataobj, dtype=np.float32).reshape(image.shape[:3]), image.header.get_zooms()[:3]


def without(voxels, axis, low, high):
    """The scan without what lies below one share of its length along an axis and above another."""
    others = tuple(a for a in range(3) if a != axis)
    inside = np.flatnonzero((voxels != 0).any(axis=others))
    first, length = inside[0], inside[-1] + 1 - inside[0]
    kept = np.zeros(voxels.shape[axis], dtype=bool)
    kept[first + round(low * length) : first + round(high * length)] = True
    return voxels * np.expand_dims(kept, others)


def tissue_means(values):
    """Dark, middle and bright: the means of three clusters."""
    means = np.percentile(values, [3, 30, 90])
    for _ in range(15):
        nearest = np.abs(values[:, None] - means).argmin(axis=1)
        means = np.array([values[nearest == n].mean() for n in range(3)])
    return means


def as_ct(t1w, random):
    from scipy.ndimage import gaussian_filter

    brain = t1w != 0
    units = np.zeros_like(t1w)
    units[brain] = np.interp(t1w[brain], tissue_means(t1w[brain]), [8, 38, 29])
    units = gaussian_filter(units, 0.7) / np.maximum(gaussian_filter(brain.astype(np.float32), 0.7), 0.1)
    return np.where(brain, np.clip(units + random.normal(0, 4, units.shape), 1, None), 0)


def as_flair(t2w):
    brain = t2w != 0
    middle, bright = np.percentile(t2w[brain], [50, 97])
    limit, width = (middle + bright) / 2, 0.15 * (bright - middle)
    return brain * (np.maximum(t2w, 0) / (1 + np.exp(np.clip((t2w - limit) / width, -50, 50))) + 0.02 * bright)


def spoiled(voxels, contrast, random):
    """Names and voxels of the spoiled versions."""
    for name, axes in FLIP.items():
        yield name, np.flip(voxels, axes)
    yield "on its back", np.rot90(voxels, 1, (1, 2))
    yield "on its side", np.rot90(voxels, 1, (0, 2))
    yield "turned to the side", np.rot90(voxels, 1, (0, 1))
    for name, axis in (("left half only", 0), ("back half only", 1), ("bottom half only", 2)):
        yield name, without(voxels, axis, 0, 0.5)
    yield "top half only", without(voxels, 2, 0.5, 1)
    yield "slab of a third", without(voxels, 2, 0.35, 0.68)
    yield "top 10 % cut off", without(voxels, 2, 0, 0.9)
    yield "top 15 % cut off", without(voxels, 2, 0, 0.85)
    if contrast == "t1w":
        yield "CT-like as T1w", as_ct(voxels, random)
    else:
        yield "FLAIR-like as T2w", as_flair(voxels)


def answers(command, contrast, state, files):
    """For each file whether it was refused, and why."""
    if not files:
        return []
    output = subprocess.run([command, contrast, state, *map(str, files)], check=True, capture_output=True, text=True)
    lines = [line.split("\t") for line in output.stdout.splitlines()]
    return [(line[0] == "refused", line[1], line[2] if len(line) > 2 else "") for line in lines]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for option in ("--t1w", "--t2w", "--raw-t1w", "--raw-t2w", "--flair"):
        parser.add_argument(option, nargs="*", type=Path, default=[])
    parser.add_argument("--command", default="target/release/examples/check_input")
    parser.add_argument("--every", type=int, default=1, help="spoil every so manyth scan only")
    parser.add_argument("--verbose", action="store_true")
    arguments = parser.parse_args()
    table = {}

    def ask(condition, contrast, state, files):
        for refused, path, reason in answers(arguments.command, contrast, state, files):
            counts = table.setdefault(condition, [0, 0])
            counts[0] += 1
            counts[1] += refused
            if arguments.verbose:
                print(f"{condition}: {path}: {reason or 'accepted'}", flush=True)

    other = {"t1w": "t2w", "t2w": "t1w"}
    for state, files_of in (
        ("prepared", {"t1w": arguments.t1w, "t2w": arguments.t2w}),
        ("raw", {"t1w": arguments.raw_t1w, "t2w": arguments.raw_t2w}),
    ):
        for contrast, files in files_of.items():
            ask(f"good, {state} {contrast.upper()[:2]}w", contrast, state, files)
            ask(f"{state} {contrast.upper()[:2]}w as {other[contrast].upper()[:2]}w", other[contrast], state, files)
    for contrast in other:
        ask(f"FLAIR as {contrast.upper()[:2]}w", contrast, "prepared", arguments.flair)
    random = np.random.default_rng(1)
    for contrast, files in (("t1w", arguments.t1w), ("t2w", arguments.t2w)):
        for path in files[:: arguments.every]:
            voxels, sizes = canonical(path)
            with tempfile.TemporaryDirectory() as folder:
                for name, changed in spoiled(voxels, contrast, random):
                    scan = Path(folder) / f"{path.name.split('.')[0]}.nii"
                    affine = np.diag([*([float(np.mean(sizes))] * 3), 1.0])
                    nibabel.save(nibabel.Nifti1Image(np.ascontiguousarray(changed, dtype=np.float32), affine), scan)
                    ask(name, contrast, "prepared", [scan])
                    if name == "CT-like as T1w":
                        ask("CT-like as T2w", "t2w", "prepared", [scan])
                    if name == "FLAIR-like as T2w":
                        ask("FLAIR-like as T1w", "t1w", "prepared", [scan])
    print("| Condition | Scans | Refused |")
    print("|---|---|---|")
    for condition, (count, refused) in table.items():
        print(f"| {condition} | {count} | {refused} |")


if __name__ == "__main__":
    main()
