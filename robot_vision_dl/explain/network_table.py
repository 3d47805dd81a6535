"""A network as a lecture draws it: layer by layer the size of the output, weights, multiply-adds and receptive field.

Everything is counted in the graph of one pass (``torch.export``), so that what is called as a function counts too, and
branches are followed (:mod:`.receptive_field`).
"""
import math
from dataclasses import dataclass
from typing import Any, Callable, Dict, List, Optional, Sequence, Set, Tuple

import torch
from torch import fx, nn

from ..core.errors import ConfigError
from .receptive_field import CONVOLUTIONS, PIXEL, POOLS, Field, Pair, field_after

Size = Tuple[int, ...]


@dataclass(frozen=True)
class LayerRow:
    """One operation of a pass over one picture.

    Attributes:
        name: dotted name of the module that it belongs to.
        kind: ``convolution``, ``linear``, ``pooling``, ``mean``, ``addition``, ``concatenation``, ``product``,
            ``normalisation``.
        output: shape of its output without the batch.
        parameters: numbers of its weights and biases; of a module that is run twice, in its first row.
        multiply_adds: for one picture.
        field: what of the input one position depends on, padding included; None where there are no positions any
            more, or they are mixed in a way that is not followed (attention).
    """

    name: str
    kind: str
    output: Size
    parameters: int
    multiply_adds: int
    field: Optional[Field] = None

    @property
    def receptive_field(self) -> Optional[Pair]:
        """(height, width) of the field, in pixels."""
        return self.field and self.field.size

    @property
    def step(self) -> Optional[Pair]:
        """(height, width) from one position to the next, in pixels."""
        return self.field and self.field.step


@dataclass(frozen=True)
class NetworkTable:
    """All of a network.

    Attributes:
        rows: in the order in which they are run.
        parameters: of the whole network, learned ones; those of statistics are not.
        multiply_adds: for one picture.
    """

    rows: Tuple[LayerRow, ...]
    parameters: int
    multiply_adds: int

    def field_of(self, module: str) -> Optional[Field]:
        """That of what a module gives, by its dotted name; None where there is none, or no such module."""
        found = [row for row in self.rows if len(row.output) == 3  # what is averaged for a score is none of its maps
                 and (row.name == module or row.name.startswith(f'{module}.'))]
        return found[-1].field if found else None


_KINDS = {'linear': 'linear', 'addmm': 'linear', 'mm': 'product', 'bmm': 'product', 'matmul': 'product',
          'scaled_dot_product_attention': 'product', 'add': 'addition', 'add_': 'addition', 'cat': 'concatenation',
          'batch_norm': 'normalisation', 'layer_norm': 'normalisation', 'group_norm': 'normalisation',
          'mean': 'mean', 'adaptive_avg_pool2d': 'mean', 'adaptive_max_pool2d': 'mean'}


def network_table(network: nn.Module, pixels: torch.Tensor) -> NetworkTable:
    """Count a network.

    Args:
        network: in evaluation mode.
        pixels: (1, C, H, W), of the size at which it is run.

    Raises:
        ConfigError: torch cannot follow it.
    """
    try:
        with torch.no_grad():
            program = torch.export.export(network, (pixels,))
    except Exception as error:  # noqa: B902 - networks cannot be followed for many reasons
        raise ConfigError(f'the network cannot be counted: torch.export cannot follow it ({error})') from error
    tensors = {node.name: program.state_dict[target] for node, target in _weights(program)
               if target in program.state_dict}
    learned = {name for name, _ in network.named_parameters()}
    targets = {node.name: target for node, target in _weights(program)}
    fields: Dict[fx.Node, Optional[Field]] = {}
    seen: Set[str] = set()
    rows: List[LayerRow] = []
    for node in program.graph.nodes:
        if node.op == 'placeholder':
            if node.name not in targets:
                fields[node] = PIXEL
            continue
        if node.op != 'call_function':
            continue
        operation = operation_of(node)
        fields[node] = field_after(node, operation, fields)
        kind = _kind(node, operation)
        if kind is None:
            continue
        own = [one.name for one in node.all_input_nodes if one.name in tensors and targets[one.name] in learned]
        fresh = [name for name in own if targets[name] not in seen]
        seen.update(targets[name] for name in fresh)
        rows.append(LayerRow(
            module_of(node), kind, tuple(node.meta['val'].shape[1:]), sum(tensors[name].numel() for name in fresh),
            _multiply_adds(node, operation), fields[node]))
    return NetworkTable(tuple(rows), sum(one.numel() for one in network.parameters()),
                        sum(row.multiply_adds for row in rows))


def _weights(program: Any) -> List[Tuple[fx.Node, str]]:
    """Placeholders that stand for tensors of the network, and their names in it."""
    by_name = {node.name: node for node in program.graph.nodes if node.op == 'placeholder'}
    return [(by_name[spec.arg.name], spec.target) for spec in program.graph_signature.input_specs
            if spec.target is not None]


def operation_of(node: fx.Node) -> str:
    """Name of an ATen operator without its overload."""
    return str(node.target).removeprefix('aten.').partition('.')[0]


def module_of(node: fx.Node) -> str:
    """Dotted name of the module that a node belongs to; empty for the network itself."""
    stack = node.meta.get('nn_module_stack') or {}
    path: str = list(stack.values())[-1][0] if stack else ''
    return path


def _shape(node: Any) -> Size:
    return tuple(node.meta['val'].shape)


def _kind(node: fx.Node, operation: str) -> Optional[str]:
    if operation in CONVOLUTIONS:
        return 'convolution'
    if operation in POOLS:
        return 'pooling'
    if operation in ('add', 'add_') and not all(isinstance(one, fx.Node) for one in node.args[:2]):
        return None  # a constant
    if operation == 'mean' and len(_shape(node.args[0])) < 3:
        return None
    return _KINDS.get(operation)


def _multiply_adds(node: fx.Node, operation: str) -> int:
    """Of one pass over the picture that the graph was made with."""
    if operation in CONVOLUTIONS:
        weight = _shape(node.args[1])  # (maps, maps before / groups, height, width)
        return math.prod(_shape(node)) * math.prod(weight[1:])
    if operation == 'linear':
        return math.prod(_shape(node)) * _shape(node.args[1])[1]
    if operation == 'addmm':
        return math.prod(_shape(node)) * _shape(node.args[1])[1]
    if operation in ('mm', 'bmm', 'matmul'):
        return math.prod(_shape(node)) * _shape(node.args[0])[-1]
    if operation == 'scaled_dot_product_attention':
        query, key, value = (_shape(one) for one in node.args[:3])
        return math.prod(query) * key[-2] + math.prod(query[:-1]) * key[-2] * value[-1]
    return 0


def as_text(table: NetworkTable, most: int = 0) -> List[str]:
    """Lines of a table for a terminal, additions and normalisations left out; ``most``: 0: all rows."""
    rows = [row for row in table.rows if row.kind not in ('addition', 'normalisation')]
    if most and len(rows) > most:
        rows = rows[:most]
    columns: Sequence[Tuple[str, Callable[[LayerRow], str]]] = (
        ('layer', lambda row: row.name or '-'), ('kind', lambda row: row.kind),
        ('output', lambda row: ' x '.join(map(str, row.output))), ('weights', lambda row: f'{row.parameters:,}'),
        ('multiply-adds', lambda row: f'{row.multiply_adds:,}'),
        ('receptive field', lambda row: ' x '.join(map(str, row.receptive_field or ()))))
    cells = [[name for name, _ in columns], *([value(row) for _, value in columns] for row in rows)]
    widths = [max(len(line[place]) for line in cells) for place in range(len(columns))]
    return ['  '.join(cell.ljust(width) if place < 2 else cell.rjust(width)
                      for place, (cell, width) in enumerate(zip(line, widths))).rstrip() for line in cells]
