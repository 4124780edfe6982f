"""Writes the bill of materials of the library and the command, docs/soup/sbom.cdx.json, in CycloneDX 1.5: every crate that is compiled in on
Linux (x86-64), by what cargo says of Cargo.lock, and the models. The same Cargo.lock gives the same bytes: there is no time in it.

  make-sbom.py                writes the file
  make-sbom.py --check FILE   fails unless FILE is what would be written
"""

import json
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
PLACE = ROOT / "docs/soup/sbom.cdx.json"
PLATFORM = "x86_64-unknown-linux-gnu"
# The command holds the library, and all that the library has.
PRODUCT = "mrisynth-cli"


def cargo(*arguments):
    return subprocess.run(["cargo", *arguments], cwd=ROOT, check=True, capture_output=True, text=True).stdout


def compiled_in():
    """Names and versions of the crates that are compiled into the command: no tests, benchmarks or build scripts."""
    tree = cargo("tree", "--locked", "--package", PRODUCT, "--edges", "normal", "--target", PLATFORM, "--prefix", "none",
                 "--format", "{p}")
    lines = (re.match(r"(\S+) v(\S+)", line) for line in tree.splitlines())
    return {match.groups() for match in lines if match}


def checksums_in(lock):
    """By name and version. Python has a reader of TOML only since 3.11, and cargo writes one value a line."""
    entries = (dict(re.findall(r'^(\w+) = "(.*)"$', entry, re.MULTILINE)) for entry in lock.split("[[package]]"))
    return {(entry["name"], entry["version"]): entry["checksum"] for entry in entries if "checksum" in entry}


def reference(package):
    return f"pkg:cargo/{package['name']}@{package['version']}"


def component(package, checksums):
    key = (package["name"], package["version"])
    found = {
        "type": "library",
        "bom-ref": reference(package),
        "name": package["name"],
        "version": package["version"],
        "purl": reference(package),
    }
    if package.get("license"):
        # Old packages part alternatives by a slash.
        found["licenses"] = [{"expression": package["license"].replace("/", " OR ")}]
    if key in checksums:
        found["hashes"] = [{"alg": "SHA-256", "content": checksums[key]}]
    if package.get("repository"):
        found["externalReferences"] = [{"type": "vcs", "url": package["repository"]}]
    return found


def models():
    for digest in sorted((ROOT / "models").glob("*.onnx.sha256")):
        name = digest.name.removesuffix(".onnx.sha256")
        yield {
            "type": "machine-learning-model",
            "bom-ref": f"model:{name}",
            "name": name,
            "hashes": [{"alg": "SHA-256", "content": digest.read_text().split()[0]}],
            "description": "inside the library; models/README.md says what it was trained on",
        }


def bill():
    metadata = json.loads(cargo("metadata", "--locked", "--format-version", "1", "--filter-platform", PLATFORM))
    wanted = compiled_in()
    packages = {package["id"]: package for package in metadata["packages"]
                if (package["name"], package["version"]) in wanted}
    checksums = checksums_in((ROOT / "Cargo.lock").read_text())
    product = next(package for package in packages.values() if package["name"] == PRODUCT)
    dependencies = {}
    for node in metadata["resolve"]["nodes"]:
        if node["id"] in packages:
            normal = [dep["pkg"] for dep in node["deps"] if any(kind["kind"] is None for kind in dep["dep_kinds"])]
            dependencies[reference(packages[node["id"]])] = sorted(
                reference(packages[name]) for name in normal if name in packages)
    library = next(package for package in packages.values() if package["name"] == "mrisynth")
    dependencies[reference(library)] += [model["bom-ref"] for model in models()]
    others = [package for package in packages.values() if package is not product]
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": {**component(product, checksums), "type": "application"}},
        "components": sorted((component(package, checksums) for package in others), key=lambda one: one["bom-ref"])
        + list(models()),
        "dependencies": [{"ref": ref, "dependsOn": on} for ref, on in sorted(dependencies.items())],
    }


def main():
    text = json.dumps(bill(), indent=1) + "\n"
    if not sys.argv[1:]:
        PLACE.write_text(text)
    elif len(sys.argv) != 3 or sys.argv[1] != "--check":
        sys.exit(__doc__)
    elif pathlib.Path(sys.argv[2]).read_text() != text:
        sys.exit(f"{sys.argv[2]} is not that of Cargo.lock and the models: run scripts/make-sbom.py")


if __name__ == "__main__":
    main()
