"""The network of a bundle as an ONNX model, made once and kept in a cache.

What is kept belongs to the weights: a bundle that is calibrated anew needs no other. Its SHA-256 is kept beside it, and
a file that was damaged or changed since is made anew.
"""
import contextlib
import hashlib
import os
from pathlib import Path
from typing import Dict, List, Optional

from ..bundles.bundle import Bundle
from ..errors import OutputError
from ..files.whole_files import write_own
from ..machine import version_of
from ..networks.graph_facts import ONNX
from ..text.notes import to_stderr

OUTPUTS = ('logits', 'features')
FORM = 4
"""Grows when other models come out of here, so that cached ones are made anew."""
MOST_CACHED = 16
"""Models that are kept; of more, those that were not used for longest are removed."""
_unkept: Dict[Path, bytes] = {}  # the last model that the cache could not take, for the next runtime of this process


def output_names(bundle: Bundle) -> List[str]:
    """Names of the model's outputs, in the order of :class:`PlainNetwork`."""
    if bundle.graph is not None:
        return list(bundle.graph.outputs)
    return [*OUTPUTS, *(f'stage_{name}' for name in bundle.architecture.stages)]


def batch_of(bundle: Bundle) -> Optional[int]:
    """How many pictures its network takes at once; None: any number."""
    return None if bundle.graph is None else bundle.graph.batch


def cache_folder() -> Path:
    """Where models are kept: ``robot_vision_dl/onnx`` in the user's cache (XDG Base Directory Specification)."""
    root = os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache'
    return Path(root) / 'robot_vision_dl' / 'onnx'


def cached_path(bundle: Bundle) -> Path:
    """The file of a bundle's model, there already or not; another network or torch has another."""
    return cache_folder() / f'{network_key(bundle)}.onnx'


def network_key(bundle: Bundle) -> str:
    """16 hexadecimal digits that change with the weights, the architecture, the size of pictures, and torch."""
    network = (FORM, weights_of(bundle), bundle.architecture, bundle.preprocessing.crop, version_of('torch'))
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
    model = _unkept.get(path) or _kept(path)
    if model is not None:
        return model
    to_stderr(f'{bundle.name}: its network is turned into ONNX, once on this machine; this takes about ten seconds')
    from .onnx_export import export_apart
    model = export_apart(bundle)
    try:
        write_own(path, model)
        write_own(_hash_path(path), f'{_sha256(model)}\n')
    except OutputError as error:
        _unkept.clear()
        _unkept[path] = model
        to_stderr(f'{bundle.name}: each start will do so again, for its ONNX form cannot be kept: {error}; set '
                  'XDG_CACHE_HOME to a folder that can be written to')
    else:
        _remove_unused(path.parent)
    return model


def _kept(path: Path) -> Optional[bytes]:
    """The model in the cache; None: there is none, or not the one that was put there."""
    with contextlib.suppress(OSError, ValueError):
        if path.is_file() and _hash_path(path).is_file():  # a pipe would be waited for
            model = path.read_bytes()
            with open(_hash_path(path), encoding='ascii') as file:
                if file.read(100).strip() == _sha256(model):
                    with contextlib.suppress(OSError):
                        os.utime(path)  # used
                    return model
    return None


def _hash_path(path: Path) -> Path:
    return path.with_name(path.name + '.sha256')


def _sha256(model: bytes) -> str:
    return hashlib.sha256(model).hexdigest()


def _remove_unused(folder: Path) -> None:
    """Models beyond :data:`MOST_CACHED`, the longest unused first; what cannot be removed stays."""
    with contextlib.suppress(OSError):
        models = sorted(folder.glob('*.onnx'), key=lambda path: path.stat().st_mtime, reverse=True)
        for path in models[MOST_CACHED:]:
            path.unlink(missing_ok=True)
            _hash_path(path).unlink(missing_ok=True)
