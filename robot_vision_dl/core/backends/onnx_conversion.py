"""A bundle's network -> ONNX, by torch's exporter."""
import contextlib
import io
import json
import warnings
from dataclasses import asdict
from typing import Any, Dict, Mapping, Tuple

import torch
from torch import nn

from ..bundles.bundle import Bundle
from ..errors import ConfigError, first_line
from ..networks.graph_network import SingleNetwork
from ..networks.onnx_graph import INPUT
from .onnx_model import output_names


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


def facts(bundle: Bundle) -> Dict[str, object]:
    """What belongs to the weights and travels in the model's metadata."""
    found: Dict[str, object] = {
        'name': bundle.name, 'identity': bundle.identity, 'class_names': list(bundle.class_names),
        'preprocessing': asdict(bundle.preprocessing), 'temperature': bundle.temperature,
        'probabilities': in_words(bundle)}
    if bundle.vector is not None:
        found['vector'] = {'weight': bundle.vector.weight.tolist(), 'bias': bundle.vector.bias.tolist()}
    return found


def in_words(bundle: Bundle) -> str:
    """How the probabilities that a bundle publishes come of the logits, and what of it no exported network has."""
    if bundle.laplace is not None and bundle.laplace.gives_probabilities:
        formula = ('those of a Laplace approximation, which is in the bundle alone; softmax(logits / temperature) is '
                   'what it was before')
    elif bundle.vector is not None:
        formula = 'softmax(vector.weight * (logits - mean(logits)) + vector.bias)'
    elif bundle.temperature is not None:
        formula = 'softmax(logits / temperature)'
    else:
        return 'softmax(logits), which is not calibrated'
    return formula if bundle.density_aware is None else (
        f'{formula}; the bundle then claims less of frames that are unusual, which is in the bundle alone')


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
            raise ConfigError(f'{bundle.name}: torch cannot turn {bundle.architecture.name} into ONNX: '
                              f'{first_line(error)}') from error
    assert program is not None  # as it is without dynamo
    model = program.model_proto
    add_metadata(model, metadata)
    onnx.checker.check_model(model)
    serialized: bytes = model.SerializeToString()
    return serialized


def add_metadata(model: Any, metadata: Mapping[str, object]) -> None:
    """Put values, as JSON, into the metadata of an ONNX model, in the place of those of the same names."""
    kept = [entry for entry in model.metadata_props if entry.key not in metadata]
    del model.metadata_props[:]
    model.metadata_props.extend(kept)
    for key, value in metadata.items():
        entry = model.metadata_props.add()
        entry.key, entry.value = key, json.dumps(value)
