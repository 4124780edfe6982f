#!/usr/bin/env python3
"""Compares the registration to MNI152 with the affine one of ANTs: how far apart they place the brain, and the seconds.

    python3 -m venv target/peers
    target/peers/bin/pip install nibabel==5.3.2 numpy==2.3.5 scipy==1.16.3 antspyx==0.6.3
    cargo build --release
    target/peers/bin/python benches/registration_peers.py MNI152_BRAIN SCAN MASK [SCAN MASK ...] [--starts 20]

MNI152_BRAIN is the brain of MNI152 at 1 mm (FSL's MNI152_T1_1mm_brain.nii.gz, say), each MASK the brain on its SCAN's grid.
Runs one after the other, round by round: `mrisynth prepare --no-bias --mask MASK` (reading, registration, resampling and
writing all files) and ANTs' type "Affine" on the scan inside the mask. Printed: for each scan the mean and the largest
displacement between both over the template's brain, in millimetres, and the median seconds.

`--starts N` gives each scan's header N misplacements (up to 30 degrees about a random axis and 40 mm, fixed seed) and
prints how many of them end within 2 mm, on average, of where the header as it is ends.
"""

import argparse
import json
import statistics
import tempfile
from pathlib import Path

import nibabel
import numpy as np

from scans import LPS, run, seconds


def mean_and_largest(one, other, points):
    apart = np.linalg.norm((points @ (one - other).T)[:, :3], axis=1)
    return apart.mean(), apart.max()


def brain_points(template):
    """Every 50th voxel of the template's brain, in LPS millimetres."""
    image = nibabel.load(template)
    index = np.argwhere(np.asarray(image.dataobj) > 0)[::50]
    return np.c_[index, np.ones(len(index))] @ (LPS @ image.affine).T


def ours(command, scan, mask, folder):
    run(command, "prepare", scan, "-o", folder, "--no-bias", "--mask", mask, "--force", "-q")
    numbers = json.loads((Path(folder) / "prepare.json").read_text())["standard_to_scan_lps"]
    return np.array(numbers).reshape(4, 4)


def ants_affine(template, scan, mask):
    import ants

    moving = ants.image_read(str(scan))
    inside = moving.new_image_like(np.ascontiguousarray(moving.numpy() * (ants.image_read(str(mask)).numpy() > 0)))
    found = ants.registration(ants.image_read(str(template)), inside, "Affine", random_seed=1)
    transform = ants.read_transform(found["fwdtransforms"][0])
    parameters, centre = np.array(transform.parameters), np.array(transform.fixed_parameters)
    matrix = np.eye(4)
    matrix[:3, :3] = parameters[:9].reshape(3, 3)
    matrix[:3, 3] = parameters[9:] + centre - matrix[:3, :3] @ centre
    return matrix


def misplacement(random):
    """A random rigid matrix between RAS millimetres."""
    axis = random.normal(size=3)
    axis /= np.linalg.norm(axis)
    angle = np.radians(random.uniform(0, 30))
    cross = np.cross(np.eye(3), axis)
    matrix = np.eye(4)
    matrix[:3, :3] = np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
    direction = random.normal(size=3)
    matrix[:3, 3] = random.uniform(0, 40) * direction / np.linalg.norm(direction)
    return matrix


def moved(image, matrix, path):
    """The image with its header misplaced, its middle about its own place."""
    middle = image.affine @ np.r_[(np.array(image.shape[:3]) - 1) / 2, 1]
    about = np.eye(4)
    about[:3, 3] = middle[:3]
    affine = about @ matrix @ np.linalg.inv(about) @ image.affine
    nibabel.Nifti1Image(np.asarray(image.dataobj), affine).to_filename(path)
    return about @ matrix @ np.linalg.inv(about)


def from_wrong_starts(command, scan, mask, home, points, starts, folder):
    random = np.random.default_rng(1)
    near = 0
    for _ in range(starts):
        matrix = misplacement(random)
        paths = [Path(folder) / name for name in ("scan.nii.gz", "mask.nii.gz")]
        for source, path in zip((scan, mask), paths):
            turned = moved(nibabel.load(source), matrix, path)
        expected = LPS @ turned @ LPS @ home
        found = ours(command, *paths, Path(folder) / "moved")
        near += mean_and_largest(found, expected, points)[0] <= 2.0
    return near


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("template", type=Path)
    parser.add_argument("scans", type=Path, nargs="+", metavar="SCAN MASK")
    parser.add_argument("--command", default="target/release/mrisynth")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--starts", type=int, default=0)
    parser.add_argument("--alone", action="store_true", help="do not run ANTs")
    arguments = parser.parse_args()
    points = brain_points(arguments.template)
    pairs = list(zip(arguments.scans[::2], arguments.scans[1::2], strict=True))
    for scan, mask in pairs:
        times = {"mrisynth": [], "ANTs": []}
        line = str(scan)
        with tempfile.TemporaryDirectory() as folder:
            for _ in range(arguments.rounds):
                took, home = seconds(lambda: ours(arguments.command, scan, mask, Path(folder) / "ours"))
                times["mrisynth"].append(took)
                if not arguments.alone:
                    took, theirs = seconds(lambda: ants_affine(arguments.template, scan, mask))
                    times["ANTs"].append(took)
                    mean, largest = mean_and_largest(home, theirs, points)
            if not arguments.alone:
                line += f"   mean {mean:.2f} mm, largest {largest:.2f} mm"
            line += "".join(f"   {name} {statistics.median(t):.2f} s" for name, t in times.items() if t)
            if arguments.starts:
                near = from_wrong_starts(
                    arguments.command, scan, mask, home, points, arguments.starts, folder
                )
                line += f"   {near} of {arguments.starts} starts within 2 mm"
        print(line, flush=True)


if __name__ == "__main__":
    main()
