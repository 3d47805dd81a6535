"""An int8 model of a float32 one by ONNX Runtime's own tools: static, QDQ, activations uint8, weights int8 per channel.

The ranges of activations are found here (:mod:`.activation_ranges`) and given to the tools, which find none that cut
outliers off without keeping everything that a network gives in memory.
"""
import logging
import tempfile
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import AbstractSet, Any, Callable, Dict, Iterable, List, Optional, Sequence

import numpy as np

from ..errors import BundleError, ConfigError
from ..networks.int8 import DEQUANTISE, QUANTISE
from ..networks.onnx_graph import INPUT, import_onnx
from ..text.printable import printable
from .activation_ranges import Batches, Observed, Ranges, observe

LAYERS = ('Conv', 'ConvTranspose', 'Gemm', 'MatMul')
"""Operators with weights: what may stay float32 is told by them."""
_INSTALL = 'install them with `pip install "robot_vision_dl[onnx]"`'
_RENAMED = '_QuantizeLinear_Input'  # what the tools append to the names of outputs


@dataclass(frozen=True)
class _Tools:
    """Of ``onnxruntime.quantization``."""

    prepare: Callable[..., None]
    static: Callable[..., None]
    module: Any


class Int8Builder:
    """Ranges and names of nodes that stay float32 -> the int8 model, serialized.

    Attributes:
        layers: name of each node with weights -> that of its weights, for people; in the order of the graph.
        head: those of them that read an output, which are the features: they stay float32 always, so that nothing is
            cut off of the features, by which far-out pictures are told.
        prepared: the float32 model that becomes int8, serialized.

    Args:
        float32: the model, serialized.
        folder: for files that are made on the way.
        batches: pictures on which ranges rest.
        bits: of the weights, 7 or 8.
        what: name of the model, for messages.

    Raises:
        ConfigError: what is needed is not installed.
        BundleError: the model cannot be quantised.
    """

    def __init__(self, float32: bytes, folder: Path, batches: Batches, bits: int, what: str) -> None:
        self._tools, self._batches, self._bits, self._what = _tools(), batches, bits, what
        onnx = import_onnx()
        plain, self._ready = folder / 'float32.onnx', folder / 'ready.onnx'
        plain.write_bytes(float32)
        try:
            self._tools.prepare(str(plain), str(self._ready), skip_symbolic_shape=True)
        except Exception as error:  # noqa: B902 - the tools raise whatever they meet
            raise BundleError(f'{what}: ONNX Runtime cannot prepare it ({printable(error, 300)})') from error
        model = onnx.load(str(self._ready))
        self.layers = _name_layers(model)
        outputs = {output.name for output in model.graph.output}
        self.head = tuple(node.name for node in model.graph.node if node.name in self.layers
                          and node.input[0] in outputs)
        if len(self.head) == len(self.layers):
            raise BundleError(f'{what}: has no layer with weights ({", ".join(LAYERS)}) before its features; there is '
                              'nothing to quantise')
        self._known = {value.name for value in (*model.graph.value_info, *model.graph.input, *model.graph.output)}
        onnx.save(model, str(self._ready))
        self.prepared = self._ready.read_bytes()

    def observed(self) -> Dict[str, Observed]:
        """What the tensors that become uint8 hold over all pictures."""
        model = import_onnx().load_model_from_string(self({}))
        constants = {tensor.name for tensor in model.graph.initializer}
        names = {node.input[0].removesuffix(_RENAMED) for node in model.graph.node
                 if node.op_type == QUANTISE and node.input[0] not in constants}
        return observe(self.prepared, sorted(names & self._known), self._batches, self._what)

    def __call__(self, ranges: Ranges, kept_float: Sequence[str] = ()) -> bytes:
        """The model, with :attr:`head` in float32, too; a range that is not given is that of the first batch."""
        module = self._tools.module
        overrides = {name: [{'rmin': np.float32(low), 'rmax': np.float32(high)}]
                     for name, (low, high) in ranges.items()}
        root = logging.getLogger()
        before = root.level
        root.setLevel(logging.ERROR)  # the tools tell on the root logger what does not concern the user
        try:
            with tempfile.TemporaryDirectory() as folder:
                place = Path(folder) / 'int8.onnx'
                self._tools.static(
                    str(self._ready), str(place), _reader(module, islice(self._batches(), 1)),
                    quant_format=module.QuantFormat.QDQ, activation_type=module.QuantType.QUInt8,
                    weight_type=module.QuantType.QInt8, per_channel=True, reduce_range=self._bits == 7,
                    nodes_to_exclude=[*kept_float, *self.head], extra_options={'TensorQuantOverrides': overrides})
                model = import_onnx().load(str(place))
        except Exception as error:  # noqa: B902 - the tools raise whatever they meet
            raise BundleError(f'{self._what}: ONNX Runtime cannot quantise it ({printable(error, 300)})') from error
        finally:
            root.setLevel(before)
        _bare_outputs(model, {*kept_float, *self.head})
        used = {node.domain or 'ai.onnx' for node in model.graph.node}
        kept = [one for one in model.opset_import if (one.domain or 'ai.onnx') in used]
        del model.opset_import[:]
        model.opset_import.extend(kept)
        serialized: bytes = model.SerializeToString()
        return serialized


def _tools() -> _Tools:
    try:
        import onnxruntime.quantization as module
        from onnxruntime.quantization.shape_inference import quant_pre_process
    except ImportError as error:
        raise ConfigError(f'quantising needs onnx and onnxruntime ({error}); {_INSTALL}') from error
    return _Tools(quant_pre_process, module.quantize_static, module)


def _name_layers(model: Any) -> Dict[str, str]:
    """Name of each node with weights -> that of its weights; nodes without a name get one."""
    constants = {tensor.name for tensor in model.graph.initializer}
    found: Dict[str, str] = {}
    for number, node in enumerate(model.graph.node):
        node.name = f'n{number}_{node.op_type}'
        weights = [name for name in node.input[1:2] if name in constants]
        if node.op_type in LAYERS and weights:
            found[node.name] = weights[0].removeprefix('network.').removesuffix('.weight')
    return found


def _reader(module: Any, batches: Iterable[np.ndarray]) -> Any:
    """A ``CalibrationDataReader``."""
    class Reader(module.CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._rest = iter(batches)

        def get_next(self) -> Optional[Dict[str, np.ndarray]]:
            batch = next(self._rest, None)
            return None if batch is None else {INPUT: np.ascontiguousarray(batch)}
    return Reader()


def _bare_outputs(model: Any, in_float: AbstractSet[str]) -> None:
    """Take away the rounding of outputs that no int8 layer reads.

    Args:
        in_float: names of the nodes that are no int8 layers.
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
        if before is None or before.op_type != QUANTISE or any(
                node.name not in in_float for node in readers.get(output.name, [])):
            continue
        source = made.get(before.input[0])
        if source is None or len(readers[last.input[0]]) > 1 or len(readers[before.input[0]]) > 1:
            continue
        source.output[0] = output.name
        graph.node.remove(last)
        graph.node.remove(before)
