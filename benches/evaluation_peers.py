#!/usr/bin/env python3
"""Times the evaluation of a pair of images with lesions against scikit-image, MedPy and SciPy, and compares values.

    python3 -m venv target/peers
    target/peers/bin/pip install nibabel==5.4.2 numpy==2.4.6 scipy==1.17.1 scikit-image==0.26.0 MedPy==0.5.2
    cargo build --release
    target/peers/bin/python benches/evaluation_peers.py [--rounds 5] [--threads 2] [--cropped]

The pair is a phantom of 182 x 218 x 182 voxels of 1 mm, made here from a seed: a real image, a blurred and noisy
synthetic one, a brain mask, and lesions of which the synthetic image has some, moved and smaller, and a few of its own.
Each round runs, one after the other: `mrisynth evaluate` (start of the program, reading five gzipped files, all
measures, writing JSON), then the Python tools on the same files in a process that has loaded its modules: reading by
nibabel, and the measures of MEASURES alone. MedPy is called on whole masks, as its documentation shows it; `--cropped`
calls it on the box around both masks, which gives the same values sooner. Python works on one thread, as these
functions do. Printed: medians, and each measure by both. The exit code is 1 if a measure differs by more than 1e-6 of
its value.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
from pathlib import Path

import nibabel
import numpy as np
from scipy import ndimage

from scans import run, seconds

SHAPE = (182, 218, 182)
LESIONS = 24
LEVELS = 32
MARGIN = 3.0
ANGLES = np.arange(4) * np.pi / 4
# What is compared: keys of the command's JSON.
FIDELITY = ["psnr", "ssim", "ssim_gaussian", "mae", "gradient_mae"]
MEASURES = (
    ["slices", "laplacian_ratio", "laplacian_ratio_brain"]
    + FIDELITY
    + [f"{key}_brain" for key in FIDELITY]
    + ["dice", "jaccard", "hd95", "hausdorff", "assd", "lesion_f1", "lesion_precision", "lesion_sensitivity"]
    + ["lesion_count_reference", "lesion_count_synthetic", "failed_lesions"]
    + ["lesion_volume_reference_ml", "lesion_volume_synthetic_ml"]
    + [
        f"glcm_{of}_{where}{image}"
        for of in ("contrast", "dissimilarity")
        for where in ("", "margin_")
        for image in ("reference", "synthetic")
    ]
)


def write_phantom(folder):
    """The five files of a pair, by the command's names for them."""
    random = np.random.default_rng(20261126)
    index = np.indices(SHAPE, dtype=np.float32)

    def ellipsoid(centre, radii):
        return sum(((index[axis] - centre[axis]) / radii[axis]) ** 2 for axis in range(3)) < 1

    brain = ellipsoid((90, 108, 85), (68, 86, 66))
    tissue = ndimage.gaussian_filter(random.normal(size=SHAPE).astype(np.float32), 3)
    real = 0.55 + 0.15 * tissue / tissue.std() + 0.03 * random.normal(size=SHAPE)
    lesions, found = np.zeros(SHAPE, bool), np.zeros(SHAPE, bool)
    for n in range(LESIONS):
        centre = random.uniform((50, 55, 55), (130, 160, 115))
        radii = random.uniform(1.5, 6.5, 3)
        if n % 6 != 5:
            lesions |= ellipsoid(centre, radii)
        if n % 4 != 3:
            found |= ellipsoid(centre + random.uniform(-1.5, 1.5, 3), 0.9 * radii)
    real[lesions] += 0.25
    real = np.clip(real, 0.01, 1).astype(np.float32) * brain
    synthetic = 0.9 * ndimage.gaussian_filter(real, 0.6) + 0.04 + 0.02 * random.normal(size=SHAPE)
    synthetic = np.clip(synthetic, 0, 1).astype(np.float32) * brain
    # As MNI152's images are stored: i to the left.
    affine = np.array([[-1.0, 0, 0, 90], [0, 1, 0, -126], [0, 0, 1, -72], [0, 0, 0, 1]])
    images = {"reference": real, "synthetic": synthetic, "mask": brain}
    images |= {"lesions-reference": lesions, "lesions-synthetic": found}
    paths = {}
    for name, image in images.items():
        paths[name] = folder / f"{name}.nii.gz"
        voxels = image.astype(np.uint8) if image.dtype == bool else image
        nibabel.save(nibabel.Nifti1Image(voxels, affine), paths[name])
    return paths


def read(path):
    image = nibabel.as_closest_canonical(nibabel.load(path))
    return np.asarray(image.dataobj, dtype=np.float64), image.header.get_zooms()[:3]


def of_slice(real, synthetic, inside):
    """The measures of one slice, and the Laplacian energies of both images: on the whole slice and inside the brain."""
    from skimage.metrics import structural_similarity

    gaussian = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    ssim, ssim_map = structural_similarity(real, synthetic, data_range=1.0, full=True)
    ssim_gaussian, gaussian_map = structural_similarity(real, synthetic, data_range=1.0, full=True, **gaussian)
    error = real - synthetic
    energies = [ndimage.laplace(image) ** 2 for image in (real, synthetic)]
    magnitudes = [np.hypot(*np.gradient(image)) for image in (real, synthetic)]
    gradients = np.abs(magnitudes[0] - magnitudes[1])
    values = []
    in_brain = (ssim_map[inside].mean(), gaussian_map[inside].mean())
    for where, similarity in ((slice(None), (ssim, ssim_gaussian)), (inside, in_brain)):
        psnr = -10 * np.log10((error[where] ** 2).mean())
        region = [psnr, *similarity, np.abs(error[where]).mean(), gradients[where].mean()]
        values.append(region + [energy[where].mean() for energy in energies])
    return values


def fidelity(real, synthetic, brain):
    inside = [k for k in range(brain.shape[2]) if brain[..., k].mean() >= 0.02]
    values = np.mean([of_slice(real[..., k], synthetic[..., k], brain[..., k]) for k in inside], axis=0)
    result = {"slices": len(inside)}
    for region, end in zip(values, ("", "_brain")):
        result |= {key + end: value for key, value in zip(FIDELITY, region)}
        result["laplacian_ratio" + end] = region[-1] / region[-2]
    return result


def box(mask):
    ends = [np.flatnonzero(mask.any(axis=tuple({0, 1, 2} - {axis}))) for axis in range(3)]
    return tuple(slice(end[0], end[-1] + 1) for end in ends)


def lesions(reference, synthetic, sizes, cropped):
    from medpy.metric import binary

    result = {"lesion_volume_reference_ml": reference.sum() * np.prod(sizes, dtype=float) / 1000}
    result["lesion_volume_synthetic_ml"] = synthetic.sum() * np.prod(sizes, dtype=float) / 1000
    if cropped:
        part = box(reference | synthetic)
        reference, synthetic = reference[part], synthetic[part]
    result |= {"dice": binary.dc(synthetic, reference), "jaccard": binary.jc(synthetic, reference)}
    result["hd95"] = binary.hd95(synthetic, reference, voxelspacing=sizes)
    result["hausdorff"] = binary.hd(synthetic, reference, voxelspacing=sizes)
    result["assd"] = binary.assd(synthetic, reference, voxelspacing=sizes)
    labels, counts = zip(*(ndimage.label(mask, np.ones((3, 3, 3))) for mask in (reference, synthetic)))
    hit = [len(np.unique(found[other & (found > 0)])) for found, other in zip(labels, (synthetic, reference))]
    sensitivity, precision = hit[0] / counts[0], hit[1] / counts[1]
    result |= {"lesion_sensitivity": sensitivity, "lesion_precision": precision}
    result["lesion_f1"] = 2 * sensitivity * precision / (sensitivity + precision)
    result |= {"lesion_count_reference": counts[0], "lesion_count_synthetic": counts[1]}
    result["failed_lesions"] = counts[0] - hit[0]
    return result


def glcm(levels, inside):
    """Contrast and dissimilarity of a region, averaged over angles; none if there is an angle without a pair."""
    from skimage.feature import graycomatrix, graycoprops

    # Level 0 is outside, and dropped.
    shown = np.where(inside, levels + 1, 0).astype(np.uint8)
    matrix = sum(
        graycomatrix(shown[..., k].T, [1], ANGLES, levels=LEVELS + 1, symmetric=True)[1:, 1:].astype(float)
        for k in range(shown.shape[2])
    )
    if (matrix.sum(axis=(0, 1)) == 0).any():
        return None
    return [graycoprops(matrix / matrix.sum(axis=(0, 1)), of).mean() for of in ("contrast", "dissimilarity")]


def texture(images, mask, brain, sizes):
    labels, count = ndimage.label(mask, np.ones((3, 3, 3)))
    reach = [int(MARGIN // size) for size in sizes]
    levels = [np.floor(np.clip(image, 0, 1) * (LEVELS - 1) + 0.5) for image in images]
    result = {}
    found = {(where, name): [] for where in ("", "margin_") for name in ("reference", "synthetic")}
    for lesion, place in enumerate(ndimage.find_objects(labels), 1):
        part = tuple(slice(max(s.start - r, 0), min(s.stop + r, n)) for s, r, n in zip(place, reach, mask.shape))
        inside = labels[part] == lesion
        near = ndimage.distance_transform_edt(~inside, sampling=sizes) <= MARGIN
        around = near & brain[part] & ~mask[part]
        for name, image in zip(("reference", "synthetic"), levels):
            for where, region in (("", inside), ("margin_", around)):
                found[where, name].append(glcm(image[part], region))
    for (where, name), values in found.items():
        mean = np.mean([value for value in values if value is not None], axis=0)
        result |= {f"glcm_{of}_{where}{name}": value for of, value in zip(("contrast", "dissimilarity"), mean)}
    return result


def peers(paths, cropped):
    (real, sizes), (synthetic, _) = read(paths["reference"]), read(paths["synthetic"])
    brain, first, second = (read(paths[name])[0] != 0 for name in ("mask", "lesions-reference", "lesions-synthetic"))
    sizes = tuple(float(size) for size in sizes)
    result = fidelity(real, synthetic, brain)
    result |= lesions(first, second, sizes, cropped)
    return result | texture((real, synthetic), first, brain, sizes)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--command", default="target/release/mrisynth")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--cropped", action="store_true")
    arguments = parser.parse_args()
    # Loaded before anything is timed.
    import medpy.metric.binary  # noqa: F401
    import skimage.feature  # noqa: F401
    import skimage.metrics  # noqa: F401

    times = {"mrisynth evaluate": [], "scikit-image + MedPy + SciPy": []}
    with tempfile.TemporaryDirectory() as folder:
        paths = write_phantom(Path(folder))
        output = Path(folder) / "result.json"
        options = [part for name, path in paths.items() for part in (f"--{name}", path)]
        ours = ["evaluate", *options, "--threads", arguments.threads, "--json", output, "--force", "-q"]
        for _ in range(arguments.rounds):
            times["mrisynth evaluate"].append(seconds(lambda: run(arguments.command, *ours))[0])
            taken, expected = seconds(lambda: peers(paths, arguments.cropped))
            times["scikit-image + MedPy + SciPy"].append(taken)
        found = json.loads(output.read_text())
    print(f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.2f}, {arguments.threads} threads of mrisynth")
    medians = {name: statistics.median(values) for name, values in times.items()}
    for name, median in medians.items():
        print(f"{name:30} {median:7.2f} s   of {', '.join(f'{value:.2f}' for value in times[name])}")
    ours, theirs = medians.values()
    print(f"mrisynth takes {ours / theirs:.4f} of the peers' time\n")
    print(f"{'measure':38}{'mrisynth':>20}{'peers':>20}{'difference':>14}")
    differences = {}
    for key in MEASURES:
        differences[key] = abs(found[key] - expected[key]) / max(abs(expected[key]), 1e-300)
        print(f"{key:38}{found[key]:20.12g}{expected[key]:20.12g}{differences[key]:14.1e}")
    wrong = [key for key, difference in differences.items() if not difference <= 1e-6]
    print(f"\n{len(MEASURES) - len(wrong)} of {len(MEASURES)} measures agree within 1e-6")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
