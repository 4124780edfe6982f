"""The scripted module MRI Synthesis of 3D Slicer: what Slicer sees of it, its widget and its self-test. The work is in MRISynthLib."""

import logging
import os

import numpy
import qt
import slicer
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin

from MRISynthLib import sample_data
from MRISynthLib.library import PREPARED, RAW, Error, LibraryNotFound, Status
from MRISynthLib.logic import DIRECTIONS, NOTICE, PROVENANCE_ATTRIBUTE, SYNTHETIC_ATTRIBUTE, Logic, Parameters, guess_direction
from MRISynthLib.volumes import Unusable

# How often a run is asked how far it is, in milliseconds; a wish to stop is heard no later.
POLL_INTERVAL = 20
# How long the module waits, when it is closed, for a run to stop, in seconds.
LONGEST_GOODBYE = 1.0


class MRISynth(ScriptedLoadableModule):
    """What Slicer knows of the module before it is opened."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = _("MRI Synthesis")
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Image Synthesis")]
        self.parent.dependencies = []
        self.parent.contributors = ["The mrisynth developers"]
        self.parent.helpText = _("Synthesizes the missing T1w or T2w brain MRI contrast from the one at hand.") + f"<p>{NOTICE}</p>"
        self.parent.acknowledgementText = _("The models are credited in the repository of mrisynth, in models/README.md.")
        # Sample Data is not there before all modules are.
        slicer.app.connect("startupCompleted()", register_sample_data)


def register_sample_data():
    """Adds the simulated example scans to Sample Data."""
    import SampleData

    icons = os.path.join(os.path.dirname(os.path.abspath(__file__)), "Resources", "Icons")
    sample_data.register(SampleData.SampleDataLogic, icons)


class MRISynthLogic(ScriptedLoadableModuleLogic, Logic):
    """For scripts: slicer.util.getModuleLogic("MRISynth").synthesize(Parameters(node, ...)) returns the output node."""

    def __init__(self):
        ScriptedLoadableModuleLogic.__init__(self)
        Logic.__init__(self)


class MRISynthWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """The module's panel. Apply starts a run and turns into Cancel; a timer asks how far the run is."""

    def __init__(self, parent=None):
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.logic = None
        self.ui = None
        self._run = None
        self._timer = None

    def setup(self):
        """Builds the panel when it is first opened."""
        ScriptedLoadableModuleWidget.setup(self)
        panel = slicer.util.loadUI(self.resourcePath("UI/MRISynth.ui"))
        self.layout.addWidget(panel)
        self.ui = slicer.util.childWidgetVariables(panel)
        panel.setMRMLScene(slicer.mrmlScene)
        self.logic = MRISynthLogic()

        for source, target in DIRECTIONS:
            self.ui.directionComboBox.addItem(f"{source} → {target}")
        self.ui.stateComboBox.addItem(_("raw: as it left the scanner"))
        self.ui.stateComboBox.addItem(_("prepared: brain only, in MNI152"))
        self.ui.noticeLabel.text = NOTICE
        self.ui.progressBar.setRange(0, 1000)
        self.ui.progressBar.hide()

        self._timer = qt.QTimer()
        self._timer.setInterval(POLL_INTERVAL)
        self._timer.connect("timeout()", self.on_timer)
        self.ui.inputSelector.connect("currentNodeChanged(vtkMRMLNode*)", self.on_input_changed)
        self.ui.outputSelector.connect("currentNodeChanged(vtkMRMLNode*)", self.update_apply_button)
        self.ui.applyButton.connect("clicked(bool)", self.on_apply_button)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.StartCloseEvent, self.on_scene_start_close)
        self.on_input_changed(self.ui.inputSelector.currentNode())

    def cleanup(self):
        """Ends a run that is under way, when the module is closed or reloaded."""
        self._stop_run()
        self.removeObservers()

    def on_scene_start_close(self, caller, event):
        """Ends a run whose nodes are about to vanish."""
        self._stop_run()

    def on_input_changed(self, node):
        """Chooses the direction that the scan's name tells of."""
        direction = guess_direction(node.GetName()) if node else None
        if direction:
            self.ui.directionComboBox.setCurrentIndex(DIRECTIONS.index(direction))
        self.update_apply_button()

    def update_apply_button(self, *_ignored):
        """Shows what the button does now, and whether it can."""
        button, node = self.ui.applyButton, self.ui.inputSelector.currentNode()
        if self._run:
            button.text, button.enabled = _("Cancel"), not self._run.is_cancelled
            button.toolTip = _("Stop; nothing is changed")
        else:
            is_ready = node is not None and node is not self.ui.outputSelector.currentNode()
            button.text, button.enabled = _("Apply"), is_ready
            button.toolTip = _("Synthesize") if is_ready else _("Choose a scan, and an output that is not the scan")

    def parameters(self):
        """What the panel asks for."""
        source, target = DIRECTIONS[self.ui.directionComboBox.currentIndex]
        return Parameters(
            input_node=self.ui.inputSelector.currentNode(),
            output_node=self.ui.outputSelector.currentNode(),
            source=source,
            target=target,
            input_state=(RAW, PREPARED)[self.ui.stateComboBox.currentIndex],
            threads=self.ui.threadsSpinBox.value,
            accept_implausible=self.ui.acceptImplausibleCheckBox.checked,
            model_path=self.ui.modelPathLineEdit.currentPath or None,
        )

    def on_apply_button(self, *_ignored):
        """Starts a run, or asks the one that is under way to stop."""
        if self._run:
            self._run.cancel()
            self.update_apply_button()
            return
        self.ui.logText.plainText = ""
        try:
            self._run = self.logic.start(self.parameters())
        except (Error, LibraryNotFound, Unusable) as fault:
            self._tell_failure(fault)
            return
        self.ui.progressBar.setValue(0)
        self.ui.progressBar.show()
        self._timer.start()
        self.update_apply_button()

    def on_timer(self):
        """Shows how far the run is, and takes its result when it has ended."""
        has_ended = self._run.poll()
        self.ui.progressBar.setValue(int(1000 * self._run.fraction))
        for level, message in self._run.lines():
            self._log(f"{level}: {message}")
        if has_ended:
            self._finish()

    def _finish(self):
        run, self._run = self._run, None
        self._timer.stop()
        self.ui.progressBar.hide()
        self.update_apply_button()
        try:
            node = run.finish()
        except Exception as fault:
            if isinstance(fault, Error) and fault.status == Status.CANCELLED:
                self._log(_("cancelled: nothing was changed"))
            else:
                self._tell_failure(fault)
            return
        self.ui.outputSelector.setCurrentNode(node)
        slicer.util.setSliceViewerLayers(foreground=node, foregroundOpacity=1.0)
        self._log(f"{node.GetName()}: {node.GetAttribute(SYNTHETIC_ATTRIBUTE)}")

    def _stop_run(self):
        """Cancels the run that is under way, and waits until it has stopped."""
        if not self._run:
            return
        run, self._run = self._run, None
        self._timer.stop()
        run.cancel()
        run.poll(LONGEST_GOODBYE)
        self.ui.progressBar.hide()
        self.update_apply_button()

    def _log(self, line):
        self.ui.logText.appendPlainText(line)

    def _tell_failure(self, fault):
        logging.error("MRI Synthesis: %s", fault)
        self._log(f"error: {fault}")
        slicer.util.errorDisplay(str(fault), windowTitle=_("MRI Synthesis"))


class MRISynthTest(ScriptedLoadableModuleTest):
    """The self-test: it really synthesizes, from a made-up brain, so that it needs no data and no network."""

    def setUp(self):
        """Starts from an empty scene."""
        slicer.mrmlScene.Clear()

    def runTest(self):
        """Runs all of it."""
        self.setUp()
        self.test_synthesis()
        self.setUp()
        self.test_cancel()
        self.setUp()
        self.test_refusal()

    def test_synthesis(self):
        """A made-up brain becomes a synthetic image on the same grid, marked as what it is."""
        logic, scan = MRISynthLogic(), made_up_brain()
        told = []
        parameters = Parameters(scan, input_state=PREPARED, accept_implausible=True)
        node = logic.synthesize(parameters, tell=lambda run: told.append(run.fraction))
        voxels, scanned = slicer.util.arrayFromVolume(node), slicer.util.arrayFromVolume(scan)
        self.assertEqual(voxels.shape, scanned.shape)
        self.assertEqual(voxels.dtype, numpy.float32)
        self.assertTrue((voxels[scanned == 0] == 0).all())
        self.assertGreater(voxels[scanned > 0].mean(), 0.05)
        self.assertEqual(ijk_to_ras(node), ijk_to_ras(scan))
        self.assertIn("SYNTHETIC T1w", node.GetName())
        self.assertTrue(node.GetAttribute(SYNTHETIC_ATTRIBUTE).startswith("SYNTHETIC T1w by mrisynth"))
        self.assertIn('"Synthetic": true', node.GetAttribute(PROVENANCE_ATTRIBUTE))
        self.assertEqual(told, sorted(told))

    def test_cancel(self):
        """A run that is cancelled makes no node."""
        logic, scan = MRISynthLogic(), made_up_brain()
        parameters = Parameters(scan, input_state=PREPARED, accept_implausible=True)
        with self.assertRaises(Error) as caught:
            logic.synthesize(parameters, tell=lambda run: run.cancel())
        self.assertEqual(caught.exception.status, Status.CANCELLED)
        self.assertEqual(slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode"), 1)

    def test_refusal(self):
        """What does not look like a brain is refused, with the reason."""
        logic, scan = MRISynthLogic(), made_up_brain()
        slicer.util.arrayFromVolume(scan)[:] = 1
        with self.assertRaises(Error) as caught:
            logic.synthesize(Parameters(scan, input_state=PREPARED))
        self.assertIn(caught.exception.status, (Status.REFUSED, Status.BAD_IMAGE))
        self.assertTrue(caught.exception.message)


def made_up_brain():
    """A volume node with an ellipsoid of a T2w brain's size and shades: fluid inside, white matter, grey matter."""
    k, j, i = numpy.mgrid[-45:46, -55:56, -45:46]
    radius = numpy.sqrt((i / 33.0) ** 2 + (j / 42.0) ** 2 + (k / 32.0) ** 2)
    shades = numpy.select([radius < 0.25, radius < 0.8, radius < 1.0], [900, 350, 550], 0).astype(numpy.int16)
    # Not flat, as no brain is.
    shades[shades > 0] += ((7 * i + 5 * j + 3 * k) % 40)[shades > 0].astype(numpy.int16)
    ras = numpy.array([[2.0, 0, 0, -90], [0, 2.0, 0, -128], [0, 0, 2.0, -82], [0, 0, 0, 1]])
    return slicer.util.addVolumeFromArray(shades, ras, "made-up T2w")


def ijk_to_ras(node):
    """Where a node's voxels lie, as a list of rows."""
    import vtk

    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    return slicer.util.arrayFromVTKMatrix(matrix).tolist()
