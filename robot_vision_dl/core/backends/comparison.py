"""What a process with torch found out, and one without it may rely on: kept beside the models that it is about.

A runtime's results were compared with torch's, for these weights, on this processor, by these versions; and pictures
are resized without torch to the very bits that torch gives. Anything else is another comparison.
"""
import contextlib
import hashlib
import json
import math
import os
from pathlib import Path
from typing import Dict, Optional

from ... import __version__
from ..bundles.bundle import Bundle
from ..errors import ConfigError, OutputError
from ..files.whole_files import write_own
from ..machine import processor, version_of
from ..text.json_text import parse_json
from .onnx_model import cache_folder, network_key

_PACKAGES = ('torch', 'numpy', 'onnxruntime', 'openvino', 'onnx', 'onnxscript', 'opencv-python', 'cykooz.resizer')
_MOST_BYTES = 10_000


def comparison_path(bundle: Bundle, threads: int) -> Path:
    """Where it is kept, there already or not.

    Args:
        threads: that share a pass.
    """
    versions = [__version__, *(version_of(package) for package in _PACKAGES)]
    facts = (network_key(bundle), bundle.identity, processor(), len(os.sched_getaffinity(0)), threads, versions)
    return cache_folder() / f'{hashlib.sha256(repr(facts).encode()).hexdigest()[:16]}.compared.json'


def read_comparison(path: Path) -> Dict[str, float]:
    """Name of each runtime that was compared -> largest difference from torch, relative; empty: none was."""
    with contextlib.suppress(OSError, ValueError, ConfigError):
        if not path.is_file():  # a pipe would be waited for
            return {}
        with open(path, 'rb') as file:
            values = parse_json(file.read(_MOST_BYTES), str(path))
        if isinstance(values, dict) and all(isinstance(one, (int, float)) and math.isfinite(one) and one >= 0
                                            for one in values.values()):
            return {str(name): float(difference) for name, difference in values.items()}
    return {}


def add_comparison(path: Path, name: str, difference: float) -> Optional[OutputError]:
    """Keep that a runtime was compared; what kept it from being kept, if anything did."""
    try:
        write_own(path, json.dumps({**read_comparison(path), name: difference}) + '\n')
    except OutputError as error:
        return error
    return None
