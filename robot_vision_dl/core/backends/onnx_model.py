"""The network of a bundle as an ONNX model, made once and kept in a cache.

What is kept belongs to the weights: a bundle that is calibrated anew needs no other.
"""
import contextlib
import hashlib
import io
import json
import os
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import Dict, List, Mapping, Optional, Tuple

import torch
from torch import nn

from ..bundles.bundle import Bundle
from ..errors import ConfigError, OutputError
from ..files.whole_files import write_whole
from ..networks.graph_network import ONNX, SingleNetwork
from ..networks.onnx_graph import INPUT
from ..text.notes import to_stderr

OUTPUTS = ('logits', 'features')
FORM = 3
"""Grows when other models come out of here, so that cached ones are made anew."""
MOST_CACHED = 16
"""Models that are kept; of more, those that were not used for longest are removed."""


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
    """A serialized ONNX model for batches of any size, with the :func:`facts` in its metadata; takes seconds.

    It takes ``pixels`` float32 (B, channels, height, width) and gives ``logits`` (B, C), ``features``
    (B, F), and ``stage_<name>`` (B, F_s) for each stage of the architecture.

    Raises:
        ConfigError: the exporter is not installed, or does not know the network.
    """
    return _exported(bundle, facts(bundle))


def without_metadata(bundle: Bundle) -> bytes:
    """As :func:`to_onnx`, with nothing but what belongs to the weights."""
    return _exported(bundle, {})


def _exported(bundle: Bundle, metadata: Mapping[str, object]) -> bytes:
    try:
        import onnx
        import onnxscript  # noqa: F401 (torch's exporter is written in it)
    except ImportError as error:
        raise ConfigError(f'turning a network into ONNX needs onnx and onnxscript ({error}); install them with `pip '
                          'install "robot_vision_dl[onnx]"`') from error
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
        except Exception as error:  # noqa: B902 - of the exporter, and of those of torch that do not know its options
            first = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise ConfigError(f'{bundle.name}: torch cannot turn {bundle.architecture.name} into ONNX: {first}'
                              ) from error
    assert program is not None  # as it is without dynamo
    model = program.model_proto
    for key, value in metadata.items():
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
    """The file of a bundle's model, there already or not; another network or torch has another."""
    return cache_folder() / f'{network_key(bundle)}.onnx'


def network_key(bundle: Bundle) -> str:
    """16 hexadecimal digits that change with the weights, the architecture, the size of pictures, and torch."""
    network = (FORM, weights_of(bundle), bundle.architecture, bundle.preprocessing.crop, torch.__version__)
    return hashlib.sha256(repr(network).encode()).hexdigest()[:16]


def weights_of(bundle: Bundle) -> str:
    """What changes with the weights."""
    return bundle.weights or bundle.identity


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
        model = path.read_bytes()
        with contextlib.suppress(OSError):
            os.utime(path)  # used
        return model
    to_stderr(f'{bundle.name}: its network is turned into ONNX, once on this machine; this takes some seconds')
    from .onnx_export import export_apart
    model = export_apart(bundle)
    with contextlib.suppress(OutputError):
        write_whole(path, model)
        _remove_unused(path.parent)
    return model


def _remove_unused(folder: Path) -> None:
    """Models beyond :data:`MOST_CACHED`, the longest unused first; what cannot be removed stays."""
    with contextlib.suppress(OSError):
        models = sorted(folder.glob('*.onnx'), key=lambda path: path.stat().st_mtime, reverse=True)
        for path in models[MOST_CACHED:]:
            path.unlink(missing_ok=True)
