#!/usr/bin/env python3
"""Prepare the raw open_ms training scans as T1w/T2w pairs. Interim: goes once the library prepares raw scans itself.

For each study TRAIN/long_<patient>_<session>:
  1. N4 bias correction of T1W and T2W, in an Otsu head mask and then inside the brain; the field is evaluated where
     each voxel lies (ITK stretches the field of a shrunk image over the full one).
  2. Brain mask: the T1W mask of the references (--reference) where there is one, else brainmask_common, which cuts
     frontal cortex in some patients. Carried to the output grid by the transforms; only what both scans cover is kept.
  3. T1W and T2W on one 1 mm RAS grid, one cubic B-spline interpolation each: the study's own transforms
     (x_T1 = T_T1(T_common(x)), T2 alike) behind a rigid transform of the template to the common space. That one is
     the rotation and shift of a similarity registration (Mattes mutual information): the brain is placed, not scaled.

TRAIN/cs_* is already prepared: negative values become 0, outside the brain and inside; the grid stays. The template
becomes one more pair (patient mni152) in which both images share their support.

Writes OUT/<id>_T1w.nii.gz, OUT/<id>_T2w.nii.gz (float32, background exactly 0, one grid a pair) and OUT/pairs.csv
(id,patient,t1w,t2w; paths relative to OUT). Split by patient, never by study. Folders named test are refused.

open_ms: Lesjak et al. 2016 and 2017, CC BY: credit them wherever results are shown. MNI152: McGill's permissive notice,
as HCPpipelines carries it.
"""
import argparse
import csv
import re
import sys
from pathlib import Path

import numpy as np
import SimpleITK as sitk


def read(path, pixel=sitk.sitkFloat32):
    if not path.is_file():
        sys.exit(f"error: {path} is missing")
    return sitk.ReadImage(str(path), pixel)


def read_transform(path):
    if not path.is_file():
        sys.exit(f"error: {path} is missing")
    return sitk.ReadTransform(str(path))


def compose(*transforms):
    """transforms[0] is applied last: compose(a, b)(x) = a(b(x))."""
    return sitk.CompositeTransform(list(transforms))


def resample(image, grid, transform=sitk.Transform(3, sitk.sitkIdentity), interpolator=sitk.sitkLinear, extend=False):
    return sitk.Resample(image, grid, transform, interpolator, 0.0, sitk.sitkFloat32, extend)


def n4(image, mask):
    """Divide out the bias field fitted inside the mask on a grid of about 4 mm."""
    shrink = [max(1, round(4.0 / s)) for s in image.GetSpacing()]
    small = sitk.Shrink(sitk.Cast(image, sitk.sitkFloat32), shrink)
    small_mask = sitk.Cast(sitk.Shrink(mask, shrink), sitk.sitkUInt8) * sitk.Cast(small > 0, sitk.sitkUInt8)
    filt = sitk.N4BiasFieldCorrectionImageFilter()
    filt.SetMaximumNumberOfIterations([50] * 4)
    filt.SetConvergenceThreshold(1e-3)
    filt.Execute(small, small_mask)
    field = resample(filt.GetLogBiasFieldAsImage(small), image, extend=True)
    return sitk.Divide(image, sitk.Exp(field))


def output_grid(template):
    """The template's grid with its axes in RAS order."""
    return sitk.DICOMOrient(template, "RAS")


def place(template, brain, brain_mask):
    """Rigid transform from template space to the space of the brain: a similarity registration without its scale."""
    filled = sitk.BinaryFillhole(sitk.BinaryMorphologicalClosing(template > 0, [6] * 3))
    moments = sitk.LabelShapeStatisticsImageFilter()
    moments.Execute(sitk.Cast(filled, sitk.sitkUInt8))
    centre = moments.GetCentroid(1)
    moments.Execute(sitk.Cast(brain_mask > 0.5, sitk.sitkUInt8))
    start = sitk.Similarity3DTransform()
    start.SetCenter(centre)
    start.SetTranslation(np.subtract(moments.GetCentroid(1), centre))
    reg = sitk.ImageRegistrationMethod()
    reg.SetMetricAsMattesMutualInformation(32)
    reg.SetMetricFixedMask(sitk.Cast(sitk.BinaryDilate(filled, [4] * 3), sitk.sitkUInt8))
    reg.SetMetricSamplingStrategy(reg.REGULAR)
    reg.SetMetricSamplingPercentage(0.2)
    reg.SetInterpolator(sitk.sitkLinear)
    reg.SetOptimizerAsRegularStepGradientDescent(1.0, 1e-4, 200, 0.5, 1e-6)
    reg.SetOptimizerScalesFromPhysicalShift()
    reg.SetShrinkFactorsPerLevel([6, 4, 2])
    reg.SetSmoothingSigmasPerLevel([3, 2, 1])
    reg.SetInitialTransform(start, inPlace=True)
    reg.Execute(template, brain)
    rigid = sitk.VersorRigid3DTransform()
    rigid.SetCenter(centre)
    rigid.SetMatrix(np.array(start.GetMatrix()) / start.GetScale())
    rigid.SetTranslation(start.GetTranslation())
    angle = np.degrees(np.arccos((np.trace(np.reshape(rigid.GetMatrix(), (3, 3))) - 1) / 2))
    print(f"  common space is {angle:.1f} degrees off the template; scale {1 / start.GetScale():.3f} left out")
    return rigid


def brain_mask_of(study, reference, patient, session, t1, common_to_t1):
    """The brain mask on the T1W grid, 0 to 1."""
    if reference:
        number = session.lstrip("s")
        for name in [f"{patient}s{number}_T1W"] + [f"{patient}_T1W"] * (number == "1"):
            path = reference / name / "mask_robex.nii.gz"
            if path.is_file():
                print(f"  brain mask: {name}/mask_robex")
                return read(path)
    print("  brain mask: brainmask_common")
    return resample(read(study / "brainmask_common.nii.gz"), t1, common_to_t1.GetInverse())


def prepare_study(study, reference, template):
    patient, session = re.fullmatch(r"long_([^_]+)_([^_]+)", study.name).groups()
    to_common = read_transform(study / "FLAIR_to_common.txt")
    paths = {c: compose(read_transform(study / f"{c}_to_FLAIR.txt"), to_common) for c in ("T1W", "T2W")}
    scans = {c: read(study / f"{c}.nii.gz") for c in paths}
    mask = brain_mask_of(study, reference, patient, session, scans["T1W"], paths["T1W"])
    for c, scan in scans.items():
        scan = n4(scan, sitk.OtsuThreshold(scan, 0, 1, 200))
        inside = resample(mask, scan, compose(paths["T1W"], paths[c].GetInverse())) > 0.5
        scans[c] = n4(scan, inside)

    common = sitk.Image([250] * 3, sitk.sitkFloat32)  # a 1 mm box about the brain, for the registration alone
    middle = sitk.LabelShapeStatisticsImageFilter()
    middle.Execute(sitk.Cast(mask > 0.5, sitk.sitkUInt8))
    common.SetOrigin(np.subtract(paths["T1W"].GetInverse().TransformPoint(middle.GetCentroid(1)), 125.0))
    common_mask = resample(mask, common, paths["T1W"])
    rigid = place(template, resample(scans["T1W"], common, paths["T1W"]) * common_mask, common_mask)

    grid = output_grid(template)
    final = {c: compose(paths[c].GetNthTransform(0), to_common, rigid) for c in paths}
    # The mask has thick slices: smooth its steps before it is cut at one half.
    keep = sitk.SmoothingRecursiveGaussian(resample(mask, grid, final["T1W"]), 1.0) > 0.5
    for c in paths:
        keep = keep * (resample(scans[c] * 0 + 1, grid, final[c]) > 0.5)
    keep = sitk.Cast(keep, sitk.sitkFloat32)
    print(f"  brain {sitk.GetArrayViewFromImage(keep).sum() / 1000:.0f} ml")
    out = [sitk.Clamp(resample(scans[c], grid, final[c], sitk.sitkBSpline), sitk.sitkFloat32, 0.0) for c in paths]
    return patient, [image * keep for image in out]


def prepare_ready(study):
    patient = re.fullmatch(r"cs_([^_]+)", study.name).group(1)
    return patient, [sitk.Clamp(read(study / f"{c}.nii.gz"), sitk.sitkFloat32, 0.0) for c in ("T1", "T2")]


def template_pair(t1, t2):
    """Both images inside their common support, ventricles included where both have them."""
    keep = sitk.Cast((t1 > 0) * (t2 > 0), sitk.sitkFloat32)
    return [t1 * keep, t2 * keep]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("train", type=Path, help="the train folder of open_ms")
    parser.add_argument("out", type=Path, help="folder for the pairs, made if need be")
    parser.add_argument("--template", type=Path, required=True, help="MNI152_T1_1mm_brain.nii.gz, its T2 beside it")
    parser.add_argument("--reference", type=Path, help="folder with <patient>[sK]_T1W/mask_robex.nii.gz")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    if "test" in args.train.resolve().parts:
        sys.exit("error: scans under test never train anything")
    studies = sorted(p for p in args.train.glob("*") if re.fullmatch(r"long_[^_]+_[^_]+|cs_[^_]+", p.name))
    if not studies:
        sys.exit(f"error: no long_* or cs_* study in {args.train}")
    if args.reference and not args.reference.is_dir():
        sys.exit(f"error: {args.reference} is no folder")
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(args.threads)
    template = read(args.template)
    template_t2 = read(args.template.with_name(args.template.name.replace("T1", "T2")))
    args.out.mkdir(parents=True, exist_ok=True)

    rows = []

    def write(name, patient, images):
        files = [f"{name}_T1w.nii.gz", f"{name}_T2w.nii.gz"]
        for image, file in zip(images, files):
            sitk.WriteImage(sitk.Cast(image, sitk.sitkFloat32), str(args.out / file))
        rows.append([name, patient, *files])

    for study in studies:
        print(study.name, flush=True)
        if study.name.startswith("cs_"):
            write(study.name, *prepare_ready(study))
        else:
            write(study.name.removeprefix("long_"), *prepare_study(study, args.reference, template))
    write("mni152", "mni152", template_pair(template, template_t2))
    with open(args.out / "pairs.csv", "w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([["id", "patient", "t1w", "t2w"], *rows])


if __name__ == "__main__":
    main()
