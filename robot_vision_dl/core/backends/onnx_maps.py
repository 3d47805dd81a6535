"""The last maps of an ONNX model as one more of its outputs, which a pass gives only where it is asked for it.

They are found in the graph, so that models that were cached before, int8 networks and files of the user's own have them
too: what is averaged over its positions to become the logits (as SqueezeNet does), or else the features.
"""
from typing import Any, Dict, NamedTuple

from ..errors import ConfigError
from ..networks.int8 import DEQUANTISE, QUANTISE
from ..networks.onnx_graph import import_onnx, parse_onnx

_SAME_NUMBERS = ('Flatten', 'Reshape', 'Squeeze', 'Identity', 'Dropout', QUANTISE, DEQUANTISE)
"""Operators that leave the numbers as they are, but for rounding to int8."""
_MEANS = ('GlobalAveragePool', 'ReduceMean', 'AveragePool')


class MapsOutput(NamedTuple):
    """A model that gives its last maps.

    Attributes:
        model: serialized.
        name: of the output, (B, F, h, w).
        mean: what their mean over positions is, ``logits`` or ``features``.
    """

    model: bytes
    name: str
    mean: str


def with_last_maps(data: bytes, what: str) -> MapsOutput:
    """The model with its last maps as an output, behind all others.

    Args:
        data: serialized, in the form of :mod:`.onnx_model`.
        what: its name, for messages.

    Raises:
        ConfigError: neither logits nor features are a mean over positions, or onnx is not installed.
    """
    model = parse_onnx(data, what)
    made = {name: node for node in model.graph.node for name in node.output}
    for output in ('logits', 'features'):
        node = _averaged(made, output)
        if node is None:
            continue
        maps = node.input[0]
        if all(one.name != maps for one in model.graph.output):
            onnx = import_onnx()
            model.graph.output.append(onnx.helper.make_tensor_value_info(maps, onnx.TensorProto.FLOAT, None))
        return MapsOutput(model.SerializeToString(), maps, output)
    raise ConfigError(f'{what}: neither its logits nor its features are a mean over positions')


def _averaged(made: Dict[str, Any], output: str) -> Any:
    """The node that averages what becomes ``output``; None: there is none."""
    node = made.get(output)
    while node is not None and node.op_type in _SAME_NUMBERS:
        node = made.get(node.input[0])
    return node if node is not None and node.op_type in _MEANS and node.input[0] in made else None
