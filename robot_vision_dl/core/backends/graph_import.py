"""A file of the user's own -> a network for a bundle: which tensor is what, checked with what the file really gives."""
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Callable, Iterable, List, Mapping, Optional, Sequence, Tuple

import torch
from torch import nn

from ..bundles.bundle_files import open_regular
from ..bundles.bundle_tensors import MOST_BYTES
from ..errors import BundleError, ConfigError
from ..networks.architecture import Architecture, did_you_mean
from ..networks.graph_facts import ONNX, PROGRAM, GraphFacts
from ..networks.graph_network import MAX_DIFFERENCE, GraphNetwork, relative_difference, restore_graph
from ..networks.network import Prediction
from ..text.printable import printable

SUFFIXES = {'.onnx': ONNX, '.pt2': PROGRAM}
"""Of files that are networks, and what they are called in a bundle."""
PICTURES = 6
"""That a file is tried on."""
_SHOWN = 10
_FLAT = 1e-6  # relative; a network that tells pictures apart changes by far more


@dataclass(frozen=True)
class Wish:
    """What the user says of a file.

    Attributes:
        logits, features: names of tensors; None: outputs of these names, or the only output, are taken.
        stages: names of more tensors.
        classes: C.
        channels: 1 for grey, 3 for RGB.
        crop: (height, width) that the network will be given; None: what the file is fixed to.
    """

    classes: int
    channels: int = 3
    logits: Optional[str] = None
    features: Optional[str] = None
    stages: Tuple[str, ...] = ()
    crop: Optional[Tuple[int, int]] = None


@dataclass(frozen=True)
class Named:
    """A tensor that could be named.

    Attributes:
        name: in the file.
        shape: for one picture (or the batch that the file is fixed to), as far as it is known.
        what: made by which operator, for people.
    """

    name: str
    shape: Tuple[int, ...]
    what: str


@dataclass(frozen=True)
class Normal:
    """A file in the form that a bundle has.

    Attributes:
        data: the file.
        crop: (height, width) that it takes.
        facts: what it gives.
        matrices, vectors: its weights that could be those of a linear head.
        classes: C.
        before: the tensor that the softmax or sigmoid is made of that gives the logits, if there is one.
        is_sigmoid: whether the logits are what a sigmoid gives.
    """

    data: bytes
    crop: Tuple[int, int]
    facts: GraphFacts
    matrices: Sequence[torch.Tensor]
    vectors: Sequence[torch.Tensor]
    classes: int
    before: Optional[str] = None
    is_sigmoid: bool = False


@dataclass(frozen=True)
class Imported:
    """A network that was tried.

    Attributes:
        network: of the bundle.
        crop: (height, width) that it takes.
        notes: what the user should know, a sentence each.
    """

    network: GraphNetwork
    crop: Tuple[int, int]
    notes: Tuple[str, ...]


def import_graph(path: Path, wish: Wish) -> Imported:
    """Read a ``.onnx`` or ``.pt2`` file, bring it into a bundle's form, and try it.

    Raises:
        BundleError: it cannot be used; the message says why and what could be done.
        ConfigError: what reads or runs it is not installed.
    """
    kind = SUFFIXES[path.suffix.lower()]
    open_regular(path, MOST_BYTES).close()
    where = printable(path)
    if kind == ONNX:
        from .onnx_import import normal_onnx as normal
    else:
        from .program_import import normal_program as normal
    notes: List[str] = []
    free = normal(path, wish, where)
    found, network, pixels = tried(free, kind, wish, where)
    if found.facts.batch is not None:
        notes.append(f'the file takes batches of {found.facts.batch}; several cameras and evaluations run '
                     f'{"frame by frame" if found.facts.batch == 1 else "in such batches"}, which is slower. Export it '
                     'with a dynamic batch dimension')
    _check_logits(network, pixels, found, where)
    if not found.facts.features:
        notes.append('no features are named (--features): only scores of the logits can tell what is unknown (energy, '
                     'largest logit or probability), which are the weakest; there is no kNN, Mahalanobis or ViM score '
                     f'and no Laplace approximation. {_candidates(path, wish)}')
        return Imported(network, found.crop, tuple(notes))
    head = linear_head(network, pixels, found)
    if head is None:
        notes.append('the logits are not a matrix times the features: no Laplace approximation, no ViM and no ReAct '
                     'score. Name the tensor that the last linear layer sees, if there is one')
    network.head = nn.Identity() if head is None else head
    return Imported(network, found.crop, tuple(notes))


def _candidates(path: Path, wish: Wish) -> str:
    named = list_tensors(path, wish)
    return f'Could be named (the last tensor of each shape): {shown(named)}' if named else ''


def list_tensors(path: Path, wish: Wish) -> List[Named]:
    """Tensors of a file that could be features or a stage: a number for each feature, or maps."""
    if SUFFIXES[path.suffix.lower()] == ONNX:
        from .onnx_import import onnx_tensors
        return onnx_tensors(path, wish, printable(path))
    from .program_import import program_tensors
    return program_tensors(path, wish, printable(path))


def shown(named: Sequence[Named]) -> str:
    """Of each shape the last tensor, in a line, the last ones first."""
    by_shape = {one.shape: one for one in named}
    last = [one for one in named[::-1] if by_shape[one.shape] is one]
    return ', '.join(f'{printable(one.name, 60)} {list(one.shape)}' for one in last[:_SHOWN])


def resolve(name: Optional[str], what: str, outputs: Sequence[str], tensors: Mapping[str, object],
            hint: Callable[[], str], where: str) -> Optional[str]:
    """The tensor that is meant by ``--logits`` or ``--features``.

    Args:
        name: what the user says, or None.
        what: ``logits`` or ``features``.
        outputs: of the file, by name.
        tensors: all that could be named.
        hint: lists some of them.

    Raises:
        BundleError: there is no such tensor, or it is not clear which output the logits are.
    """
    if name is None:
        if what in outputs:
            return what
        if what == 'logits':
            if len(outputs) == 1:
                return outputs[0]
            raise BundleError(f'{where}: has {len(outputs)} outputs ({printable(", ".join(outputs[:12]), 300)}); say '
                              'which are the logits (--logits NAME) and the features (--features NAME)')
        return None
    if name not in tensors:
        near = did_you_mean(name, list(tensors))
        raise BundleError(f'{where}: has no tensor {printable(repr(name), 80)}{near} for --{what}; outputs are '
                          f'{printable(", ".join(outputs[:12]), 300)}; others, the last of each shape: {hint()}')
    return name


def tried(free: Sequence[Normal], kind: str, wish: Wish, where: str) -> Tuple[Normal, GraphNetwork, torch.Tensor]:
    """The first form that gives the same in batches as for single pictures: any batch, then the file's own."""
    error: Optional[Exception] = None
    for found in free:
        if found.classes != wish.classes:
            raise BundleError(f'{where}: the logits have {found.classes} outputs, but there are names for '
                              f'{wish.classes} classes')
        architecture = Architecture(kind, wish.classes, wish.channels, stages=wish.stages)
        pixels = _pictures((PICTURES, wish.channels, *found.crop))
        try:
            network = restore_graph(architecture, found.facts, found.data, None, found.crop)
            _check_batches(network, pixels, where)
        except BundleError as first:
            error = error or first
            continue
        return found, network, pixels
    assert error is not None
    raise error


def _pictures(shape: Tuple[int, int, int, int]) -> torch.Tensor:
    """Normalised pictures, each another: coarse patterns under fine noise."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.randn(shape[0], shape[1], 7, 7, generator=generator)
    coarse = nn.functional.interpolate(coarse, shape[2:], mode='bilinear', align_corners=False)
    strength = torch.linspace(0.1, 1.0, shape[0])[:, None, None, None]
    return coarse + strength * torch.randn(shape, generator=generator)


@torch.inference_mode()
def _check_batches(network: GraphNetwork, pixels: torch.Tensor, where: str) -> None:
    together = network(pixels)
    alone = [network(one[None]) for one in pixels]
    for name, place in (('logits', 0), ('features', 1), *((f'stage {stage}', number + 2) for number, stage in enumerate(
            network.architecture.stages))):
        batch, single = _flat(together)[place], torch.cat([_flat(one)[place] for one in alone])
        if batch.shape != single.shape:
            raise BundleError(f'{where}: gives {name} of the shape {tuple(batch.shape)} for {len(pixels)} pictures, '
                              f'and {tuple(alone[0][0].shape)} for one')
        if not batch.numel():
            continue
        if not bool(torch.isfinite(batch).all()):
            raise BundleError(f'{where}: its {name} are not finite numbers')
        difference = relative_difference(batch, single)
        if difference > MAX_DIFFERENCE:
            raise BundleError(f'{where}: a batch gives other {name} than single pictures (relative difference '
                              f'{difference:.2g}): pictures of a batch influence each other. Export the network in '
                              'evaluation mode (model.eval())')
        if relative_difference(batch, batch[:1].expand_as(batch)) < _FLAT:
            raise BundleError(f'{where}: its {name} are the same for every picture')


def _flat(prediction: Prediction) -> List[torch.Tensor]:
    return [prediction.logits, prediction.features, *prediction.stages]


@torch.inference_mode()
def _check_logits(network: GraphNetwork, pixels: torch.Tensor, found: Normal, where: str) -> None:
    logits = network(pixels).logits
    name = found.facts.sources[0]
    if logits.shape[1] == 1:
        raise BundleError(f'{where}: {name} is one number a picture, of which no softmax can be made: it would be sure '
                          'of its one class whatever it sees. Export a number for each class; of a network for yes or '
                          'no, z, that is torch.cat([torch.zeros_like(z), z], 1) before the sigmoid')
    if found.is_sigmoid:
        raise BundleError(f'{where}: {name} is what a sigmoid gives, a probability of each class by itself, by which '
                          'several can be there at once; here one class is decided for. Where one holds at a time, '
                          'give ' + (f'--logits {found.before}' if found.before else
                                     '--logits with the tensor before the sigmoid, or export the network without it')
                          + ', and calibrate')
    sums = logits.exp().sum(1) if float(logits.max()) <= 1e-6 else logits.sum(1)
    if logits.shape[1] > 1 and float((sums - 1).abs().max()) < 1e-3 and (
            float(logits.min()) >= 0 or float(logits.max()) <= 1e-6):
        remedy = (f'--logits {found.before}' if found.before else
                  '--logits with the tensor before the softmax, or export the network without it')
        raise BundleError(f'{where}: {name} gives probabilities, which sum to 1 for each picture, '
                          f'not logits; give {remedy}')


@torch.inference_mode()
def linear_head(network: GraphNetwork, pixels: torch.Tensor, found: Normal) -> Optional[nn.Linear]:
    """W and b among the weights of the file with logits = features W^T + b on the pictures; None: there are none."""
    prediction = network(pixels)
    logits, features = prediction.logits.double(), prediction.features.double()
    classes, count = logits.shape[1], features.shape[1]
    for matrix in found.matrices:
        for weight in _as_head(matrix, classes, count):
            rest = logits - features @ weight.double().T
            bias = rest.mean(0)
            if relative_difference(rest, bias.expand_as(rest)) * float(bias.abs().max()) > (
                    MAX_DIFFERENCE / 10 * float(logits.abs().max())):
                continue
            exact = [vector for vector in (*found.vectors, torch.zeros(classes)) if vector.numel() == classes
                     and float((vector.flatten().double() - bias).abs().max()) <= (
                         MAX_DIFFERENCE * max(float(logits.abs().max()), 1e-12))]
            head = nn.Linear(count, classes)
            head.weight = nn.Parameter(weight.float().clone(), requires_grad=False)
            nearest = min(exact, key=lambda vector: float((vector.flatten().double() - bias).abs().max()),
                          default=bias)
            head.bias = nn.Parameter(nearest.flatten().float().clone(), requires_grad=False)
            return head
    return None


def _as_head(matrix: torch.Tensor, classes: int, count: int) -> Iterable[torch.Tensor]:
    """A tensor as (C, F), if it could be a head's: a matrix, its transpose, or a 1x1 convolution."""
    shape = tuple(size for size in matrix.shape if size != 1) if matrix.ndim > 2 else tuple(matrix.shape)
    if matrix.numel() != classes * count:
        return
    if shape == (classes, count) or matrix.ndim > 2 and matrix.shape[:2] == (classes, count):
        yield matrix.reshape(classes, count)
    if shape == (count, classes):
        yield matrix.reshape(count, classes).T


def picture_axes(dims: Sequence[Optional[int]], wish: Wish, where: str, name: str = 'its input'
                 ) -> Tuple[Tuple[int, int], bool]:
    """(height, width) that the network takes, and whether colours are the last axis.

    Args:
        dims: sizes of the input's axes, of which the first is the batch; None where one may have any.
        name: of the input, for messages.

    Raises:
        BundleError: they are not those of pictures.
        ConfigError: see :func:`_one_of`.
    """
    if len(dims) != 4:
        raise BundleError(f'{where}: {name} has {len(dims)} axes; pictures have four: batch, channels, height, width, '
                          'or channels last')
    is_nhwc = dims[1] != wish.channels and dims[3] == wish.channels
    if not is_nhwc and dims[1] not in (None, wish.channels):
        raise BundleError(f'{where}: takes {dims[1]} channels (of the shape {list(dims)}), and --in-channels is '
                          f'{wish.channels}')
    height, width = (dims[1], dims[2]) if is_nhwc else (dims[2], dims[3])
    return _one_of(wish.crop, height, width, where), is_nhwc


def _one_of(crop: Optional[Tuple[int, int]], height: Optional[int], width: Optional[int], where: str
            ) -> Tuple[int, int]:
    """(height, width) that the network takes: of the file where it is fixed, else what the user says.

    Raises:
        ConfigError: they differ, or neither says it.
    """
    if height is None or width is None:
        if crop is None:
            raise ConfigError(f'{where}: takes pictures of any size; say which with --crop')
        return crop
    if crop not in (None, (height, width)):
        raise ConfigError(f'{where}: takes pictures of {height} x {width} pixels (height x width), got --crop '
                          f'{crop[0] if crop else ""} {crop[1] if crop else ""}')
    return height, width


def fixed(found: Normal, batch: int) -> Normal:
    """The same for a batch of a fixed size."""
    return replace(found, facts=replace(found.facts, batch=batch))
