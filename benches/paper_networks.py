"""Writes the paper's generators as model files with random weights, for benchmarks of speed: what they make is no image.

    target/engines/bin/python benches/paper_networks.py FOLDER

`paper-residual.onnx` is the generator of CycleGAN (with and without spectral normalization, which leaves no trace in a trained
generator): a 7x7 convolution, four that halve, nine residual blocks of 512 channels, four transposed convolutions, a 7x7
convolution. `paper-unet.onnx` is Pix2Pix's U-Net. Both read one slice of 256 x 256. The layers are those that
`mrisynth-train export` writes for recipes with these networks; the weights are float16 with a Cast, as there.
"""

import argparse
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

EDGE = 256
WIDTHS = (64, 128, 256, 512, 512)
RESIDUAL_BLOCKS = 9
UNET_WIDTHS = (64, 128, 256, 512, 512, 512, 512, 512)


class Graph:
    """A graph that grows by one layer at a time; every method takes and returns the name of a value."""

    def __init__(self):
        self.random = np.random.default_rng(1)
        self.nodes, self.weights = [], []

    def node(self, operator, *inputs, **attributes):
        name = f"{operator.lower()}-{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [name], name=name, **attributes))
        return name

    def weight(self, values):
        name = f"weight-{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(values, name))
        return name

    def halves(self, values):
        """Weights in half precision, widened where they are used."""
        return self.node("Cast", self.weight(values.astype(np.float16)), to=TensorProto.FLOAT)

    def kernel(self, *shape, inputs):
        return self.halves(self.random.normal(0.0, (2.0 / inputs) ** 0.5, shape))

    def convolution(self, value, channels_in, channels_out, edge, stride=1, padding=0):
        kernel = self.kernel(channels_out, channels_in, edge, edge, inputs=channels_in * edge * edge)
        bias = self.halves(np.zeros(channels_out))
        attributes = {"kernel_shape": [edge, edge], "strides": [stride, stride], "pads": [padding] * 4}
        return self.node("Conv", value, kernel, bias, **attributes)

    def reflected(self, value, channels_in, channels_out, edge):
        """A convolution of stride 1 behind a reflected border."""
        border = edge // 2
        pads = self.weight(np.array([0, 0, border, border] * 2, np.int64))
        return self.convolution(self.node("Pad", value, pads, mode="reflect"), channels_in, channels_out, edge)

    def doubling(self, value, channels_in, channels_out, edge, extra):
        """A transposed convolution that doubles height and width."""
        kernel = self.kernel(channels_in, channels_out, edge, edge, inputs=channels_in * edge * edge / 4)
        bias = self.halves(np.zeros(channels_out))
        attributes = {"kernel_shape": [edge, edge], "strides": [2, 2], "pads": [1] * 4, "output_padding": [extra] * 2}
        return self.node("ConvTranspose", value, kernel, bias, **attributes)

    def normalized(self, value, channels):
        scale, bias = self.halves(np.ones(channels)), self.halves(np.zeros(channels))
        return self.node("InstanceNormalization", value, scale, bias)


def residual(graph):
    value = graph.node("Relu", graph.normalized(graph.reflected("source", 1, WIDTHS[0], 7), WIDTHS[0]))
    for width, halved in zip(WIDTHS, WIDTHS[1:]):
        value = graph.convolution(value, width, halved, 3, stride=2, padding=1)
        value = graph.node("Relu", graph.normalized(value, halved))
    width = WIDTHS[-1]
    for _ in range(RESIDUAL_BLOCKS):
        inner = graph.node("Relu", graph.normalized(graph.reflected(value, width, width, 3), width))
        value = graph.node("Add", value, graph.normalized(graph.reflected(inner, width, width, 3), width))
    for width, doubled in zip(WIDTHS[::-1], WIDTHS[-2::-1]):
        value = graph.node("Relu", graph.normalized(graph.doubling(value, width, doubled, 3, extra=1), doubled))
    return graph.node("Sigmoid", graph.reflected(value, WIDTHS[0], 1, 7))


def unet(graph):
    value, skips, channels = "source", [], 1
    for depth, width in enumerate(UNET_WIDTHS):
        value = graph.convolution(value, channels, width, 4, stride=2, padding=1)
        if 0 < depth < len(UNET_WIDTHS) - 1:
            value = graph.normalized(value, width)
        skips.append(value)
        value = graph.node("LeakyRelu", value, alpha=0.2) if depth < len(UNET_WIDTHS) - 1 else graph.node("Relu", value)
        channels = width
    for skip, width in zip(skips[-2::-1], UNET_WIDTHS[-2::-1]):
        value = graph.normalized(graph.doubling(value, channels, width, 4, extra=0), width)
        value = graph.node("Relu", graph.node("Concat", value, skip, axis=1))
        channels = 2 * width
    return graph.node("Sigmoid", graph.doubling(value, channels, 1, 4, extra=0))


def write(path, build):
    graph = Graph()
    graph.nodes.append(helper.make_node("Identity", [build(graph)], ["synthetic"], name="synthetic"))
    # The card fixes the window; the graph itself is for any.
    image = [1, 1, "height", "width"]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, image) for name in ("source", "synthetic")]
    whole = helper.make_graph(graph.nodes, path.stem, ends[:1], ends[1:], graph.weights)
    model = helper.make_model(whole, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    card = {
        "format": "1",
        "name": path.stem,
        "version": "0.0.0",
        "source": "t2w",
        "target": "t1w",
        "slices_in": "1",
        "size_multiple": str(EDGE),
        "window": str(EDGE),
        "orientation": "axial-ras",
        "spacing_mm": "1",
        "normalization": "p99.5",
        "training_data": "none: random weights, for benchmarks of speed",
    }
    helper.set_model_props(model, {f"mrisynth.{key}": value for key, value in card.items()})
    onnx.checker.check_model(model)
    onnx.save(model, path)
    print(f"{path}: {path.stat().st_size / 2**20:.0f} MiB")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    write(folder / "paper-residual.onnx", residual)
    write(folder / "paper-unet.onnx", unet)


if __name__ == "__main__":
    main()
