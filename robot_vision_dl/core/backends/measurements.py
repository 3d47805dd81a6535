"""How long each backend took on this machine, kept beside the models that they run.

Another processor, number of cores or threads, network, or version of a runtime is another measurement.
"""
import contextlib
import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Dict, Optional, Tuple

from ..bundles.bundle import Bundle
from ..errors import ConfigError, OutputError
from ..files.whole_files import write_own
from ..machine import processor, version_of
from ..text.json_text import parse_json
from .onnx_model import cache_folder, network_key

_PACKAGES = ('torch', 'onnxruntime', 'openvino', 'onnx', 'onnxscript')
_MOST_BYTES = 100_000


@dataclass(frozen=True)
class Measurement:
    """What was found out.

    Attributes:
        times_ms: median time of a pass by name of the backend, in ms.
        left_out: why others were not measured, a sentence each.
    """

    times_ms: Dict[str, float]
    left_out: Tuple[str, ...] = ()


def measurement_path(bundle: Bundle, threads: int, batch: int) -> Path:
    """Where a measurement is kept, there already or not.

    Args:
        threads: that share a pass.
        batch: pictures in a pass.
    """
    versions = [version_of(package) for package in _PACKAGES]
    facts = (network_key(bundle), processor(), len(os.sched_getaffinity(0)), threads, batch, versions)
    key = hashlib.sha256(repr(facts).encode()).hexdigest()[:16]
    return cache_folder() / f'{key}.measured.json'


def read_measurement(path: Path) -> Optional[Measurement]:
    """What was measured before; None: nothing, or nothing that can be read."""
    with contextlib.suppress(OSError, ValueError, ConfigError):
        if not path.is_file():  # a pipe would be waited for
            return None
        with open(path, 'rb') as file:
            return _checked(parse_json(file.read(_MOST_BYTES), str(path)))
    return None


def write_measurement(path: Path, measured: Measurement) -> None:
    """Keep it; a cache that cannot be written to is done without."""
    with contextlib.suppress(OutputError):
        write_own(path, json.dumps(asdict(measured), indent=1) + '\n')


def _checked(values: Any) -> Measurement:
    """As it was written.

    Raises:
        ValueError: it was not.
    """
    if not isinstance(values, dict) or set(values) != {'times_ms', 'left_out'}:
        raise ValueError('no measurement')
    times, left_out = values['times_ms'], values['left_out']
    if not isinstance(times, dict) or not times or not all(
            isinstance(ms, (int, float)) and 0 < ms < 1e9 for ms in times.values()):
        raise ValueError('no times')
    if not isinstance(left_out, list) or not all(isinstance(one, str) for one in left_out):
        raise ValueError('no sentences')
    return Measurement({str(name): float(ms) for name, ms in times.items()}, tuple(left_out))
