"""Synthesis from node to node in a real MRML scene without a window. Needs slicer-core (or Slicer's own Python)."""

import ctypes
import hashlib
import json
import os
import sys
import time
import unittest

import numpy
import scene
import slicer
import support
import vtk

from MRISynthLib import logic as logic_module
from MRISynthLib import sample_data
from MRISynthLib.library import PREPARED, Error, Status
from MRISynthLib.logic import NOTICE, PROVENANCE_ATTRIBUTE, SYNTHETIC_ATTRIBUTE, Logic, Parameters, guess_direction
from MRISynthLib.volumes import Unusable, index_to_lps

LOGIC = Logic()


def synthesize_slab(node, **parameters):
    """The output node for a slab, of which nothing is refused."""
    return LOGIC.synthesize(Parameters(node, input_state=PREPARED, accept_implausible=True, **parameters))


class Synthesis(support.NothingPrinted):
    """What comes of nodes, and what happens to others meanwhile."""

    def setUp(self):
        super().setUp()
        scene.new_scene()

    def test_bytes_and_geometry_are_those_of_the_command(self):
        expected, expected_matrix, sidecar = support.made_by_command()
        scan = scene.load_example("T2w")
        before = scene.voxels_of(scan).tobytes(), scene.geometry_of(scan)
        node = LOGIC.synthesize(Parameters(scan, input_state=PREPARED))
        voxels = scene.voxels_of(node)
        self.assertEqual(voxels.dtype, numpy.float32)
        self.assertEqual(voxels.tobytes(order="F"), expected.tobytes(order="F"))
        numpy.testing.assert_array_equal(support.to_lps(scene.matrix_of(node)), expected_matrix)
        self.assertEqual(scene.geometry_of(node), scene.geometry_of(scan))
        self.assertEqual((scene.voxels_of(scan).tobytes(), scene.geometry_of(scan)), before)

        sidecar = json.loads(sidecar)
        self.assertEqual(sidecar["Notice"], NOTICE)
        self.assertEqual(node.GetDescription(), NOTICE)
        self.assertEqual(node.GetName(), "example_T2w SYNTHETIC T1w")
        self.assertEqual(node.GetAttribute(SYNTHETIC_ATTRIBUTE), sidecar["Description"])
        origin = json.loads(node.GetAttribute(PROVENANCE_ATTRIBUTE))
        for key in ("Synthetic", "SyntheticContrast", "Description", "GeneratedBy", "Parameters", "Notice"):
            self.assertEqual(origin[key], sidecar[key], key)
        self.assertEqual(origin["Sources"], ["example_T2w"])
        display = node.GetScalarVolumeDisplayNode()
        self.assertEqual((display.GetWindowLevelMin(), display.GetWindowLevelMax()), (0.0, 1.0))

    def test_the_other_direction_too(self):
        expected, _, _ = support.made_by_command("T2w")
        scan = scene.load_example("T1w")
        node = LOGIC.synthesize(Parameters(scan, source="T1w", target="T2w", input_state=PREPARED))
        self.assertEqual(scene.voxels_of(node).tobytes(order="F"), expected.tobytes(order="F"))
        self.assertEqual(node.GetName(), "example_T1w SYNTHETIC T2w")

    def test_a_raw_scan_too(self):
        # A brain without a head is no raw scan; taken for one all the same, it goes the whole way.
        expected, _, _ = support.made_by_command("T1w", ("--accept-implausible",))
        scan = scene.load_example("T2w")
        node = LOGIC.synthesize(Parameters(scan, accept_implausible=True))
        self.assertEqual(scene.voxels_of(node).tobytes(order="F"), expected.tobytes(order="F"))
        self.assertIn('"InputState": "raw"', node.GetAttribute(PROVENANCE_ATTRIBUTE))
        with self.assertRaises(Error) as caught:
            LOGIC.synthesize(Parameters(scan))
        self.assertEqual(caught.exception.status, Status.REFUSED)

    def test_an_oblique_volume_keeps_its_geometry_to_the_last_bit(self):
        voxels, matrix = support.slab()
        oblique = scene.rotation(0, 7) @ scene.rotation(2, -5) @ matrix
        oblique[:3, 3] += [1 / 3, -2 / 7, 0.1]
        scan = scene.add_volume(voxels, oblique, "oblique T2w")
        node = synthesize_slab(scan)
        self.assertEqual(scene.geometry_of(node), scene.geometry_of(scan))
        numpy.testing.assert_array_equal(scene.matrix_of(node), scene.matrix_of(scan))
        # The library itself, told where the voxels lie by a matrix that no node has seen but to round it.
        self.assertLess(abs(index_to_lps(scan) - oblique).max(), 1e-12)
        expected = LOGIC.model(Parameters(scan)).synthesize(
            voxels, support.to_lps(scene.matrix_of(scan)), input_state=PREPARED, accept_implausible=True
        )
        self.assertEqual(scene.voxels_of(node).tobytes(order="F"), expected.tobytes(order="F"))
        self.assertGreater(abs(expected - scene.voxels_of(synthesize_slab(scene.add_volume(voxels, matrix, "straight")))).max(), 0.01)

    def test_linear_transforms_are_part_of_where_a_volume_lies(self):
        voxels, matrix = support.slab()
        expected = synthesize_slab(scene.add_volume(voxels, matrix, "T2w"))
        # Half a turn and a shift, in two steps, which the volume's own geometry undoes.
        steps = []
        for step in (numpy.diag([-1.0, -1.0, 1.0, 1.0]), numpy.array([[1, 0, 0, 8.0], [0, 1, 0, 16.0], [0, 0, 1, 4.0], [0, 0, 0, 1]])):
            transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
            transform.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(step))
            transform.SetAndObserveTransformNodeID(steps[-1].GetID() if steps else None)
            steps.append(transform)
        to_world = vtk.vtkMatrix4x4()
        steps[-1].GetMatrixTransformToWorld(to_world)
        undone = numpy.linalg.inv(slicer.util.arrayFromVTKMatrix(to_world)) @ support.to_lps(matrix)
        scan = scene.add_volume(voxels, support.to_lps(undone), "turned T2w")
        scan.SetAndObserveTransformNodeID(steps[-1].GetID())
        node = synthesize_slab(scan)
        self.assertEqual(scene.voxels_of(node).tobytes(), scene.voxels_of(expected).tobytes())
        self.assertEqual(scene.geometry_of(node), scene.geometry_of(scan))
        self.assertEqual(node.GetTransformNodeID(), steps[-1].GetID())

    def test_a_transform_that_is_not_linear_is_refused(self):
        voxels, matrix = support.slab()
        scan = scene.add_volume(voxels, matrix, "T2w")
        warp = vtk.vtkThinPlateSplineTransform()
        for points, shift in ((warp.SetSourceLandmarks, 0.0), (warp.SetTargetLandmarks, 3.0)):
            landmarks = vtk.vtkPoints()
            for point in ([0, 0, 0], [50, 0, 0], [0, 50, 0], [0, 0, 50], [20 + shift, 20, 20]):
                landmarks.InsertNextPoint(point)
            points(landmarks)
        warp.SetBasisToR()
        transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTransformNode", "warp")
        transform.SetAndObserveTransformToParent(warp)
        scan.SetAndObserveTransformNodeID(transform.GetID())
        with self.assertRaisesRegex(Unusable, "T2w is under warp, which is not linear: harden it"):
            LOGIC.start(Parameters(scan))

    def test_an_output_that_is_there_is_used(self):
        voxels, matrix = support.slab()
        scan = scene.add_volume(voxels, matrix, "T2w")
        output = scene.add_volume(numpy.zeros((3, 4, 5), numpy.int16), numpy.eye(4), "old")
        shared = output.GetImageData()
        node = synthesize_slab(scan, output_node=output)
        self.assertIs(node, output)
        self.assertEqual((scene.geometry_of(node), node.GetName()), (scene.geometry_of(scan), "T2w SYNTHETIC T1w"))
        self.assertEqual(shared.GetDimensions(), (3, 4, 5))
        self.assertEqual(scene.volume_count(), 2)
        # A synthetic image as the scan is used, and told of.
        run = LOGIC.start(Parameters(node, source="T1w", target="T2w", input_state=PREPARED, accept_implausible=True))
        lines = []
        while not run.poll():
            lines += run.lines()
        lines += run.lines()
        self.assertIn(("warning", "T2w SYNTHETIC T1w is itself synthetic"), lines)
        run.finish()

    def test_the_application_stays_alive(self):
        polled = []
        # A whole head on one thread, so that even a fast machine is polled often meanwhile.
        LOGIC.synthesize(
            Parameters(scene.load_example("T2w"), input_state=PREPARED, threads=1),
            tell=lambda run: polled.append((time.monotonic(), run.fraction)),
        )
        times, fractions = zip(*polled)
        self.assertLess(max(later - earlier for earlier, later in zip(times, times[1:])), 0.25)
        self.assertEqual(list(fractions), sorted(fractions))
        self.assertGreater(len(set(fractions)), 5)

    def test_an_event_loop_may_keep_the_interpreter_to_itself(self):
        # Holds the interpreter's lock, as compiled code that embeds Python may between two ticks of a timer.
        sleep = ctypes.PyDLL(None).usleep
        # A whole head on one thread, so that there are many ticks even on a fast machine.
        scan = scene.load_example("T2w")
        for fraction_to_stop_at in (None, 0.2):
            run = LOGIC.start(Parameters(scan, input_state=PREPARED, threads=1))
            told, start = [], None
            while not run.poll():
                sleep(20_000)
                told.append(run.fraction)
                if start is None and fraction_to_stop_at is not None and run.fraction >= fraction_to_stop_at:
                    start = time.monotonic()
                    run.cancel()
            if start is None:
                self.assertGreater(len(set(told)), 5)
                run.finish()
            else:
                self.assertLess(time.monotonic() - start, support.LONGEST_CANCEL)
                self.assertRaises(Error, run.finish)

    def test_nodes_may_vanish_meanwhile(self):
        voxels, matrix = support.slab()
        expected = scene.voxels_of(synthesize_slab(scene.add_volume(voxels, matrix, "T2w"))).tobytes()
        scan = scene.add_volume(voxels, matrix, "T2w")
        output = scene.add_volume(voxels, matrix, "out")
        parameters = {"input_state": PREPARED, "accept_implausible": True}
        without_scan = LOGIC.start(Parameters(scan, **parameters))
        without_output = LOGIC.start(Parameters(scan, output, **parameters))
        slicer.util.arrayFromVolume(scan)[:] = 0
        slicer.mrmlScene.RemoveNode(scan)
        slicer.mrmlScene.RemoveNode(output)
        for run in (without_scan, without_output):
            while not run.poll():
                pass
        self.assertEqual(scene.voxels_of(without_scan.finish()).tobytes(), expected)
        with self.assertRaisesRegex(Unusable, "out, where the result was to go, has left the scene"):
            without_output.finish()

    def test_a_wish_to_stop_is_heard_in_time_and_changes_nothing(self):
        scan = scene.load_example("T2w")
        output = scene.add_volume(numpy.zeros((3, 4, 5), numpy.int16), numpy.eye(4), "old")
        # From the first moment, in which the model is loaded, to the middle of the work.
        for number, fraction in enumerate((-1.0, 0.0, 0.3)):
            logic = Logic()
            run = logic.start(Parameters(scan, (None, output)[number % 2], input_state=PREPARED))
            while run.fraction < fraction or (fraction == 0.0 and run.fraction == 0.0):
                run.poll()
            start = time.monotonic()
            run.cancel()
            while not run.poll():
                pass
            self.assertLess(time.monotonic() - start, support.LONGEST_CANCEL, fraction)
            with self.assertRaises(Error) as caught:
                run.finish()
            self.assertEqual(caught.exception.status, Status.CANCELLED)
            self.assertEqual((scene.volume_count(), output.GetName()), (2, "old"))
            self.assertEqual(output.GetImageData().GetDimensions(), (3, 4, 5))

    def test_a_wish_that_comes_too_late_is_fulfilled_all_the_same(self):
        voxels, matrix = support.slab()
        run = LOGIC.start(Parameters(scene.add_volume(voxels, matrix, "T2w"), input_state=PREPARED, accept_implausible=True))
        while not run.poll():
            pass
        run.cancel()
        with self.assertRaises(Error) as caught:
            run.finish()
        self.assertEqual((caught.exception.status, scene.volume_count()), (Status.CANCELLED, 1))

    def test_what_cannot_be_worked_on_is_refused_before_the_work(self):
        voxels, matrix = support.slab()
        scan = scene.add_volume(voxels, matrix, "T2w")
        add = slicer.mrmlScene.AddNewNodeByClass
        empty = add("vtkMRMLScalarVolumeNode", "empty")
        labels = add("vtkMRMLLabelMapVolumeNode", "labels")
        vectors = add("vtkMRMLVectorVolumeNode", "vectors")
        colours = add("vtkMRMLScalarVolumeNode", "colours")
        image = vtk.vtkImageData()
        image.SetDimensions(2, 3, 4)
        image.AllocateScalars(vtk.VTK_UNSIGNED_CHAR, 3)
        colours.SetAndObserveImageData(image)
        count = scene.volume_count()
        for parameters, part in (
            (Parameters(None), "no volume is chosen"),
            (Parameters(empty), "empty has no voxels"),
            (Parameters(labels), "labels is no scalar volume but a vtkMRMLLabelMapVolumeNode"),
            (Parameters(vectors), "vectors is no scalar volume"),
            (Parameters(colours), "colours has 3 values a voxel"),
            (Parameters(scan, scan), "the output is the input"),
            (Parameters(scan, labels), "labels is no scalar volume"),
            (Parameters(scan, source="T1w", target="T1w"), "nothing to synthesize"),
            (Parameters(scan, input_state="half"), "not half"),
        ):
            with self.assertRaisesRegex(Unusable, part):
                LOGIC.start(parameters)
        self.assertEqual(scene.volume_count(), count)

    def test_the_librarys_faults_come_out_with_their_reasons(self):
        scan = scene.load_example("T1w")
        model = str(support.ROOT / "models" / "t2w-from-t1w.onnx")
        for parameters, status, part in (
            (Parameters(scan, input_state=PREPARED), Status.REFUSED, "T1w"),
            (Parameters(scan, input_state=PREPARED, model_path="/none.onnx"), Status.IO, "/none.onnx"),
            (Parameters(scan, input_state=PREPARED, model_path=model), Status.INVALID_ARGUMENT, "leads from T1w to T2w"),
        ):
            with self.assertRaises(Error) as caught:
                LOGIC.synthesize(parameters)
            self.assertEqual(caught.exception.status, status)
            self.assertIn(part, str(caught.exception))
            self.assertEqual(scene.volume_count(), 1)

    def test_a_model_file_is_used(self):
        voxels, matrix = support.slab()
        scan = scene.add_volume(voxels, matrix, "T2w")
        model = str(support.ROOT / "models" / "t1w-from-t2w.onnx")
        by_file = scene.voxels_of(synthesize_slab(scan, model_path=model)).tobytes()
        self.assertEqual(by_file, scene.voxels_of(synthesize_slab(scan)).tobytes())


class RealScan(unittest.TestCase):
    """A raw scan of a person, where the shared data is."""

    def test_bytes_are_those_of_the_command(self):
        path = support.ROOT.parent / "shared" / "data" / "open_ms" / "train" / "cs_p07" / "T2.nii.gz"
        if not path.is_file():
            sys.stderr.write(f"SKIPPED: {path} is not there; nothing was tested on a real scan\n")
            self.skipTest("no shared data")
        scene.new_scene()
        expected, _, _ = support.made_by_command("T1w", (), path)
        voxels, _ = support.unpacked(path)
        # The file has a qform only: these millimetres. (Slicer's own reader turns its last axis round, for the grid is left-handed.)
        matrix = numpy.array([[-1.0, 0, 0, 90], [0, 1.0, 0, -126], [0, 0, 1.0, -72], [0, 0, 0, 1]])
        scan = scene.add_volume(voxels, support.to_lps(matrix), "T2")
        node = LOGIC.synthesize(Parameters(scan))
        self.assertEqual(scene.voxels_of(node).tobytes(order="F"), expected.tobytes(order="F"))


class Names(unittest.TestCase):
    """What is told by names and registered for others."""

    def test_directions_are_guessed_from_names(self):
        for name, direction in (
            ("sub-01_T2w", ("T2w", "T1w")),
            ("3: T1 MPRAGE sag", ("T1w", "T2w")),
            ("t2_tse_tra", ("T2w", "T1w")),
            ("MPRAGE", ("T1w", "T2w")),
            ("FLAIR", None),
            ("T1w to T2w", None),
            ("AT2w", None),
        ):
            self.assertEqual(guess_direction(name), direction, name)
        self.assertEqual(set(logic_module.DIRECTIONS), {("T2w", "T1w"), ("T1w", "T2w")})

    def test_samples_are_registered_with_the_sums_of_the_files(self):
        registered = []

        class SampleDataLogic:
            @staticmethod
            def registerCustomSampleDataSource(**source):
                registered.append(source)

        sample_data.register(SampleDataLogic, str(support.MODULE_FOLDER / "Resources" / "Icons"))
        self.assertEqual(len(registered), 2)
        for source in registered:
            path = support.EXAMPLES / source["fileNames"]
            self.assertEqual(source["checksums"], f"SHA256:{hashlib.sha256(path.read_bytes()).hexdigest()}")
            self.assertTrue(source["uris"].endswith(f"/examples/data/{source['fileNames']}"))
            self.assertTrue(os.path.isfile(source["thumbnailFileName"]))


if __name__ == "__main__":
    unittest.main()
