#!/usr/bin/env python3
"""The paper's three utility tests on one patient: lesions, texture and tissue volumes with a synthetic T1w in place of the real one.

    cargo build --release --locked --workspace
    python3 benches/utility_tests.py OPEN_MS/test/cs_p26 [--keep FOLDER]

The folder holds prepared scans on one grid: T1.nii.gz, T2.nii.gz, FLAIR.nii.gz and lesions.nii.gz (the expert's mask). T1w is
synthesized from T2w with the default model; `mrisynth segment` finds lesions and tissues with FLAIR and the real T1w, and with
FLAIR and the synthetic T1w; `mrisynth evaluate` compares them. The expert's mask is held against both. Prints Markdown.
Python's standard library is all it needs.
"""

import argparse
import json
import subprocess
import tempfile
from pathlib import Path

LESIONS = [
    ("Dice", "dice"),
    ("HD95 (mm)", "hd95"),
    ("Lesion F1", "lesion_f1"),
    ("Lesion precision", "lesion_precision"),
    ("Lesion sensitivity", "lesion_sensitivity"),
    ("Failed lesions", "failed_lesions"),
]
PAIRS = [
    ("Lesions", "lesion_count_{}", None),
    ("Lesion volume (ml)", "lesion_volume_{}_ml", "lesion_volume_difference_percent"),
    ("GLCM contrast in lesions", "glcm_contrast_{}", None),
    ("GLCM dissimilarity in lesions", "glcm_dissimilarity_{}", None),
    ("GLCM contrast around them", "glcm_contrast_margin_{}", None),
    ("GLCM dissimilarity around them", "glcm_dissimilarity_margin_{}", None),
]
REGIONS = [("Fluid (ml)", "csf"), ("Grey matter (ml)", "grey_matter"), ("White matter (ml)", "white_matter"),
           ("Intracranial (ml)", "intracranial")]


def run(command, *words):
    subprocess.run([command, *map(str, words)], check=True)


def segment(command, scan, flair, folder, name):
    """The files of tissues and lesions."""
    labels, lesions = folder / f"{name}_tissues.nii.gz", folder / f"{name}_lesions.nii.gz"
    run(command, "segment", scan, "-o", labels, "--flair", flair, "--lesions-output", lesions, "--force", "-q")
    return labels, lesions


def evaluate(command, reference, synthetic, output, *words):
    run(command, "evaluate", "--reference", reference, "--synthetic", synthetic, "--normalize", "--fit", *words,
        "--json", output, "--force", "-q")
    return json.loads(output.read_text())


def number(value):
    if value is None:
        return "-"
    return str(value) if isinstance(value, int) else f"{value:.3f}"


def signed(value):
    return "-" if value is None else f"{value:+.1f} %"


def table(head, rows):
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def report(compared, with_expert):
    volumes = compared["volumes"]
    between = [[name, number(compared[key])] for name, key in LESIONS]
    sides = ["reference", "synthetic"]
    both = [[name, *(number(compared[key.format(side)]) for side in sides), signed(compared[change]) if change else ""]
            for name, key, change in PAIRS]
    both += [[name, *(f"{volumes[key][f'{side}_ml']:.1f}" for side in sides),
              signed(volumes[key]["difference_percent"])] for name, key in REGIONS]
    expert = [[name, *(number(result[key]) for result in with_expert)] for name, key in LESIONS]
    tables = [
        table(["Lesions by FLAIR and synthetic T1w against those by FLAIR and real T1w", ""], between),
        table(["", "Real T1w", "Synthetic T1w", "Difference"], both),
        table(["Against the expert's mask", "FLAIR and real T1w", "FLAIR and synthetic T1w"], expert),
    ]
    notes = {f"`{key}`: {reason}" for key, reason in compared["notes"].items() if key.startswith(("glcm", "lesion", "dice", "hd"))}
    return "\n\n".join(tables + sorted(notes))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("patient", type=Path)
    parser.add_argument("--command", default="target/release/mrisynth")
    parser.add_argument("--keep", type=Path, help="a folder for the images, masks, label maps and results")
    arguments = parser.parse_args()
    command, patient = arguments.command, arguments.patient
    t1w, t2w, flair, lesions = (patient / f"{name}.nii.gz" for name in ("T1", "T2", "FLAIR", "lesions"))
    with tempfile.TemporaryDirectory() as folder:
        folder = arguments.keep or Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        synthetic = folder / "synthetic_t1w.nii.gz"
        run(command, "synthesize", t2w, "-o", synthetic, "--to", "t1w", "--prepared", "--force", "-q")
        real = segment(command, t1w, flair, folder, "real")
        made = segment(command, synthetic, flair, folder, "synthetic")
        compared = evaluate(
            command, t1w, synthetic, folder / "compared.json",
            "--lesions-reference", real[1], "--lesions-synthetic", made[1],
            "--labels-reference", real[0], "--labels-synthetic", made[0], "--label-table", "three-classes",
        )
        with_expert = [
            evaluate(command, t1w, synthetic, folder / f"expert_{name}.json",
                     "--lesions-reference", lesions, "--lesions-synthetic", found)
            for name, found in (("real", real[1]), ("synthetic", made[1]))
        ]
    print(report(compared, with_expert))


if __name__ == "__main__":
    main()
