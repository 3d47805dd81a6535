"""A network and what is known about it -> a model bundle."""
import json
import os
import platform
import shutil
import tempfile
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Dict, Mapping, Optional, Sequence, Tuple, Union

import torch
from safetensors.torch import save_file

from .. import __version__
from . import bundle_format as fmt
from .bundle import Bundle, load_bundle
from .errors import BundleError, ConfigError
from .network import Network
from .preprocess import Preprocessing
from .uncertainty.ood import OodCalibration


def save_bundle(
    folder: Union[str, Path], network: Network, class_names: Sequence[str], preprocessing: Preprocessing, *,
    name: Optional[str] = None, temperature: Optional[float] = None, precision: str = 'float32',
    conformal: Optional[Tuple[float, float]] = None, ood: Optional[OodCalibration] = None, abstain_cost: float = 0.5,
    metrics: Optional[Mapping[str, Any]] = None, provenance: Optional[Mapping[str, Any]] = None, card: str = '',
    card_files: Optional[Mapping[str, bytes]] = None, half: bool = False, overwrite: bool = False,
) -> Bundle:
    """Write a bundle, all or nothing, and load it back.

    Args:
        folder: of the bundle; its parent must exist.
        name: None: the folder's name.
        temperature: None: uncalibrated; then ``precision`` and ``conformal`` do not count.
        conformal: (alpha, quantile).
        ood: score with its calibration.
        provenance: versions of the libraries and the date are added.
        card: Markdown text of ``MODEL_CARD.md``; empty: just the name.
        card_files: pictures and files that the card refers to as ``card/<name>``.
        half: store matrices and convolutions as float16, which halves the file.
        overwrite: replace a bundle that is there.

    Raises:
        BundleError: the folder is there already, or the values break a rule of the schema.
    """
    folder = Path(folder)
    if folder.exists() and not overwrite:
        raise BundleError(f'{folder}: is there already; choose another name, or say that it may be overwritten')
    if not folder.resolve().parent.is_dir():
        raise BundleError(f'{folder}: the folder {folder.resolve().parent} does not exist')
    calibration = None
    if temperature is not None:
        calibration = {'temperature': float(temperature), 'precision': precision, 'conformal': None}
        if conformal is not None:
            calibration['conformal'] = {'alpha': conformal[0], 'quantile': conformal[1]}
    name = name or folder.resolve().name
    values = {
        'schema_version': fmt.SCHEMA_VERSION, 'name': name, 'architecture': network.architecture.as_dict(),
        'class_names': list(class_names), 'preprocessing': asdict(preprocessing), 'calibration': calibration,
        'ood': None if ood is None else {'method': ood.method}, 'abstain_cost': abstain_cost,
        'metrics': dict(metrics or {}), 'provenance': {**_versions(), **(provenance or {})}, 'files': {},
    }
    temporary = Path(tempfile.mkdtemp(prefix=f'.{folder.name}-', dir=folder.resolve().parent))
    try:
        save_file(_storable(network, half), str(temporary / fmt.MODEL))
        if ood is not None:
            tensors = {f'ood.{key}': tensor.contiguous() for key, tensor in ood.tensors.items()}
            if ood.scores is not None:
                tensors['ood.calibration_scores'] = torch.from_numpy(ood.scores)
            save_file(tensors, str(temporary / fmt.UNCERTAINTY))
        (temporary / fmt.CARD).write_text(card or f'# {name}\n', encoding='utf-8')
        for file_name, data in (card_files or {}).items():
            (temporary / fmt.CARD_FOLDER).mkdir(exist_ok=True)
            (temporary / fmt.CARD_FOLDER / Path(file_name).name).write_bytes(data)
        values['files'] = {path.relative_to(temporary).as_posix(): fmt.hash_file(path)
                           for path in sorted(temporary.rglob('*')) if path.is_file()}
        try:
            fmt.check_description(values)
            text = json.dumps(values, indent=2, ensure_ascii=False, allow_nan=False)
        except (BundleError, ConfigError, TypeError, ValueError) as error:
            raise BundleError(f'{folder}: cannot be written: {error}') from error
        (temporary / fmt.DESCRIPTION).write_text(text + '\n', encoding='utf-8')
        load_bundle(temporary)
        temporary.chmod(0o755)  # mkdtemp and safetensors keep others from reading
        for path in temporary.rglob('*'):
            path.chmod(0o755 if path.is_dir() else 0o644)
        _put_in_place(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return load_bundle(folder)


def _storable(network: Network, half: bool) -> Dict[str, torch.Tensor]:
    """The state dict on the CPU. Biases and statistics stay float32: they are small, and variances exceed float16."""
    state = {}
    for key, value in network.state_dict().items():
        value = value.detach().cpu()
        if value.is_floating_point():
            value = value.to(torch.float16 if half and value.ndim >= 2 else torch.float32)
        state[key] = value.clone(memory_format=torch.contiguous_format)
    return state


def _versions() -> Dict[str, str]:
    return {'created': datetime.now(timezone.utc).isoformat(timespec='seconds'), 'robot_vision_dl': __version__,
            'torch': torch.__version__, 'python': platform.python_version()}


def _put_in_place(temporary: Path, folder: Path) -> None:
    """Rename a finished folder to its name; a bundle that is there is moved away first and then removed."""
    if not folder.exists():
        temporary.rename(folder)
        return
    old = Path(tempfile.mkdtemp(prefix=f'.{folder.name}-old-', dir=folder.resolve().parent))
    os.rename(folder, old / 'bundle')
    try:
        temporary.rename(folder)
    except OSError:
        os.rename(old / 'bundle', folder)
        raise
    finally:
        shutil.rmtree(old, ignore_errors=True)
