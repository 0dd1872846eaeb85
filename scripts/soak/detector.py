#!/usr/bin/env python3
"""Makes tests/data/coded_detector.onnx: a detector that reads the coded clip's squares with operations that every engine runs.

detector.py [OUT.onnx]   (needs the package onnx; the result is committed, this shows where it comes from)

Each square's mean (a convolution), black or white (a steep ramp, clipped), then one matrix makes places, sizes and the score from a row's
bits, and a mask says which class a row is. The head is YOLOv8's: [1, 4 + 16, 32].
"""
import os
import sys

import numpy as np
from onnx import TensorProto, checker, helper, numpy_helper, save

import scene
import squares

STEEP = 64.0


def constants():
    values = 4 + 1
    weights = np.zeros((squares.BITS, values), dtype=np.float32)
    for column, (first, how_many, unit) in enumerate(squares.FIELDS.values()):
        for bit in range(how_many):
            weights[first + bit, column] = unit * (1 << (how_many - 1 - bit))
    weights[squares.PRESENT, 4] = 0.5
    first, how_many = squares.PHASE
    for bit in range(how_many):
        weights[first + bit, 4] = (1 << (how_many - 1 - bit)) / 16
    mask = np.zeros((1, squares.ROWS, squares.SLOTS), dtype=np.float32)
    for slot in range(scene.OBJECTS):
        mask[0, slot, slot] = 1
    side = squares.SQUARE_PX
    return {
        "mean": np.full((1, 3, side, side), STEEP / (3 * side * side), dtype=np.float32),
        "half": np.full((1,), 0.5 - 0.5 * STEEP, dtype=np.float32),
        "zero": np.float32(0),
        "one": np.float32(1),
        "rows": np.array([1, squares.ROWS, squares.BITS], dtype=np.int64),
        "place_weights": weights[:, :4].copy(),
        "score_weights": weights[:, 4:].copy(),
        "mask": mask,
    }


def build():
    side = squares.SQUARE_PX
    nodes = [
        helper.make_node("Conv", ["images", "mean", "half"], ["ramp"], kernel_shape=[side, side], strides=[side, side]),
        helper.make_node("Clip", ["ramp", "zero", "one"], ["white"]),
        helper.make_node("Reshape", ["white", "rows"], ["bits"]),
        helper.make_node("MatMul", ["bits", "place_weights"], ["places"]),
        helper.make_node("MatMul", ["bits", "score_weights"], ["score"]),
        helper.make_node("Mul", ["score", "mask"], ["scores"]),
        helper.make_node("Concat", ["places", "scores"], ["told"], axis=2),
        helper.make_node("Transpose", ["told"], ["output0"], perm=[0, 2, 1]),
    ]
    size, head = scene.SIZE_PX, [1, 4 + squares.SLOTS, squares.ROWS]
    graph = helper.make_graph(
        nodes, "coded_detector",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, size, size])],
        [helper.make_tensor_value_info("output0", TensorProto.FLOAT, head)],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in constants().items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], producer_name="peregrine")
    model.ir_version = 8
    names = {number: name for number, name in enumerate(scene.CLASSES)}
    for key, value in {"names": str(names), "task": "detect"}.items():
        model.metadata_props.add(key=key, value=value)
    checker.check_model(model)
    return model


if __name__ == "__main__":
    here = os.path.dirname(os.path.abspath(__file__))
    save(build(), sys.argv[1] if len(sys.argv) > 1 else f"{here}/../../tests/data/coded_detector.onnx")
