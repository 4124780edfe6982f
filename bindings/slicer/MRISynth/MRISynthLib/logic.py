"""Synthesis from one volume node into another, without a widget: checked and finished on the main thread, worked on in another."""

import dataclasses
import hashlib
import json
import re
import threading

from . import volumes
from .job import LENT, Job
from .library import PREPARED, RAW, Error, Library, Status

# Says on every output what it must not be taken for; the library's own words.
NOTICE = (
    "Synthetic image: an estimate made by a neural network, not acquired by a scanner. It may lack or invent findings. "
    "Research software, not a medical device; not for diagnosis."
)
# Attributes of an output node.
SYNTHETIC_ATTRIBUTE = "MRISynth.SYNTHETIC"
PROVENANCE_ATTRIBUTE = "MRISynth.Provenance"

# The ways that there are models for: from a contrast, to a contrast.
DIRECTIONS = (("T2w", "T1w"), ("T1w", "T2w"))


def guess_direction(name):
    """The direction for a scan of this name, None if it does not say its contrast."""
    words = {word.lower() for word in re.split(r"[^A-Za-z0-9]+", name)}
    is_t1w = bool(words & {"t1", "t1w", "mprage", "spgr"})
    is_t2w = bool(words & {"t2", "t2w"})
    if is_t1w == is_t2w:
        return None
    return ("T1w", "T2w") if is_t1w else ("T2w", "T1w")


@dataclasses.dataclass(frozen=True)
class Parameters:
    """What is to be done."""

    input_node: object
    # None: a new node.
    output_node: object = None
    source: str = "T2w"
    target: str = "T1w"
    input_state: str = RAW
    threads: int = 0
    accept_implausible: bool = False
    # None: the model inside the library.
    model_path: str = None


class Logic:
    """Synthesizes. Holds the library and the models that were used, which any number of runs share."""

    def __init__(self, library=None):
        """`library` is a Library; without one, it is found and loaded when it is first needed."""
        self._library = library
        self._models = {}
        self._lock = threading.Lock()

    @property
    def library(self):
        """The library; raises LibraryNotFound."""
        if self._library is None:
            self._library = Library()
        return self._library

    def start(self, parameters):
        """Starts the work, and returns a Run to be polled; raises Unusable or LibraryNotFound for what cannot be worked on."""
        return Run(self, parameters)

    def synthesize(self, parameters, tell=None):
        """Does all of the work before it returns the output node. `tell(run)`, if there is one, is called all the time meanwhile,
        and may cancel the run."""
        run = self.start(parameters)
        while not run.poll():
            if tell is not None:
                tell(run)
        return run.finish()

    def model(self, parameters):
        """The model for the parameters; on any thread."""
        key = parameters.model_path or (parameters.source, parameters.target)
        with self._lock:
            if key not in self._models:
                self._models[key] = self._load(parameters)
            return self._models[key]

    def _load(self, parameters):
        if not parameters.model_path:
            return self.library.embedded_model(parameters.source, parameters.target)
        model = self.library.load_model(parameters.model_path)
        found = (model.info("source"), model.info("target"))
        if found != (parameters.source, parameters.target):
            raise Error(
                Status.INVALID_ARGUMENT,
                f"{parameters.model_path} leads from {found[0]} to {found[1]}, and {parameters.source} to {parameters.target} "
                "was asked for",
            )
        return model


class Run:
    """One synthesis under way. All of it is for the main thread but the work itself."""

    def __init__(self, logic, parameters):
        node, output = parameters.input_node, parameters.output_node
        if (parameters.source, parameters.target) not in DIRECTIONS:
            raise volumes.Unusable(f"from {parameters.source} to {parameters.target}: nothing to synthesize")
        if parameters.input_state not in (RAW, PREPARED):
            raise volumes.Unusable(f"a scan is {RAW} or {PREPARED}, not {parameters.input_state}")
        voxels = volumes.voxels_of(node)
        matrix = volumes.index_to_lps(node)
        if output is not None and output is node:
            raise volumes.Unusable("the output is the input: the scan would be lost")
        if output is not None and output.GetClassName() != "vtkMRMLScalarVolumeNode":
            raise volumes.Unusable(f"{output.GetName()} is no scalar volume but a {output.GetClassName()}")
        self._scene = node.GetScene()
        self._parameters = parameters
        self._placement = volumes.Placement(node)
        self._input_name = node.GetName()
        self._input_is_synthetic = node.GetAttribute(SYNTHETIC_ATTRIBUTE) is not None
        # Loads the library here, where a failure is told at once.
        self._library = logic.library
        self._job = Job(lambda progress, log: self._work(logic, voxels, matrix, progress, log))

    @property
    def fraction(self):
        """How much is done, 0 to 1; it never falls."""
        return self._job.fraction

    def poll(self, seconds=LENT):
        """Lets the work have the interpreter for so long, and says whether it has ended. Call it at least every 50 ms."""
        return self._job.poll(seconds)

    def lines(self):
        """The lines of the log since the last call, as (level, message)."""
        return self._job.lines()

    def cancel(self):
        """Asks the work to stop; it does within a quarter of a second."""
        self._job.cancel()

    @property
    def is_cancelled(self):
        """Whether the work was asked to stop."""
        return self._job.is_cancelled

    def finish(self):
        """The output node, once the work has ended. Raises Error, with Status.CANCELLED if it was cancelled; then no node was
        changed, and none was made."""
        synthetic, description, provenance = self._job.result()
        if self._job.is_cancelled:
            # Asked too late for the library to hear: whoever asked expects no result.
            raise Error(Status.CANCELLED, "cancelled")
        node = self._parameters.output_node
        if node is None:
            node = self._scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
        elif node.GetScene() is None:
            raise volumes.Unusable(f"{node.GetName()}, where the result was to go, has left the scene")
        volumes.fill(node, synthetic)
        self._placement.put(node)
        node.SetName(f"{self._input_name} SYNTHETIC {self._parameters.target}")
        node.SetDescription(NOTICE)
        node.SetAttribute(SYNTHETIC_ATTRIBUTE, description)
        node.SetAttribute(PROVENANCE_ATTRIBUTE, json.dumps(provenance))
        show(node)
        return node

    def _work(self, logic, voxels, matrix, progress, log):
        """On the worker's thread: touches no node."""
        parameters = self._parameters
        if self._input_is_synthetic:
            log("warning", f"{self._input_name} is itself synthetic")
        model = logic.model(parameters)
        synthetic = model.synthesize(
            voxels,
            matrix,
            input_state=parameters.input_state,
            threads=parameters.threads,
            accept_implausible=parameters.accept_implausible,
            progress=progress,
            log=log,
        )
        description = f"SYNTHETIC {parameters.target} by mrisynth {self._library.version}"
        return synthetic, description, self._origin(model, voxels, description)

    def _origin(self, model, voxels, description):
        """Where an image comes from, under the keys of the JSON files that the command writes."""
        parameters = self._parameters
        identity = {key: model.info(key) for key in ("name", "version", "sha256", "license")}
        software = {"Name": "mrisynth", "Version": self._library.version, "CPUTier": self._library.cpu_tier}
        return {
            "Synthetic": True,
            "SyntheticContrast": parameters.target,
            "Description": description,
            "Sources": [self._input_name],
            "InputVoxelsSHA256": hashlib.sha256(voxels.tobytes(order="F")).hexdigest(),
            "GeneratedBy": [software | {"Model": identity}],
            "Parameters": {
                "SourceContrast": parameters.source,
                "InputState": parameters.input_state,
                "AcceptImplausible": parameters.accept_implausible,
            },
            "Notice": NOTICE,
        }


def show(node):
    """Displays a synthetic image from black at 0 to white at 1."""
    node.CreateDefaultDisplayNodes()
    display = node.GetScalarVolumeDisplayNode()
    if display is not None:
        display.AutoWindowLevelOff()
        display.SetWindowLevelMinMax(0.0, 1.0)
