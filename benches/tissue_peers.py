#!/usr/bin/env python3
"""The built-in tissue segmentation beside dipy's (Zhang, Brady and Smith 2001, without spatial priors) on one prepared T1w scan.

    cargo run --release -p mrisynth-evaluation --example reference_segmentation -- OPEN_MS MASKS
    python3 benches/tissue_peers.py OPEN_MS/test/cs_p26/T1.nii.gz MASKS/cs_p26-tissues-t1w.nii.gz

Prints, for each class, both volumes in ml and Dice's coefficient of the two. Needs dipy (1.12) and nibabel.
"""

import sys
import time

import nibabel
import numpy as np
from dipy.segment.tissue import TissueClassifierHMRF

CLASSES = {1: "cerebrospinal fluid", 2: "grey matter", 3: "white matter"}


def main(scan, labels):
    voxels = np.asarray(nibabel.load(scan).dataobj, float)
    ours = np.asarray(nibabel.load(labels).dataobj)
    millilitres = np.prod(nibabel.load(scan).header.get_zooms()) / 1000
    start = time.time()
    # dipy takes what is not positive for background, so that its class of the lowest intensity is fluid.
    _, theirs, _ = TissueClassifierHMRF(verbose=False).classify(np.maximum(voxels, 0), 3, 0.1)
    theirs = np.where(ours > 0, theirs, 0)
    print(f"dipy took {time.time() - start:.0f} s")
    for label, name in CLASSES.items():
        a, b = ours == label, theirs == label
        dice = 2 * np.sum(a & b) / (np.sum(a) + np.sum(b))
        print(f"{name:20} ours {a.sum() * millilitres:6.1f} ml, dipy's {b.sum() * millilitres:6.1f} ml, Dice {dice:.3f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
