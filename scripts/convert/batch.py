"""Any number of pictures at once: the batch of a file that was exported for one picture becomes symbolic."""
from __future__ import annotations

from typing import Any, List, Optional, Tuple

from .errors import ModelFailure, need
from .session import Session

NAME = "batch"
# The same sums in another order: far above what that changes, far below what a mixed-up batch does.
TOLERANCE = 1e-3


def make_dynamic(model: Any, tensors: List[Any]) -> Tuple[Any, Optional[str]]:
    """The model for any batch, and None; or the model as it is, and why. `tensors` are two inputs of one picture each."""
    onnx = need("onnx", "changing a model")
    dims = model.graph.input[0].type.tensor_type.shape.dim
    if not dims[0].dim_value:
        return model, None
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    graph = changed.graph
    graph.input[0].type.tensor_type.shape.dim[0].dim_param = NAME
    _free_reshapes(onnx, graph)
    del graph.value_info[:]
    for output in graph.output:
        if output.type.tensor_type.shape.dim:
            output.type.tensor_type.shape.dim[0].dim_param = NAME
    try:
        changed = onnx.shape_inference.infer_shapes(changed, strict_mode=True)
    except Exception as e:  # the checker's errors have no common base
        return model, f"its shapes do not agree for more: {e}"
    return (changed, None) if (why := _differs(changed, tensors)) is None else (model, why)


def _free_reshapes(onnx: Any, graph: Any) -> None:
    """A Reshape to [1, …] goes to [0, …]: 0 takes over the batch of what comes in."""
    constants = {i.name: i for i in graph.initializer}
    copies = {}
    for node in graph.node:
        if node.op_type != "Reshape" or node.input[1] not in constants:
            continue
        shape = onnx.numpy_helper.to_array(constants[node.input[1]])
        if shape.size == 0 or shape[0] != 1:
            continue
        # A copy: the same constant may mean something else to another node.
        name = f"{node.input[1]}_any_batch"
        if name not in copies:
            free = shape.copy()
            free[0] = 0
            copies[name] = onnx.numpy_helper.from_array(free, name)
        node.input[1] = name
    graph.initializer.extend(copies.values())
    used = {name for node in graph.node for name in node.input}
    kept = [i for i in graph.initializer if i.name in used]
    copied = [type(i).FromString(i.SerializeToString()) for i in kept]
    del graph.initializer[:]
    graph.initializer.extend(copied)


def _differs(model: Any, tensors: List[Any]) -> Optional[str]:
    """Why two pictures at once do not give what each gives alone."""
    np = need("numpy", "checking a batch")
    try:
        session = Session(model, threads=1)
        alone = [session.run(tensor) for tensor in tensors]
        together = session.run(np.concatenate(tensors))
    except ModelFailure as e:
        return str(e)
    for name, both, *each in zip(session.outputs, together, *alone):
        want = np.concatenate(each)
        if both.shape != want.shape or np.abs(both - want).max() > TOLERANCE * max(1.0, float(np.abs(want).max())):
            return f"two pictures at once give another {name} than one after the other"
    return None
