"""The network of a bundle as an ONNX model, made once and kept in a cache."""
import contextlib
import hashlib
import io
import json
import os
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import Dict, List, Optional, Tuple

import torch
from torch import nn

from ..bundles.bundle import Bundle
from ..errors import ConfigError, OutputError
from ..files.whole_files import write_whole
from ..networks.graph_network import ONNX, SingleNetwork
from ..networks.onnx_graph import INPUT

OUTPUTS = ('logits', 'features')
FORM = 2
"""Grows when other models come out of here, so that cached ones are made anew."""


class PlainNetwork(nn.Module):
    """The network with a plain tuple (logits, features, each stage) as its result, which is all that exporters know."""

    def __init__(self, network: SingleNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, pixels: torch.Tensor) -> Tuple[torch.Tensor, ...]:
        """Logits (B, C), features (B, F) and stages (B, F_s) of pixels (B, channels, H, W)."""
        prediction = self.network(pixels)
        features = [prediction.features] if prediction.features.shape[1] else []  # a file may give none
        return (prediction.logits, *features, *prediction.stages)


def output_names(bundle: Bundle) -> List[str]:
    """Names of the model's outputs, in the order of :class:`PlainNetwork`."""
    if bundle.graph is not None:
        return list(bundle.graph.outputs)
    return [*OUTPUTS, *(f'stage_{name}' for name in bundle.architecture.stages)]


def batch_of(bundle: Bundle) -> Optional[int]:
    """How many pictures its network takes at once; None: any number."""
    return None if bundle.graph is None else bundle.graph.batch


def facts(bundle: Bundle) -> Dict[str, object]:
    """What belongs to the weights and travels in the model's metadata."""
    return {'name': bundle.name, 'identity': bundle.identity, 'class_names': list(bundle.class_names),
            'preprocessing': asdict(bundle.preprocessing), 'temperature': bundle.temperature}


def to_onnx(bundle: Bundle) -> bytes:
    """A serialized ONNX model for batches of any size; takes seconds.

    It takes ``pixels`` float32 (B, channels, height, width) and gives ``logits`` (B, C), ``features``
    (B, F), and ``stage_<name>`` (B, F_s) for each stage of the architecture.

    Raises:
        ConfigError: the exporter is not installed, or does not know the network.
    """
    try:
        import onnx
        import onnxscript  # noqa: F401 (torch's exporter is written in it)
    except ImportError as error:
        raise ConfigError(f'turning a network into ONNX needs onnx and onnxscript ({error}); install them with `pip '
                          'install "robot_vision_dl[export]"`') from error
    if bundle.graph is not None and bundle.graph.batch is not None:
        raise ConfigError(f'{bundle.name}: its program takes batches of {bundle.graph.batch} and no others; it '
                          'runs in torch alone')
    if bundle.members:
        raise ConfigError(f'{bundle.name}: an ensemble cannot be turned into one ONNX model')
    module = PlainNetwork(bundle.load_single_network().to(memory_format=torch.contiguous_format)).eval()
    example = torch.zeros(2, bundle.architecture.in_channels, *bundle.preprocessing.crop)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):  # the exporter tells its progress
        warnings.simplefilter('ignore')
        try:
            program = torch.onnx.export(
                module, (example,), dynamo=True, input_names=[INPUT], output_names=output_names(bundle),
                dynamic_shapes=({0: torch.export.Dim('batch')},))
        except torch.onnx.OnnxExporterError as error:
            first = str(error).strip().splitlines()[0]
            raise ConfigError(f'{bundle.name}: torch cannot turn {bundle.architecture.name} into ONNX: {first}'
                              ) from error
    assert program is not None  # as it is without dynamo
    model = program.model_proto
    for key, value in facts(bundle).items():
        entry = model.metadata_props.add()
        entry.key, entry.value = key, json.dumps(value)
    onnx.checker.check_model(model)
    serialized: bytes = model.SerializeToString()
    return serialized


def cache_folder() -> Path:
    """Where models are kept: ``robot_vision_dl/onnx`` in the user's cache (XDG Base Directory Specification)."""
    root = os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache'
    return Path(root) / 'robot_vision_dl' / 'onnx'


def cached_path(bundle: Bundle) -> Path:
    """The file of a bundle's model, there already or not; another bundle or torch has another."""
    key = hashlib.sha256(f'{FORM} {bundle.identity} {torch.__version__}'.encode()).hexdigest()[:16]
    return cache_folder() / f'{key}.onnx'


def cached_onnx(bundle: Bundle) -> bytes:
    """The model from the cache, or made and put there; a cache that cannot be written to is done without.

    Of a bundle whose network is an ONNX file it is that file, which was checked when the bundle was loaded.

    Raises:
        ConfigError: as :func:`to_onnx`.
    """
    if bundle.graph is not None and bundle.architecture.name == ONNX:
        return bundle.graph_file.read_bytes()
    path = cached_path(bundle)
    with contextlib.suppress(OSError):
        return path.read_bytes()
    model = to_onnx(bundle)
    with contextlib.suppress(OutputError):
        write_whole(path, model)
    return model
