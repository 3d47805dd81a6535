"""Large float32 tables of an ONNX model that half precision holds exactly are stored so: the same in fewer bytes.

Runtimes turn them back when they load the model.
"""
from typing import Any

import numpy as np

from ..networks.onnx_graph import import_onnx

_LEAST = 1 << 16  # numbers
_SUFFIX = '_half'


def in_half_where_exact(model: Any) -> None:
    """Change a model (``onnx.ModelProto``): such initialisers become float16, with a ``Cast`` behind each."""
    onnx = import_onnx()
    casts = []
    for place, tensor in enumerate(model.graph.initializer):
        if tensor.data_type != onnx.TensorProto.FLOAT or np.prod(tensor.dims, dtype=np.int64) < _LEAST:
            continue
        values = onnx.numpy_helper.to_array(tensor)
        with np.errstate(over='ignore'):
            half = values.astype(np.float16)
        if np.array_equal(half.astype(np.float32), values):
            name = tensor.name
            model.graph.initializer[place].CopyFrom(onnx.numpy_helper.from_array(half, name + _SUFFIX))
            casts.append(onnx.helper.make_node('Cast', [name + _SUFFIX], [name], to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
