"""What a model takes and gives: from models/manifest.toml where it is known, else from the file's shapes and the command line.

The keys and their defaults are the manifest's own, described at its head; the daemon's reading is src/infer/catalog.rs.
"""
from __future__ import annotations

import difflib
import hashlib
import math
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

from .errors import InputFailure, ModelFailure, UsageFailure, need

BUILT_IN = Path(__file__).resolve().parents[2] / "models" / "manifest.toml"


@dataclass(frozen=True)
class Card:
    """A model file and the meaning of its numbers."""

    path: Path
    sha256: str
    kind: str
    head: str = "yolov8"
    order: str = "rgb"
    mean: Tuple[float, ...] = (0.0, 0.0, 0.0)
    std: Tuple[float, ...] = (255.0, 255.0, 255.0)
    placement: str = "centered"
    pad: int = 114
    confidence: float = 0.25
    nms_iou: float = 0.7
    # A classifier's outputs by their names in the file; empty takes all.
    outputs: Tuple[str, ...] = ()
    # One line about what was guessed.
    note: Optional[str] = field(default=None, compare=False)


def sha256_of(path: Path) -> str:
    """The file's SHA-256 in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _entries(path: Path) -> Dict[str, Any]:
    try:
        import tomllib as toml  # Python 3.11 and later
    except ImportError:
        toml = need("tomli", "reading the manifest before Python 3.11")
    try:
        with open(path, "rb") as file:
            return dict(toml.load(file).get("model", {}))
    except OSError as e:
        raise InputFailure(f"{path}: {e.strerror}") from e
    except toml.TOMLDecodeError as e:
        raise ModelFailure(f"{path}: {e}") from e


def find(name_or_path: str, models: Path) -> Card:
    """The card of a model that the manifest names, or of a file: known by its checksum, else by its name, else guessed."""
    entries = _entries(BUILT_IN) if BUILT_IN.is_file() else {}
    if (models / "manifest.toml").is_file():
        entries.update(_entries(models / "manifest.toml"))
    entry = entries.get(name_or_path)
    path = models / entry["file"] if entry else Path(name_or_path)
    if not path.is_file():
        if entry:
            raise InputFailure(f'model "{name_or_path}": {path} is not there; --models DIR or $PEREGRINE_MODELS names the folder')
        near = difflib.get_close_matches(name_or_path, entries, 1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise InputFailure(f'model "{name_or_path}" is neither a file nor in the manifest{hint}')
    sha256 = sha256_of(path)
    if entry:
        return _from_entry(entry, path, sha256)
    for known in entries.values():
        if known["sha256"] == sha256:
            return _from_entry(known, path, sha256)
    for name, known in entries.items():
        if known["file"] == path.name:
            note = f"{path}: another checksum than the manifest's {name}; taken for it by its file name"
            return replace(_from_entry(known, path, sha256), note=note)
    return _guess(path, sha256)


def _from_entry(entry: Dict[str, Any], path: Path, sha256: str) -> Card:
    given = {key: entry[key] for key in ("head", "confidence", "nms_iou") if key in entry}
    for key, value in entry.get("input", {}).items():
        given[key] = tuple(value) if isinstance(value, list) else value
    outputs = tuple(output["output"] for output in entry.get("output", []))
    return Card(path=path, sha256=sha256, kind=entry["kind"], outputs=outputs, **given)


def _guess(path: Path, sha256: str) -> Card:
    onnx = need("onnx", "reading a model")
    try:
        graph = onnx.load(str(path)).graph
    except Exception as e:  # protobuf has many names for a file that is none of its own
        raise ModelFailure(f"{path}: not an ONNX model ({e})") from e
    outputs = {o.name: [d.dim_value for d in o.type.tensor_type.shape.dim] for o in graph.output}
    heads = [dims for dims in outputs.values() if len(dims) == 3]
    if len(outputs) == 1 and heads:
        head = "yolov8" if heads[0][1] < heads[0][2] else "yolox"
        guessed: Dict[str, Any] = {"kind": "detector", "head": head}
        if head == "yolox":
            guessed.update(order="bgr", std=(1.0, 1.0, 1.0), placement="top_left")
    else:
        guessed = {"kind": "classifier", "outputs": tuple(outputs)}
    card = Card(path=path, sha256=sha256, **guessed)
    what = f"a {card.kind}" + (f" with the head {card.head}" if card.kind == "detector" else "")
    note = (f"{path}: not in the manifest; taken for {what}, {card.order}, mean {card.mean}, std {card.std}, {card.placement}; "
            "--kind, --head, --order, --mean, --std, --placement, --pad say otherwise")
    return replace(card, note=note)


def override(card: Card, options: Dict[str, Any]) -> Card:
    """The card with what the command line says otherwise."""
    said = {key: value for key, value in options.items() if value is not None}
    for key in ("mean", "std"):
        if key in said:
            said[key] = three(key, said[key])
    if any(s == 0 for s in said.get("std", (1,))):
        raise UsageFailure("--std: no value may be 0")
    return replace(card, **said)


def three(key: str, text: str) -> Tuple[float, ...]:
    """Three numbers from "a,b,c", or one for all."""
    try:
        values: List[float] = [float(v) for v in text.split(",")]
    except ValueError:
        values = []
    if len(values) not in (1, 3) or not all(math.isfinite(v) for v in values):
        raise UsageFailure(f'--{key}: "{text}" is not one number, or three with commas between, on the scale 0..255')
    return tuple(values * 3 if len(values) == 1 else values)
