"""The command-line module as Slicer takes it: its XML through ctk-cli and Slicer's own parser, and its work under Slicer's own logic
of such modules, which writes the volumes, reads the progress and kills the process to cancel it.

Needs slicer-core, ctk-cli and a C++ compiler.
"""

import ctypes
import logging
import os
import pathlib
import subprocess
import tempfile
import time
import unittest

import ctk_cli
import numpy
import scene
import slicer
import support

from MRISynthLib.library import PREPARED
from MRISynthLib.logic import NOTICE, Logic, Parameters

TITLE = "MRI Synthesis (command line)"


class Description(unittest.TestCase):
    """The XML, as ctk-cli reads it."""

    def test_ctk_cli_reads_it_without_a_complaint_it_cannot_help(self):
        with self.assertLogs("ctk_cli.module", logging.WARNING) as logs:
            module = ctk_cli.CLIModule(support.SLICER_CLI)
        # ctk-cli knows no results that are not files, and so tells of each that nobody can set it.
        expected = [f"Parameter {name} cannot be passed" for name in ("result", "warnings")]
        self.assertEqual([record.getMessage()[: len(text)] for record, text in zip(logs.records, expected)], expected)
        self.assertEqual(len(logs.records), 2)
        self.assertEqual((module.title, module.category, module.license), (TITLE, "Image Synthesis", "MIT OR Apache-2.0"))
        self.assertIn(NOTICE, module.description)
        self.assertTrue(module.contributor)
        version = subprocess.run([support.SLICER_CLI, "--version"], check=True, capture_output=True, text=True).stdout
        self.assertEqual(version.split()[-1], module.version)

        arguments, options, outputs = module.classifyParameters()
        self.assertEqual([(a.name, a.typ, a.channel) for a in arguments],
                         [("inputVolume", "image", "input"), ("outputVolume", "image", "output")])
        self.assertEqual([(o.name, o.typ, o.longflag, o.default) for o in options], [
            ("to", "string-enumeration", "--to", "T1w"),
            ("state", "string-enumeration", "--state", "raw"),
            ("threads", "integer", "--threads", 0),
            ("acceptImplausible", "boolean", "--acceptImplausible", False),
            ("model", "file", "--model", None),
        ])
        self.assertEqual([(o.name, o.typ) for o in outputs], [("result", "string"), ("warnings", "string")])
        self.assertEqual({o.name: o.elements for o in options if o.elements},
                         {"to": ["T1w", "T2w"], "state": ["raw", "prepared"]})


def register():
    """Makes Slicer know the module, by its own parser."""
    import slicer_core

    libraries = pathlib.Path(slicer_core.__file__).parent
    for name in ("third_party.libs/libModuleDescriptionParser.so", "libMRMLCLI.so"):
        ctypes.CDLL(str(libraries / name), mode=ctypes.RTLD_GLOBAL)
    xml = subprocess.run([support.SLICER_CLI, "--xml"], check=True, capture_output=True).stdout
    with tempfile.TemporaryDirectory() as folder:
        shim = pathlib.Path(folder) / "register_module.so"
        source = pathlib.Path(__file__).with_name("register_module.cpp")
        flags = ["-std=c++17", "-Wall", "-Wextra", "-Wno-unused-private-field", "-D_GLIBCXX_USE_CXX11_ABI=0", "-shared", "-fPIC"]
        subprocess.run(["c++", *flags, str(source), "-o", str(shim)], check=True)
        status = ctypes.CDLL(str(shim)).register_module(xml, support.SLICER_CLI.encode())
    assert status == 0, f"Slicer's parser refused the XML: {status}"


class UnderSlicersLogic(unittest.TestCase):
    """The module run by vtkSlicerCLIModuleLogic."""

    @classmethod
    def setUpClass(cls):
        register()

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        scene.new_scene()
        slicer.mrmlScene.RegisterNodeClass(slicer.vtkMRMLCommandLineModuleNode())
        self.application = slicer.vtkSlicerApplicationLogic()
        self.application.SetMRMLScene(slicer.mrmlScene)
        self.application.SetTemporaryPath(folder.name)
        self.application.CreateProcessingThread()
        self.addCleanup(self.application.TerminateProcessingThread)
        self.logic = slicer.vtkSlicerCLIModuleLogic()
        self.logic.SetMRMLScene(slicer.mrmlScene)
        self.logic.SetMRMLApplicationLogic(self.application)
        # They are read here: slicer-core cannot read them back into the scene by itself.
        self.logic.DeleteTemporaryFilesOff()

    def apply(self, scan, **parameters):
        """Starts the module as its panel does."""
        self.output = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "SYNTHETIC")
        module = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLCommandLineModuleNode")
        module.SetModuleDescription(TITLE)
        for name, value in {"inputVolume": scan.GetID(), "outputVolume": self.output.GetID(), **parameters}.items():
            module.SetParameterAsString(name, value)
        self.logic.Apply(module, False)
        return module

    def wait(self, module, until=lambda module: False):
        """Until the module has ended, or until something else; the progress meanwhile."""
        told = []
        # What it does after its work, it asks of a main thread that reads the results.
        while module.GetStatus() in (module.Scheduled, module.Running, module.Cancelling) and not until(module):
            self.application.ProcessModified()
            told.append(module.GetProgress())
            time.sleep(0.005)
        return told

    def outputs(self):
        """The files that the module made."""
        return [path for path in self.folder.iterdir() if "Node" not in path.name or self.letters(self.output) in path.name]

    @staticmethod
    def letters(node):
        """A node's ID in a file name of Slicer's, where digits are letters."""
        return node.GetID().translate(str.maketrans("0123456789", "ABCDEFGHIJ"))

    def result(self, module):
        """The node with what the module wrote, read by Slicer's reader; and its simple results, read by its node."""
        (volume,) = [path for path in self.outputs() if path.suffix == ".nrrd"]
        (parameters,) = [path for path in self.outputs() if path.suffix == ".params"]
        self.assertTrue(module.ReadParameterFile(str(parameters)))
        return scene.load(volume, "read")

    def test_the_description_is_what_slicer_understands(self):
        scan = scene.load_example("T2w")
        module = self.apply(scan, state="prepared")
        module.Cancel()
        self.wait(module)
        found = [
            (module.GetParameterTag(group, number), module.GetParameterName(group, number), module.GetParameterDefault(group, number))
            for group in range(module.GetNumberOfParameterGroups())
            for number in range(module.GetNumberOfParametersInGroup(group))
        ]
        self.assertEqual([name for _, name, _ in found],
                         ["inputVolume", "outputVolume", "to", "state", "threads", "acceptImplausible", "model", "result", "warnings"])
        self.assertEqual(module.GetModuleTarget(), support.SLICER_CLI)

    def test_a_scan_comes_back_with_the_commands_bytes(self):
        expected, _, _ = support.made_by_command()
        scan = scene.load_example("T2w")
        # On one thread, so that even a fast machine is asked often meanwhile; the bytes are those of any number.
        module = self.apply(scan, state="prepared", to="T1w", threads="1")
        told = self.wait(module)
        self.assertEqual(module.GetStatusString(), "Completing")
        self.assertEqual(told, sorted(told))
        self.assertGreater(len(set(told)), 10)
        node = self.result(module)
        self.assertEqual(scene.voxels_of(node).tobytes(order="F"), expected.tobytes(order="F"))
        self.assertEqual(scene.geometry_of(node), scene.geometry_of(scan))
        self.assertTrue(module.GetParameterAsString("result").startswith("SYNTHETIC T1w by mrisynth"))
        self.assertEqual(module.GetParameterAsString("warnings"), "")
        self.assertEqual(module.GetErrorText(), "")

    def test_an_oblique_scan_lies_where_it_lay(self):
        voxels, matrix = support.slab()
        oblique = scene.rotation(0, 7) @ scene.rotation(2, -5) @ matrix
        oblique[:3, 3] += [1 / 3, -2 / 7, 0.1]
        scan = scene.add_volume(voxels, oblique, "oblique")
        module = self.apply(scan, state="prepared", acceptImplausible="true", threads="2")
        self.wait(module)
        node = self.result(module)
        # Slicer writes the product of direction and spacing, which rounds the last bit.
        self.assertLess(abs(scene.matrix_of(node) - scene.matrix_of(scan)).max(), 1e-12)
        by_logic = Logic().synthesize(Parameters(scan, input_state=PREPARED, accept_implausible=True))
        self.assertLess(abs(scene.voxels_of(node) - scene.voxels_of(by_logic)).max(), 1e-5)
        self.assertIn("accepted as asked", module.GetParameterAsString("warnings"))

    def test_a_refusal_is_an_error_with_its_reason(self):
        module = self.apply(scene.load_example("T1w"), state="prepared", to="T1w")
        self.wait(module)
        self.assertEqual(module.GetStatusString(), "Completed with errors")
        self.assertIn("refused", module.GetErrorText())
        self.assertEqual([path for path in self.outputs() if path.suffix == ".nrrd"], [])

    def test_a_wish_to_stop_is_heard_in_time_and_leaves_nothing(self):
        module = self.apply(scene.load_example("T2w"), state="prepared", threads="1")
        self.wait(module, until=lambda module: module.GetProgress() > 10)
        start = time.monotonic()
        module.Cancel()
        self.wait(module)
        self.assertLess(time.monotonic() - start, support.LONGEST_CANCEL)
        self.assertEqual(module.GetStatusString(), "Cancelled")
        # Not even a hidden file, nor a process that goes on and makes one.
        time.sleep(0.5)
        self.assertEqual(self.outputs(), [])


if __name__ == "__main__":
    unittest.main()
