#!/usr/bin/env python3
"""Times this library, ONNX Runtime and OpenVINO on the same model files, slices and threads, in turns.

    python3 -m venv target/engines
    target/engines/bin/pip install numpy==2.2.6 onnx==1.20.1 onnxruntime==1.23.2 openvino==2025.4.1
    cargo build --release --lib --example engine
    target/engines/bin/python benches/paper_networks.py target/engines/networks
    target/engines/bin/python benches/engines.py models/*-from-*.onnx target/engines/networks/*.onnx

Every round runs each engine once on all slices. Slices are 192 x 224, or what the model's card fixes; each is full of made-up brain.
All engines get the same slices. The others run them one after the other on all threads, and side by side with a thread for each:
two lines. With 25 slices or more the last line is the whole call of mrisynth_synthesize(), with finding the brain, resampling there and back, and
normalizing. All results are compared with ONNX Runtime's before anything is timed.

Printed are medians over the rounds, the time of each engine over this library's (above 1: this library is faster), GFLOP/s (two
operations for each multiplication of a convolution with its addition) and their part of the machine's multiply-add peak,
which a small C program measures on as many threads in each round.
"""

import argparse
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "bindings/slicer/MRISynth/MRISynthLib"))
from library import PREPARED, Library  # noqa: E402

# The margin of the standard grid around a brain (src/prepare/standard.rs), and rows and columns of a brain that fills a usual window.
MARGIN = 8
BRAIN = (224 - 2 * MARGIN, 192 - 2 * MARGIN)
# Slices of 1 mm that the library takes for a scan of a brain (src/plausible).
LEAST_SLICES = 25
RAS = np.diag([-1.0, -1.0, 1.0, 1.0])

PEAK = r"""
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
typedef float lanes __attribute__((vector_size(WIDTH)));
enum { CHAINS = 24, STEPS = 4000000 };
static void *work(void *unused) {
  lanes sums[CHAINS], factor = {0}, term = {0};
  for (int c = 0; c < CHAINS; ++c) sums[c] = factor + (float)c;
  factor += 0.999f, term += 0.001f;
  for (long step = 0; step < STEPS; ++step)
#pragma GCC unroll 24
    for (int c = 0; c < CHAINS; ++c) sums[c] = sums[c] * factor + term;
  float total = 0;
  for (int c = 0; c < CHAINS; ++c) total += sums[c][0];
  volatile float kept = total;
  (void)kept, (void)unused;
  return NULL;
}
int main(int count, char **arguments) {
  int threads = atoi(arguments[count - 1]);
  pthread_t handles[64];
  struct timespec start, end;
  clock_gettime(CLOCK_MONOTONIC, &start);
  for (int t = 0; t < threads; ++t) pthread_create(&handles[t], NULL, work, NULL);
  for (int t = 0; t < threads; ++t) pthread_join(handles[t], NULL);
  clock_gettime(CLOCK_MONOTONIC, &end);
  double seconds = (end.tv_sec - start.tv_sec) + 1e-9 * (end.tv_nsec - start.tv_nsec);
  printf("%.3f\n", 2.0 * threads * CHAINS * (double)STEPS * (WIDTH / sizeof(float)) / seconds / 1e9);
}
"""


class Peak:
    """The machine's multiply-add peak in GFLOP/s, as a C program reaches it that does nothing else."""

    def __init__(self, folder):
        has_avx512 = "avx512f" in Path("/proc/cpuinfo").read_text()
        self.program = Path(folder) / "peak"
        flags = ["-O3", "-march=native", "-ffp-contract=fast", f"-DWIDTH={64 if has_avx512 else 32}", "-pthread"]
        if has_avx512:
            flags.append("-mprefer-vector-width=512")
        subprocess.run(["cc", *flags, "-x", "c", "-", "-o", self.program], input=PEAK, text=True, check=True)

    def measure(self, threads):
        return float(subprocess.run([self.program, str(threads)], capture_output=True, text=True, check=True).stdout)


def card_of(model):
    prefix = "mrisynth."
    return {entry.key[len(prefix) :]: entry.value for entry in model.metadata_props if entry.key.startswith(prefix)}


def multiply_adds(model, shape):
    """Of all convolutions, for an input of this shape."""
    fixed = onnx.ModelProto()
    fixed.CopyFrom(model)
    for dimension, length in zip(fixed.graph.input[0].type.tensor_type.shape.dim, shape):
        dimension.ClearField("dim_param")
        dimension.dim_value = length
    del fixed.graph.value_info[:]
    # The noted output would contradict a new input.
    for dimension in fixed.graph.output[0].type.tensor_type.shape.dim:
        dimension.Clear()
    graph = onnx.shape_inference.infer_shapes(fixed, strict_mode=True, data_prop=True).graph
    known = [*graph.value_info, *graph.input, *graph.output]
    shapes = {value.name: [d.dim_value for d in value.type.tensor_type.shape.dim] for value in known}
    shapes.update({weight.name: list(weight.dims) for weight in graph.initializer})
    total = 0
    for node in graph.node:
        if node.op_type not in ("Conv", "ConvTranspose"):
            continue
        # Each output value of a convolution, and each input value of a transposed one, meets a kernel's part once.
        image = shapes[node.output[0] if node.op_type == "Conv" else node.input[0]]
        total += math.prod(image) * math.prod(shapes[node.input[1]][1:])
    return total


class Job:
    """A model file, and slices for it: as a scan for this library, and as the arrays that the network reads."""

    def __init__(self, path, slices, folder):
        self.path, self.folder = path, folder
        model = onnx.load(path)
        card = card_of(model)
        rows, columns = BRAIN
        fixed = int(card.get("window", 0))
        self.window = (fixed, fixed) if fixed else (rows + 2 * MARGIN, columns + 2 * MARGIN)
        self.channels = int(card["slices_in"])
        random = np.random.default_rng(1)
        # The 99.5th percentile is 1, so that normalizing changes nothing.
        scan = np.clip(random.uniform(0.1, 1.03, (columns, rows, slices)), None, 1.0).astype(np.float32)
        self.scan = np.asfortranarray(scan)
        self.row, self.column = ((edge - brain) // 2 for edge, brain in zip(self.window, BRAIN))
        self.inputs = [self._input(k) for k in range(slices)]
        self.multiply_adds = multiply_adds(model, (1, self.channels, *self.window))

    def _input(self, k):
        values = np.zeros((1, self.channels, *self.window), np.float32)
        for channel in range(self.channels):
            neighbour = k + channel - self.channels // 2
            if 0 <= neighbour < self.scan.shape[2]:
                self.brain_of(values[0, channel])[:] = self.scan[:, :, neighbour].T
        return values

    def brain_of(self, image):
        """The part of a network's image that the brain fills."""
        return image[self.row : self.row + BRAIN[0], self.column : self.column + BRAIN[1]]


class Ours:
    """The network alone, in a process of its own that runs it whenever it is told to."""

    name = "mrisynth"

    def __init__(self, job, threads):
        self.job = job
        folder = Path(tempfile.mkdtemp(dir=job.folder))
        given, made = folder / "slices", folder / "images"
        np.concatenate(job.inputs).tofile(given)
        program = os.environ.get("MRISYNTH_ENGINE", ROOT / "target/release/examples/engine")
        dims = [len(job.inputs), job.channels, *job.window]
        command = [program, job.path, threads, given, made, *dims]
        self.process = subprocess.Popen([str(part) for part in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if not self.process.stdout.readline().startswith("ready"):
            sys.exit(f"{program} failed")
        self.images = np.fromfile(made, np.float32).reshape(len(job.inputs), *job.window)

    def run(self):
        return [np.clip(self.job.brain_of(image), 0, 1) for image in self.images]

    def seconds(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())

    def close(self):
        self.process.communicate()


class Whole:
    """The whole call of the library: with the checks of the scan, and resampling there and back."""

    name = "mrisynth_synthesize()"

    def __init__(self, job, threads):
        library = Library(os.environ.get("MRISYNTH_LIBRARY", ROOT / "target/release/libmrisynth.so"))
        self.job, self.threads = job, threads
        self.model = library.load_model(job.path)

    def run(self):
        options = {"input_state": PREPARED, "threads": self.threads, "accept_implausible": True}
        synthetic = self.model.synthesize(self.job.scan, RAS, **options)
        return [synthetic[:, :, k].T for k in range(synthetic.shape[2])]

    def seconds(self):
        return timed(self.run)

    def close(self):
        pass


class Peer:
    """Another engine: on one slice at a time with all threads, or on as many slices as there are threads."""

    def __init__(self, job, threads, side_by_side):
        self.job, self.workers = job, threads if side_by_side else 1
        self.name = f"{self.engine}, {'slices side by side' if side_by_side else 'slice by slice'}"
        self.prepare(threads // self.workers)
        self.pool = ThreadPoolExecutor(self.workers)

    def run(self):
        images = list(self.pool.map(self.run_slice, self.job.inputs))
        return [np.clip(self.job.brain_of(image.reshape(self.job.window)), 0, 1) for image in images]

    def seconds(self):
        return timed(lambda: list(self.pool.map(self.run_slice, self.job.inputs)))

    def close(self):
        pass


class OnnxRuntime(Peer):
    engine = "ONNX Runtime"

    def prepare(self, threads):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        self.session = onnxruntime.InferenceSession(self.job.path, options, providers=["CPUExecutionProvider"])
        self.input = self.session.get_inputs()[0].name

    def run_slice(self, values):
        return self.session.run(None, {self.input: values})[0]


class OpenVino(Peer):
    engine = "OpenVINO"

    def prepare(self, threads):
        import openvino

        core = openvino.Core()
        network = core.read_model(self.job.path)
        network.reshape([1, self.job.channels, *self.job.window])
        # Without the hint it computes in bfloat16 where the processor can.
        settings = {
            "INFERENCE_PRECISION_HINT": "f32",
            "INFERENCE_NUM_THREADS": threads * self.workers,
            "NUM_STREAMS": self.workers,
        }
        compiled = core.compile_model(network, "CPU", settings)
        self.requests = [compiled.create_infer_request() for _ in range(self.workers)]

    def run_slice(self, values):
        request = self.requests.pop()
        try:
            return request.infer([values])[0].copy()
        finally:
            self.requests.append(request)


def engines_for(job, threads):
    kinds = [False, True] if threads > 1 else [False]
    peers = [engine(job, threads, kind) for engine in (OnnxRuntime, OpenVino) for kind in kinds]
    # The library refuses a scan of fewer slices.
    whole = [Whole(job, threads)] if len(job.inputs) >= LEAST_SLICES else []
    return [Ours(job, threads), *peers, *whole]


def check(engines, limit):
    """Compares every engine's images with ONNX Runtime's; this also warms all of them up."""
    results = {engine.name: engine.run() for engine in engines}
    expected = next(images for name, images in results.items() if name.startswith(OnnxRuntime.engine))
    for name, images in results.items():
        difference = max(float(np.abs(a - b).max()) for a, b in zip(images, expected, strict=True))
        if not difference <= limit:
            sys.exit(f"{name} differs from ONNX Runtime by {difference:.2g}, over {limit}")
        print(f"    {name}: within {difference:.1e} of ONNX Runtime")


def timed(work):
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def compare(job, threads, rounds, peak, limit):
    engines = engines_for(job, threads)
    print(f"\n{job.path.name}, {job.window[1]} x {job.window[0]}, {job.multiply_adds / 1e9:.2f} GMAC, {threads} thread(s)")
    check(engines, limit)
    times, peaks = {engine.name: [] for engine in engines}, []
    for _ in range(rounds):
        peaks.append(peak.measure(threads))
        for engine in engines:
            times[engine.name].append(engine.seconds() / len(job.inputs))
    for engine in engines:
        engine.close()
    ours, top = statistics.median(times[Ours.name]), statistics.median(peaks)
    print(f"    {'engine':36} {'ms/slice':>9} {'over ours':>9} {'GFLOP/s':>8} {'% of peak':>9}   (peak {top:.0f} GFLOP/s)")
    for name, seconds in times.items():
        median = statistics.median(seconds)
        speed = 2 * job.multiply_adds / median / 1e9
        print(f"    {name:36} {1e3 * median:9.2f} {median / ours:9.2f} {speed:8.0f} {100 * speed / top:9.0f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", type=Path)
    parser.add_argument("--slices", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--limit", type=float, default=1e-3, help="how much results may differ")
    arguments = parser.parse_args()
    import onnxruntime
    import openvino

    processor = next(line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name"))
    print(f"{processor.split(':')[1].strip()}, {os.cpu_count()} cores; ONNX Runtime {onnxruntime.__version__}, "
          f"OpenVINO {openvino.__version__}; medians of {arguments.rounds} rounds in turns")
    with tempfile.TemporaryDirectory() as folder:
        peak = Peak(folder)
        for path in arguments.models:
            job = Job(path, arguments.slices, folder)
            for threads in arguments.threads:
                compare(job, threads, arguments.rounds, peak, arguments.limit)


if __name__ == "__main__":
    main()
