"""Which backend runs a network: the one that was asked for, or the one that is measured to be the quickest here."""
import importlib.util
from dataclasses import replace
from itertools import chain
from typing import List, Tuple

import torch

from ..bundles.arithmetic import is_int8, runtime_of
from ..bundles.bundle import Bundle
from ..errors import BundleError, ConfigError
from ..networks.graph_facts import ONNX
from ..networks.network import Prediction
from ..text.printable import printable
from ..uncertainty.ensemble import AnyNetwork
from .backend import RUNTIMES, Backend, Forward, quickest, reason_of
from .measurements import Measurement, measurement_path, read_measurement, write_measurement
from .onnx_runtime import OnnxRuntimeNetwork
from .openvino_runtime import OpenVinoNetwork
from .pass_time import pass_ms, random_pixels
from .providers import HOST, Device, said_of

MAX_DIFFERENCE = 1e-3
"""Of logits and features from those of torch, relative to the largest of them: float32 sums in another order."""
LEAST_MS = 3.0
"""What torch does in less than this is not worth seconds of turning the network into something else."""


def choose_backend(name: str, bundle: Bundle, network: AnyNetwork, batch: int = 1, plain: bool = True,
                   onnx_device: Device = HOST, or_cpu: bool = False) -> Backend:
    """The backend of a name, compared with torch; of ``auto``, the quickest.

    Args:
        name: one of :data:`BACKENDS`.
        bundle: whose network is run.
        network: the same in torch, on the device and in the precision of the deployment.
        batch: frames in a pass when speed is measured.
        plain: nothing but plain forward passes is wanted; Monte Carlo dropout is more than that.
        onnx_device: a GPU that ONNX Runtime is to run it on, while ``network`` is on the CPU.
        or_cpu: whether the CPU will do where that fails.

    Raises:
        ConfigError: the backend is not installed or cannot run this.
        BundleError: what it gives differs too much from what torch gives.
    """
    if onnx_device.type != 'cpu':
        try:
            return _onnx_on_gpu(bundle, network, onnx_device, plain)
        except (ConfigError, BundleError) as error:
            if not or_cpu:
                raise
            own = choose_backend(name, bundle, network, batch, plain)
            return replace(own, reason=f'{own.reason}; not on {onnx_device}: {error}')
    if bundle.graph is not None and bundle.architecture.name == ONNX:
        return _of_onnx_file(name, bundle, network, batch)
    if name == 'torch':
        return Backend('torch', network, 'as the parameter backend says')
    obstacle = _obstacle(bundle, network, plain)
    if name != 'auto':
        if obstacle:
            raise ConfigError(f'backend {name}: {obstacle}; set backend to torch or auto')
        forward = RUNTIMES[name](bundle, torch.get_num_threads())
        return Backend(name, forward, 'as the parameter backend says', _checked(name, bundle, network, forward))
    if obstacle:
        return Backend('torch', network, obstacle)
    return _quickest(bundle, network, batch)


def _onnx_on_gpu(bundle: Bundle, network: AnyNetwork, device: Device, plain: bool) -> Backend:
    """ONNX Runtime on a GPU, compared with what ``network`` says on the CPU."""
    obstacle = _obstacle(bundle, network, plain)
    if obstacle:
        raise ConfigError(f'backend onnxruntime on {device}: {obstacle}; set backend to torch')
    forward = OnnxRuntimeNetwork(bundle, torch.get_num_threads(), device)
    difference = _checked(f'onnxruntime on {device}', bundle, network, forward)
    return Backend('onnxruntime', forward, f'on {device} by {said_of(forward.provider)}', difference,
                   device.type)


def _of_onnx_file(name: str, bundle: Bundle, network: AnyNetwork, batch: int) -> Backend:
    """What runs a network that is an ONNX file: ONNX Runtime always can, OpenVINO where it is installed."""
    if is_int8(bundle):
        own = runtime_of(bundle)
        if name not in ('auto', 'torch', own):
            raise ConfigError(f'backend {name}: {bundle.name} is an int8 network, calibrated as {own} runs it, and '
                              f'others round otherwise; set backend to auto or {own}')
        return Backend(own, network, f'the network is an int8 ONNX file, calibrated as {own} runs it')
    if name == 'openvino':
        forward = OpenVinoNetwork(bundle, torch.get_num_threads())
        return Backend(name, forward, 'as the parameter backend says', _checked(name, bundle, network, forward))
    if name == 'auto':
        return _quickest(bundle, network, batch, 'onnxruntime')
    return Backend('onnxruntime', network, 'the network is an ONNX file')


def _obstacle(bundle: Bundle, network: AnyNetwork, plain: bool) -> str:
    """Why only torch can run this; empty: others can."""
    weights = next(chain(network.parameters(), network.buffers()))  # a program of torch.export has only buffers
    if weights.device.type != 'cpu':
        return f'the network runs on {weights.device.type}, where only torch is supported'
    if weights.dtype != torch.float32:
        return f'the network runs in {str(weights.dtype).partition(".")[2]}, which only torch is calibrated for'
    if bundle.members:
        return 'an ensemble runs in torch alone'
    return '' if plain else 'Monte Carlo dropout runs in torch alone'


def _quickest(bundle: Bundle, network: AnyNetwork, batch: int, own: str = 'torch') -> Backend:
    """By measurement, this time or before; ``own`` is what runs the network as it was loaded."""
    path = measurement_path(bundle, torch.get_num_threads(), batch)
    known = read_measurement(path)
    if known is None or own not in known.times_ms or not set(known.times_ms) <= {own, *RUNTIMES}:
        known = _measured(bundle, network, batch, own)
        write_measurement(path, known)
    times_ms, left_out = dict(known.times_ms), list(known.left_out)
    while True:
        best = quickest(times_ms, own)
        forward: Forward = network
        difference = 0.0
        if best != own:
            try:
                forward, difference = _made(best, bundle, network)
            except (ConfigError, BundleError) as error:  # what was there when it was measured is not any more
                left_out.append(str(error))
                del times_ms[best]
                continue
        return Backend(best, forward, reason_of(known.times_ms, batch, left_out), difference)


def _made(name: str, bundle: Bundle, network: AnyNetwork) -> Tuple[Forward, float]:
    """A runtime with the network, and how much it differs from torch."""
    forward = RUNTIMES[name](bundle, torch.get_num_threads())
    return forward, _checked(name, bundle, network, forward)


def _measured(bundle: Bundle, network: AnyNetwork, batch: int, own: str) -> Measurement:
    try:
        times_ms = {own: pass_ms(network, bundle, batch)}
    except RuntimeError as error:
        height, width = bundle.preprocessing.crop
        raise BundleError(f'{bundle.name}: cannot be run on a picture of {width} x {height} pixels: '
                          f'{printable(error, 400)}') from error
    if own == 'torch' and times_ms[own] < LEAST_MS:
        return Measurement(times_ms, (f'others are tried from {LEAST_MS:g} ms on',))
    left_out: List[str] = []
    for name in RUNTIMES:
        if name == own:
            continue
        if importlib.util.find_spec(name) is None:
            left_out.append(f'{name} is not installed')
            continue
        try:
            forward, _ = _made(name, bundle, network)
        except (ConfigError, BundleError) as error:
            left_out.append(str(error))
            continue
        times_ms[name] = pass_ms(forward, bundle, batch)
    return Measurement(times_ms, tuple(left_out))


@torch.inference_mode()
def _checked(name: str, bundle: Bundle, network: AnyNetwork, forward: Forward) -> float:
    """The largest relative difference from torch over random pixels, for one frame and for several."""
    worst = 0.0
    for batch in (1, 3):
        pixels = torch.from_numpy(random_pixels(bundle, batch))
        wanted, given = network(pixels), forward(pixels)
        assert isinstance(wanted, Prediction) and isinstance(given, Prediction)
        for ours, theirs in ((wanted.logits, given.logits), (wanted.features, given.features),
                             *zip(wanted.stages, given.stages)):
            if ours.shape != theirs.shape:
                raise BundleError(f'{bundle.name}: {name} gives the shape {tuple(theirs.shape)} where torch gives '
                                  f'{tuple(ours.shape)}; set backend to torch')
            if not ours.numel():
                continue
            scale = max(float(ours.abs().max()), 1e-12)
            difference = float((ours - theirs).abs().max()) / scale
            worst = max(worst, difference if difference == difference else float('inf'))
    if worst > MAX_DIFFERENCE:
        raise BundleError(f'{bundle.name}: {name} gives other results than torch (relative difference {worst:.2g}, '
                          f'allowed {MAX_DIFFERENCE:g}); set backend to torch')
    return worst
