"""What the scripts of this folder share: studies on disk, ITK transforms, masks carried from scan to scan."""

import re
import subprocess
import time
from pathlib import Path

import nibabel
import numpy as np

# RAS millimetres to LPS millimetres, and back.
LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def itk_transform(path):
    """The 4x4 matrix between LPS millimetres of an ITK affine transform in text."""
    text = Path(path).read_text()

    def numbers(key):
        return np.array([float(v) for v in re.search(rf"^{key}: (.*)$", text, re.M).group(1).split()])

    parameters, centre = numbers("Parameters"), numbers("FixedParameters")
    matrix = np.eye(4)
    matrix[:3, :3] = parameters[:9].reshape(3, 3)
    matrix[:3, 3] = parameters[9:] + centre - matrix[:3, :3] @ centre
    return matrix


def t1_from_t2(study):
    """LPS millimetres of a study's T2w scan to those of its T1w scan: x_T1 = T_T1(T_T2^-1(x_T2))."""
    to_t1 = itk_transform(study / "T1W_to_FLAIR.txt")
    to_t2 = itk_transform(study / "T2W_to_FLAIR.txt")
    return to_t1 @ np.linalg.inv(to_t2)


def index_to_lps(image):
    return LPS @ image.affine


def onto(source, values, target, target_to_source, order):
    """`values` on the grid of `source`, interpolated at the voxels of `target`; 0 out of view."""
    from scipy.ndimage import affine_transform

    to_index = np.linalg.inv(index_to_lps(source)) @ target_to_source @ index_to_lps(target)
    return affine_transform(values, to_index[:3, :3], to_index[:3, 3], target.shape[:3], order=order)


def voxels(image):
    return np.asarray(image.dataobj, dtype=np.float64).reshape(image.shape[:3])


def dice(one, other):
    return 2.0 * (one & other).sum() / (one.sum() + other.sum())


def load(path):
    return nibabel.load(path)


def seconds(work):
    """How long `work` takes, and what it returns."""
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def run(*command):
    subprocess.run([str(part) for part in command], check=True, stdout=subprocess.DEVNULL)
