#!/usr/bin/env python3
"""Float ONNX models to 8 bits: a file for the processor's engine, a file for TensorRT, and no file that lost its accuracy.

Belongs here: the command line and the order of the steps. What each does is in `convert/`.
"""
from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any, Dict, List, NoReturn, Optional, Set

from convert import batch, card as cards, pictures, qdq, ranges
from convert.boxes import truth
from convert.errors import Failure, InputFailure, ModelFailure, UsageFailure, need
from convert.gate import FEW_PICTURES, Gate, Verdict
from convert.session import Session, input_wh

EXAMPLES = """\
examples:
  convert_models.py yolov8n_640 --images street/ --labels instances.json --eval-images labelled/
      both files of a model that models/manifest.toml names, each written only if it loses at most 0.01 mAP
  convert_models.py my_yolo.onnx --images street/ --form tensorrt --max-drop 0.005 --labels instances.json --eval-images labelled/
      my_yolo_int8.tensorrt.onnx alone
  convert_models.py vehicle_attributes_0039 --images crops/
      a classifier; without labels the float model's own answers are what is compared with

Which file a configuration names: NAME_int8.onnx where both lie side by side (TensorRT then takes NAME_int8.tensorrt.onnx by itself, every
other engine the one that is named); NAME_int8.tensorrt.onnx itself where it lies alone. Who names the float model gets floats.
Exit codes: 0 written; 1 refused, or a package is missing; 64 wrong arguments; 66 a file that cannot be read; 78 a model that cannot be
converted. On any other than 0 no file was written or changed, unless a line before says so."""


def say(text: str) -> None:
    """A line for whoever watches."""
    print(f"convert_models.py: {text}", file=sys.stderr, flush=True)


class Parser(argparse.ArgumentParser):
    """argparse with the daemon's exit code for wrong arguments."""

    def error(self, message: str) -> NoReturn:
        """Ends the program."""
        say(f"{message}; --help tells what there is")
        raise SystemExit(UsageFailure.code)


def positive(text: str) -> int:
    """A number of at least 1."""
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f'"{text}" is not a whole number of at least 1')
    return int(text)


def fraction(text: str) -> float:
    """A number from 0 to 1."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f'"{text}" is not a number from 0 to 1')
    return value


def percent(text: str) -> float:
    """A number above 50 and up to 100."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 50 < value <= 100:
        raise argparse.ArgumentTypeError(f'"{text}" is not a number above 50 and up to 100')
    return value


def arguments(argv: Optional[List[str]] = None) -> argparse.Namespace:
    """The command line."""
    p = Parser(description=(__doc__ or "").split("\n")[0], epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("model", metavar="MODEL", help="a name from models/manifest.toml, or a float ONNX file")
    p.add_argument("--images", metavar="DIR", type=Path, required=True, help="pictures to calibrate on, like those of the cameras")
    p.add_argument("--form", choices=["cpu", "tensorrt", "both"], default="both", help="which file [default: both]")
    p.add_argument("--out", metavar="DIR", type=Path, help="where the files go [default: beside the model]")
    p.add_argument("--models", metavar="DIR", type=Path, help="folder of the models [default: $PEREGRINE_MODELS, else /usr/share/peregrine/models]")
    p.add_argument("--limit", metavar="N", type=positive, default=128, help="calibrate on at most so many pictures [default: 128]")
    p.add_argument("--threads", metavar="N", type=positive, default=0, help="[default: one for each core]")
    g = p.add_argument_group("what is quantised")
    g.add_argument("--method", choices=ranges.METHODS, default="mse", help="how a tensor's range is chosen [default: mse, the most accurate where measured]")
    g.add_argument("--percentile", metavar="P", type=percent, default=ranges.PERCENTILE, help=f"with --method percentile: the share of values inside [default: {ranges.PERCENTILE}]")
    g.add_argument("--exclude", metavar="NODE", nargs="+", default=[], help="layers that stay in floats, by their names in the file")
    b = g.add_mutually_exclusive_group()
    b.add_argument("--dynamic-batch", dest="dynamic", action="store_true", default=None, help="any number of pictures at once [default: the tensorrt form only]")
    b.add_argument("--fixed-batch", dest="dynamic", action="store_false", help="the batch of the float model")
    a = p.add_argument_group("the gate")
    a.add_argument("--labels", metavar="JSON", type=Path, help="COCO annotations of --eval-images: a detector is scored by mAP 50-95")
    a.add_argument("--eval-images", metavar="DIR", type=Path, help="pictures to compare on [default: those of --images]")
    a.add_argument("--eval-limit", metavar="N", type=positive, help="compare on at most so many [default: all with labels, else 128]")
    a.add_argument("--max-drop", metavar="D", type=fraction, help="the loss at which nothing is written [default: 0.01 mAP; without labels 0.1 of the boxes, 0.05 of the classes]")
    a.add_argument("--no-gate", action="store_true", help="write without measuring; the file says so of itself")
    o = p.add_argument_group("a model that the manifest does not know")
    o.add_argument("--kind", choices=["detector", "classifier"])
    o.add_argument("--head", choices=["yolov8", "yolox"])
    o.add_argument("--order", choices=["rgb", "bgr"])
    o.add_argument("--mean", metavar="M", help="one number or three with commas, on the scale 0..255")
    o.add_argument("--std", metavar="S", help="likewise")
    o.add_argument("--placement", choices=["centered", "top_left"])
    o.add_argument("--pad", metavar="V", type=int, choices=range(256), help="0..255")
    args = p.parse_args(argv)
    if args.no_gate and (args.labels or args.eval_images or args.max_drop is not None):
        p.error("--no-gate measures nothing, so --labels, --eval-images and --max-drop have no meaning with it")
    if args.labels and not args.eval_images:
        p.error("--labels needs --eval-images, the folder of the pictures that it names")
    return args


class Conversion:
    """One model on its way to its forms."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        models = args.models or Path(os.environ.get("PEREGRINE_MODELS") or "/usr/share/peregrine/models")
        keys = ("kind", "head", "order", "mean", "std", "placement", "pad")
        self.card = cards.override(cards.find(args.model, models), {key: getattr(args, key) for key in keys})
        if self.card.note:
            say(self.card.note)
        if self.card.kind == "classifier" and args.labels:
            raise UsageFailure("--labels: a classifier is compared with the float model on pictures alone; leave it out")
        self.out: Path = args.out or self.card.path.parent
        if not (self.out.is_dir() and os.access(self.out, os.W_OK)):
            raise InputFailure(f"{self.out}: not a folder that can be written to; --out names another")
        paths = pictures.spread(pictures.files(args.images), args.limit)
        annotations = truth(args.labels) if args.labels else None
        eval_paths = [] if args.no_gate else self._to_compare(annotations)
        self.model = qdq.prepare(self.card.path)
        self.wh = input_wh(self.model)
        self.calibration = pictures.load(self.card, paths, self.wh)
        self.layers = self._chosen()
        self.gate = None
        if not args.no_gate:
            say(f"asking the float model about {len(eval_paths)} pictures")
            drawn = pictures.load(self.card, eval_paths, self.wh)
            model = need("onnx", "reading a model").load(str(self.card.path))
            self.gate = Gate(self.card, model, drawn, annotations, args.threads, args.max_drop)

    def _to_compare(self, annotations: Optional[Dict[str, Any]]) -> List[Path]:
        """The pictures that the gate compares on; tells how many, and of which nothing can be said."""
        args, folder = self.args, self.args.eval_images or self.args.images
        found = pictures.files(folder)
        if annotations is None:
            return pictures.spread(found, args.eval_limit or 128)
        known = {image["file_name"] for image in annotations["images"]}
        labelled = [path for path in found if path.name in known]
        if not labelled:
            raise UsageFailure(f"none of the {len(found)} pictures of {folder} is in {args.labels} (file_name is a name without folders)")
        chosen = pictures.spread(labelled, args.eval_limit)
        rest = f"; {len(found) - len(labelled)} others of {folder} are not in {args.labels}" if len(found) > len(labelled) else ""
        say(f"{len(chosen)} pictures are scored{rest}")
        if len(chosen) < FEW_PICTURES:
            say(f"WARNING: a score of {len(chosen)} pictures is much chance; {FEW_PICTURES} or more tell what a conversion costs")
        return chosen

    def _chosen(self) -> List[qdq.Layer]:
        found = qdq.layers(self.model)
        if not found:
            raise ModelFailure(f"{self.card.path}: has no convolution or matrix product with constant weights")
        unknown = sorted(set(self.args.exclude) - {layer.name for layer in found})
        if unknown:
            near = ", ".join(layer.name for layer in found)
            raise UsageFailure(f"--exclude: there is no layer {', '.join(unknown)}; there are: {near}")
        chosen = [layer for layer in found if layer.name not in self.args.exclude]
        # A detector's matrix products belong to attention, whose scores 8 bits would flatten.
        return [layer for layer in chosen if layer.node.op_type == "Conv" or self.card.kind == "classifier"]

    def histograms(self) -> Dict[str, ranges.Histogram]:
        """The values of every tensor that may get codes."""
        say(f"calibrating {len(self.layers)} layers on {len(self.calibration)} pictures")
        onnx = need("onnx", "calibration")
        name = self.model.graph.input[0].name
        inner = [tensor for tensor in qdq.tensors(self.layers) if tensor != name]
        watched = onnx.ModelProto()
        watched.CopyFrom(self.model)
        present = {o.name for o in watched.graph.output}
        watched.graph.output.extend(onnx.helper.make_empty_tensor_value_info(t) for t in inner if t not in present)
        session = Session(watched, self.args.threads, inner)
        tensors = (pictures.tensor(self.card, picture) for picture in self.calibration)
        return ranges.collect(lambda tensor: [tensor] + session.run(tensor), tensors, [name] + inner)

    def convert(self, form: qdq.Form, histograms: Dict[str, ranges.Histogram]) -> Path:
        """Makes a form, measures it, writes it."""
        args = self.args
        chosen: Set[str] = {layer.name for layer in self.layers}
        silus = qdq.before_silu(self.model)
        limits = {name: ranges.choose(h, args.method, form.symmetric, args.percentile, ranges.silu if name in silus else None)
                  for name, h in histograms.items()}
        model = qdq.quantise(self.model, form, chosen, limits)
        if args.dynamic if args.dynamic is not None else form.symmetric:
            two = [pictures.tensor(self.card, self.calibration[i]) for i in (0, -1)]
            model, why = batch.make_dynamic(model, two)
            if why:
                say(f"{form.name}: the batch stays as it is: {why}")
        target = self.out / (self.card.path.stem + form.suffix)
        partial = target.with_name(f".{target.name}.{os.getpid()}.part")
        try:
            verdict = self._judge(form, model)
            self._describe(model, form, verdict)
            partial.write_bytes(model.SerializeToString(deterministic=True))
            os.replace(str(partial), str(target))
        except OSError as e:
            raise InputFailure(f"{target}: cannot be written: {e.strerror}") from e
        finally:
            if partial.exists():
                partial.unlink()
        told = str(verdict) if verdict else "NOT MEASURED"
        print(f"{target}: {len(chosen)} layers in 8 bits, {args.method}, {target.stat().st_size / 1e6:.1f} MB, {told}", flush=True)
        return target

    def _judge(self, form: qdq.Form, model: Any) -> Optional[Verdict]:
        if self.gate is None:
            say(f"WARNING: {form.name}: written without a gate; published conversions lose up to half of their accuracy unnoticed")
            return None
        verdict = self.gate.judge(model)
        if not verdict.passed:
            raise Failure(f"{self.card.path}: the form {form.name} is refused and not written: {verdict}, measured on {len(self.gate.pictures)} "
                          "pictures; more or other pictures to calibrate on, another --method, or --exclude of its last layers may help")
        return verdict

    def _describe(self, model: Any, form: qdq.Form, verdict: Optional[Verdict]) -> None:
        """What the file says of its making. No date: the same conversion gives the same bytes."""
        args = self.args
        about = {"source_sha256": self.card.sha256, "form": form.name, "method": args.method, "images": str(len(self.calibration)),
                 "layers": str(len(self.layers)), "excluded": " ".join(sorted(set(args.exclude))), "gate": verdict.measure if verdict else "none"}
        if args.method == "percentile":
            about["percentile"] = str(args.percentile)
        if verdict and self.gate:
            about.update(before=f"{verdict.before:.4f}", after=f"{verdict.after:.4f}", gate_images=str(len(self.gate.pictures)))
        props = {p.key: p.value for p in model.metadata_props}
        props.update({f"peregrine.{key}": value for key, value in about.items()})
        need("onnx", "writing a model").helper.set_model_props(model, props)


def main() -> int:
    """Converts; gives the exit code."""
    try:
        args = arguments()
        for module in ("numpy", "onnx", "onnxruntime", "PIL") + (("pycocotools",) if args.labels else ()):
            need(module, "a conversion")
        conversion = Conversion(args)
        histograms = conversion.histograms()
        refused: Optional[Failure] = None
        for name in (["cpu", "tensorrt"] if args.form == "both" else [args.form]):
            try:
                conversion.convert(qdq.FORMS[name], histograms)
            except Failure as e:
                # The other form may well be within the limit.
                say(str(e))
                refused = refused or e
        return refused.code if refused else 0
    except Failure as e:
        say(str(e))
        return e.code
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
