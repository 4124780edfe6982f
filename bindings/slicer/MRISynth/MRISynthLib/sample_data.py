"""Scans to try the module on, for Slicer's module Sample Data. They are simulated; nobody was scanned."""

import os
import pathlib

# PLACEHOLDER: where the project's repository is published. It has no public address yet; until it has, the samples are to be had
# from a copy of the repository only.
REPOSITORY_URL = "https://example.org/mrisynth"
# The samples in a copy of the repository that this module is run from.
SAMPLES_FOLDER = pathlib.Path(__file__).resolve().parents[4] / "examples" / "data"

# File name, node name, SHA-256.
SAMPLES = (
    (
        "example_T2w.nii.gz",
        "example_T2w",
        "d9872b50108763fae1cfc2b599767223bd0e034892739172819a82d3f64cee9b",
    ),
    (
        "example_T1w.nii.gz",
        "example_T1w",
        "8ec9a28c5d2c892f39108603a8390344b737b46df4f506af736dd8cce6ec7b6f",
    ),
)


def samples_url():
    """Where the samples are: in the copy of the repository that this module is run from, or else in the published one."""
    if SAMPLES_FOLDER.is_dir():
        return SAMPLES_FOLDER.as_uri()
    return f"{REPOSITORY_URL}/raw/main/examples/data"


def register(sample_data_logic, icons_folder):
    """Adds the samples to Sample Data; `sample_data_logic` is its SampleDataLogic."""
    for file_name, node_name, sha256 in SAMPLES:
        sample_data_logic.registerCustomSampleDataSource(
            category="MRI Synthesis",
            sampleName=f"{node_name} (simulated, prepared)",
            uris=f"{samples_url()}/{file_name}",
            fileNames=file_name,
            nodeNames=node_name,
            checksums=f"SHA256:{sha256}",
            thumbnailFileName=os.path.join(icons_folder, "MRISynth.png"),
        )
