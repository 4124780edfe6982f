#!/usr/bin/env python3
"""The built-in segmentations written once more, in NumPy, and what they give on the phantom of their tests.

    python3 benches/segmentation_twin.py

Prints the numbers that evaluation/src/segmentation/twin.rs holds against the Rust code. Needs numpy and scipy.
"""

import numpy as np
from scipy import ndimage

DIMS, SIZES = (60, 72, 48), (1.5, 1.5, 2.0)
CENTRE = [(length - 1) / 2 * size for length, size in zip(DIMS, SIZES)]
SEMI_AXES = (40.0, 50.0, 44.0)
# Radii of the shells as parts of the semi-axes: fluid, white matter, grey matter, fluid.
VENTRICLE, WHITE, GREY = 0.25, 0.8, 0.95
LESIONS = [((18.0, 10.0, 0.0), 5.0), ((-20.0, -12.0, 8.0), 4.0), ((0.0, 28.0, -4.0), 9.0)]
# Fluid, grey matter, white matter, lesion; then the noise's standard deviation, and its seed.
T1W = ((100.0, 250.0, 330.0, 255.0), 20.0, 1)
T2W = ((600.0, 330.0, 255.0, 420.0), 22.0, 2)
FLAIR = ((40.0, 96.0, 84.0, 118.0), 6.0, 3)
FLUID_CLASS, GREY_CLASS, WHITE_CLASS = 0, 1, 2
CORNERS = np.ones((3, 3, 3))


# The phantom.


def millimetres(shift=(0.0, 0.0, 0.0)):
    i, j, k = np.indices(DIMS, float)
    return [(index + step) * size - middle for index, step, size, middle in zip((i, j, k), shift, SIZES, CENTRE)]


def radius(point):
    return np.sqrt(sum((x / axis) ** 2 for x, axis in zip(point, SEMI_AXES)))


def in_lesion(point):
    inside = [sum((x - c) ** 2 for x, c in zip(point, centre)) < size**2 for centre, size in LESIONS]
    return np.any(inside, axis=0)


def noise(seed):
    """Four uniform numbers added up, with a variance of 1."""
    i, j, k = np.indices(DIMS, float)
    total = np.zeros(DIMS)
    for n in range(4):
        wave = np.sin(12.9898 * i + 78.233 * j + 37.719 * k + 4 * seed + n) * 43758.5453
        total += wave - np.floor(wave) - 0.5
    return total * np.sqrt(3.0)


def brain():
    return radius(millimetres()) < 1.0


def image(appearance, with_lesions=True):
    """Each voxel is the mean of eight points in it."""
    (fluid, grey, white, lesion), deviation, seed = appearance
    total = np.zeros(DIMS)
    for corner in range(8):
        point = millimetres([0.25 if corner >> axis & 1 else -0.25 for axis in range(3)])
        r = radius(point)
        value = np.select([r < VENTRICLE, r < WHITE, r < GREY], [fluid, white, grey], fluid)
        total += np.where(with_lesions & in_lesion(point), lesion, value)
    return np.where(brain(), total / 8 + deviation * noise(seed), 0).astype(np.float32)


def priors():
    """Grey and white matter."""
    step = lambda x: 1 / (1 + np.exp(-x / 0.02))
    r = radius(millimetres())
    white = step(WHITE - r) * step(r - VENTRICLE)
    grey = step(r - WHITE) * step(GREY - r)
    return grey.astype(np.float32), white.astype(np.float32)


# Tissues.


def neighbours(field):
    nearness = 1 / np.array(SIZES)
    nearness /= nearness.mean()
    total = np.zeros_like(field)
    for axis, weight in enumerate(nearness):
        first = tuple(slice(1, None) if a == axis else slice(None) for a in range(3))
        last = tuple(slice(None, -1) if a == axis else slice(None) for a in range(3))
        total[first] += weight * field[last]
        total[last] += weight * field[first]
    return total


def tissues(scan, contrast, smoothness=0.15):
    """Probabilities of fluid, grey and white matter; means and deviations in the same order; rounds."""
    mask = brain()
    x = scan[mask].astype(float)
    grey, white = (map[mask].astype(float) for map in priors())
    both = np.maximum(grey + white, 1)
    prior = np.stack([1 - (grey + white) / both, grey / both, white / both])
    order = [0, 1, 2] if contrast == "T1w" else [2, 1, 0]
    prior = prior[order]
    trust, outermost = (0.5, 2) if contrast == "T1w" else (0.9, 0)
    low, high = np.percentile(x, [0.5, 99.5])
    extent = high - low
    beyond_grey = (x < np.median(x[prior[1] >= 0.8])) == (outermost == 2)
    sure = [(p >= 0.8) & (beyond_grey if n == 2 - outermost else True) for n, p in enumerate(prior)]
    quartiles = [np.percentile(x[voxels], [25, 50, 75]) for voxels in sure]
    mean = np.array([q[1] for q in quartiles])
    deviation = np.array([max((q[2] - q[0]) / 1.349, 0.005 * extent) for q in quartiles])
    proportion = np.ones(3) / 3
    field = np.zeros((3, *DIMS))
    rounds, done = 0, False
    while rounds < 60 and not done:
        if outermost == 2:
            tells, seen = x <= mean[2] + 3 * deviation[2], np.minimum(x, mean[2])
        else:
            tells, seen = x >= mean[0] - 3 * deviation[0], np.maximum(x, mean[0])
        scores = -np.log(deviation)[:, None] - 0.5 * ((seen - mean[:, None]) / deviation[:, None]) ** 2
        scores[:, ~tells] = 0
        if rounds >= 5:
            scores += smoothness * np.stack([neighbours(f)[mask] for f in field])
        odds = np.exp(scores - scores.max(axis=0))
        odds *= np.maximum((1 - trust) * proportion[:, None] + trust * prior, 1e-6)
        posterior = odds / odds.sum(axis=0)
        field[:, mask] = posterior
        counted = posterior * tells
        weight = counted.sum(axis=1)
        new_mean = (counted * x).sum(axis=1) / weight
        new_deviation = np.sqrt((counted * x * x).sum(axis=1) / weight - new_mean**2)
        new_deviation = np.maximum(new_deviation, 0.005 * extent)
        proportion = weight / weight.sum()
        step = max(np.abs(new_mean - mean).max(), np.abs(new_deviation - deviation).max())
        mean, deviation = new_mean, new_deviation
        rounds += 1
        done = rounds > 6 and step <= 1e-3 * extent
    return field[order], mean[order], deviation[order], rounds


# Lesions.


def smoothed(values, sigma):
    for axis, size in enumerate(SIZES):
        voxels = sigma / size
        if voxels > 0.25:
            reach = np.arange(-int(np.ceil(3 * voxels)), int(np.ceil(3 * voxels)) + 1)
            kernel = np.exp(-0.5 * (reach / voxels) ** 2)
            values = ndimage.convolve1d(values, kernel / kernel.sum(), axis=axis, mode="constant")
    return values


def mean_around(values, weights, sigma):
    total = smoothed(weights.astype(float), sigma)
    return np.where(total > 1e-4, smoothed(values * weights, sigma) / np.maximum(total, 1e-4), np.nan)


def lesions(scan, probabilities, bright_fluid, core, edge=2.0, smallest=10.0):
    mask = brain()
    averaged = mean_around(np.where(mask, scan, 0), mask, 0.7)
    white_prior = np.where(mask, priors()[1], 0)
    extent = np.ptp(scan[mask])
    middle, spread = np.zeros(3), np.zeros(3)
    for tissue in range(3):
        values = averaged[mask & (probabilities[tissue] >= 0.9)]
        middle[tissue] = np.median(values)
        spread[tissue] = max(1.4826 * np.median(np.abs(values - middle[tissue])), 0.005 * extent)
    fluid = mean_around(probabilities[FLUID_CLASS], mask, 1.5) if bright_fluid else 0
    possible = mask & (probabilities[FLUID_CLASS] <= 0.5)

    def score(whiteness):
        grey = middle[GREY_CLASS] + spread[GREY_CLASS]
        expected = whiteness * middle[WHITE_CLASS] + (1 - whiteness) * grey
        expected = expected + 2 * fluid * (middle[FLUID_CLASS] - middle[GREY_CLASS])
        deviation = whiteness * spread[WHITE_CLASS] + (1 - whiteness) * 1.5 * spread[GREY_CLASS]
        deviation = deviation + fluid * spread[FLUID_CLASS]
        return np.where(possible, (averaged - expected) / deviation, -9)

    least = np.ceil(smallest / np.prod(SIZES))
    found = (score(np.zeros(DIMS)) > 0.7) & (white_prior >= 0.5)
    for rounds in range(1, 21):
        surroundings = mean_around(np.where(found, 1, probabilities[WHITE_CLASS]), mask, 2.5)
        scores = score(np.where(mask, surroundings, 0) * np.sqrt(white_prior))
        parts, count = ndimage.label(scores > edge, CORNERS)
        numbers = np.arange(1, count + 1)
        keep = (ndimage.maximum(scores, parts, numbers) > core) & (np.bincount(parts.ravel())[1:] >= least)
        before, found = found, np.concatenate([[False], keep])[parts]
        if np.array_equal(before, found):
            break
    return found, rounds


# Filling.


def filled(scan, mask, white):
    away = ndimage.distance_transform_edt(~mask, sampling=SIZES)
    normal = white & (away > 1.5)
    means = mean_around(np.where(normal, scan, 0), normal, 3.0)
    wider = mean_around(np.where(normal, scan, 0), normal, 9.0)
    return np.where(mask, np.where(np.isfinite(means), means, wider), scan)


def main():
    truth = in_lesion(millimetres())
    print("brain", brain().sum(), "lesions", truth.sum())
    for contrast, appearance in (("T1w", T1W), ("T2w", T2W)):
        probabilities, mean, deviation, rounds = tissues(image(appearance), contrast)
        labels = np.where(brain(), probabilities.argmax(axis=0) + 1, 0)
        print(contrast, "rounds", rounds, "means", mean.round(3), "deviations", deviation.round(3))
        print("  voxels", [int((labels == n).sum()) for n in (1, 2, 3)], "sums", probabilities.sum(axis=(1, 2, 3)).round(1))
        if contrast == "T1w":
            of_t1w, white = probabilities, labels == 3
    for name, appearance, bright_fluid, core in (("FLAIR", FLAIR, False, 4.5), ("T2w", T2W, True, 3.0)):
        found, rounds = lesions(image(appearance).astype(float), of_t1w, bright_fluid, core)
        dice = 2 * (found & truth).sum() / (found.sum() + truth.sum())
        print("lesions on", name, "voxels", found.sum(), "rounds", rounds, "dice", round(dice, 4))
    result = filled(image(T1W).astype(float), truth, white)
    print("filled mean", result[truth].mean().round(4), "deviation", result[truth].std().round(4))


if __name__ == "__main__":
    main()
