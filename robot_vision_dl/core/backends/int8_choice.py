"""Which bundle a deployment runs that names a float32 one, with ``precision: auto`` or ``int8``.

The int8 bundle is a bundle of its own, calibrated as what it is on the runtime that runs it, so nothing here changes a
network: a folder beside the float32 bundle's is taken in its place, if it was made of that very bundle, and, where the
backend is ``auto``, only if it is quicker here. ``int8`` asks for it, and whatever is wrong with it is an error;
``auto`` takes it where it is there and can be used.
"""
import importlib.util
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Dict, List, Sequence

import numpy as np

from ..bundles.arithmetic import ONNX_RUNTIME, is_int8, runs_at, runtime_of
from ..bundles.bundle import Bundle, load_bundle
from ..config import AUTO, FLOAT32, INT8, ClassifierConfig
from ..errors import BundleError, ConfigError
from ..networks import torch_use
from ..networks.graph_facts import OPENVINO
from ..networks.int8 import adds_exactly
from ..networks.threads import network_threads
from ..text.printable import printable
from .backend import LEAST_GAIN, Forward
from .measurements import Measurement, measurement_path, read_measurement, write_measurement
from .pass_time import pass_ms
from .without_torch import backend_without_torch

SUFFIXES = {ONNX_RUNTIME: '_int8', OPENVINO: '_int8_openvino'}
"""Of the folder beside the float32 bundle's, by what runs it."""
MADE_OF = 'quantised_from'
"""Key of the provenance: identity of the float32 bundle."""
_ROUNDS = 3
_ASKED = 'precision int8: '


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
    if is_int8(bundle):
        runs_at(bundle, config.precision)
        return _int8(bundle, config)
    if config.precision == AUTO:
        return _automatic(bundle, config, batch)
    if config.precision != INT8:
        return Deployed(bundle, runs_at(bundle, config.precision), config)
    if config.backend not in ('auto', *SUFFIXES):
        raise ConfigError(f'precision int8: {" and ".join(SUFFIXES)} run int8 networks, and backend is '
                          f'{config.backend}; set backend to auto or one of these')
    found = int8_siblings(bundle, list(SUFFIXES) if config.backend == 'auto' else [config.backend])
    if config.dropout_samples:
        raise ConfigError('precision int8: Monte Carlo dropout needs layers that can be told to drop; set '
                          'dropout_samples to 0, or precision to float32')
    if config.backend != 'auto':
        return replace(_int8(replace(found[0], source=bundle.source), config),
                       reason=f'{found[0].name}, as the parameters precision and backend say')
    return _quickest(bundle, found, config, batch)


def _automatic(bundle: Bundle, config: ClassifierConfig, batch: int) -> Deployed:
    """An int8 bundle where nothing is against it; what is wrong with one that is there is said."""
    left = Deployed(bundle, FLOAT32, replace(config, precision=FLOAT32))
    if config.backend != 'auto' or config.dropout_samples or bundle.folder is None or not int8_beside(bundle):
        return left
    found, wrong = [], []
    for runtime in _runnable(bundle.folder, list(SUFFIXES)):
        try:
            found.append(_sibling(bundle, bundle.folder, runtime))
        except Exception as error:  # noqa: B902 - whatever is wrong beside a sound bundle, that runs
            wrong.append(_said(error))
    if found:
        try:
            chosen = _quickest(bundle, found, config, batch)
            return replace(chosen, reason='; '.join([chosen.reason, *wrong]))
        except Exception as error:  # noqa: B902
            wrong.append(_said(error))
    return replace(left, reason='; '.join(wrong))


def _said(error: Exception) -> str:
    return f'not in int8: {printable(str(error).removeprefix(_ASKED), 400)}'


def _quickest(bundle: Bundle, found: Sequence[Bundle], config: ClassifierConfig, batch: int) -> Deployed:
    """Of a float32 bundle and int8 ones of it."""
    run = replace(config, precision=FLOAT32)
    left = Deployed(bundle, FLOAT32, run)
    device = _device(config)
    if device != 'cpu':
        return replace(left, reason=f'not {found[0].name}: int8 runs on the processor, and there is {device}')
    times = _measured(bundle, found, run, batch, network_threads(config.threads))
    said = f'a batch of {batch} takes ' + ', '.join(f'{name} {ms:.1f} ms' for name, ms in times.items())
    best = min(found, key=lambda one: times[_name(one)])
    if times[_name(best)] * LEAST_GAIN < times[FLOAT32]:
        return replace(_int8(replace(best, source=bundle.source), config), reason=f'{best.name}: {said}')
    return replace(left, reason=f'not {best.name}, which is not quicker here: {said}')


def _int8(bundle: Bundle, config: ClassifierConfig) -> Deployed:
    if config.device not in ('auto', 'cpu'):
        raise ConfigError(f'device {config.device}: {bundle.name} is an int8 network, which runs on the processor; set '
                          'device to auto or cpu')
    return Deployed(bundle, INT8, replace(config, device='cpu', precision=FLOAT32))


def int8_siblings(bundle: Bundle, runtimes: Sequence[str]) -> List[Bundle]:
    """The int8 bundles beside a float32 one that these run, at least one; what is not installed here runs none.

    Raises:
        ConfigError: there is none, or one that is there was made of another bundle.
    """
    if bundle.folder is None:
        raise ConfigError(f'precision int8: {bundle.name} has no folder, so there is no int8 bundle beside it; '
                          f'{_remedy(bundle, runtimes[0])}, or name the int8 bundle as the model')
    usable = _runnable(bundle.folder, runtimes)
    if not usable:
        raise ConfigError(f'precision int8: {bundle.name} is a float32 bundle, and there is no '
                          f'{printable(_places(bundle.folder)[runtimes[0]])}; {_remedy(bundle, runtimes[0])}')
    return [_sibling(bundle, bundle.folder, runtime) for runtime in usable]


def _runnable(folder: Path, runtimes: Sequence[str]) -> List[str]:
    """Of these runtimes those of which there is an int8 bundle; of several bundles, only what is installed."""
    there = [runtime for runtime in runtimes if os.path.lexists(_places(folder)[runtime])]
    return [runtime for runtime in there if importlib.util.find_spec(runtime) is not None] or there


def _sibling(bundle: Bundle, folder: Path, runtime: str) -> Bundle:
    """The int8 bundle of a float32 one in ``folder`` that a runtime runs.

    Raises:
        ConfigError: it cannot be read, or was made of another bundle or for another processor.
    """
    place, remedy = _places(folder)[runtime], _remedy(bundle, runtime)
    try:
        one = load_bundle(place)
    except (BundleError, OSError) as error:
        raise ConfigError(f'precision int8: {error}; {remedy}') from error
    made_of = one.provenance.get(MADE_OF)
    what = ('is not an int8 bundle' if not is_int8(one) else
            f'is run by {runtime_of(one)}, not by {runtime}' if runtime_of(one) != runtime else
            f'was made of the bundle {printable(made_of, 40)}, and {bundle.name} is {bundle.identity}'
            if made_of != bundle.identity else
            'has weights of 8 bits, which need a processor with VNNI; `--weight-bits 7` runs on this one'
            if one.graph is not None and one.graph.weight_bits == 8 and not adds_exactly() else _lacks(one, bundle))
    if what:
        raise ConfigError(f'precision int8: {printable(place)} {what}; {remedy}')
    return one


def _lacks(found: Bundle, bundle: Bundle) -> str:
    """How an int8 bundle answers another question than the float32 one that it was made of; empty: it does not."""
    if found.class_names != bundle.class_names:
        return f'tells other classes than {bundle.name}'
    if found.preprocessing != bundle.preprocessing:
        return f'sees other parts of a picture than {bundle.name}, or in another size'
    if bundle.calibrated and not found.calibrated:
        return f'is not calibrated, and {bundle.name} is'
    if bundle.ood is not None and bundle.ood.scores is not None and (found.ood is None or found.ood.scores is None):
        return f'calls nothing unknown, and {bundle.name} does'
    return ''


def int8_beside(bundle: Bundle) -> List[str]:
    """Names of what lies beside a float32 bundle where ``precision: auto`` looks for what may run in its place."""
    if bundle.folder is None or bundle.members or is_int8(bundle):
        return []
    return [place.name for place in _places(bundle.folder).values() if os.path.lexists(place)]


def _places(folder: Path) -> Dict[str, Path]:
    """Where int8 bundles of a float32 one lie, by what runs them."""
    folder = folder.resolve()
    return {runtime: folder.parent / (folder.name + suffix) for runtime, suffix in SUFFIXES.items()}


def _remedy(bundle: Bundle, runtime: str) -> str:
    option = '' if runtime == ONNX_RUNTIME else f' --runtime {runtime}'
    if bundle.folder is not None and os.path.lexists(_places(bundle.folder)[runtime]):
        option += ' --overwrite'
    return (f'`robot-vision quantise {bundle.source} DATA{option}` makes it, with labelled pictures; or set precision '
            'to float32')


def _device(config: ClassifierConfig) -> str:
    """Kind of the one that a float32 network would run on."""
    if config.device in ('auto', 'cpu') and not torch_use.is_loaded() and not torch_use.may_have_gpu():
        return 'cpu'
    from ..networks.device import resolve_device
    return resolve_device(config.device).type


def _name(found: Bundle) -> str:
    """Under which the time of an int8 bundle is kept and told."""
    runtime = runtime_of(found)
    return INT8 if runtime == ONNX_RUNTIME else f'{INT8} by {runtime}'


def _measured(bundle: Bundle, found: Sequence[Bundle], config: ClassifierConfig, batch: int, threads: int
              ) -> Dict[str, float]:
    """Median time of a pass in ms, of the float32 bundle by its quickest backend and of int8 ones, by turns.

    It is kept with the other measurements of this machine, as one of the first int8 network.
    """
    path = measurement_path(found[0], threads, batch)
    known = read_measurement(path)
    names = [FLOAT32, *map(_name, found)]
    if known is None or set(known.times_ms) != set(names):
        torch_use.set_threads(threads)
        runs = [(one, _forward(one, config, batch, threads)) for one in (bundle, *found)]
        times = np.median([[pass_ms(run, of, batch) for of, run in runs] for _ in range(_ROUNDS)], axis=0)
        known = Measurement(dict(zip(names, times.tolist())))
        write_measurement(path, known)
    return known.times_ms


def _forward(bundle: Bundle, config: ClassifierConfig, batch: int, threads: int) -> Forward:
    """What runs a network where nothing but a plain pass on the CPU is wanted, without torch where that can be."""
    light = backend_without_torch(bundle, replace(config, device='cpu'), threads, batch)
    if light is not None:
        return light.forward
    from .choice import choose_backend
    return choose_backend('auto', bundle, bundle.load_network(), batch).forward
