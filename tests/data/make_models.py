#!/usr/bin/env python3
"""Makes the two tiny models that tests run where no real model is at hand: tiny_detector.onnx and tiny_classifier.onnx.

make_models.py [FOLDER]   (needs the package onnx; the results are committed, this shows where they come from)

The detector has the head of YOLOv8 ([1, 4 + 2, 8]: cx, cy, w, h, two class scores) over a 64x64 input. It always sees one person in the
middle of the picture and one car in its left upper corner; the scores' last digits depend on the picture, so that the input is really read.
The classifier has two heads over a 16x16 input, as the vehicle attributes have.
"""
import os
import sys

import numpy as np
from onnx import TensorProto, checker, helper, numpy_helper, save


def const(name, array):
    return numpy_helper.from_array(np.asarray(array, dtype=np.float32), name)


def constant_over(source, values, output, prefix):
    """Nodes that give `values`, plus a thousandth of the mean of `source`."""
    shape = np.asarray(values).shape
    inits = [const(f"{prefix}_values", values), const(f"{prefix}_small", np.full([1] * len(shape), 1e-3))]
    nodes = [
        helper.make_node("GlobalAveragePool", [source], [f"{prefix}_mean4"]),
        helper.make_node("ReduceMean", [f"{prefix}_mean4"], [f"{prefix}_mean"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Mul", [f"{prefix}_mean", f"{prefix}_small"], [f"{prefix}_bit"]),
        helper.make_node("Add", [f"{prefix}_values", f"{prefix}_bit"], [output]),
    ]
    return nodes, inits


def model(name, size, heads, names):
    nodes, inits = [], []
    for output, values in heads.items():
        n, i = constant_over("images", values, output, output)
        nodes += n
        inits += i
    graph = helper.make_graph(
        nodes, name,
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, size, size])],
        [helper.make_tensor_value_info(o, TensorProto.FLOAT, list(np.asarray(v).shape)) for o, v in heads.items()],
        inits,
    )
    m = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], producer_name="peregrine")
    m.ir_version = 8
    for key, value in names.items():
        m.metadata_props.add(key=key, value=value)
    checker.check_model(m)
    return m


def main():
    folder = sys.argv[1] if len(sys.argv) > 1 else os.path.dirname(os.path.abspath(__file__))
    head = np.zeros((1, 6, 8), dtype=np.float32)
    head[0, :, 0] = [32, 32, 16, 24, 0.9, 0.0]
    head[0, :, 1] = [12, 24, 12, 8, 0.0, 0.8]
    save(model("tiny_detector", 64, {"output0": head}, {"names": "{0: 'person', 1: 'car'}", "task": "detect"}), f"{folder}/tiny_detector.onnx")
    heads = {"color": np.array([[0.1, 0.7, 0.2]]), "type": np.array([[0.6, 0.4]])}
    save(model("tiny_classifier", 16, heads, {"task": "classify"}), f"{folder}/tiny_classifier.onnx")


main()
