"""Checks ONNX files with onnx's checker, and runs them with ONNX Runtime.

    onnx_runtime.py CASES.json

The cases are a list of objects: `model` (a path), and for models to be run `shape`, `input` and `output` (paths of float32
values, little-endian; the output is written).
"""

import json
import pathlib
import sys

import numpy as np
import onnx
import onnxruntime


def main():
    for case in json.loads(pathlib.Path(sys.argv[1]).read_text(encoding="utf-8")):
        model = onnx.load(case["model"])
        onnx.checker.check_model(model, full_check=True)
        [opset] = model.opset_import
        assert (opset.domain, opset.version) == ("", 17), opset
        if "input" not in case:
            continue
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(
            case["model"], options, providers=["CPUExecutionProvider"]
        )
        image = np.fromfile(case["input"], "<f4").reshape(case["shape"])
        [output] = session.run(None, {session.get_inputs()[0].name: image})
        output.astype("<f4").tofile(case["output"])


main()
