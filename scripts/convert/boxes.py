"""Boxes from a detector's numbers, and what they are worth: decoding, suppression, COCO's average precision, agreement."""
from __future__ import annotations

import contextlib
import io
import json
import math
from pathlib import Path
from typing import Any, Dict, List, Set, Tuple

from .card import Card
from .errors import InputFailure, ModelFailure, need
from .pictures import Picture

# COCO's practice, and how the daemon's accuracy is measured.
LEAST_SCORE = 0.001
NMS_IOU = 0.7
MAX_BOXES = 300
# Candidates beyond these have never been among 300 boxes, and would only take time.
MAX_CANDIDATES = 20000
YOLOX_STRIDES = (8, 16, 32)


def decode(card: Card, output: Any, input_wh: Tuple[int, int]) -> Tuple[Any, Any]:
    """A head's boxes (x1, y1, x2, y2 in pixels of the input) and their scores for each class."""
    np = need("numpy", "decoding boxes")
    values = {"yolov8": 1, "yolox": 2}.get(card.head)
    if values is not None and (output.ndim != 3 or output.shape[0] != 1 or output.shape[values] < 4 + values):
        raise ModelFailure(f"{card.path}: a detector with the head {card.head} gives one picture's boxes as [1, "
                           f"{'4 + classes, places' if values == 1 else 'places, 5 + classes'}]; this model gives {list(output.shape)}: "
                           "--kind or --head is wrong")
    if card.head == "yolov8":
        rows = output[0].T
        centre, size, scores = rows[:, :2], rows[:, 2:4], rows[:, 4:]
    elif card.head == "yolox":
        rows = output[0]
        grids, steps = [], []
        for stride in YOLOX_STRIDES:
            w, h = input_wh[0] // stride, input_wh[1] // stride
            y, x = np.mgrid[:h, :w]
            grids.append(np.stack([x.ravel(), y.ravel()], 1))
            steps.append(np.full((w * h, 1), stride))
        grid, step = np.concatenate(grids), np.concatenate(steps).astype(np.float32)
        if len(grid) != len(rows):
            raise ModelFailure(f"{card.path}: {len(rows)} places where the head yolox has {len(grid)}; --head says otherwise")
        centre, size = (rows[:, :2] + grid) * step, np.exp(rows[:, 2:4]) * step
        scores = rows[:, 4:5] * rows[:, 5:]
    else:
        raise ModelFailure(f"{card.path}: the head {card.head} is not known; known are yolov8 and yolox")
    return np.concatenate([centre - size / 2, centre + size / 2], 1), scores


def overlaps(box: Any, boxes: Any) -> Any:
    """Intersection over union of one box and many."""
    np = need("numpy", "decoding boxes")
    sides = np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2])
    inner = np.clip(sides, 0, None).prod(axis=1)
    union = (box[2:] - box[:2]).prod() + (boxes[:, 2:] - boxes[:, :2]).prod(axis=1) - inner
    return np.where(union > 0, inner / np.maximum(union, 1e-9), 0)


def detect(card: Card, output: Any, picture: Picture, confidence: float, nms_iou: float) -> Tuple[Any, Any, Any]:
    """Boxes in pixels of the picture, classes and scores, the surest first."""
    np = need("numpy", "decoding boxes")
    boxes, scores = decode(card, output, (picture.pixels.shape[1], picture.pixels.shape[0]))
    places, classes = np.nonzero(scores > confidence)
    values = scores[places, classes]
    order = np.argsort(-values, kind="stable")[:MAX_CANDIDATES]
    boxes, classes, values = boxes[places[order]], classes[order], values[order]
    alive = np.ones(len(values), bool)
    kept: List[int] = []
    for i in range(len(values)):
        if not alive[i]:
            continue
        kept.append(i)
        if len(kept) == MAX_BOXES:
            break
        same = i + 1 + np.flatnonzero(alive[i + 1:] & (classes[i + 1:] == classes[i]))
        alive[same[overlaps(boxes[i], boxes[same]) > nms_iou]] = False
    return picture.place.to_picture(boxes[kept]), classes[kept], values[kept]


def truth(path: Path) -> Dict[str, Any]:
    """COCO annotations, with what pycocotools wants of each and files leave out."""
    try:
        found = json.loads(path.read_text())
        return {"info": {}, "images": found["images"], "categories": found["categories"], "annotations": _checked(found)}
    except OSError as e:
        raise InputFailure(f"{path}: {e.strerror}") from e
    except KeyError as e:
        raise InputFailure(f"{path}: not COCO annotations: the key {e} is missing") from e
    except (ValueError, TypeError, AttributeError) as e:
        raise InputFailure(f"{path}: not COCO annotations (images, annotations, categories): {e}") from e


def _checked(found: Dict[str, Any]) -> List[Dict[str, Any]]:
    images = {image["id"] for image in found["images"] if isinstance(image["file_name"], str)}
    categories = {category["id"] for category in found["categories"]}
    if not (images and categories and found["annotations"]):
        raise ValueError("it names no picture, no box or no category")
    if not all(isinstance(number, int) for number in images | categories):
        raise ValueError("the ids of pictures and categories must be whole numbers")
    annotations = []
    # Numbered here: pycocotools takes the number 0 for "no annotation", and files of one's own begin with it or have none.
    for number, given in enumerate(found["annotations"], 1):
        x, y, w, h = (float(v) for v in given["bbox"])
        if not all(math.isfinite(v) for v in (x, y, w, h)):
            raise ValueError(f"annotation {number}: its bbox {given['bbox']} is no box")
        for key, known, whose in (("category_id", categories, "category"), ("image_id", images, "picture")):
            if given[key] not in known:
                raise ValueError(f"annotation {number}: there is no {whose} {given[key]}")
        area, crowd = float(given.get("area", w * h)), int(given.get("iscrowd", 0))
        annotations.append({**given, "bbox": [x, y, w, h], "area": area, "iscrowd": crowd, "id": number})
    return annotations


def mean_average_precision(annotations: Dict[str, Any], names: Set[str], found: Dict[str, Tuple[Any, Any, Any]]) -> float:
    """COCO's mAP 50-95 over the pictures in `names`. Classes are the categories in the order of their ids."""
    coco = need("pycocotools.coco", "scoring on labels")
    cocoeval = need("pycocotools.cocoeval", "scoring on labels")
    ids = {image["file_name"]: image["id"] for image in annotations["images"] if image["file_name"] in names}
    categories = sorted(c["id"] for c in annotations["categories"])
    results = [
        {"image_id": ids[name], "category_id": categories[int(c)], "score": float(s),
         "bbox": [float(b[0]), float(b[1]), float(b[2] - b[0]), float(b[3] - b[1])]}
        for name, (boxes, classes, scores) in found.items()
        for b, c, s in zip(boxes, classes, scores) if int(c) < len(categories)
    ]
    if not results:
        return 0.0
    with contextlib.redirect_stdout(io.StringIO()):
        known = coco.COCO()
        known.dataset = annotations
        known.createIndex()
        evaluation = cocoeval.COCOeval(known, known.loadRes(results), "bbox")
        evaluation.params.imgIds = sorted(ids.values())
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return max(float(evaluation.stats[0]), 0.0)


def agreement(ours: Tuple[Any, Any, Any], theirs: Tuple[Any, Any, Any]) -> Tuple[int, int, int]:
    """Boxes that two answers share (same class, half of their union or more), and how many each has."""
    np = need("numpy", "decoding boxes")
    free = np.ones(len(theirs[0]), bool)
    shared = 0
    for box, kind in zip(ours[0], ours[1]):
        fit = np.where(free & (theirs[1] == kind), overlaps(box, theirs[0]), 0) if len(free) else np.zeros(1)
        if fit.max() >= 0.5:
            free[int(fit.argmax())] = False
            shared += 1
    return shared, len(ours[0]), len(theirs[0])
