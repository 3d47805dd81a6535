"""Which bundle a deployment runs that sets ``precision: int8`` and names a float32 one.

The int8 bundle is a bundle of its own, calibrated as what it is, so nothing here changes a network: the folder beside
the float32 bundle's is taken in its place, if it was made of that very bundle, and, where the backend is ``auto``, only
if it is quicker here.
"""
from dataclasses import dataclass, replace
from typing import Tuple

import numpy as np
import torch

from ..bundles.arithmetic import is_int8, runs_at
from ..bundles.bundle import Bundle, load_bundle
from ..bundles.bundle_format import DESCRIPTION
from ..config import FLOAT32, INT8, ClassifierConfig
from ..errors import BundleError, ConfigError
from ..networks.device import resolve_device
from ..text.printable import printable
from .choice import LEAST_GAIN, choose_backend, pass_ms
from .measurements import Measurement, measurement_path, read_measurement, write_measurement

SUFFIX = '_int8'
"""Of the folder beside the float32 bundle's."""
MADE_OF = 'quantised_from'
"""Key of the provenance: identity of the float32 bundle."""
_ROUNDS, _KEPT = 3, (FLOAT32, INT8)


@dataclass(frozen=True)
class Deployed:
    """What is run.

    Attributes:
        bundle: the one that was named, or its int8 sibling, under the name that was asked for (``source``).
        precision: that it runs at.
        config: with which devices are chosen: int8 runs on the processor, its input is float32.
        reason: a sentence where there was a choice; else empty.
    """

    bundle: Bundle
    precision: str
    config: ClassifierConfig
    reason: str = ''


def deployed_bundle(bundle: Bundle, config: ClassifierConfig, batch: int = 1) -> Deployed:
    """The bundle that runs where ``bundle`` is named.

    Args:
        config: of the deployment.
        batch: frames in a pass when speed is measured.

    Raises:
        ConfigError: int8 is wanted and there is no such bundle, or it cannot run as wanted.
    """
    if config.precision != INT8 or is_int8(bundle):
        precision = runs_at(bundle, config.precision)
        return _int8(bundle, config) if precision == INT8 else Deployed(bundle, precision, config)
    found = int8_sibling(bundle)
    if config.dropout_samples:
        raise ConfigError('precision int8: Monte Carlo dropout needs layers that can be told to drop; set '
                          'dropout_samples to 0, or precision to float32')
    if config.backend not in ('auto', 'onnxruntime'):
        raise ConfigError(f'precision int8: ONNX Runtime runs int8 networks, and backend is {config.backend}; set '
                          'backend to auto or onnxruntime')
    taken = _int8(replace(found, source=bundle.source), config)
    if config.backend != 'auto':
        return replace(taken, reason=f'{found.name}, as the parameters precision and backend say')
    left = Deployed(bundle, FLOAT32, replace(config, precision=FLOAT32))
    device = resolve_device(config.device).type
    if device != 'cpu':
        return replace(left, reason=f'not {found.name}: int8 runs on the processor, and there is {device}')
    float_ms, int8_ms = _measured(bundle, found, batch)
    said = f'a batch of {batch} takes float32 {float_ms:.1f} ms, int8 {int8_ms:.1f} ms'
    if int8_ms * LEAST_GAIN < float_ms:
        return replace(taken, reason=f'{found.name}: {said}')
    return replace(left, reason=f'not {found.name}, which is not quicker here: {said}')


def _int8(bundle: Bundle, config: ClassifierConfig) -> Deployed:
    if config.device not in ('auto', 'cpu'):
        raise ConfigError(f'device {config.device}: {bundle.name} is an int8 network, which runs on the processor; set '
                          'device to auto or cpu')
    return Deployed(bundle, INT8, replace(config, device='cpu', precision=FLOAT32))


def int8_sibling(bundle: Bundle) -> Bundle:
    """The int8 bundle beside a float32 one.

    Raises:
        ConfigError: there is none, or it was made of another one.
    """
    remedy = (f'`robot-vision quantise {bundle.source} DATA` makes it, with labelled pictures; or set precision to '
              'float32')
    if bundle.folder is None:
        raise ConfigError(f'precision int8: {bundle.name} has no folder, so there is no int8 bundle beside it; '
                          f'{remedy}, or name the int8 bundle as the model')
    folder = bundle.folder.resolve()
    place = folder.parent / (folder.name + SUFFIX)
    if not (place / DESCRIPTION).is_file():
        raise ConfigError(f'precision int8: {bundle.name} is a float32 bundle, and there is no {printable(place)}; '
                          f'{remedy}')
    try:
        found = load_bundle(place)
    except BundleError as error:
        raise ConfigError(f'precision int8: {error}; {remedy}') from error
    made_of = found.provenance.get(MADE_OF)
    if not is_int8(found) or made_of != bundle.identity:
        what = 'is not an int8 bundle' if not is_int8(found) else (
            f'was made of the bundle {printable(made_of, 40)}, and {bundle.name} is {bundle.identity}')
        raise ConfigError(f'precision int8: {printable(place)} {what}; {remedy}')
    return found


def _measured(bundle: Bundle, found: Bundle, batch: int) -> Tuple[float, float]:
    """Median time of a pass in ms, of the float32 bundle by its quickest backend and of the int8 one, by turns.

    It is kept with the other measurements of this machine, as one of the int8 network.
    """
    path = measurement_path(found, torch.get_num_threads(), batch)
    known = read_measurement(path)
    if known is None or set(known.times_ms) != set(_KEPT):
        runs = ((bundle, choose_backend('auto', bundle, bundle.load_network(), batch).forward),
                (found, found.load_single_network()))
        times = np.median([[pass_ms(run, of, batch) for of, run in runs] for _ in range(_ROUNDS)], axis=0)
        known = Measurement(dict(zip(_KEPT, times.tolist())))
        write_measurement(path, known)
    return known.times_ms[_KEPT[0]], known.times_ms[_KEPT[1]]
