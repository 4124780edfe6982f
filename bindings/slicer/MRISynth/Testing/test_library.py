"""libmrisynth through ctypes: the same bytes as the command's, nothing printed, cancelled in time, every failure an exception.

Needs numpy and a C compiler, and no Slicer.
"""

import ctypes
import os
import pathlib
import subprocess
import tempfile
import threading
import time
import unittest
from unittest import mock

import numpy
import support

from MRISynthLib import library
from MRISynthLib.library import PREPARED, Error, Library, LibraryNotFound, Status


def compile_c(source, output, *arguments):
    """Compiles a C program or, with -shared, a library."""
    file = pathlib.Path(output).with_suffix(".c")
    file.write_text(source)
    command = ["cc", "-std=c99", "-Wall", "-Werror", f"-I{support.ROOT / 'include'}", str(file), "-o", str(output)]
    subprocess.run(command + list(arguments), check=True)


class Finding(unittest.TestCase):
    """Where the library is looked for, and what is taken for it."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        environment = {key: value for key, value in os.environ.items() if key != library.LIBRARY_VARIABLE}
        patched = mock.patch.dict(os.environ, environment, clear=True)
        patched.start()
        self.addCleanup(patched.stop)

    def test_the_variable_comes_first_then_the_folder_then_the_system(self):
        beside = self.folder / library.library_names()[0]
        with mock.patch("ctypes.util.find_library", return_value="libmrisynth.so.1"):
            self.assertEqual(library.find_library(self.folder), "libmrisynth.so.1")
            beside.write_bytes(b"")
            self.assertEqual(library.find_library(self.folder), str(beside))
            named = self.folder / "named"
            named.write_bytes(b"")
            os.environ[library.LIBRARY_VARIABLE] = str(named)
            self.assertEqual(library.find_library(self.folder), str(named))

    def test_what_is_missing_is_said(self):
        with mock.patch("ctypes.util.find_library", return_value=None):
            with self.assertRaisesRegex(LibraryNotFound, f"{self.folder}.*MRISYNTH_LIBRARY"):
                library.find_library(self.folder)
        os.environ[library.LIBRARY_VARIABLE] = "/none/libmrisynth.so"
        with self.assertRaisesRegex(LibraryNotFound, "/none/libmrisynth.so.*is not a file"):
            Library()

    def test_what_is_no_library_is_refused(self):
        text = self.folder / "text.so"
        text.write_text("no library")
        with self.assertRaisesRegex(LibraryNotFound, "text.so cannot be used"):
            Library(text)
        compile_c("int other(void) { return 0; }", self.folder / "other.so", "-shared", "-fPIC")
        with self.assertRaisesRegex(LibraryNotFound, "other.so cannot be used.*mrisynth_"):
            Library(self.folder / "other.so")

    def test_another_binary_interface_is_refused(self):
        names = [name for name in library._FUNCTIONS if name != "mrisynth_abi_version"]
        source = "\n".join(f"int {name}(void) {{ return 0; }}" for name in names)
        source += f"\nunsigned mrisynth_abi_version(void) {{ return {library.ABI_VERSION + 1}; }}\n"
        compile_c(source, self.folder / "newer.so", "-shared", "-fPIC")
        with self.assertRaisesRegex(LibraryNotFound, "newer.so has the binary interface 2"):
            Library(self.folder / "newer.so")


class Declarations(unittest.TestCase):
    """The declarations in Python are those of mrisynth.h, as a C compiler sees them."""

    def test_structs_lie_in_memory_as_in_c(self):
        structs = {"MrisynthOptions": library._Options, "MrisynthImage": library._Image}
        measures = []
        for name, mirror in structs.items():
            measures.append((f"sizeof(struct {name})", ctypes.sizeof(mirror)))
            for field, *_ in mirror._fields_:
                descriptor = getattr(mirror, field)
                measures.append((f"offsetof(struct {name}, {field})", descriptor.offset))
                measures.append((f"sizeof(((struct {name} *)0)->{field})", descriptor.size))
        self.compare(measures)

    def test_constants_have_the_values_of_c(self):
        measures = [("MRISYNTH_ABI_VERSION", library.ABI_VERSION)]
        measures += [(f"MRISYNTH_STATUS_{status.name}", status.value) for status in Status]
        measures += [(f"MRISYNTH_CONTRAST_{name.upper()}", number) for name, number in library.CONTRASTS.items()]
        measures += [(f"MRISYNTH_INPUT_{name.upper()}", number) for name, number in library.INPUT_STATES.items()]
        short = {"uint8": "U8", "int16": "I16", "uint16": "U16", "float16": "F16", "float32": "F32", "float64": "F64"}
        measures += [(f"MRISYNTH_DTYPE_{short[kind.name]}", number) for kind, number in library.VOXEL_TYPES.items()]
        self.compare(measures)

    def compare(self, measures):
        lines = "\n".join(f'  printf("%ld\\n", (long)({expression}));' for expression, _ in measures)
        with tempfile.TemporaryDirectory() as folder:
            program = pathlib.Path(folder) / "measure"
            source = f"#include <stdio.h>\n#include <mrisynth.h>\nint main(void) {{\n{lines}\n  return 0;\n}}\n"
            compile_c(source, program)
            found = subprocess.run([program], check=True, capture_output=True, text=True).stdout.split()
        for (expression, expected), value in zip(measures, found, strict=True):
            self.assertEqual(int(value), expected, expression)


class Synthesis(support.NothingPrinted):
    """The library at work."""

    @classmethod
    def setUpClass(cls):
        cls.library = Library()
        cls.model = cls.library.embedded_model("T2w", "T1w")
        cls.voxels, cls.matrix = support.slab()
        cls.expected = cls.of_slab(cls.voxels)

    @classmethod
    def of_slab(cls, voxels, **options):
        options = {"input_state": PREPARED, "accept_implausible": True, **options}
        return cls.model.synthesize(voxels, cls.matrix, **options)

    def test_bytes_are_those_of_the_command(self):
        expected, expected_matrix, _ = support.made_by_command()
        voxels, matrix = support.example("T2w")
        synthetic = self.model.synthesize(voxels, matrix, input_state=PREPARED)
        self.assertEqual(synthetic.tobytes(order="F"), expected.tobytes(order="F"))
        numpy.testing.assert_array_equal(matrix, expected_matrix)

    def test_strides_types_and_byte_orders_make_no_difference(self):
        values = numpy.round(self.voxels * 1000)
        expected = self.of_slab(values.astype(numpy.float32)).tobytes()
        for kind in ("<i2", ">i2", "f8", "i4"):
            self.assertEqual(self.of_slab(values.astype(kind)).tobytes(), expected, kind)
        in_c_order = numpy.ascontiguousarray(values.astype(numpy.float32))
        padded = numpy.zeros([2 * size for size in values.shape], numpy.float32)
        padded[::2, ::2, ::2] = values
        backwards = numpy.array(in_c_order[::-1, ::-1, ::-1])[::-1, ::-1, ::-1]
        for array in (in_c_order, padded[::2, ::2, ::2], backwards):
            self.assertEqual(self.of_slab(array).tobytes(), expected, array.strides)

    def test_any_number_of_threads_of_ours_and_of_the_librarys(self):
        results = {}

        def work(number):
            results[number] = self.of_slab(self.voxels, threads=number).tobytes()

        workers = [threading.Thread(target=work, args=(number,)) for number in (1, 2, 3)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        self.assertEqual(set(results.values()), {self.expected.tobytes()})
        self.assertEqual(len(results), 3)

    def test_the_interpreter_is_free_while_the_library_works(self):
        stop, count = threading.Event(), [0]

        def wait():
            while not stop.is_set():
                count[0] += 1
                time.sleep(0.01)

        waiter = threading.Thread(target=wait)
        waiter.start()
        start = time.monotonic()
        self.of_slab(self.voxels, threads=1)
        seconds = time.monotonic() - start
        stop.set()
        waiter.join()
        self.assertGreater(count[0], 10 * seconds)

    def test_progress_never_falls_and_ends_at_one(self):
        told, lines = [], []
        self.of_slab(self.voxels, progress=told.append, log=lambda level, message: lines.append((level, message)))
        self.assertEqual(told, sorted(told))
        self.assertEqual((told[0], told[-1]), (0.0, 1.0))
        self.assertGreater(len(told), 5)
        self.assertTrue(any(level == "warning" for level, _ in lines), lines)

    def test_a_wish_to_stop_is_heard_in_time(self):
        voxels, matrix = support.example("T2w")
        for fraction_to_stop_at in (0.0, 0.02, 0.3, 0.6):
            asked = []

            def progress(fraction):
                if fraction >= fraction_to_stop_at:
                    asked.append(time.monotonic())
                    return False

            with self.assertRaises(Error) as caught:
                self.model.synthesize(voxels, matrix, input_state=PREPARED, progress=progress)
            self.assertEqual(caught.exception.status, Status.CANCELLED)
            self.assertLess(time.monotonic() - asked[0], support.LONGEST_CANCEL)

    def test_what_a_callback_raises_comes_out_as_it_was(self):
        for failure in (ValueError("mine"), KeyboardInterrupt()):
            mocked = mock.Mock(side_effect=failure)
            for callbacks in ({"progress": mocked}, {"log": mocked}):
                mocked.reset_mock()
                with self.assertRaises(type(failure)) as caught:
                    self.of_slab(self.voxels, **callbacks)
                self.assertIs(caught.exception, failure)
                self.assertTrue(mocked.called)

    def assert_fails(self, status, part, call, *arguments, **options):
        with self.assertRaises(Error) as caught:
            call(*arguments, **options)
        self.assertEqual(caught.exception.status, status)
        self.assertIn(part, caught.exception.message)
        self.assertEqual(str(caught.exception), caught.exception.message)

    def test_faults_of_scans(self):
        synthesize = self.model.synthesize
        prepared = {"input_state": PREPARED}
        t1w, matrix = support.example("T1w")
        # Looks like the contrast that is to be made.
        self.assert_fails(Status.REFUSED, "T1w", synthesize, t1w, matrix, **prepared)
        self.assert_fails(Status.REFUSED, "", synthesize, self.voxels, self.matrix, **prepared)
        self.assert_fails(Status.BAD_IMAGE, "", synthesize, numpy.zeros((9, 9, 9)), matrix, **prepared)
        self.assert_fails(Status.BAD_IMAGE, "affine", synthesize, self.voxels, numpy.zeros((4, 4)), **prepared)
        self.assert_fails(Status.INVALID_ARGUMENT, "(3, 4)", synthesize, self.voxels, self.matrix[:3], **prepared)
        self.assert_fails(Status.INVALID_ARGUMENT, "2 dimensions", synthesize, self.voxels[0], self.matrix, **prepared)
        self.assert_fails(Status.UNSUPPORTED, "complex", synthesize, self.voxels.astype(complex), self.matrix, **prepared)
        self.assert_fails(Status.INVALID_ARGUMENT, "half", synthesize, self.voxels, self.matrix, input_state="half")
        self.assert_fails(
            Status.OUT_OF_MEMORY, "1000", synthesize, self.voxels, self.matrix, memory_limit=1000, **prepared
        )

    def test_faults_of_models(self):
        self.assert_fails(Status.INVALID_ARGUMENT, "FLAIR", self.library.embedded_model, "FLAIR", "T1w")
        self.assert_fails(Status.INVALID_ARGUMENT, "T1w", self.library.embedded_model, "T1w", "T1w")
        self.assert_fails(Status.IO, "/none/é.onnx", self.library.load_model, "/none/é.onnx")
        self.assert_fails(Status.BAD_MODEL, "", self.library.model_from_bytes, b"no model")

    def test_a_later_librarys_status_is_kept_as_a_number(self):
        self.assertEqual(Error(99, "new").status, 99)

    def test_models_from_files_and_memory_are_those_inside(self):
        path = support.ROOT / "models" / "t1w-from-t2w.onnx"
        expected = path.with_suffix(".onnx.sha256").read_text().split()[0]
        for model in (self.model, self.library.load_model(path), self.library.model_from_bytes(path.read_bytes())):
            self.assertEqual(model.info("sha256"), expected)
            self.assertEqual((model.info("source"), model.info("target")), ("T2w", "T1w"))
            self.assertIsNone(model.info("nothing"))

    def test_a_model_is_freed_with_its_last_user(self):
        freed = []

        class Watched(Library):
            def function(self, name):
                function = super().function(name)
                if name != "mrisynth_model_free":
                    return function
                return lambda handle: (freed.append(handle.value), function(handle))

        model = Watched().embedded_model("T1w", "T2w")
        handle = model._handle.value
        self.assertEqual(freed, [])
        del model
        self.assertEqual(freed, [handle])

    def test_the_version_is_the_repositorys(self):
        self.assertIn(f'version = "{self.library.version}"', (support.ROOT / "Cargo.toml").read_text())


class Capturing(unittest.TestCase):
    """What the other tests rely on to find that nothing is printed."""

    def test_what_c_prints_is_taken(self):
        with support.captured() as printed:
            os.write(1, b"out ")
            os.write(2, b"err")
        self.assertEqual(printed.text, "out err")


if __name__ == "__main__":
    unittest.main()
