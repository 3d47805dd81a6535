"""The forward pass of a deployment that also keeps its last maps, from which the evidence for a class follows.

It is the pass that decides, not a second one: in torch a hook keeps the maps, a runtime gives them as one more output,
and a GPU runs launch by launch what is one CUDA graph otherwise. What it needs is prepared on its own copy of the
network, so that it can be made while the network runs.
"""
from typing import Callable, NamedTuple, Optional, Union

import numpy as np
import torch
from torch import nn

from ..backends.backend import Backend
from ..backends.onnx_maps import with_last_maps
from ..backends.onnx_model import cached_onnx
from ..backends.onnx_runtime import OnnxRuntimeNetwork
from ..backends.openvino_runtime import OpenVinoNetwork
from ..bundles.any_pixels import any_pixels
from ..bundles.bundle import Bundle
from ..errors import ConfigError
from ..networks.evidence import Head, LastMaps, PassMaps
from ..networks.network import Network, Prediction
from ..text.printable import printable
from ..uncertainty.dropout import DropoutSampler
from .gpu_path import GpuPath

_CLOSE = 0.02
"""Of the mean of the maps from what it is the mean of, relative to the largest: int8 rounds the mean once more."""


class Kept(NamedTuple):
    """What a pass gives, and what it keeps.

    Attributes:
        given: the prediction (B rows); on a GPU the packed array in its place.
        maps: None where a GPU failed in this pass.
        mc_logits: (M, B, C) of Monte Carlo dropout.
    """

    given: Union[Prediction, np.ndarray]
    maps: Optional[PassMaps]
    mc_logits: Optional[torch.Tensor] = None


EvidencePass = Callable[[torch.Tensor], Kept]
"""What ``Pipeline.prepare`` made of B pictures -> what the pass gives."""


def evidence_pass(bundle: Bundle, backend: Backend, gpu: Optional[GpuPath], dropout: Optional[DropoutSampler],
                  threads: int) -> EvidencePass:
    """The pass of a deployment.

    Args:
        bundle: whose network runs.
        backend: what runs it.
        gpu, dropout: that run it instead, where there are such.
        threads: of the network.

    Raises:
        ConfigError: there are no such maps, or they cannot be had from what runs the network; a sentence for people.
    """
    if bundle.members:
        raise ConfigError('an ensemble has as many maps as members, which are not put together')
    if gpu is not None:
        return _gpu_pass(_last_maps(bundle), gpu)
    if backend.name != 'torch':
        return _runtime_pass(bundle, backend, threads)
    network = dropout.network if dropout else backend.forward
    if not isinstance(network, Network):
        raise ConfigError('its network is a file of torch.export, whose layers cannot be looked at')
    last = _last_maps(bundle).on(network)
    if dropout is None:
        return lambda pixels: _passed(last, pixels)
    if last.head is Head.OTHER:
        raise ConfigError(f'the head of {bundle.architecture.name} needs a gradient, which Monte Carlo dropout leaves '
                          'no room for; set dropout_samples to 0')
    return lambda pixels: _sampled(last, dropout, pixels)


def _last_maps(bundle: Bundle) -> LastMaps:
    network = bundle.load_single_network()
    if not isinstance(network, Network):
        raise ConfigError('its network is a file, whose layers cannot be looked at')
    return LastMaps(network, any_pixels(bundle))


def _passed(last: LastMaps, pixels: torch.Tensor) -> Kept:
    maps, prediction = last.passed(pixels)
    return Kept(prediction, maps)


def _sampled(last: LastMaps, dropout: DropoutSampler, pixels: torch.Tensor) -> Kept:
    with last.kept() as kept:
        prediction, mc_logits = dropout(pixels)
    return Kept(prediction, last.from_kept(kept[0]), mc_logits)


def _gpu_pass(found: LastMaps, gpu: GpuPath) -> EvidencePass:
    if not isinstance(gpu.network, Network) or found.head is Head.OTHER:
        raise ConfigError('its head needs a gradient, which the GPU path leaves no room for; set device to cpu and '
                          'backend to torch')
    last = found.on(gpu.network)

    def run(levels: torch.Tensor) -> Kept:
        with last.kept() as kept:
            packed = gpu.run(levels, graphs=False)
        whole = len(kept) == 1 and len(kept[0]) == len(levels)  # not where the CPU went on, or memory was scarce
        return Kept(packed, last.from_kept(kept[0]) if whole else None)
    return run


def _runtime_pass(bundle: Bundle, backend: Backend, threads: int) -> EvidencePass:
    maps = with_last_maps(cached_onnx(bundle), bundle.name)
    network: Union[OnnxRuntimeNetwork, OpenVinoNetwork]
    if backend.name == 'openvino':
        network = OpenVinoNetwork(bundle, threads, maps)
    else:
        network = OnnxRuntimeNetwork(bundle, threads, torch.device(backend.device or 'cpu'), maps)
    prediction, found = network.with_maps(any_pixels(bundle, 2))
    weights = None
    if maps.mean == 'features':
        head = bundle.load_single_network().head
        if not isinstance(head, nn.Linear):
            raise ConfigError(f'its features are a mean over positions, but its logits are not known to be linear in '
                              f'them, and a gradient cannot be followed through {backend.name}{_torch_hint(bundle)}')
        weights = head.weight.detach()
    wanted = prediction.features if maps.mean == 'features' else prediction.logits
    if found.ndim != 4 or found.shape[2] * found.shape[3] < 2 or not _is_mean(found, wanted):
        raise ConfigError(f'what {backend.name} averages is no picture of its {maps.mean}{_torch_hint(bundle)}')

    def run(pixels: torch.Tensor) -> Kept:
        given, made = network.with_maps(pixels)
        return Kept(given, PassMaps(made, weights))
    return run


def _torch_hint(bundle: Bundle) -> str:
    return '' if bundle.graph is not None else '; set backend to torch'


def _is_mean(maps: torch.Tensor, wanted: torch.Tensor) -> bool:
    mean = maps.mean((2, 3))
    return mean.shape == wanted.shape and bool(
        (mean - wanted).abs().max() <= _CLOSE * wanted.abs().max().clamp(min=1e-12))


def reason_without(name: str, error: Exception) -> str:
    """Why overlays of a model have no evidence, a sentence for the log, the diagnostics and the overlay."""
    return f'no evidence can be shown for {name}: {printable(error, 400)}'

