"""Where scales go: QuantizeLinear and DequantizeLinear around the layers that are to run in 8 bits.

The nodes are written here rather than by onnxruntime.quantization because what TensorRT takes is narrow (no int32 biases, zero points of 0,
scales of weights along the outputs) and because which tensor gets which range is decided one by one, which its interface does not allow in
every version that a Jetson's Python has.
"""
from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Dict, List, Optional, Set, Tuple

from .errors import ModelFailure, need

# The first operator set whose QuantizeLinear has an axis.
LEAST_OPSET = 13


@dataclass(frozen=True)
class Form:
    """One of the two files that are made of a model."""

    name: str
    suffix: str
    # Codes from -127 to 127 with zero at 0, else from 0 to 255 with a zero point.
    symmetric: bool
    # Outputs of layers get codes too, biases become integers: what a processor's integer layers want. TensorRT fuses better without.
    whole_layers: bool


FORMS = {
    "cpu": Form("cpu", "_int8.onnx", symmetric=False, whole_layers=True),
    "tensorrt": Form("tensorrt", "_int8.tensorrt.onnx", symmetric=True, whole_layers=False),
}


@dataclass(frozen=True)
class Layer:
    """A layer that can run in 8 bits. `output` is where its activation function, if it is fused, ends."""

    name: str
    node: Any
    input: str
    weights: str
    output: str
    # The axis of the weights along which its outputs lie.
    axis: int


def prepare(path: Path) -> Any:
    """The model as onnxruntime recommends it before quantisation: constants folded, batch normalisation in the convolutions, shapes known."""
    onnx = need("onnx", "reading a model")
    ort = need("onnxruntime", "folding constants")
    try:
        model = onnx.load(str(path))
        onnx.checker.check_model(model)
    except Exception as e:  # protobuf and the checker have many names for a damaged file
        raise ModelFailure(f"{path}: not a sound ONNX model ({e})") from e
    if any(node.op_type == "QuantizeLinear" for node in model.graph.node):
        raise ModelFailure(f"{path}: is quantised already; a conversion begins with the float model")
    opset = next((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), 0)
    if opset < LEAST_OPSET:
        raise ModelFailure(f"{path}: operator set {opset}; scales for each channel need {LEAST_OPSET} or later: export it anew")
    # Before ONNX Runtime turns halves into floats with a Cast before each layer.
    _check_weights(path, model)
    with TemporaryDirectory() as folder:
        options = ort.SessionOptions()
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = str(Path(folder) / "prepared.onnx")
        options.log_severity_level = 3
        try:
            ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as e:
            raise ModelFailure(f"{path}: ONNX Runtime does not take it: {e}") from e
        prepared = onnx.load(options.optimized_model_filepath)
    strangers = sorted({node.domain for node in prepared.graph.node} - {"", "ai.onnx"})
    if strangers:
        raise ModelFailure(f"{path}: operators of {', '.join(strangers)}, which TensorRT does not have")
    # ONNX Runtime names every operator set that it knows.
    del prepared.opset_import[:]
    prepared.opset_import.extend(o for o in model.opset_import if o.domain in ("", "ai.onnx"))
    for i, node in enumerate(prepared.graph.node):
        node.name = node.name or f"{node.op_type}_{i}"
    del prepared.metadata_props[:]
    prepared.metadata_props.extend(model.metadata_props)
    prepared.producer_name, prepared.producer_version = model.producer_name, model.producer_version
    _check_weights(path, prepared)
    return onnx.shape_inference.infer_shapes(prepared)


def _check_weights(path: Path, model: Any) -> None:
    """That what is to get codes is floats of 32 bits, and numbers."""
    onnx, np = need("onnx", "reading a model"), need("numpy", "reading a model")
    constants = {i.name: i for i in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type not in ("Conv", "Gemm", "MatMul"):
            continue
        for name in node.input[1:3]:
            if name not in constants:
                continue
            kind = constants[name].data_type
            if kind != onnx.TensorProto.FLOAT:
                raise ModelFailure(f"{path}: the weights of {node.name} are {onnx.TensorProto.DataType.Name(kind)}; "
                                   "a conversion begins with floats of 32 bits: export it so")
            if not np.isfinite(onnx.numpy_helper.to_array(constants[name])).all():
                raise ModelFailure(f"{path}: the weights of {node.name} are not all finite numbers; the file or its training is broken")


class Graph:
    """Who makes and who reads a tensor."""

    def __init__(self, model: Any) -> None:
        onnx = need("onnx", "reading a model")
        self.constants = {i.name: i for i in model.graph.initializer}
        self.outputs = {o.name for o in model.graph.output}
        self.maker = {o: node for node in model.graph.node for o in node.output}
        self.readers: Dict[str, List[Any]] = {}
        for node in model.graph.node:
            for name in node.input:
                self.readers.setdefault(name, []).append(node)
        self.array = lambda name: onnx.numpy_helper.to_array(self.constants[name])

    def only_reader(self, tensor: str) -> Optional[Any]:
        """The node that alone reads a tensor which is no output of the model."""
        readers = self.readers.get(tensor, [])
        return readers[0] if len(readers) == 1 and tensor not in self.outputs else None


def layers(model: Any) -> List[Layer]:
    """What can run in 8 bits, in the order of the graph: convolutions and matrix products with constant weights, up to a softmax.

    What follows a softmax computes coordinates and probabilities (YOLOv8's distribution of edges): 8 bits there would round pixels.
    """
    graph = Graph(model)
    after_softmax: Set[str] = set()
    found = []
    for node in model.graph.node:
        if node.op_type == "Softmax" or any(i in after_softmax for i in node.input):
            after_softmax.update(node.output)
            continue
        if node.op_type not in ("Conv", "Gemm", "MatMul") or node.input[1] not in graph.constants or node.input[0] in graph.constants:
            continue
        weights = graph.constants[node.input[1]]
        attributes = {a.name: a.i for a in node.attribute}
        if node.op_type == "MatMul" and len(weights.dims) != 2:
            continue
        axis = 0 if node.op_type == "Conv" or attributes.get("transB", 0) else 1
        output = node.output[0]
        follower = graph.only_reader(output)
        if follower is not None and follower.op_type in ("Relu", "Clip"):
            output = follower.output[0]
        found.append(Layer(node.name, node, node.input[0], node.input[1], output, axis))
    return found


def tensors(chosen: List[Layer]) -> List[str]:
    """Every tensor that a form may give codes."""
    return list(dict.fromkeys(name for layer in chosen for name in (layer.input, layer.output)))


def before_silu(model: Any) -> Set[str]:
    """The tensors that nothing reads but a sigmoid and the product with it."""
    graph = Graph(model)
    found = set()
    for name, readers in graph.readers.items():
        kinds = sorted(node.op_type for node in readers)
        if kinds == ["Mul", "Sigmoid"] and name not in graph.outputs:
            gate = next(node.output[0] for node in readers if node.op_type == "Sigmoid")
            if any(gate in node.input for node in readers if node.op_type == "Mul") and graph.only_reader(gate) is not None:
                found.add(name)
    return found


def quantise(model: Any, form: Form, chosen: Set[str], ranges: Dict[str, Tuple[float, float]]) -> Any:
    """A copy of the model in which the layers named in `chosen` are computed in 8 bits."""
    return _Writer(model, form, ranges).write(chosen)


class _Writer:
    def __init__(self, model: Any, form: Form, ranges: Dict[str, Tuple[float, float]]) -> None:
        onnx = need("onnx", "writing a model")
        self.onnx, self.np = onnx, need("numpy", "writing a model")
        self.model = onnx.ModelProto()
        self.model.CopyFrom(model)
        self.form, self.ranges = form, ranges
        self.graph = Graph(self.model)
        # Nodes that go before the one of this name, and behind it.
        self.before: Dict[str, List[Any]] = {}
        self.behind: Dict[str, List[Any]] = {}
        self.known: Dict[str, str] = {}
        self.steps: Dict[str, float] = {}

    def write(self, chosen: Set[str]) -> Any:
        found = [layer for layer in layers(self.model) if layer.name in chosen]
        for layer in found:
            self._activation(layer.input, layer)
            if self.form.whole_layers:
                self._activation(layer.output, None)
        for layer in found:
            self._weights(layer)
        nodes = []
        for node in self.model.graph.node:
            nodes += self.before.get(node.name, []) + [node] + self.behind.get(node.name, [])
        head = self.before.get("", [])
        used = {name for node in head + nodes for name in node.input}
        kept = [i for i in self.model.graph.initializer if i.name in used]
        for repeated, values in ((self.model.graph.node, head + nodes), (self.model.graph.initializer, kept)):
            copies = [type(v).FromString(v.SerializeToString()) for v in values]
            del repeated[:]
            repeated.extend(copies)
        return self.model

    def _constant(self, name: str, value: Any) -> str:
        if name not in self.graph.constants:
            tensor = self.onnx.numpy_helper.from_array(value, name)
            self.graph.constants[name] = tensor
            self.model.graph.initializer.append(tensor)
        return name

    def _activation(self, tensor: str, reader: Optional[Layer]) -> None:
        """Codes for a tensor: for all its readers where layers are whole, else for this one alone."""
        np = self.np
        if tensor not in self.known:
            low, high = self.ranges[tensor]
            if self.form.symmetric:
                step, zero = np.float32(max(high, 1e-6) / 127), np.int8(0)
            else:
                step = np.float32(max((high - low) / 255, 1e-6 / 255))
                zero = np.uint8(np.clip(np.rint(-low / step), 0, 255))
            pair = self._pair(tensor, tensor, step, zero)
            self.known[tensor], self.steps[tensor] = pair[1].output[0], float(step)
            maker = self.graph.maker.get(tensor)
            (self.before if maker is None else self.behind).setdefault("" if maker is None else maker.name, []).extend(pair)
            if self.form.whole_layers:
                for node in self.graph.readers.get(tensor, []):
                    self._redirect(node, tensor)
        if reader is not None:
            self._redirect(reader.node, tensor)

    def _redirect(self, node: Any, tensor: str) -> None:
        for i, name in enumerate(node.input):
            if name == tensor:
                node.input[i] = self.known[tensor]

    def _pair(self, name: str, source: str, step: Any, zero: Any, **attributes: int) -> List[Any]:
        make = self.onnx.helper.make_node
        scale, point = self._constant(f"{name}_scale", step), self._constant(f"{name}_zero_point", zero)
        codes, values = f"{name}_QuantizeLinear_Output", f"{name}_DequantizeLinear_Output"
        return [make("QuantizeLinear", [source, scale, point], [codes], f"{name}_QuantizeLinear", **attributes),
                make("DequantizeLinear", [codes, scale, point], [values], f"{name}_DequantizeLinear", **attributes)]

    def _weights(self, layer: Layer) -> None:
        np = self.np
        values = self.graph.array(layer.weights)
        others = tuple(i for i in range(values.ndim) if i != layer.axis)
        largest = np.abs(values).max(axis=others)
        step = (np.where(largest > 0, largest, 1.0) / 127).astype(np.float32)
        pair = self._pair(layer.weights, layer.weights, step, np.zeros(step.shape, np.int8), axis=layer.axis)
        if self.form.whole_layers:
            # Processors read the codes from the file; TensorRT wants the floats and quantises them itself.
            shape = [-1 if i == layer.axis else 1 for i in range(values.ndim)]
            codes = np.clip(np.rint(values / step.reshape(shape)), -127, 127).astype(np.int8)
            pair = [pair[1]]
            pair[0].input[0] = self._constant(f"{layer.weights}_quantized", codes)
        self.before.setdefault(layer.node.name, []).extend(pair)
        layer.node.input[1] = pair[-1].output[0]
        if self.form.whole_layers and layer.node.op_type != "MatMul" and len(layer.node.input) > 2 and layer.node.input[2]:
            self._bias(layer, step * np.float32(self.steps[layer.input]))

    def _bias(self, layer: Layer, step: Any) -> None:
        np, name = self.np, layer.node.input[2]
        if name not in self.graph.constants or self.graph.array(name).shape != step.shape:
            return
        # The same bias of two layers has other steps in each.
        own = f"{layer.name}_bias"
        codes = np.clip(np.rint(self.graph.array(name).astype(np.float64) / step), -2 ** 31, 2 ** 31 - 1).astype(np.int32)
        inputs = [self._constant(f"{own}_quantized", codes), self._constant(f"{own}_scale", step),
                  self._constant(f"{own}_zero_point", np.zeros(step.shape, np.int32))]
        node = self.onnx.helper.make_node("DequantizeLinear", inputs, [f"{own}_DequantizeLinear_Output"], f"{own}_DequantizeLinear", axis=0)
        self.before[layer.node.name].append(node)
        layer.node.input[2] = node.output[0]
