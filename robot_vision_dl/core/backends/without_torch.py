"""Whether a deployment can do without torch, and what runs its network then."""
import os
from typing import Optional

from ..bundles.arithmetic import is_int8, runtime_of
from ..bundles.bundle import Bundle
from ..config import FLOAT32, ClassifierConfig
from ..errors import BundleError, ConfigError
from ..networks import torch_use
from ..networks.graph_facts import ONNX
from ..networks.resize import is_available
from ..text.notes import to_stderr
from .backend import RUNTIMES, Backend, quickest, reason_of
from .comparison import comparison_path, read_comparison
from .measurements import measurement_path, read_measurement
from .onnx_model import cache_folder
from .preparation import prepare_apart

_WITHOUT = 'without torch'


def backend_without_torch(bundle: Bundle, config: ClassifierConfig, threads: int, batch: int) -> Optional[Backend]:
    """What runs the network where torch need not be imported for it; None: it must be, or is there already.

    What a process with torch has to find out before, :mod:`.preparation` finds out, once on a machine.

    Args:
        bundle: that is deployed.
        config: of the deployment; its precision is that of the input.
        threads: that share a pass.
        batch: frames in a pass when speed is measured.
    """
    if torch_use.is_loaded() or not _can_do_without(bundle, config):
        return None
    name = _chosen(bundle, config.backend, threads, batch)
    if name == 'torch':
        return None
    if name is None:
        if not _is_writable():
            return None
        to_stderr(f'{bundle.name}: is prepared to be run without torch, once on this machine; this takes some seconds')
        if not prepare_apart(bundle, config.backend, threads, batch):
            return None
        name = _chosen(bundle, config.backend, threads, batch)
        if name is None or name == 'torch':
            return None
    try:
        forward = RUNTIMES[name](bundle, threads)
    except (BundleError, ConfigError):  # which torch's way tells with its remedy
        return None
    return Backend(name, forward, f'{_reason(bundle, config.backend, threads, batch)}, {_WITHOUT}',
                   read_comparison(comparison_path(bundle, threads))[name])


def _can_do_without(bundle: Bundle, config: ClassifierConfig) -> bool:
    """Whether nothing is asked for that only torch has."""
    on_cpu = config.device == 'cpu' or (config.device == 'auto' and not torch_use.may_have_gpu())
    return (config.backend != 'torch' and on_cpu and config.precision == FLOAT32 and not bundle.members
            and not config.dropout_samples and is_available())


def _chosen(bundle: Bundle, backend: str, threads: int, batch: int) -> Optional[str]:
    """Name of what runs it, by what is known; None: it is not known, or was not compared with torch here."""
    name: Optional[str] = backend
    if backend == 'auto':
        name = _measured(bundle, threads, batch)
    return name if name == 'torch' or name in read_comparison(comparison_path(bundle, threads)) else None


def _measured(bundle: Bundle, threads: int, batch: int) -> Optional[str]:
    if is_int8(bundle):
        return runtime_of(bundle)
    known = read_measurement(measurement_path(bundle, threads, batch))
    own = _own(bundle)
    if known is None or own not in known.times_ms or not set(known.times_ms) <= {own, *RUNTIMES}:
        return None
    return quickest(known.times_ms, own)


def _own(bundle: Bundle) -> str:
    """What runs the network as it was loaded."""
    return 'onnxruntime' if bundle.graph is not None and bundle.architecture.name == ONNX else 'torch'


def _reason(bundle: Bundle, backend: str, threads: int, batch: int) -> str:
    if is_int8(bundle):
        return f'the network is an int8 ONNX file, calibrated as {runtime_of(bundle)} runs it'
    known = read_measurement(measurement_path(bundle, threads, batch))
    if backend == 'auto' and known is not None:
        return reason_of(known.times_ms, batch, known.left_out)
    return 'the network is an ONNX file' if _own(bundle) != 'torch' and backend == 'onnxruntime' else (
        'as the parameter backend says')


def _is_writable() -> bool:
    """Whether what is found out can be kept, or it would be found out at every start."""
    folder = cache_folder()
    while not folder.exists() and folder.parent != folder:
        folder = folder.parent
    return os.access(folder, os.W_OK)
