"""A user's program of torch.export -> a program of the same operators with the outputs of a bundle.

The file is read as any that nobody knows (:mod:`~..networks.program`); what is put into the bundle is exported from
that by the installed torch, with the named tensors as its outputs.
"""
import io
from pathlib import Path
from typing import Dict, List, Optional, Sequence, Tuple

import torch
from torch import nn

from ..bundles.bundle_files import open_regular
from ..bundles.bundle_tensors import MOST_BYTES
from ..errors import BundleError, ConfigError
from ..networks.graph_facts import GraphFacts
from ..networks.program import Program
from ..networks.program_archive import Archive
from ..text.printable import printable
from .graph_import import Named, Normal, Wish, picture_axes, resolve, shown


class _Named(nn.Module):
    """A program with NCHW pictures as its input, and averaged maps as its outputs."""

    def __init__(self, program: Program, is_nhwc: bool, last: Sequence[bool]) -> None:
        super().__init__()
        self.program, self.is_nhwc, self.last = program, is_nhwc, tuple(last)

    def forward(self, pixels: torch.Tensor) -> Tuple[torch.Tensor, ...]:
        outputs = self.program(pixels.permute(0, 2, 3, 1) if self.is_nhwc else pixels)
        return tuple(_pooled(output, last).float() for output, last in zip(outputs, self.last))


def normal_program(path: Path, wish: Wish, where: str) -> List[Normal]:
    """The file in a bundle's form: with a batch of any size, and as it is where it is fixed to one.

    Raises:
        BundleError, ConfigError: it cannot be used.
    """
    program, shape, is_nhwc, batch = _read(path, wish, where)
    tensors = _tensors(program, shape)
    by_name = {one.name: one for one in tensors}
    keys = dict(zip(program.keys, program.outputs))
    modules = _modules(program)
    outputs = list(program.keys or program.outputs)
    known: Dict[str, object] = {**modules, **by_name, **keys}

    def hint() -> str:
        return shown(tensors)

    def tensor_of(name: Optional[str], what: str) -> Optional[str]:
        found = resolve(name, what, outputs, known, hint, where)
        return None if found is None else keys.get(found, found if found in by_name else modules.get(found, found))
    logits, features = tensor_of(wish.logits, 'logits'), tensor_of(wish.features, 'features')
    stages = [tensor_of(name, 'stages') for name in wish.stages]
    names = [name for name in (logits, features, *stages) if name is not None]
    program.wanted = names
    shapes = program.try_sizes(shape)
    last = [_last_is_feature(one, is_nhwc) for one in shapes]
    for name, one in zip(names, shapes):
        if len(one) not in (2, 3, 4) or one[0] != shape[0]:
            raise BundleError(f'{where}: {printable(name, 60)} has the shape {list(one)}; logits and features are '
                              '(batch, number), or (batch, number, height, width), which is averaged')
    widths = [one[-1] if turned else one[1] for one, turned in zip(shapes, last)]
    weights = [tensor.detach().float() for tensor in program.buffers() if tensor.is_floating_point()]
    matrices = [tensor for tensor in weights if tensor.ndim >= 2 and features and widths[0] in tensor.shape
                and widths[1] in tensor.shape]
    vectors = [tensor for tensor in weights if tensor.numel() == widths[0] == max(tensor.shape, default=0)]
    crop = (shape[1], shape[2]) if is_nhwc else (shape[2], shape[3])
    sources = [wish.logits or logits, *([wish.features or features] if features else []), *wish.stages]
    module = _Named(program, is_nhwc, last).eval()
    is_sigmoid = any(logits in node.outputs and 'sigmoid' in node.target for node in program.nodes)
    found, error = [], None
    for size in ([None] if batch is None else [None, batch]):
        try:
            data = _exported(module, (size or 2, wish.channels, *crop), size is None)
        except Exception as first:  # noqa: B902 - whatever torch.export makes of a program of one batch
            error = error or first
            continue
        found.append(Normal(data, crop, GraphFacts(
            widths[1] if features else 0, tuple(widths[2 if features else 1:]), size,
            tuple(str(source) for source in sources)), matrices, vectors, widths[0],
            is_sigmoid=is_sigmoid))
    if not found:
        raise BundleError(f'{where}: torch.export cannot write it with these outputs ({printable(error, 300)})')
    return found


def program_tensors(path: Path, wish: Wish, where: str) -> List[Named]:
    """Tensors of the file that could be named, in the order in which they are made."""
    program, shape, *_ = _read(path, wish, where)
    return _tensors(program, shape)


def _read(path: Path, wish: Wish, where: str) -> Tuple[Program, Tuple[int, int, int, int], bool, Optional[int]]:
    """The program, the shape that it is tried with, whether colours are its last axis, and the batch it is fixed to."""
    with open_regular(path, MOST_BYTES) as file:
        archive = Archive(file, where)
        program = Program(archive, where).eval()
    dims = program.input_sizes
    crop, is_nhwc = picture_axes(dims, wish, where)
    batch = dims[0]
    sides = (*crop, wish.channels) if is_nhwc else (wish.channels, *crop)
    return program, (batch or 1, *sides), is_nhwc, batch


def _tensors(program: Program, shape: Sequence[int]) -> List[Named]:
    """All tensors of two to four axes whose first is the batch."""
    made = [(name, node) for node in program.nodes for name in node.outputs if name is not None]
    before = program.wanted
    program.wanted = tuple(name for name, _ in made)
    try:
        shapes = program.try_sizes(shape)
    finally:
        program.wanted = before
    return [Named(name, one, node.target) for (name, node), one in zip(made, shapes)
            if len(one) in (2, 3, 4) and one[0] == shape[0]]


def _modules(program: Program) -> Dict[str, str]:
    """Path of each module -> name of the last tensor that is made in it."""
    found: Dict[str, str] = {}
    for node in program.nodes:
        parts = node.module.split('.') if node.module else []
        for name in node.outputs:
            if name is not None:
                found.update(('.'.join(parts[:count]), name) for count in range(1, len(parts) + 1))
    return found


def _last_is_feature(shape: Sequence[int], is_nhwc: bool) -> bool:
    """Whether the numbers of a tensor are its last axis: of tokens (batch, tokens, number), and of NHWC maps."""
    if len(shape) == 3:
        return True
    if len(shape) != 4 or shape[2] == shape[3] != shape[1]:
        return False
    return is_nhwc or (shape[1] == shape[2] != shape[3] and shape[1] > 1)


def _pooled(output: torch.Tensor, last: bool) -> torch.Tensor:
    if output.ndim == 2:
        return output
    if output.ndim == 3:
        return output.mean(1)
    return output.mean((1, 2)) if last else output.mean((2, 3))


def _exported(module: nn.Module, shape: Sequence[int], is_free: bool) -> bytes:
    """The bytes of a ``.pt2`` file."""
    if not hasattr(torch.export, 'Dim'):
        raise ConfigError(f'programs of torch.export need torch 2.8 or newer, got {torch.__version__}')
    dynamic = ({0: torch.export.Dim('batch', min=1)},) if is_free else None
    program = torch.export.export(module, (torch.zeros(*shape),), dynamic_shapes=dynamic)
    buffer = io.BytesIO()
    torch.export.save(program, buffer)
    return buffer.getvalue()
