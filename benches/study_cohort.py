#!/usr/bin/env python3
"""A whole study on a simulated cohort: subjects simulated, T1w synthesized by several methods, everything measured and reported.

    benches/study_cohort.py --labels FOLDER... --output FOLDER [--subjects 11] [--seed 77] [--model NAME=MODEL.onnx]...
                            [--command target/release/mrisynth] [--train target/release/mrisynth-train]

Methods are the default model, each --model, and `source, fitted`: the T2w scan itself, which the fit that all methods get turns
into the best image that one factor and one offset can make of it. Lesions and tissues of real and synthetic T1w are found by
`mrisynth segment`, lesions on T2w with either T1w. Simulated subjects are no patients: the study shows how methods are compared,
not how good they are. What is there already is not made again.
"""

import argparse
import csv
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent
BASELINE = "source, fitted"


def run(*words):
    subprocess.run([str(word) for word in words], check=True, stdout=subprocess.DEVNULL)


def segmented(arguments, t1w, t2w, stem):
    """Label map and lesion mask of a T1w image."""
    labels, lesions = stem.with_name(stem.name + "_dseg.nii.gz"), stem.with_name(stem.name + "_lesions.nii.gz")
    if not (labels.exists() and lesions.exists()):
        run(arguments.command, "segment", t1w, "-o", labels, "--t2w", t2w, "--lesions-output", lesions, "--force", "--quiet")
    return labels, lesions


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--labels", type=pathlib.Path, nargs="+", required=True)
    parser.add_argument("--output", type=pathlib.Path, required=True)
    parser.add_argument("--subjects", type=int, default=11)
    parser.add_argument("--seed", type=int, default=77)
    parser.add_argument("--model", action="append", default=[], metavar="NAME=MODEL")
    parser.add_argument("--command", type=pathlib.Path, default=ROOT / "target/release/mrisynth")
    parser.add_argument("--train", type=pathlib.Path, default=ROOT / "target/release/mrisynth-train")
    arguments = parser.parse_args()
    scans, made = arguments.output / "scans", arguments.output / "made"
    made.mkdir(parents=True, exist_ok=True)
    if not scans.exists():
        run(arguments.train, "simulate", "--labels", *arguments.labels, "--subjects", arguments.subjects, "--seed", arguments.seed,
            "--cohort", "clinical-ms", "--patient-prefix", "sim", "--nifti", scans, "--output", arguments.output / "pairs.store")
    methods = {"mrisynth": [], **{name: ["--model", file] for name, file in (of.split("=", 1) for of in arguments.model)}}
    rows = []
    for t1w in sorted(scans.glob("*_T1w.nii.gz")):
        subject = t1w.name.removesuffix("_T1w.nii.gz")
        t2w = scans / f"{subject}_T2w.nii.gz"
        real = segmented(arguments, t1w, t2w, made / f"{subject}_real")
        for number, (method, options) in enumerate(methods.items()):
            synthetic = made / f"{subject}_{number}.nii.gz"
            if not synthetic.exists():
                run(arguments.command, "synthesize", t2w, "-o", synthetic, "--to", "t1w", "--prepared", "--quiet", *options)
            rows.append((subject, method, t1w, synthetic, real, segmented(arguments, synthetic, t2w, made / f"{subject}_{number}")))
        rows.append((subject, BASELINE, t1w, t2w, real, None))
    study = arguments.output / "study.csv"
    with study.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["dataset", "translation", "subject", "method", "reference", "synthetic", "labels_reference",
                         "labels_synthetic", "lesions_reference", "lesions_synthetic"])
        for subject, method, reference, synthetic, (labels, lesions), own in rows:
            own_labels, own_lesions = own or ("", "")
            writer.writerow(["simulated", "T2w to T1w", subject, method, reference.resolve(), synthetic.resolve(),
                             labels.resolve() if own else "", own and own_labels.resolve(), lesions.resolve(),
                             own and own_lesions.resolve()])
    subprocess.run([str(arguments.command), "evaluate", "--study", str(study), "--fit", "--label-table", "three-classes", "--force",
                    "-o", str(arguments.output / "results")], check=True)


if __name__ == "__main__":
    main()
