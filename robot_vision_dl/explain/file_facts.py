"""What can be told of a network that is a file of another program: its operators and the numbers that it holds."""
from collections import Counter
from dataclasses import dataclass
from typing import Tuple

from ..core.bundles.bundle import Bundle
from ..core.networks.graph_facts import ONNX
from ..core.networks.graph_network import GraphNetwork
from ..core.networks.onnx_graph import parse_onnx
from ..core.networks.program import Program
from ..core.text.printable import printable
from ..core.uncertainty.ensemble import AnyNetwork


@dataclass(frozen=True)
class FileFacts:
    """A file.

    Attributes:
        format: ``onnx`` or ``torch.export``.
        mega_bytes: its size.
        numbers: that its tensors hold.
        operators: name and how often it occurs, the most frequent first.
    """

    format: str
    mega_bytes: float
    numbers: int
    operators: Tuple[Tuple[str, int], ...]


def file_facts(bundle: Bundle, network: AnyNetwork) -> FileFacts:
    """Read them; the network is one that is a file."""
    assert isinstance(network, GraphNetwork)
    data = network.file_bytes()
    if bundle.architecture.name == ONNX:
        model = parse_onnx(data, printable(bundle.name))
        found = Counter(node.op_type for node in model.graph.node)
        numbers = 0
        for tensor in model.graph.initializer:
            size = 1
            for side in tensor.dims:
                size *= side
            numbers += size
    else:
        assert isinstance(network.run, Program)
        found = Counter(node.target.removeprefix('torch.ops.') for node in network.run.nodes)
        numbers = sum(one.numel() for one in (*network.run.parameters(), *network.run.buffers()))
    return FileFacts(bundle.architecture.name, len(data) / 1e6, numbers, tuple(found.most_common()))
