"""A bundle's network in float32 -> the same in int8, as near to float32 as its probabilities tell.

What there is a choice of is judged on pictures that it does not rest on, by the Kullback-Leibler divergence of the
calibrated probabilities from those in float32, run as they will be: which ranges the activations have, and which layers
lose too much (:mod:`.sensitive_layers`) and stay float32. Means that are shifted are put back
(:mod:`.bias_correction`).
"""
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Optional, Sequence, Tuple

import numpy as np
import torch
from torch import nn

from ..bundles.bundle import Bundle
from ..networks.graph_facts import ONNX, GraphFacts
from ..networks.graph_network import GraphNetwork, Run, run_in_batches, runner
from ..networks.int8 import DEQUANTISE, adds_exactly
from ..networks.onnx_graph import INPUT, import_onnx, make_session, parse_onnx
from .activation_ranges import Ranges, least_squares, min_max
from .bias_correction import correct_biases
from .graph_import import Normal, Wish, linear_head, tried
from .half_weights import in_half_where_exact
from .int8_builder import Int8Builder
from .onnx_model import batch_of, cached_onnx, output_names
from .sensitive_layers import NEGLIGIBLE, find_sensitive

PROBED, PROBED_SHARE = 96, 0.25
"""Pictures by which choices are judged: at most so many, and this share of all where there are fewer."""
CORRECTED, CORRECTED_IN_SEARCH = 64, 16
"""Pictures that biases are corrected on: of the result, and of those that are only tried."""
_FEW = 40
"""Of fewer pictures none is kept from the ranges: all are used for both."""
_BATCH = 8
WHOLE, CUT = 'smallest to largest', 'least squares'
RANGES: Dict[str, Callable[..., Ranges]] = {WHOLE: min_max, CUT: least_squares}
WORTH_CUTTING = 0.5
"""Share of the divergence with whole ranges that must be left where outliers are cut off: scores of the unknown live on
them. EfficientNet-Lite0, textures: AUROC .004 below float32's with whole ranges, .009 with those of least squares."""

Pictures = Callable[[], Iterator[torch.Tensor]]
"""Begins anew with each call: preprocessed pictures, float32 (channels, height, width) each."""


@dataclass(frozen=True)
class Quantised:
    """A network in int8.

    Attributes:
        network: as a bundle has it.
        float32: the model that it was made of, with the same outputs, serialized ONNX.
        layers: how many there are with weights.
        float_layers: names of those of them that stayed float32.
        divergence: mean Kullback-Leibler divergence of its calibrated softmax from the float32 network's, in nats.
        ranges: how those of activations were found, one of :data:`RANGES`.
        pictures: that they rest on.
        held_out: pictures that the divergence is of.
        tries: models that were made to find the layers that lose too much.
    """

    network: GraphNetwork
    float32: bytes
    layers: int
    float_layers: Tuple[str, ...]
    divergence: float
    ranges: str
    pictures: int
    held_out: int
    tries: int

    @property
    def weight_bits(self) -> int:
        """Of the int8 weights, 7 or 8."""
        assert self.network.facts.weight_bits is not None
        return self.network.facts.weight_bits


def quantise(bundle: Bundle, pictures: Pictures, weight_bits: Optional[int] = None, tries: int = 24,
             runtime: Optional[str] = None) -> Quantised:
    """Make the int8 network of a bundle.

    Args:
        bundle: one model in float32.
        pictures: of known classes, some hundreds.
        weight_bits: 7 (``reduce_range``: right on every processor) or 8; None: 8 where this processor has VNNI or is
            no x86, else 7.
        tries: models that may be made at most to find the layers that lose too much; 0: all become int8.
        runtime: that will run it, see :attr:`~..networks.graph_network.GraphFacts.runtime`.

    Raises:
        ConfigError: what is needed is not installed, or the network cannot be turned into ONNX.
        BundleError: it cannot be quantised.
    """
    import_onnx()
    bits, fixed = weight_bits or (8 if adds_exactly() else 7), batch_of(bundle)
    float32 = _in_form(bundle)
    ranged, probe = _divided(pictures)
    with tempfile.TemporaryDirectory() as folder:
        builder = Int8Builder(float32, Path(folder), lambda: _batches(pictures, ranged, fixed), bits, bundle.name)
        some = np.concatenate(list(_batches(pictures, _spread(ranged, CORRECTED), fixed)))
        few = some[::max(len(some) // CORRECTED_IN_SEARCH, 1)] if len(some) >= CORRECTED_IN_SEARCH else some
        divergence = _Divergence(bundle, float32, np.concatenate(list(_batches(pictures, probe, fixed))), runtime)

        def made(ranges: Ranges, kept: Sequence[str] = (), on: np.ndarray = some) -> bytes:
            return correct_biases(builder.prepared, builder(ranges, kept), on, fixed or _BATCH, bundle.name)
        observed = builder.observed()
        choices: Dict[str, Ranges] = {name: choose(observed) for name, choose in RANGES.items()}
        found: Dict[str, Tuple[float, bytes]] = {}
        for name, ranges in choices.items():
            data = made(ranges)
            found[name] = divergence(data), data
        best = CUT if found[CUT][0] < WORTH_CUTTING * found[WHOLE][0] else WHOLE
        least, data = found[best]
        kept: Tuple[str, ...] = ()
        count = len(found)
        if tries and least > NEGLIGIBLE:
            layers = [name for name in builder.layers if name not in builder.head]
            search = find_sensitive(lambda names: divergence(made(choices[best], names, few)), layers, tries)
            count += search.tries
            if search.kept_float:
                other = made(choices[best], search.kept_float)
                less = divergence(other)
                if less < least:
                    kept, data, least = search.kept_float, other, less
    names = tuple(builder.layers[node] for node in (*kept, *builder.head))
    smaller = parse_onnx(data, bundle.name)
    in_half_where_exact(smaller)
    data = smaller.SerializeToString()
    return Quantised(_as_network(data, bundle, bits, runtime), float32, len(builder.layers), names, least, best,
                     len(ranged), len(probe), count)


def _divided(pictures: Pictures) -> Tuple[List[int], List[int]]:
    """Numbers of the pictures that ranges rest on, and of those by which choices are judged, both spread over all."""
    count = sum(1 for _ in pictures())
    every = list(range(count))
    if count < _FEW:
        return every, every
    probe = _spread(every, min(PROBED, int(count * PROBED_SHARE)))
    return sorted(set(every) - set(probe)), probe


def _spread(numbers: Sequence[int], most: int) -> List[int]:
    places = np.linspace(0, len(numbers) - 1, min(most, len(numbers)))
    return [numbers[place] for place in places.round().astype(int)]


def _batches(pictures: Pictures, numbers: Sequence[int], fixed: Optional[int]) -> Iterator[np.ndarray]:
    """Pictures of these numbers in batches; where their size is fixed, the last is filled with its last picture."""
    wanted, some, size = set(numbers), [], fixed or _BATCH
    for number, picture in enumerate(pictures()):
        if number in wanted:
            some.append(picture)
        if len(some) == size:
            yield torch.stack(some).numpy()
            some = []
    if some:
        yield torch.stack(some + some[-1:] * (fixed - len(some) if fixed else 0)).numpy()


def _in_form(bundle: Bundle) -> bytes:
    """The float32 model with the outputs that a bundle's file has."""
    model = parse_onnx(cached_onnx(bundle), bundle.name)
    names = dict(zip(output_names(bundle), _facts(bundle, None).outputs))
    for node in model.graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
    for output in model.graph.output:
        output.name = names[output.name]
    del model.graph.value_info[:]
    del model.metadata_props[:]
    serialized: bytes = model.SerializeToString()
    return serialized


def _facts(bundle: Bundle, weight_bits: Optional[int], sizes: Sequence[int] = ()) -> GraphFacts:
    """What the int8 file gives; ``sizes``: of the features (0: none) and of each stage."""
    stages = bundle.architecture.stages
    has_features = 'features' in output_names(bundle)
    features, *rest = sizes or (int(has_features), *(1 for _ in stages))
    return GraphFacts(features, tuple(rest), batch_of(bundle), ('logits', *(['features'] if has_features else []),
                                                                *stages), weight_bits)


class _Divergence:
    """An int8 model, serialized -> how far its probabilities are from float32's, see :class:`Quantised`."""

    def __init__(self, bundle: Bundle, float32: bytes, probe: np.ndarray, runtime: Optional[str]) -> None:
        self._probe, self._batch, self._what = torch.from_numpy(probe), batch_of(bundle), bundle.name
        self._temperature, self._runner = bundle.temperature or 1.0, runner(runtime)
        self._wanted = self._log_probabilities(runner(None)(float32, ['logits'], bundle.name))

    def __call__(self, model: bytes) -> float:
        given = self._log_probabilities(self._runner(model, ['logits'], self._what))
        return float((self._wanted.exp() * (self._wanted - given)).sum(1).mean())

    def _log_probabilities(self, run: Run) -> torch.Tensor:
        logits = torch.cat([run_in_batches(run, some, self._batch)[0] for some in self._probe.split(_BATCH)])
        return (logits.double() / self._temperature).log_softmax(1)


def _as_network(data: bytes, bundle: Bundle, bits: int, runtime: Optional[str]) -> GraphNetwork:
    """The model as a bundle's network, tried as any file is that becomes one, with its linear head if it has one."""
    model = parse_onnx(data, bundle.name)
    session = make_session(data, 1, bundle.name)
    shape = (batch_of(bundle) or 1, bundle.architecture.in_channels, *bundle.preprocessing.crop)
    outputs = [one.name for one in model.graph.output]
    sizes = {name: one.shape[1] for name, one in zip(outputs, session.run(outputs, {
        INPUT: np.zeros(shape, np.float32)}))}
    stages = [sizes[name] for name in outputs if name.startswith('stage_')]
    facts = replace(_facts(bundle, bits, (sizes.get('features', 0), *stages)), runtime=runtime)
    weights = _dequantised(model)
    classes, features = sizes['logits'], facts.features
    matrices = [one for one in weights if features and one.numel() == classes * features]
    vectors = [one for one in weights if one.numel() == classes == max(one.shape, default=0)]
    normal = Normal(data, bundle.preprocessing.crop, facts, matrices, vectors, classes)
    wish = Wish(classes, bundle.architecture.in_channels, stages=bundle.architecture.stages)
    _, network, pixels = tried([normal], ONNX, wish, bundle.name)
    head = linear_head(network, pixels, normal) if features else None
    network.head = nn.Identity() if head is None else head
    network.architecture = replace(network.architecture, stages=bundle.architecture.stages)
    return network


def _dequantised(model: Any) -> List[torch.Tensor]:
    """The weights that stayed float32, and what the others are in float32."""
    to_array = import_onnx().numpy_helper.to_array
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    found = [torch.from_numpy(to_array(tensor).astype(np.float32)) for tensor in tensors.values()
             if tensor.data_type in (1, 10)]  # float32, float16
    for node in model.graph.node:
        if node.op_type != DEQUANTISE or node.input[0] not in tensors:
            continue
        values, scale = (to_array(tensors[name]) for name in node.input[:2])
        zero = to_array(tensors[node.input[2]]) if len(node.input) > 2 and node.input[2] else np.zeros_like(scale)
        if scale.ndim and scale.size > 1:
            axis = next((one.i for one in node.attribute if one.name == 'axis'), 1)
            shape = [-1 if place == axis % values.ndim else 1 for place in range(values.ndim)]
            scale, zero = scale.reshape(shape), zero.reshape(shape)
        found.append(torch.from_numpy((values.astype(np.float64) - zero.astype(np.float64)) * scale).float())
    return found
