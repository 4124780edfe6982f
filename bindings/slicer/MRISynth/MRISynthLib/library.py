"""libmrisynth from Python: its C interface (mrisynth.h) through ctypes. Needs numpy, and knows nothing of Slicer.

Research software, not a medical device. What it makes is synthetic: an estimate of an image that was never acquired.

    library = Library()
    model = library.embedded_model("T2w", "T1w")
    t1w = model.synthesize(t2w, index_to_lps)

Arrays are indexed [i, j, k]; index_to_lps is the 4x4 matrix from an index to LPS millimetres, as DICOM and ITK have it. Any
strides will do, so a transposed array costs nothing. A model may be used by any number of threads at once; the interpreter
is free for others while the library works.
"""

import ctypes
import ctypes.util
import enum
import os
import sys
import weakref

import numpy

# The binary interface that the declarations below are those of.
ABI_VERSION = 1
# Names the library's file, before any other place is looked at.
LIBRARY_VARIABLE = "MRISYNTH_LIBRARY"

CONTRASTS = {"T1w": 1, "T2w": 2}
RAW, PREPARED = "raw", "prepared"
INPUT_STATES = {RAW: 0, PREPARED: 1}
LOG_LEVELS = {1: "error", 2: "warning", 3: "information", 4: "debug"}
VOXEL_TYPES = {
    numpy.dtype(numpy.uint8): 1,
    numpy.dtype(numpy.int16): 2,
    numpy.dtype(numpy.uint16): 3,
    numpy.dtype(numpy.float16): 4,
    numpy.dtype(numpy.float32): 5,
    numpy.dtype(numpy.float64): 6,
}


class Status(enum.IntEnum):
    """MRISYNTH_STATUS_*: what a call came to. Later versions may add values."""

    OK = 0
    INVALID_ARGUMENT = 1
    IO = 2
    BAD_MODEL = 3
    BAD_IMAGE = 4
    UNSUPPORTED = 5
    OUT_OF_MEMORY = 6
    CANCELLED = 7
    REFUSED = 8
    INTERNAL = 9


class Error(Exception):
    """A call of the library failed: its `status` (a Status, or a number that this version does not know) and `message`."""

    def __init__(self, status, message):
        super().__init__(message)
        self.status = Status(status) if status in Status._value2member_map_ else status
        self.message = message


class LibraryNotFound(Exception):
    """libmrisynth is not where it was looked for, or is not what this module was written for."""


_ProgressFunction = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_float, ctypes.c_void_p)
_LogFunction = ctypes.CFUNCTYPE(None, ctypes.c_int32, ctypes.c_char_p, ctypes.c_void_p)


class _Options(ctypes.Structure):
    """MrisynthOptions."""

    _fields_ = [
        ("struct_size", ctypes.c_uint32),
        ("num_threads", ctypes.c_uint32),
        ("input_state", ctypes.c_uint32),
        ("accept_implausible", ctypes.c_uint32),
        ("memory_limit", ctypes.c_uint64),
        ("progress", _ProgressFunction),
        ("log", _LogFunction),
        ("user_data", ctypes.c_void_p),
    ]


class _Image(ctypes.Structure):
    """MrisynthImage."""

    _fields_ = [
        ("struct_size", ctypes.c_uint32),
        ("dtype", ctypes.c_uint32),
        ("data", ctypes.c_void_p),
        ("dims", ctypes.c_uint64 * 3),
        ("strides", ctypes.c_int64 * 3),
        ("index_to_lps", ctypes.c_double * 16),
    ]


_ModelHandle = ctypes.c_void_p
# Results and arguments of every function that is used.
_FUNCTIONS = {
    "mrisynth_abi_version": (ctypes.c_uint32, []),
    "mrisynth_version": (ctypes.c_char_p, []),
    "mrisynth_cpu_tier": (ctypes.c_char_p, []),
    "mrisynth_status_string": (ctypes.c_char_p, [ctypes.c_int32]),
    "mrisynth_last_error": (ctypes.c_char_p, []),
    "mrisynth_options_init": (ctypes.c_int32, [ctypes.POINTER(_Options), ctypes.c_size_t]),
    "mrisynth_image_init": (ctypes.c_int32, [ctypes.POINTER(_Image), ctypes.c_size_t]),
    "mrisynth_model_default": (ctypes.c_int32, [ctypes.c_uint32, ctypes.c_uint32, ctypes.POINTER(_ModelHandle)]),
    "mrisynth_model_load": (ctypes.c_int32, [ctypes.c_char_p, ctypes.POINTER(_ModelHandle)]),
    "mrisynth_model_from_memory": (ctypes.c_int32, [ctypes.c_char_p, ctypes.c_size_t, ctypes.POINTER(_ModelHandle)]),
    "mrisynth_model_free": (None, [_ModelHandle]),
    "mrisynth_model_info": (ctypes.c_char_p, [_ModelHandle, ctypes.c_char_p]),
    "mrisynth_synthesize": (
        ctypes.c_int32,
        [
            _ModelHandle,
            ctypes.POINTER(ctypes.POINTER(_Image)),
            ctypes.c_size_t,
            ctypes.POINTER(_Image),
            ctypes.POINTER(_Options),
        ],
    ),
}


def library_names(platform=sys.platform):
    """File names of the shared library, those that name the binary interface first."""
    if platform == "win32":
        return ["mrisynth.dll"]
    if platform == "darwin":
        return [f"libmrisynth.{ABI_VERSION}.dylib", "libmrisynth.dylib"]
    return [f"libmrisynth.so.{ABI_VERSION}", "libmrisynth.so"]


def find_library(module_folder=None):
    """Where the shared library is: the file that MRISYNTH_LIBRARY names, else beside this module, else where the system looks.

    Raises LibraryNotFound, saying where it was looked for.
    """
    named = os.environ.get(LIBRARY_VARIABLE)
    if named:
        if os.path.isfile(named):
            return named
        raise LibraryNotFound(f"{named}, which {LIBRARY_VARIABLE} names, is not a file")
    folder = module_folder or os.path.dirname(os.path.abspath(__file__))
    for name in library_names():
        beside = os.path.join(folder, name)
        if os.path.isfile(beside):
            return beside
    found = ctypes.util.find_library("mrisynth")
    if found:
        return found
    names = " or ".join(library_names())
    raise LibraryNotFound(
        f"no {names} in {folder}, nor where the system looks for libraries; {LIBRARY_VARIABLE} may name the file"
    )


class Library:
    """The loaded library."""

    def __init__(self, path=None):
        """Loads the file at `path`, or the one that find_library() finds."""
        self.path = os.fspath(path) if path is not None else find_library()
        try:
            # A CDLL gives other threads the interpreter while a function runs.
            self._functions = ctypes.CDLL(self.path)
            for name, (result, arguments) in _FUNCTIONS.items():
                function = getattr(self._functions, name)
                function.restype, function.argtypes = result, arguments
        except (OSError, AttributeError) as fault:
            raise LibraryNotFound(f"{self.path} cannot be used as libmrisynth: {fault}") from fault
        loaded = self._functions.mrisynth_abi_version()
        if loaded != ABI_VERSION:
            raise LibraryNotFound(
                f"{self.path} has the binary interface {loaded}, and this module was written for {ABI_VERSION}"
            )

    @property
    def version(self):
        """The library's version, "major.minor.patch"."""
        return self._functions.mrisynth_version().decode()

    @property
    def cpu_tier(self):
        """The instructions that networks are run with, such as "avx2"; images of different ones agree up to rounding."""
        return self._functions.mrisynth_cpu_tier().decode()

    def embedded_model(self, source, target):
        """The model inside the library that makes the contrast `target` from `source` ("T1w" or "T2w")."""
        return Model(self, "mrisynth_model_default", _number(CONTRASTS, source), _number(CONTRASTS, target))

    def load_model(self, path):
        """The model in a file (ONNX, with the card inside)."""
        return Model(self, "mrisynth_model_load", os.fspath(path).encode())

    def model_from_bytes(self, content):
        """The model in a file that is in memory."""
        return Model(self, "mrisynth_model_from_memory", bytes(content), len(content))

    def call(self, name, *arguments):
        """Calls a function that returns a status; raises Error unless it is OK."""
        status = getattr(self._functions, name)(*arguments)
        if status != Status.OK:
            # Of this thread's last call, and still there: nothing else was called on this thread.
            message = self._functions.mrisynth_last_error() or self._functions.mrisynth_status_string(status)
            raise Error(status, message.decode(errors="replace"))

    def function(self, name):
        """A function that returns no status."""
        return getattr(self._functions, name)


def _number(numbers, name):
    """The C interface's number for a name."""
    if name not in numbers:
        raise Error(Status.INVALID_ARGUMENT, f"{name!r} is none of {', '.join(numbers)}")
    return numbers[name]


class Model:
    """A loaded model, which is freed with its last user. Made by Library."""

    def __init__(self, library, maker, *arguments):
        self._library = library
        handle = _ModelHandle()
        library.call(maker, *arguments, ctypes.byref(handle))
        self._handle = handle
        weakref.finalize(self, library.function("mrisynth_model_free"), handle)

    def info(self, key):
        """A value of the model's card, such as "source", "target", "name", "version", "sha256"; None if it has none."""
        value = self._library.function("mrisynth_model_info")(self._handle, key.encode())
        return None if value is None else value.decode(errors="replace")

    def synthesize(
        self,
        voxels,
        index_to_lps,
        *,
        input_state=RAW,
        threads=0,
        accept_implausible=False,
        memory_limit=0,
        progress=None,
        log=None,
    ):
        """The synthetic contrast on the scan's own grid: floats, 0 to 1 in the brain, in the memory order of Fortran.

        `progress(fraction)` is called at least every 100 ms on this thread; if it returns False, Error with Status.CANCELLED
        is raised soon. `log(level, message)` may be called from other threads. What either of them raises cancels the work,
        and is raised here.
        """
        scan = _readable(voxels)
        synthetic = numpy.zeros(scan.shape, numpy.float32, order="F")
        images = [self._image(array, index_to_lps) for array in (scan, synthetic)]
        options = _Options()
        self._library.call("mrisynth_options_init", ctypes.byref(options), ctypes.sizeof(options))
        options.num_threads = threads
        options.input_state = _number(INPUT_STATES, input_state)
        options.accept_implausible = bool(accept_implausible)
        options.memory_limit = memory_limit
        # The C functions live as long as this name.
        callbacks = _Callbacks(progress, log)
        options.progress, options.log = callbacks.progress, callbacks.log
        inputs = (ctypes.POINTER(_Image) * 1)(ctypes.pointer(images[0]))
        try:
            self._library.call(
                "mrisynth_synthesize", self._handle, inputs, 1, ctypes.byref(images[1]), ctypes.byref(options)
            )
        finally:
            callbacks.raise_failure()
        return synthetic

    def _image(self, array, index_to_lps):
        matrix = numpy.asarray(index_to_lps, dtype=numpy.float64)
        if matrix.shape != (4, 4):
            raise Error(Status.INVALID_ARGUMENT, f"index_to_lps is a matrix of {matrix.shape}, not of (4, 4)")
        image = _Image()
        self._library.call("mrisynth_image_init", ctypes.byref(image), ctypes.sizeof(image))
        image.dtype = VOXEL_TYPES[array.dtype]
        image.data = array.ctypes.data
        image.dims[:] = array.shape
        image.strides[:] = array.strides
        image.index_to_lps[:] = matrix.ravel().tolist()
        return image


def _readable(voxels):
    """The voxels as an array of a type that the library reads, without a copy where that is possible."""
    array = numpy.asarray(voxels)
    if array.ndim != 3:
        raise Error(Status.INVALID_ARGUMENT, f"an image of {array.ndim} dimensions, not 3")
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    if array.dtype in VOXEL_TYPES:
        return array
    if array.dtype.kind in "biu":
        # Rounded to single precision by the library, as it does with the values of files.
        return array.astype(numpy.float64)
    raise Error(Status.UNSUPPORTED, f"voxels of the type {array.dtype}")


class _Callbacks:
    """The C callbacks of one call: keep what either raises from crossing C, and cancel."""

    def __init__(self, progress, log):
        self._failure = None
        self.progress = _ProgressFunction(lambda fraction, _: self._tell(progress, fraction))
        self.log = _LogFunction(lambda level, message, _: self._write(log, level, message)) if log else _LogFunction()

    def raise_failure(self):
        """Raises what a callback raised, if one did."""
        if self._failure is not None:
            raise self._failure

    def _tell(self, progress, fraction):
        try:
            goes_on = progress is None or progress(fraction) is not False
        except BaseException as failure:
            self._failure = self._failure or failure
        # A log that failed cancels too.
        return 0 if self._failure is None and goes_on else 1

    def _write(self, log, level, message):
        try:
            log(LOG_LEVELS.get(level, "debug"), message.decode(errors="replace"))
        except BaseException as failure:
            self._failure = self._failure or failure
