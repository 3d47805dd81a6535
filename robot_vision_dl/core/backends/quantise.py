"""A bundle's network in float32 -> the same in int8, by ONNX Runtime's own tools: static, QDQ, weights per channel.

Activations are uint8, weights int8. Ranges of activations are the smallest and largest values over pictures of known
classes. Which layers lose too much is measured (:mod:`.sensitive_layers`); they stay float32.
"""
import inspect
import logging
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Callable, Dict, Iterable, Iterator, List, Optional, Sequence, Tuple

import numpy as np
import torch
from torch import nn

from ..bundles.bundle import Bundle
from ..errors import BundleError, ConfigError
from ..networks.graph_network import ONNX, GraphFacts, GraphNetwork
from ..networks.int8 import DEQUANTISE, QUANTISE, adds_exactly
from ..networks.onnx_graph import INPUT, import_onnx, make_session, parse_onnx
from ..text.printable import printable
from .graph_import import Normal, Wish, linear_head, tried
from .onnx_model import batch_of, cached_onnx, output_names
from .sensitive_layers import Search, find_sensitive

LAYERS = ('Conv', 'ConvTranspose', 'Gemm', 'MatMul')
"""Operators with weights: what may stay float32 is told by them."""
PROBED = 64
"""Pictures by which layers are judged."""
_BATCH = 8
_INSTALL = 'install them with `pip install "robot_vision_dl[onnx]"`'

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
        pictures: that the ranges of activations rest on.
        tries: models that were made to find the layers that lose too much.
    """

    network: GraphNetwork
    float32: bytes
    layers: int
    float_layers: Tuple[str, ...]
    divergence: float
    pictures: int
    tries: int

    @property
    def weight_bits(self) -> int:
        """Of the int8 weights, 7 or 8."""
        assert self.network.facts.weight_bits is not None
        return self.network.facts.weight_bits


def quantise(bundle: Bundle, pictures: Pictures, weight_bits: Optional[int] = None, tries: int = 24) -> Quantised:
    """Make the int8 network of a bundle.

    Args:
        bundle: one model in float32.
        pictures: of known classes, some hundreds.
        weight_bits: 7 (``reduce_range``: right on every processor) or 8; None: 8 where this processor has VNNI or is
            no x86, else 7.
        tries: models that may be made at most to find the layers that lose too much; 0: all become int8.

    Raises:
        ConfigError: what is needed is not installed, or the network cannot be turned into ONNX.
        BundleError: it cannot be quantised.
    """
    onnx = import_onnx()
    tools = _tools()
    bits = weight_bits or (8 if adds_exactly() else 7)
    float32 = _in_form(bundle)
    with tempfile.TemporaryDirectory() as folder:
        plain, ready = Path(folder) / 'float32.onnx', Path(folder) / 'ready.onnx'
        plain.write_bytes(float32)
        try:
            tools.prepare(str(plain), str(ready), skip_symbolic_shape=True)
        except Exception as error:  # noqa: B902 - the tools raise whatever they meet
            raise BundleError(f'{bundle.name}: ONNX Runtime cannot prepare it ({printable(error, 300)})') from error
        model = onnx.load(str(ready))
        layers = _name_layers(model)
        onnx.save(model, str(ready))
        if not layers:
            raise BundleError(f'{bundle.name}: has no layer with weights ({", ".join(LAYERS)}); there is nothing to '
                              'quantise')
        build = _Builder(tools, ready, Path(folder), pictures, batch_of(bundle), bits, bundle.name)
        probe = torch.stack([one for one, _ in zip(pictures(), range(PROBED))]).numpy()
        judge = _Judge(float32, probe, bundle)
        found: Search = find_sensitive(lambda names: judge(build(names)), list(layers), tries)
        data = build(found.kept_float)
    return Quantised(_as_network(data, bundle, bits), float32, len(layers),
                     tuple(layers[name] for name in found.kept_float), found.divergence, build.count, found.tries)


@dataclass(frozen=True)
class _Tools:
    """Of ``onnxruntime.quantization``."""

    prepare: Callable[..., None]
    static: Callable[..., None]
    module: Any


def _tools() -> _Tools:
    try:
        import onnxruntime.quantization as module
        from onnxruntime.quantization.shape_inference import quant_pre_process
    except ImportError as error:
        raise ConfigError(f'quantising needs onnx and onnxruntime ({error}); {_INSTALL}') from error
    return _Tools(quant_pre_process, module.quantize_static, module)


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


def _name_layers(model: Any) -> Dict[str, str]:
    """Name of each node with weights -> that of its weights, for people; nodes without a name get one."""
    constants = {tensor.name for tensor in model.graph.initializer}
    found: Dict[str, str] = {}
    for number, node in enumerate(model.graph.node):
        node.name = f'n{number}_{node.op_type}'
        weights = [name for name in node.input[1:2] if name in constants]
        if node.op_type in LAYERS and weights:
            found[node.name] = weights[0].removeprefix('network.').removesuffix('.weight')
    return found


class _Builder:
    """Names of nodes that stay float32 -> the int8 model, serialized. Ranges are found once where that is offered.

    Attributes:
        count: pictures that the ranges rest on.
    """

    def __init__(self, tools: _Tools, ready: Path, folder: Path, pictures: Pictures, batch: Optional[int], bits: int,
                 what: str) -> None:
        self._tools, self._ready, self._folder, self._pictures = tools, ready, folder, pictures
        self._batch, self._bits, self._what = batch, bits, what
        self.count = 0

    def __call__(self, kept_float: Sequence[str]) -> bytes:
        module, place = self._tools.module, self._folder / 'int8.onnx'
        more: Dict[str, Any] = {}
        if 'calibration_cache_path' in inspect.signature(self._tools.static).parameters:  # ONNX Runtime 1.32
            more['calibration_cache_path'] = str(self._folder / 'ranges.json')
        root = logging.getLogger()
        before = root.level
        root.setLevel(logging.ERROR)  # the tools tell on the root logger what does not concern the user
        try:
            self._tools.static(
                str(self._ready), str(place), _reader(module, self._some()), quant_format=module.QuantFormat.QDQ,
                activation_type=module.QuantType.QUInt8, weight_type=module.QuantType.QInt8, per_channel=True,
                reduce_range=self._bits == 7, nodes_to_exclude=list(kept_float), **more)
        except Exception as error:  # noqa: B902 - the tools raise whatever they meet
            raise BundleError(f'{self._what}: ONNX Runtime cannot quantise it ({printable(error, 300)})') from error
        finally:
            root.setLevel(before)
        model = import_onnx().load(str(place))
        _bare_outputs(model)
        used = {node.domain or 'ai.onnx' for node in model.graph.node}
        kept = [one for one in model.opset_import if (one.domain or 'ai.onnx') in used]
        del model.opset_import[:]
        model.opset_import.extend(kept)
        serialized: bytes = model.SerializeToString()
        return serialized

    def _some(self) -> Iterator[np.ndarray]:
        """The pictures in batches that the network takes; a last one that is not full is filled with its last."""
        size, count = self._batch or _BATCH, 0
        some: List[torch.Tensor] = []
        for picture in self._pictures():
            some.append(picture)
            count += 1
            if len(some) == size:
                yield torch.stack(some).numpy()
                some = []
        if some:
            missing = size - len(some) if self._batch else 0
            yield torch.stack(some + some[-1:] * missing).numpy()
        self.count = count


def _reader(module: Any, batches: Iterable[np.ndarray]) -> Any:
    """A ``CalibrationDataReader``."""
    class Reader(module.CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._rest = iter(batches)

        def get_next(self) -> Optional[Dict[str, np.ndarray]]:
            batch = next(self._rest, None)
            return None if batch is None else {INPUT: np.ascontiguousarray(batch)}
    return Reader()


def _bare_outputs(model: Any) -> None:
    """Take away the rounding of outputs that nothing else reads: they are no input of an int8 layer.

    Features that the last layer reads stay as it reads them, so that its logits are linear in them.
    """
    graph = model.graph
    made = {node.output[0]: node for node in graph.node}
    readers: Dict[str, List[Any]] = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    for output in graph.output:
        last = made[output.name]
        before = made.get(last.input[0]) if last.op_type == DEQUANTISE else None
        if before is None or before.op_type != QUANTISE or output.name in readers:
            continue
        source = made.get(before.input[0])
        if source is None or len(readers[last.input[0]]) > 1 or len(readers[before.input[0]]) > 1:
            continue
        source.output[0] = output.name
        graph.node.remove(last)
        graph.node.remove(before)


class _Judge:
    """An int8 model -> how far its probabilities are from the float32 network's, see :class:`Quantised`."""

    def __init__(self, float32: bytes, probe: np.ndarray, bundle: Bundle) -> None:
        self._probe, self._batch, self._what = probe, batch_of(bundle), bundle.name
        self._temperature = bundle.temperature or 1.0
        self._wanted = self._log_probabilities(float32)

    def __call__(self, model: bytes) -> float:
        given = self._log_probabilities(model)
        return float((self._wanted.exp() * (self._wanted - given)).sum(1).mean())

    def _log_probabilities(self, model: bytes) -> torch.Tensor:
        from ..networks.graph_network import run_in_batches
        session = make_session(model, torch.get_num_threads(), self._what)
        pixels, size = torch.from_numpy(self._probe), self._batch

        def run(some: torch.Tensor) -> List[torch.Tensor]:
            return [torch.from_numpy(session.run(['logits'], {INPUT: some.numpy()})[0])]
        logits = torch.cat([run_in_batches(run, some, size)[0] for some in pixels.split(_BATCH)])
        return (logits.double() / self._temperature).log_softmax(1)


def _as_network(data: bytes, bundle: Bundle, bits: int) -> GraphNetwork:
    """The model as a bundle's network, tried as any file is that becomes one, with its linear head if it has one."""
    model = parse_onnx(data, bundle.name)
    session = make_session(data, 1, bundle.name)
    shape = (batch_of(bundle) or 1, bundle.architecture.in_channels, *bundle.preprocessing.crop)
    outputs = [one.name for one in model.graph.output]
    sizes = {name: one.shape[1] for name, one in zip(outputs, session.run(outputs, {
        INPUT: np.zeros(shape, np.float32)}))}
    stages = [sizes[name] for name in outputs if name.startswith('stage_')]
    facts = _facts(bundle, bits, (sizes.get('features', 0), *stages))
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
    found = [torch.from_numpy(to_array(tensor).copy()) for tensor in tensors.values() if tensor.data_type == 1]
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
