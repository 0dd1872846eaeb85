#!/usr/bin/env python3
"""Makes what tests/convert.rs converts where no real model is at hand: two small models with real layers, and pictures with labels.

make_convertible.py FOLDER   (needs numpy, onnx, pillow; the same bytes each time)

The detector has the head of YOLOv8 ([1, 4 + 2, 64]) over a 64x64 input. It looks for bright squares of 8x8 pixels: red is class 0, blue is
class 1. The classifier tells the colour that a picture of 16x16 is full of. Both are right on every picture here, so that a conversion that
loses anything is seen. Beside them lie spoilt copies, one for each mistake that a user can make with a file.
"""
import json
import sys
from pathlib import Path

import numpy as np
from onnx import TensorProto, checker, helper, numpy_helper, save
from PIL import Image

SIDE, CELL = 64, 8
GRID = SIDE // CELL
random = np.random.default_rng(7)


def build(path, size, nodes, constants, output, batch=1, kind=TensorProto.FLOAT):
    constants = [numpy_helper.from_array(np.asarray(v), k) for k, v in constants.items()]
    graph = helper.make_graph(
        nodes, "small",
        [helper.make_tensor_value_info("images", kind, [batch, 3, size, size])],
        [helper.make_tensor_value_info("output0", kind, output)], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 8
    checker.check_model(model)
    save(model, str(path))


def grown(rows, cols):
    """Weights that pass the first channels on unchanged, and a little of everything to the others."""
    weights = random.normal(0, 0.05, (rows, cols)).astype(np.float32)
    weights[:3] = 0
    weights[:3, :3] = np.eye(3, dtype=np.float32)
    return weights


def detector(path, batch=1, dtype=np.float32, spoil=None):
    mean = np.zeros((48, 3, CELL, CELL), np.float32)
    mean[:] = grown(48, 3)[:, :, None, None] / CELL ** 2
    head = np.zeros((6, 48, 1, 1), np.float32)
    head[4, [0, 1, 2], 0, 0] = 0.9, -0.9, -0.9
    head[5, [0, 1, 2], 0, 0] = -0.9, -0.9, 0.9
    y, x = np.mgrid[:GRID, :GRID] * CELL + CELL / 2
    places = np.zeros((1, 6, GRID * GRID), np.float32)
    places[0, :4] = np.stack([x.ravel(), y.ravel(), np.full(x.size, CELL), np.full(x.size, CELL)])
    constants = {
        "w0": mean, "w1": grown(48, 48)[:, :, None, None], "w2": head, "places": places,
        "shape": np.array([batch, 6, GRID * GRID], np.int64),
    }
    if spoil:
        spoil(constants)
    kind = TensorProto.FLOAT if dtype == np.float32 else TensorProto.FLOAT16
    constants = {k: v.astype(dtype) if v.dtype == np.float32 else v for k, v in constants.items()}
    nodes = [
        helper.make_node("Conv", ["images", "w0"], ["c0"], "mean", strides=[CELL, CELL]),
        helper.make_node("Relu", ["c0"], ["a0"], "mean_relu"),
        helper.make_node("Conv", ["a0", "w1"], ["c1"], "mix"),
        helper.make_node("Relu", ["c1"], ["a1"], "mix_relu"),
        helper.make_node("Conv", ["a1", "w2"], ["c2"], "head"),
        helper.make_node("Reshape", ["c2", "shape"], ["r"], "flat"),
        helper.make_node("Add", ["r", "places"], ["output0"], "places_add"),
    ]
    build(path, SIDE, nodes, constants, [batch, 6, GRID * GRID], batch, kind)


def classifier(path):
    constants = {"w0": grown(48, 3)[:, :, None, None].repeat(4, 2).repeat(4, 3) / 16, "w1": grown(3, 48)}
    nodes = [
        helper.make_node("Conv", ["images", "w0"], ["c0"], "mean", strides=[4, 4]),
        helper.make_node("Relu", ["c0"], ["a0"], "mean_relu"),
        helper.make_node("GlobalAveragePool", ["a0"], ["p"], "pool"),
        helper.make_node("Flatten", ["p"], ["f"], "flatten"),
        helper.make_node("Gemm", ["f", "w1"], ["output0"], "colours", transB=1),
    ]
    build(path, 16, nodes, constants, [1, 3])


def scenes(folder):
    """Pictures with two squares each, and their labels: right ones, and the same with the two categories exchanged."""
    (folder / "scenes").mkdir()
    images, annotations = [], []
    for n in range(12):
        pixels = random.integers(0, 24, (SIDE, SIDE, 3), np.uint8)
        for kind, cell in enumerate(random.choice(GRID * GRID, 2, replace=False)):
            x, y = int(cell % GRID) * CELL, int(cell // GRID) * CELL
            pixels[y:y + CELL, x:x + CELL] = 0
            pixels[y:y + CELL, x:x + CELL, 2 * kind] = 255
            # Numbered from 0, and no area or iscrowd: as files of one's own are.
            annotations.append({"id": len(annotations), "image_id": n, "category_id": kind, "bbox": [x, y, CELL, CELL]})
        Image.fromarray(pixels).save(folder / "scenes" / f"{n:02}.png")
        if n < 10:
            images.append({"id": n, "file_name": f"{n:02}.png", "width": SIDE, "height": SIDE})
    annotations = [a for a in annotations if a["image_id"] < 10]
    categories = [{"id": 0, "name": "red"}, {"id": 1, "name": "blue"}]

    def write(name, annotations):
        text = json.dumps({"images": images, "annotations": annotations, "categories": categories})
        (folder / name).write_text(text)

    write("labels.json", annotations)
    # The last label stays right, so that the score is small and not 0.
    exchanged = [{**a, "category_id": 1 - a["category_id"]} for a in annotations[:-1]]
    write("exchanged.json", exchanged + annotations[-1:])
    write("no_category.json", [{k: v for k, v in a.items() if k != "category_id"} for a in annotations])


def colours(folder):
    (folder / "colours").mkdir()
    for n in range(12):
        pixels = random.integers(0, 60, (20, 24, 3), np.uint8)
        pixels[:, :, n % 3] += np.uint8(150)
        Image.fromarray(pixels).save(folder / "colours" / f"{n:02}.png")


def main():
    folder = Path(sys.argv[1])
    detector(folder / "squares.onnx")
    classifier(folder / "colours.onnx")
    scenes(folder)
    colours(folder)
    detector(folder / "four_at_once.onnx", batch=4)
    detector(folder / "halves.onnx", dtype=np.float16)
    detector(folder / "broken.onnx", spoil=lambda c: c["w1"].__setitem__((0, 0), np.nan))
    detector(folder / "overflows.onnx", spoil=lambda c: [c[w].__imul__(np.float32(1e37)) for w in ("w0", "w1")])
    (folder / "bomb").mkdir()
    Image.new("1", (20000, 20000)).save(folder / "bomb" / "huge.png")


main()
