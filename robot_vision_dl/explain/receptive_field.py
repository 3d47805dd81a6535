"""What of the input a position of a map depends on, followed through the graph of a pass.

A field begins at ``start + step * position`` and is ``size`` pixels long (Araujo, Norris and Sim 2019, "Computing
Receptive Fields of Convolutional Neural Networks"); both may lie in the padding, outside of the picture. Where paths
meet it is the union of theirs.
"""
from typing import Any, Dict, NamedTuple, Optional, Sequence, Tuple

import torch
from torch import fx

Pair = Tuple[int, int]
CONVOLUTIONS = ('conv2d', 'convolution')
POOLS = ('max_pool2d', 'avg_pool2d', 'max_pool2d_with_indices')
_PADS = ('pad', 'constant_pad_nd')
_LOSES_POSITIONS = ('flatten', 'view', 'reshape', 'permute', 'transpose', 'roll', 'index', 'select')
_MIXES_POSITIONS = ('mean', 'adaptive_avg_pool2d', 'adaptive_max_pool2d', 'linear', 'addmm', 'mm', 'bmm', 'matmul',
                    'scaled_dot_product_attention')


class Field(NamedTuple):
    """Height and width of each, in pixels of the input.

    Attributes:
        size: of what one position depends on.
        step: from one position to the next.
        start: first pixel of the field of position 0; negative in the padding.
    """

    size: Pair
    step: Pair
    start: Pair

    def of_place(self, row: int, column: int) -> Tuple[int, int, int, int]:
        """(top, left, bottom, right) of what one position depends on; may reach beyond the picture."""
        top, left = self.start[0] + row * self.step[0], self.start[1] + column * self.step[1]
        return top, left, top + self.size[0], left + self.size[1]


PIXEL = Field((1, 1), (1, 1), (0, 0))


def field_after(node: fx.Node, operation: str, fields: Dict[fx.Node, Optional[Field]]) -> Optional[Field]:
    """The field after an operation; None where positions are gone, or mixed in a way that is not followed.

    Args:
        node: of a graph of torch.export.
        operation: name of its ATen operator without the overload.
        fields: of all nodes before it that come from the picture.
    """
    value = node.meta.get('val')
    if not isinstance(value, torch.Tensor) or value.ndim != 4:
        return None
    before = [(fields[one], one) for one in node.all_input_nodes if one in fields]
    known = [field for field, _ in before if field is not None]
    if not known or len(known) < len([one for _, one in before if one.meta['val'].ndim == 4]):
        return None
    if operation in _PADS:
        return _padded(known[0], _argument(node, 1, 'pad') or ())
    window = _window(node, operation)
    if window is not None:
        return _slid(known[0], *window)
    if operation in _LOSES_POSITIONS or operation in _MIXES_POSITIONS or value.shape[2] * value.shape[3] == 1:
        return None
    return _union(known)


def _slid(field: Field, sides: Pair, stride: Pair, dilation: Pair, padding: Pair) -> Field:
    size, step, start = field
    return Field((size[0] + (sides[0] - 1) * dilation[0] * step[0], size[1] + (sides[1] - 1) * dilation[1] * step[1]),
                 (step[0] * stride[0], step[1] * stride[1]),
                 (start[0] - padding[0] * step[0], start[1] - padding[1] * step[1]))


def _padded(field: Field, sides: Sequence[int]) -> Field:
    """After a padding, (left, right, top, bottom)."""
    left, top = (sides[0] if sides else 0), (sides[2] if len(sides) > 2 else 0)
    return field._replace(start=(field.start[0] - top * field.step[0], field.start[1] - left * field.step[1]))


def _union(fields: Sequence[Field]) -> Field:
    start = min(one.start[0] for one in fields), min(one.start[1] for one in fields)
    end = max(one.start[0] + one.size[0] for one in fields), max(one.start[1] + one.size[1] for one in fields)
    return Field((end[0] - start[0], end[1] - start[1]), fields[0].step, start)


def _window(node: fx.Node, operation: str) -> Optional[Tuple[Pair, Pair, Pair, Pair]]:
    """Sides, stride, dilation and padding of what slides over maps."""
    if operation in CONVOLUTIONS:
        weight = node.args[1].meta['val'].shape  # type: ignore[union-attr]
        sides, dilation = (int(weight[2]), int(weight[3])), _pair(_argument(node, 5, 'dilation'), 1)
        padding = _argument(node, 4, 'padding')
        if isinstance(padding, str):
            same = padding == 'same'
            padding = [(side - 1) * far // 2 if same else 0 for side, far in zip(sides, dilation)]
        return sides, _pair(_argument(node, 3, 'stride'), 1), dilation, _pair(padding, 0)
    if operation in POOLS:
        sides = _pair(_argument(node, 1, 'kernel_size'), 1)
        stride = _argument(node, 2, 'stride')
        spread = _argument(node, 4, 'dilation') if operation.startswith('max') else None
        return sides, _pair(stride, 1) if stride else sides, _pair(spread, 1), _pair(_argument(node, 3, 'padding'), 0)
    return None


def _pair(value: Any, default: int) -> Pair:
    if value is None or value == []:
        return default, default
    if isinstance(value, int):
        return value, value
    return (value[0], value[0]) if len(value) == 1 else (value[0], value[1])


def _argument(node: fx.Node, place: int, name: str) -> Any:
    return node.args[place] if len(node.args) > place else node.kwargs.get(name)
