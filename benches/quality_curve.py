#!/usr/bin/env python3
"""How good a default model gets with more patients, more simulated pairs, a larger network, more slices: short runs, compared.

    benches/quality_curve.py --data FOLDER --test STORE --output FOLDER [--recipe training/recipes/t1w-from-t2w.toml]
                             [--steps 1000] [--backend flex] [--threads 1] [--only NAME]... [--table] [--scan SCAN]
                             [--command target/release/mrisynth-train] [--synthesize target/release/mrisynth]

FOLDER holds the stores that the recipe names (its `data/`). Each run is the recipe with `--steps` steps and with the changes that
its name stands for, so that the runs can be compared with each other; the shipped models learned for far longer. Every network is
exported and scored by `mrisynth-train validate` on STORE, whose patients none has seen: PSNR and SSIM inside the brain, after the
one scale and offset that fit best.

Runs that are complete in the output folder are not run again; `--table` only prints what is there. With `--scan`, a prepared scan of
the source contrast, each network synthesizes it five times, networks in turns, and the median of the seconds is printed too.
"""

import argparse
import copy
import json
import pathlib
import statistics
import subprocess
import tempfile
import tomllib

ROOT = pathlib.Path(__file__).resolve().parent.parent
REAL = "data/real.store"
SIMULATED = ["data/simulated.store", "data/clinical-ms.store", "data/streamlined-1mm.store"]
# What is compared, the name of the run, and what it changes in the recipe.
RUNS = [
    ("the recipe", "recipe", {}),
    ("real patients: p07 (none of p04's scanner)", "real-1", {"patient_weights": {"p01": 0.0, "p12": 0.0, "mni152": 0.0}}),
    ("real patients: p07, p01", "real-2", {"patient_weights": {"p12": 0.0, "mni152": 0.0}}),
    ("real patients: p07, p01, p12", "real-3", {"patient_weights": {"mni152": 0.0}}),
    ("real patients: p01, p12 (none of p26's scanner)", "real-other", {"patient_weights": {"p07": 0.0, "mni152": 0.0}}),
    ("real patients: none", "real-0", {"real_fraction": 0.0, "patient_weights": None}),
    ("simulated pairs: none", "simulated-0", {"real_fraction": 1.0, "stores": [REAL]}),
    ("simulated pairs: 44 of one kind", "simulated-44", {"stores": [REAL, SIMULATED[0]]}),
    ("widths 16, 32, 64, 128", "width-16", {"network": {"widths": [16, 32, 64, 128]}}),
    ("widths 24, 48, 96, 192", "width-24", {"network": {"widths": [24, 48, 96, 192]}}),
    ("widths 48, 96, 192, 256", "width-48", {"network": {"widths": [48, 96, 192, 256]}}),
    ("slices in: 1", "slices-1", {"network": {"slices_in": 1}}),
    ("slices in: 5", "slices-5", {"network": {"slices_in": 5}}),
    ("every image varied", "varied-1", {"varied_fraction": 1.0}),
    ("no image varied", "varied-0", {"varied_fraction": 0.0}),
    ("every fourth image with transplants", "transplanted-25", {"transplanted_fraction": 0.25}),
]


def changed(recipe, changes, steps):
    """The recipe with changes, the tables among them merged; None takes a key away."""
    recipe = copy.deepcopy(recipe)
    for key, value in changes.items():
        if value is None:
            recipe.pop(key, None)
        elif isinstance(value, dict):
            recipe[key] = {**recipe.get(key, {}), **value}
        else:
            recipe[key] = value
    return {**recipe, "steps": steps}


def as_toml(recipe):
    """Plain values first, then tables; JSON's values are TOML's here."""
    plain = {key: value for key, value in recipe.items() if not isinstance(value, dict) or key == "split"}

    def value_of(value):
        if isinstance(value, dict):
            return "{ " + ", ".join(f"{key} = {json.dumps(part)}" for key, part in value.items()) + " }"
        return json.dumps(value)

    lines = [f"{key} = {value_of(value)}" for key, value in plain.items()]
    for key, table in recipe.items():
        if key not in plain:
            lines += [f"[{key}]", *(f"{name} = {json.dumps(value)}" for name, value in table.items())]
    return "\n".join(lines) + "\n"


def train(arguments, name, recipe):
    """Trains, exports and scores one network, unless it was done before."""
    folder = arguments.output / name
    found = folder / "scores.json"
    if found.exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    written = folder / "recipe.toml"
    written.write_text(as_toml(recipe))
    command, run, model = arguments.command, folder / "run", folder / "model.onnx"
    resume = ["--resume"] if (run / "recipe.toml").exists() else []
    subprocess.run(
        [command, "train", "--recipe", written.resolve(), "--output", run.resolve(), "--backend", arguments.backend]
        + ["--threads", str(arguments.threads), *resume],
        cwd=arguments.data.resolve().parent,
        check=True,
        stdout=subprocess.DEVNULL,
    )
    model.unlink(missing_ok=True)
    subprocess.run([command, "export", "--run", run, "--output", model, "--checkpoint", "newest"], check=True)
    scores = subprocess.run(
        [command, "validate", "--model", model, "--store", arguments.test, "--json"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    found.write_text(scores)


def seconds(arguments, target):
    """For each scored network the median of the seconds that a synthesis of the scan takes, on `--threads` threads."""
    names = [name for _, name, _ in RUNS if (arguments.output / name / "scores.json").exists()]
    taken = {name: [] for name in names}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(5):
            for name in names:
                command = [arguments.synthesize, "synthesize", arguments.scan, "-o", pathlib.Path(folder, "o.nii")]
                command += ["--to", target, "--prepared", "--force", "--json", "--quiet"]
                command += ["--threads", str(arguments.threads), "--model", arguments.output / name / "model.onnx"]
                result = subprocess.run(command, check=True, capture_output=True, text=True)
                taken[name].append(json.loads(result.stdout)["seconds"])
    return {name: statistics.median(values) for name, values in taken.items()}


def table(arguments, target):
    """Prints what has been scored, as Markdown."""
    times = seconds(arguments, target) if arguments.scan else {}
    header = None
    for label, name, _ in RUNS:
        found = arguments.output / name / "scores.json"
        if not found.exists():
            continue
        studies = json.loads(found.read_text())
        if header is None:
            header = [study["id"] for study in studies]
            columns = ["Run", "MB", *(["seconds"] if times else []), *header]
            print("| " + " | ".join(columns) + " |")
            print("|---" * len(columns) + "|")
        size = (arguments.output / name / "model.onnx").stat().st_size / 1e6
        cells = [label, f"{size:.1f}", *([f"{times[name]:.1f}"] if times else [])]
        cells += [f"{s['fitted']['brain']['psnr']:.2f} / {s['fitted']['brain']['ssim']:.3f}" for s in studies]
        print("| " + " | ".join(cells) + " |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--test", type=pathlib.Path, required=True)
    parser.add_argument("--output", type=pathlib.Path, required=True)
    parser.add_argument("--recipe", type=pathlib.Path, default=ROOT / "training/recipes/t1w-from-t2w.toml")
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--backend", default="flex")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", action="append", choices=[name for _, name, _ in RUNS])
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--command", type=pathlib.Path, default=ROOT / "target/release/mrisynth-train")
    parser.add_argument("--scan", type=pathlib.Path)
    parser.add_argument("--synthesize", type=pathlib.Path, default=ROOT / "target/release/mrisynth")
    arguments = parser.parse_args()
    arguments.command = arguments.command.resolve()
    recipe = tomllib.loads(arguments.recipe.read_text())
    if not arguments.table:
        for _, name, changes in RUNS:
            if arguments.only is None or name in arguments.only:
                train(arguments, name, changed(recipe, changes, arguments.steps))
    table(arguments, recipe["target"])


if __name__ == "__main__":
    main()
