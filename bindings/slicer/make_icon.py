"""Draws the module's icon, MRISynth/Resources/Icons/MRISynth.png: a slice of a brain, left as T2w shows it and right as T1w does.

    target/slicer-venv/bin/python bindings/slicer/make_icon.py
"""

import pathlib

import numpy
from PIL import Image

SIZE = 128
# Each pixel is the mean of so many by so many points.
POINTS = 4
ICON = pathlib.Path(__file__).parent / "MRISynth" / "Resources" / "Icons" / "MRISynth.png"

# Shades of what lies outside, skull, fluid, grey matter, white matter: T2w, then T1w.
SHADES = numpy.array([[0, 40, 245, 150, 95], [0, 40, 55, 140, 225]])


def tissues(x, y):
    """The tissue at points of -1 to 1 (y down): an index into SHADES."""
    angle, radius = numpy.arctan2(y, x), numpy.hypot(x / 0.78, y / 0.92)
    folds = 0.055 * numpy.cos(15 * angle) + 0.03 * numpy.cos(26 * angle + 1)
    fissure = (abs(x) < 0.02) & ((y < -0.25) | (y > 0.35))
    ventricle = numpy.hypot((abs(x) - 0.13 - 0.05 * abs(y)) / 0.085, (y + 0.02) / 0.33) < 1
    layers = [radius > 1, radius > 0.94, (radius > 0.84 + folds) | fissure | ventricle, radius > 0.68 + folds]
    return numpy.select(layers, [0, 1, 2, 3], 4)


def draw():
    """The icon's pixels, with an alpha channel."""
    steps = (numpy.arange(SIZE * POINTS) + 0.5) / (SIZE * POINTS) * 2 - 1
    x, y = numpy.meshgrid(steps, steps)
    tissue = tissues(x, y)
    shades = SHADES[(x > 0).astype(int), tissue].astype(float)
    between = (abs(x) < 0.014) & (tissue > 0)
    colours = numpy.repeat(shades[:, :, None], 3, axis=2)
    colours[between] = (255, 170, 40)
    covered = (tissue > 0).astype(float)[:, :, None]
    pixels = numpy.concatenate([colours * covered, 255 * covered], axis=2)
    blocks = pixels.reshape(SIZE, POINTS, SIZE, POINTS, 4).mean(axis=(1, 3))
    # Colours without what is not covered.
    blocks[:, :, :3] /= numpy.maximum(blocks[:, :, 3:] / 255, 1e-6)
    return blocks.round().clip(0, 255).astype(numpy.uint8)


if __name__ == "__main__":
    ICON.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(draw()).save(ICON, optimize=True)
