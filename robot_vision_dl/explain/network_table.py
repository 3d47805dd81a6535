"""A network as a lecture draws it: layer by layer the size of the output, weights, multiply-adds and receptive field.

Everything is counted in the graph of one pass (``torch.export``), so that what is called as a function counts too, and
branches are followed: where paths meet, the receptive field is that of the widest.
"""
import math
from dataclasses import dataclass
from typing import Any, Callable, Dict, List, Optional, Sequence, Set, Tuple

import torch
from torch import fx, nn

from ..core.errors import ConfigError

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
        receptive_field: (height, width) in pixels of the input that one position depends on, padding included; None
            where there are no positions any more, or they are mixed in a way that is not followed (attention).
        step: (height, width) in pixels of the input from one position to the next; None as above.
    """

    name: str
    kind: str
    output: Size
    parameters: int
    multiply_adds: int
    receptive_field: Optional[Tuple[int, int]] = None
    step: Optional[Tuple[int, int]] = None


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


_Field = Optional[Tuple[Tuple[int, int], Tuple[int, int]]]  # receptive field and step, each height and width
_CONVOLUTIONS = ('conv2d', 'convolution')
_POOLS = ('max_pool2d', 'avg_pool2d', 'max_pool2d_with_indices')
_LOSES_POSITIONS = ('flatten', 'view', 'reshape', 'permute', 'transpose', 'roll', 'index', 'select')
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
    fields: Dict[fx.Node, _Field] = {}
    seen: Set[str] = set()
    rows: List[LayerRow] = []
    for node in program.graph.nodes:
        if node.op == 'placeholder':
            if node.name not in targets:
                fields[node] = ((1, 1), (1, 1))
            continue
        if node.op != 'call_function':
            continue
        operation = _operation(node)
        fields[node] = _field(node, operation, fields)
        kind = _kind(node, operation)
        if kind is None:
            continue
        own = [one.name for one in node.all_input_nodes if one.name in tensors and targets[one.name] in learned]
        fresh = [name for name in own if targets[name] not in seen]
        seen.update(targets[name] for name in fresh)
        field = fields[node]
        rows.append(LayerRow(
            _module(node), kind, tuple(node.meta['val'].shape[1:]), sum(tensors[name].numel() for name in fresh),
            _multiply_adds(node, operation), field and field[0], field and field[1]))
    return NetworkTable(tuple(rows), sum(one.numel() for one in network.parameters()),
                        sum(row.multiply_adds for row in rows))


def _weights(program: Any) -> List[Tuple[fx.Node, str]]:
    """Placeholders that stand for tensors of the network, and their names in it."""
    by_name = {node.name: node for node in program.graph.nodes if node.op == 'placeholder'}
    return [(by_name[spec.arg.name], spec.target) for spec in program.graph_signature.input_specs
            if spec.target is not None]


def _operation(node: fx.Node) -> str:
    """Name of an ATen operator without its overload."""
    return str(node.target).removeprefix('aten.').partition('.')[0]


def _module(node: fx.Node) -> str:
    stack = node.meta.get('nn_module_stack') or {}
    path: str = list(stack.values())[-1][0] if stack else ''
    return path


def _shape(node: Any) -> Size:
    return tuple(node.meta['val'].shape)


def _kind(node: fx.Node, operation: str) -> Optional[str]:
    if operation in _CONVOLUTIONS:
        return 'convolution'
    if operation in _POOLS:
        return 'pooling'
    if operation in ('add', 'add_') and not all(isinstance(one, fx.Node) for one in node.args[:2]):
        return None  # a constant
    if operation == 'mean' and len(_shape(node.args[0])) < 3:
        return None
    return _KINDS.get(operation)


def _multiply_adds(node: fx.Node, operation: str) -> int:
    """Of one pass over the picture that the graph was made with."""
    if operation in _CONVOLUTIONS:
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


def _pair(value: Any, default: int) -> Tuple[int, int]:
    if value is None or value == []:
        return default, default
    if isinstance(value, int):
        return value, value
    return (value[0], value[0]) if len(value) == 1 else (value[0], value[1])


def _argument(node: fx.Node, place: int, name: str) -> Any:
    return node.args[place] if len(node.args) > place else node.kwargs.get(name)


def _window(node: fx.Node, operation: str) -> Optional[Tuple[Tuple[int, int], Tuple[int, int], Tuple[int, int]]]:
    """Sides, stride and dilation of what slides over maps."""
    if operation in _CONVOLUTIONS:
        weight = _shape(node.args[1])
        return (weight[2], weight[3]), _pair(_argument(node, 3, 'stride'), 1), _pair(_argument(node, 5, 'dilation'), 1)
    if operation in _POOLS:
        sides = _pair(_argument(node, 1, 'kernel_size'), 1)
        stride = _argument(node, 2, 'stride')
        dilation = _argument(node, 4, 'dilation') if operation.startswith('max') else None
        return sides, _pair(stride, 1) if stride else sides, _pair(dilation, 1)
    return None


def _field(node: fx.Node, operation: str, fields: Dict[fx.Node, _Field]) -> _Field:
    """Receptive field and step after an operation; None where positions are gone or mixed."""
    value = node.meta.get('val')
    if not isinstance(value, torch.Tensor) or value.ndim != 4:
        return None
    before = [(fields[one], one) for one in node.all_input_nodes if one in fields]
    known = [field for field, _ in before if field is not None]
    if not known or len(known) < len([one for _, one in before if len(_shape(one)) == 4]):
        return None
    window = _window(node, operation)
    if window is not None:
        field, step = known[0]
        sides, stride, dilation = window
        return ((field[0] + (sides[0] - 1) * dilation[0] * step[0], field[1] + (sides[1] - 1) * dilation[1] * step[1]),
                (step[0] * stride[0], step[1] * stride[1]))
    if operation in _LOSES_POSITIONS or value.shape[2] * value.shape[3] == 1:
        return None
    if _KINDS.get(operation) in ('mean', 'product', 'linear'):
        return None
    field = max(field[0] for field, _ in known), max(field[1] for field, _ in known)
    return field, known[0][1]


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
