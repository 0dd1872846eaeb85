"""ONNX Runtime: one way to open a model, whatever is to be asked of it."""
from __future__ import annotations

from typing import Any, List, Optional, Tuple

from .errors import ModelFailure, need


class Session:
    """A model that answers pictures.

    Codes are computed as floats (`disable_quant_qdq`): fused 8-bit kernels saturate 16-bit sums on processors without dot products, and
    a conversion's score must not depend on where it was made.
    """

    def __init__(self, model: Any, threads: int = 0, outputs: Optional[List[str]] = None) -> None:
        ort = need("onnxruntime", "running a model")
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        options.add_session_config_entry("session.disable_quant_qdq", "1")
        try:
            self._session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        except Exception as e:  # ONNX Runtime's exceptions have no common base
            raise ModelFailure(f"ONNX Runtime does not take the model: {e}") from e
        self.input = self._session.get_inputs()[0].name
        present = [o.name for o in self._session.get_outputs()]
        self.outputs = present if outputs is None else outputs
        absent = sorted(set(self.outputs) - set(present))
        if absent:
            raise ModelFailure(f"the model has no output {', '.join(absent)}, which the manifest names; it has {', '.join(present)}")

    def run(self, tensor: Any) -> List[Any]:
        """The outputs for an input tensor."""
        try:
            return self._session.run(self.outputs, {self.input: tensor})
        except Exception as e:  # nor have those that it throws while it runs
            raise ModelFailure(f"ONNX Runtime fails to run the model: {e}") from e


def input_wh(model: Any) -> Tuple[int, int]:
    """Width and height of a model's only input, which takes one picture of floats, or any number."""
    onnx = need("onnx", "reading a model")
    names = {i.name for i in model.graph.initializer}
    inputs = [i for i in model.graph.input if i.name not in names]
    dims = [d.dim_value for d in inputs[0].type.tensor_type.shape.dim] if len(inputs) == 1 else []
    if len(dims) != 4 or dims[1] != 3 or min(dims[2:]) < 1:
        raise ModelFailure("the model must have one input, [batch, 3, height, width] with a fixed height and width; "
                           f"it has {[(i.name, [d.dim_value or d.dim_param for d in i.type.tensor_type.shape.dim]) for i in inputs]}")
    if dims[0] > 1:
        raise ModelFailure(f"the model takes {dims[0]} pictures at once, no more and no fewer; export it for one, or for any number")
    kind = inputs[0].type.tensor_type.elem_type
    if kind != onnx.TensorProto.FLOAT:
        raise ModelFailure(f"the model takes {onnx.TensorProto.DataType.Name(kind)}; a conversion begins with floats of 32 bits: export it so")
    return dims[3], dims[2]
