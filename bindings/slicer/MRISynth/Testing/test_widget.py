"""The module file: what Slicer sees of the module, its widget's course of events, and its self-test. With stand-ins for Qt."""

import json
import logging
import pathlib
import types
import unittest
import xml.etree.ElementTree
from unittest import mock

import numpy
import scene
import slicer
import slicer.util
import stand_ins
import support

MODULE = stand_ins.load_module()


class Panel(unittest.TestCase):
    """The widget, worked as a user would."""

    def setUp(self):
        scene.new_scene()
        for name in ("errorDisplay", "setSliceViewerLayers"):
            patched = mock.patch.object(slicer.util, name)
            setattr(self, name, patched.start())
            self.addCleanup(patched.stop)
        # The log of errors goes to Slicer's own.
        logging.disable(logging.CRITICAL)
        self.addCleanup(logging.disable, logging.NOTSET)
        self.widget = MODULE.MRISynthWidget()
        self.widget.setup()
        self.addCleanup(self.widget.cleanup)
        self.ui, self.timer = self.widget.ui, stand_ins.QTimer.last

    def choose(self, name="some T2w"):
        voxels, matrix = support.slab()
        scan = scene.add_volume(voxels, matrix, name)
        self.ui.inputSelector.setCurrentNode(scan)
        self.ui.stateComboBox.setCurrentIndex(1)
        self.ui.acceptImplausibleCheckBox.checked = True
        return scan

    def tick_until_idle(self):
        fractions = []
        while self.timer.is_active:
            self.timer.emit("timeout()")
            fractions.append(self.ui.progressBar.value)
        return fractions

    def test_the_panel_is_complete(self):
        self.assertIn("not a medical device", self.ui.noticeLabel.text)
        self.assertEqual(self.ui.directionComboBox.items, ["T2w → T1w", "T1w → T2w"])
        self.assertEqual(len(self.ui.stateComboBox.items), 2)
        self.assertFalse(self.ui.progressBar.is_visible)
        self.assertFalse(self.ui.applyButton.enabled)
        self.assertLessEqual(self.timer.interval, 50)

    def test_the_direction_follows_the_scans_name(self):
        for name, index in (("a T1w", 1), ("a T2w", 0), ("unknown", 0), ("T1", 1), ("unknown", 1)):
            self.choose(name)
            self.assertEqual(self.ui.directionComboBox.currentIndex, index, name)

    def test_apply_synthesizes_and_turns_into_cancel_meanwhile(self):
        self.choose()
        # So that even a fast machine ticks several times meanwhile.
        self.ui.threadsSpinBox.value = 1
        self.assertEqual((self.ui.applyButton.text, self.ui.applyButton.enabled), ("Apply", True))
        self.ui.applyButton.click()
        self.assertEqual((self.ui.applyButton.text, self.ui.progressBar.is_visible), ("Cancel", True))
        fractions = self.tick_until_idle()
        self.assertEqual(fractions, sorted(fractions))
        self.assertGreater(len(set(fractions)), 3)
        node = self.ui.outputSelector.currentNode()
        self.assertEqual(node.GetName(), "some T2w SYNTHETIC T1w")
        self.assertGreater(scene.voxels_of(node).max(), 0.5)
        self.assertEqual((self.ui.applyButton.text, self.ui.applyButton.enabled), ("Apply", True))
        self.assertFalse(self.ui.progressBar.is_visible)
        self.assertIn("warning: ", self.ui.logText.plainText)
        self.assertIn("SYNTHETIC T1w by mrisynth", self.ui.logText.plainText)
        self.setSliceViewerLayers.assert_called_once_with(foreground=node, foregroundOpacity=1.0)
        self.errorDisplay.assert_not_called()

    def test_cancel_leaves_all_as_it_was(self):
        self.choose()
        self.ui.applyButton.click()
        self.timer.emit("timeout()")
        self.ui.applyButton.click()
        self.assertFalse(self.ui.applyButton.enabled)
        self.tick_until_idle()
        self.assertEqual((self.ui.applyButton.text, self.ui.applyButton.enabled), ("Apply", True))
        self.assertIsNone(self.ui.outputSelector.currentNode())
        self.assertEqual(scene.volume_count(), 1)
        self.assertEqual(self.ui.logText.plainText.splitlines()[-1], "cancelled: nothing was changed")
        self.errorDisplay.assert_not_called()

    def test_faults_are_shown_with_their_reasons(self):
        scan = self.choose()
        self.ui.outputSelector.setCurrentNode(scan)
        self.assertFalse(self.ui.applyButton.enabled)
        self.ui.outputSelector.setCurrentNode(None)
        self.ui.acceptImplausibleCheckBox.checked = False
        self.ui.applyButton.click()
        self.tick_until_idle()
        self.assertIn("error: refused", self.ui.logText.plainText)
        self.assertIn("refused", self.errorDisplay.call_args.args[0])
        # What is wrong before the work, too.
        slicer.util.arrayFromVolume(scan)
        scan.SetAndObserveImageData(None)
        self.ui.applyButton.click()
        self.assertIn("some T2w has no voxels", self.errorDisplay.call_args.args[0])
        self.assertFalse(self.timer.is_active)

    def test_a_library_that_is_missing_is_told(self):
        self.choose()
        with mock.patch("MRISynthLib.library.find_library", side_effect=MODULE.LibraryNotFound("it is not there")):
            self.ui.applyButton.click()
        self.assertEqual(self.errorDisplay.call_args.args[0], "it is not there")

    def test_what_the_panel_says_is_what_is_done(self):
        scan = self.choose("a T1w")
        self.ui.threadsSpinBox.value = 3
        self.ui.modelPathLineEdit.currentPath = "/a.onnx"
        parameters = self.widget.parameters()
        self.assertEqual(
            parameters,
            MODULE.Parameters(scan, None, "T1w", "T2w", MODULE.PREPARED, 3, True, "/a.onnx"),
        )
        self.ui.stateComboBox.setCurrentIndex(0)
        self.ui.modelPathLineEdit.currentPath = ""
        self.assertEqual((self.widget.parameters().input_state, self.widget.parameters().model_path), (MODULE.RAW, None))

    def test_a_scene_that_is_closed_ends_the_run(self):
        self.choose()
        self.ui.applyButton.click()
        slicer.mrmlScene.InvokeEvent(slicer.mrmlScene.StartCloseEvent)
        self.assertFalse(self.timer.is_active)
        self.assertEqual(self.ui.applyButton.text, "Apply")
        self.assertEqual(scene.volume_count(), 1)


class Module(unittest.TestCase):
    """What Slicer and its extension index see."""

    def test_title_category_and_notice(self):
        parent = types.SimpleNamespace()
        slicer.app = mock.Mock()
        self.addCleanup(lambda: delattr(slicer, "app"))
        MODULE.MRISynth(parent)
        self.assertEqual((parent.title, parent.categories), ("MRI Synthesis", ["Image Synthesis"]))
        self.assertIn("not a medical device", parent.helpText)
        slicer.app.connect.assert_called_once_with("startupCompleted()", MODULE.register_sample_data)
        with mock.patch.dict("sys.modules", SampleData=mock.Mock()) as modules:
            MODULE.register_sample_data()
            register = modules["SampleData"].SampleDataLogic.registerCustomSampleDataSource
            self.assertEqual(register.call_count, 2)

    def test_the_ui_file_connects_what_is_there(self):
        tree = xml.etree.ElementTree.parse(stand_ins.UI)
        names = [element.get("name") for element in tree.iter("widget")]
        self.assertEqual(len(names), len(set(names)))
        classes = {element.get("class") for element in tree.iter("widget")}
        declared = {element.text for element in tree.findall("customwidgets/customwidget/class")}
        self.assertEqual({name for name in classes if not name.startswith("Q")}, declared)
        for connection in tree.findall("connections/connection"):
            self.assertIn(connection.findtext("sender"), names)
            self.assertIn(connection.findtext("receiver"), names)

    def test_the_index_entry_is_what_the_schema_asks_for(self):
        entry = json.loads((support.ROOT / "bindings" / "slicer" / "MRISynth.json").read_text())
        keys = {"$schema", "build_dependencies", "build_subdirectory", "category", "scm_revision", "scm_url", "tier"}
        self.assertEqual(set(entry), keys)
        self.assertEqual((entry["category"], entry["build_dependencies"], entry["tier"]), ("Image Synthesis", [], 3))
        self.assertIn(pathlib.PurePath(entry["$schema"]).name, "slicer-extension-catalog-entry-schema-v1.0.1.json#")

    def test_the_icon_is_a_square_png(self):
        header = (support.MODULE_FOLDER / "Resources" / "Icons" / "MRISynth.png").read_bytes()[:24]
        self.assertEqual(header[:8], b"\x89PNG\r\n\x1a\n")
        width, height = numpy.frombuffer(header, ">u4", 2, 16)
        self.assertEqual((width, height), (128, 128))


class SelfTest(unittest.TestCase):
    """The self-test that users run in Slicer."""

    def test_it_passes_here_too(self):
        scene.new_scene()
        test = MODULE.MRISynthTest()
        test.runTest()


if __name__ == "__main__":
    unittest.main()
