"""What int8 shifts in the mean of each channel is put back into the biases, which costs no time when it runs.

Layer by layer from the input on: the mean of a layer's output over pictures and positions, int8 with all layers before
it corrected, is brought to that of float32 (Nagel et al., Data-Free Quantization through Weight Equalization and Bias
Correction, ICCV 2019, in its empirical form). A layer's output is linear in its bias, so each part of the
network runs once.
"""
from dataclasses import dataclass
from typing import Any, Dict, List, Sequence, Set

import numpy as np
import torch

from ..networks.int8 import DEQUANTISE
from ..networks.onnx_graph import INPUT, import_onnx, make_session
from .activation_ranges import with_outputs

LAYERS = ('Conv', 'Gemm')
"""Operators whose third input is a bias for each channel, the second axis of their output."""
MOST_BYTES = 1 << 29
"""Of what is kept between two layers, by which the number of pictures is bounded; one batch is always taken."""


@dataclass(frozen=True)
class _Layer:
    """A layer with a bias of its own.

    Attributes:
        output: name of the tensor that it makes in the int8 model.
        bias: name of the initializer, float32 or int32.
        scale: (C,) or () of an int32 bias; 1 of one in float32.
    """

    output: str
    bias: str
    scale: np.ndarray


def correct_biases(float32: bytes, int8: bytes, pictures: np.ndarray, batch: int, what: str) -> bytes:
    """The int8 model with corrected biases.

    Args:
        float32: the model that it was made of, serialized, with the same names of nodes.
        int8: with ``QuantizeLinear`` and ``DequantizeLinear``, serialized.
        pictures: float32 (n, channels, H, W); of many only some are used where the network's maps are large.
        batch: pictures in a pass.
        what: name of the model, for messages.
    """
    onnx = import_onnx()
    model = onnx.load_model_from_string(int8)
    layers = _layers(model)
    outputs = {node.name: node.output[0] for node in onnx.load_model_from_string(float32).graph.node}
    layers = {name: layer for name, layer in layers.items() if name in outputs}
    names = [outputs[name] for name in layers]
    count = min(len(pictures), _affordable(float32, names, pictures[:batch], what))
    batches = [pictures[place:place + batch] for place in range(0, max(count - batch + 1, 1), batch)]
    wanted = _means(float32, names, batches, what)
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    parts = _Parts(model, batches, what)
    for (_, layer), mean in zip(layers.items(), wanted):
        given = parts.run_to(layer.output)
        shift = mean - np.mean([_channel_means(one) for one in given], axis=0)
        bias = onnx.numpy_helper.to_array(tensors[layer.bias])
        steps = shift / layer.scale
        steps = steps if bias.dtype == np.float32 else np.round(steps)
        limits = np.iinfo(np.int32) if bias.dtype == np.int32 else np.finfo(np.float32)
        changed = np.clip(bias.astype(np.float64) + steps, limits.min, limits.max).astype(bias.dtype)
        made = (changed.astype(np.float64) - bias) * layer.scale
        for one in given:
            one += made.astype(np.float32).reshape(-1, *[1] * (one.ndim - 2))
        tensors[layer.bias].CopyFrom(onnx.numpy_helper.from_array(changed, layer.bias))
    serialized: bytes = model.SerializeToString()
    return serialized


def _layers(model: Any) -> Dict[str, _Layer]:
    """Name of the node -> layer, in the order of the graph; those whose bias others use, too, are left out."""
    to_array = import_onnx().numpy_helper.to_array
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    made = {name: node for node in model.graph.node for name in node.output}
    used: Dict[str, int] = {}
    for node in model.graph.node:
        for name in node.input:
            used[name] = used.get(name, 0) + 1
    found: Dict[str, _Layer] = {}
    for node in model.graph.node:
        if node.op_type not in LAYERS or len(node.input) < 3 or used[node.input[2]] > 1 or _scaled(node):
            continue
        bias, scale = node.input[2], np.ones((), np.float64)
        source = made.get(bias)
        if source is not None and source.op_type == DEQUANTISE and source.input[0] in tensors:
            bias = source.input[0]
            scale = to_array(tensors[source.input[1]]).astype(np.float64).reshape(-1)
        if bias in tensors and used[bias] == 1 and len(tensors[bias].dims) == 1 and tensors[bias].data_type in (1, 6):
            found[node.name] = _Layer(node.output[0], bias, scale if scale.size > 1 else scale.reshape(()))
    return found


def _scaled(node: Any) -> bool:
    """Whether the bias of a ``Gemm`` is multiplied by something."""
    return any(one.name == 'beta' and one.f != 1 for one in node.attribute)


class _Parts:
    """Runs a model piece by piece; what is still needed of each piece is kept, for each batch."""

    def __init__(self, model: Any, batches: Sequence[np.ndarray], what: str) -> None:
        self._model, self._what = model, what
        self._kept: List[Dict[str, np.ndarray]] = [{INPUT: batch} for batch in batches]
        self._rest: List[Any] = list(model.graph.node)

    def run_to(self, output: str) -> List[np.ndarray]:
        """The tensor ``output`` of each batch; a change of it in place is a change for what comes after."""
        wanted, part = {output}, []
        for node in reversed(self._rest):
            if wanted.intersection(node.output):
                part.append(node)
                wanted.update(node.input)
        part.reverse()
        done = {id(node) for node in part}
        self._rest = [node for node in self._rest if id(node) not in done]
        later: Set[str] = {name for node in self._rest for name in node.input}
        outputs = list(dict.fromkeys([output, *(name for node in part for name in node.output if name in later)]))
        inputs = [name for name in self._kept[0] if name in wanted]
        session = self._session(part, wanted, inputs, outputs)
        for kept in self._kept:
            kept.update(zip(outputs, session.run(outputs, {name: kept[name] for name in inputs})))
            for name in [name for name in kept if name not in later and name != output]:
                del kept[name]
        return [kept[output] for kept in self._kept]

    def _session(self, nodes: Sequence[Any], wanted: Set[str], inputs: Sequence[str], outputs: Sequence[str]) -> Any:
        onnx = import_onnx()
        first, helper = self._kept[0], onnx.helper
        graph = helper.make_graph(
            nodes, 'part', [helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(first[name].dtype),
                                                          first[name].shape) for name in inputs],
            [helper.make_empty_tensor_value_info(name) for name in outputs],
            [tensor for tensor in self._model.graph.initializer if tensor.name in wanted])
        part = helper.make_model(graph, opset_imports=self._model.opset_import, ir_version=self._model.ir_version)
        return make_session(part.SerializeToString(), torch.get_num_threads(), self._what)


def _channel_means(values: np.ndarray) -> np.ndarray:
    """(C,) of (n, C) or (n, C, ...)."""
    means: np.ndarray = values.mean(tuple(axis for axis in range(values.ndim) if axis != 1), dtype=np.float64)
    return means


def _means(model: bytes, names: Sequence[str], batches: Sequence[np.ndarray], what: str) -> List[np.ndarray]:
    """(C,) of each tensor over the pictures."""
    session = make_session(with_outputs(model, names), torch.get_num_threads(), what)
    found = [[_channel_means(value) for value in session.run(list(names), {INPUT: batch})] for batch in batches]
    return [np.mean(means, axis=0) for means in zip(*found)]


def _affordable(model: bytes, names: Sequence[str], batch: np.ndarray, what: str) -> int:
    """How many pictures fit: a branch may keep three of the largest maps at a time."""
    session = make_session(with_outputs(model, names), torch.get_num_threads(), what)
    largest = max((value.nbytes / len(batch) for value in session.run(list(names), {INPUT: batch})), default=1)
    return int(MOST_BYTES // (3 * largest))
