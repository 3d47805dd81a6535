"""A network that is a file of the user's own: an ONNX model or a program of torch.export.

It stands where a :class:`~.network.Network` stands, but has no layers to train, to drop out of, or to replace.
"""
from pathlib import Path
from typing import Callable, List, Optional, Sequence, Tuple, Union

import torch
from torch import nn

from ..errors import BundleError, ConfigError
from ..text.printable import printable
from .architecture import Architecture
from .graph_facts import ONNX, OPENVINO, GraphFacts
from .int8 import check_int8
from .network import Network, Prediction
from .onnx_graph import MOST_BYTES, OnnxRunner, check_onnx, parse_onnx
from .openvino_graph import OpenVinoRunner
from .program import Program
from .program_archive import Archive

MAX_DIFFERENCE = 1e-3
"""Of a batch from single pictures, and of the head's logits, relative to the largest value."""
Run = Callable[[torch.Tensor], Sequence[torch.Tensor]]
"""Pixels (B, C, H, W) -> the outputs of a file in their order, for a batch that it takes."""


class GraphNetwork(nn.Module):
    """A file that is run.

    Attributes:
        architecture: its ``name`` is one of :data:`GRAPHS`.
        facts: what its outputs are.
        num_features: F.
        head: ``nn.Linear`` where the logits are known to be linear in the features, else ``nn.Identity``.
        dropout, backbone: empty; other networks have layers there.
        file: the path of the file, or its bytes.

    Args:
        run: pixels (B, C, H, W) -> the outputs in their order, for a batch that the file takes.
    """

    def __init__(self, architecture: Architecture, facts: GraphFacts,
                 run: Run, head: Optional[nn.Linear], file: Union[Path, bytes]) -> None:
        super().__init__()
        self.architecture, self.facts, self.num_features, self.file = architecture, facts, facts.features, file
        self.run = run
        self.head: nn.Module = nn.Identity() if head is None else head
        self.dropout, self.backbone = nn.Dropout(0.0), nn.Identity()

    def forward(self, pixels: torch.Tensor) -> Prediction:
        """Logits (B, C), features (B, F), F = 0 where the file gives none, and stages of preprocessed pixels."""
        return as_prediction(run_in_batches(self.run, pixels, self.facts.batch), bool(self.facts.features))

    def file_bytes(self) -> bytes:
        """The file."""
        return self.file if isinstance(self.file, bytes) else self.file.read_bytes()


SingleNetwork = Union[Network, GraphNetwork]


def run_in_batches(run: Run, pixels: torch.Tensor, batch: Optional[int]) -> List[torch.Tensor]:
    """Outputs of any number of pictures from what takes ``batch`` at once (None: any number).

    The last batch is filled with its last picture.
    """
    if batch is None or len(pixels) == batch:
        return list(run(pixels))
    parts = []
    for some in pixels.split(batch):
        missing = batch - len(some)
        full = torch.cat([some, some[-1:].expand(missing, *some.shape[1:])]) if missing else some
        parts.append([output[:len(some)] for output in run(full)])
    return [torch.cat(outputs) for outputs in zip(*parts)]


def as_prediction(outputs: Sequence[torch.Tensor], has_features: bool) -> Prediction:
    """Logits, features where there are such, and stages as a prediction."""
    logits, *rest = outputs
    features = rest.pop(0) if has_features else logits.new_zeros(len(logits), 0)
    return Prediction(logits, features, tuple(rest))


def restore_graph(architecture: Architecture, facts: GraphFacts, file: Union[Path, bytes], head: Optional[nn.Linear],
                  crop: Tuple[int, int], dtype: torch.dtype = torch.float32) -> GraphNetwork:
    """The network of a bundle, tried on one picture.

    Args:
        file: ``model.onnx`` or ``model.pt2``, or its bytes.
        head: see :class:`GraphNetwork`.
        crop: (height, width) of the pictures.
        dtype: of the weights; of an ONNX model they stay as they are, float32.

    Raises:
        BundleError: the file is damaged, not allowed, or gives something else than ``facts`` says.
        ConfigError: what runs it is not installed, or does not run at ``dtype``.
    """
    where = f'the {architecture.name} file' if isinstance(file, bytes) else printable(file)
    shape = (facts.batch or 1, architecture.in_channels, *crop)
    wanted = [(shape[0], size) for size in (architecture.num_classes, *([facts.features] if facts.features else []),
                                            *facts.stages)]
    if architecture.name == ONNX:
        if dtype is not torch.float32:
            raise ConfigError(f'{where}: an ONNX file runs in float32 (or int8, if it is); set precision to float32')
        if not isinstance(file, bytes) and file.stat().st_size > MOST_BYTES:
            raise BundleError(f'{where}: has more than {MOST_BYTES} bytes')
        data = file if isinstance(file, bytes) else file.read_bytes()
        run: Run = _onnx_runner(data, facts, shape, wanted, where)
    else:
        run = _program(file, shape, wanted, where, dtype)
    network = GraphNetwork(architecture, facts, run, head, file).eval()
    try_network(network, torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(dtype), where)
    return network


def _onnx_runner(data: bytes, facts: GraphFacts, shape: Sequence[int], wanted: Sequence[Tuple[int, int]], where: str
                 ) -> Run:
    model = parse_onnx(data, where)
    sizes = check_onnx(model, where)
    names = [output.name for output in model.graph.output]
    if names != list(facts.outputs) or sizes.batch != facts.batch or sizes.shapes.get('pixels') != tuple(shape):
        raise BundleError(f'{where}: takes pixels of the shape {sizes.shapes.get("pixels")} and gives '
                          f'{", ".join(names[:8])}; bundle.json says {tuple(shape)} and {", ".join(facts.outputs)}')
    _check_shapes([sizes.shapes.get(name, ()) for name in names], wanted, where)
    if facts.weight_bits is not None:
        check_int8(model, facts.weight_bits, where)
    return runner(facts.runtime)(data, facts.outputs, where)


def runner(runtime: Optional[str]) -> Callable[[bytes, Sequence[str], str], Run]:
    """What runs an ONNX file on the CPU, see :attr:`GraphFacts.runtime`."""
    return OpenVinoRunner if runtime == OPENVINO else OnnxRunner


def _program(file: Union[Path, bytes], shape: Sequence[int], wanted: Sequence[Tuple[int, int]], where: str,
             dtype: torch.dtype) -> Program:
    import io
    with (io.BytesIO(file) if isinstance(file, bytes) else open(file, 'rb')) as opened:
        program = Program(Archive(opened, where), where)
    _check_shapes(program.try_sizes(shape), wanted, where)
    return program.to(dtype)


def _check_shapes(found: Sequence[Tuple[int, ...]], wanted: Sequence[Tuple[int, int]], where: str) -> None:
    if list(map(tuple, found)) != list(wanted):
        raise BundleError(f'{where}: gives outputs of the shapes {list(found)[:8]}, bundle.json says {wanted}')


@torch.inference_mode()
def try_network(network: GraphNetwork, pixels: torch.Tensor, where: str) -> Prediction:
    """Run it, and see that what it gives are numbers, and that the head, where one is known, gives the logits.

    Raises:
        BundleError: they are not.
    """
    prediction: Prediction = network(pixels)
    for name, output in (('logits', prediction.logits), ('features', prediction.features),
                         *(('stages', stage) for stage in prediction.stages)):
        if not output.is_floating_point() or not bool(torch.isfinite(output).all()):
            raise BundleError(f'{where}: its {name} are not finite numbers')
    if isinstance(network.head, nn.Linear) and pixels.dtype is torch.float32:
        difference = relative_difference(network.head(prediction.features), prediction.logits)
        if difference > MAX_DIFFERENCE:
            raise BundleError(f'{where}: its logits are not what head.safetensors makes of its features (relative '
                              f'difference {difference:.2g}); import it again')
    return prediction


def relative_difference(one: torch.Tensor, other: torch.Tensor) -> float:
    """Largest difference, relative to the largest value of ``other``."""
    return float((one - other).abs().max()) / max(float(other.abs().max()), 1e-12) if other.numel() else 0.0
