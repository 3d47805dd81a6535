"""A network and what is known about it -> a model bundle."""
import json
import platform
from dataclasses import asdict
from pathlib import Path
from typing import Any, Dict, Mapping, Optional, Sequence, Tuple, Union

import numpy as np
import torch
from safetensors.numpy import save as save_tables
from safetensors.torch import save
from torch import nn

from ... import __version__
from ..errors import BundleError, ConfigError
from ..files.user_path import user_path
from ..files.whole_files import whole_folder
from ..machine import utc_now
from ..networks.graph_network import GraphNetwork, SingleNetwork
from ..networks.preprocess import Preprocessing
from ..uncertainty.calibrate import Calibration
from ..uncertainty.camera.bounds import CameraBounds
from ..uncertainty.camera.bounds import as_json as camera_as_json
from ..uncertainty.camera.probe import FaultProbe
from ..uncertainty.camera.probe import tensors_of as probe_tensors
from ..uncertainty.conformal import Conformal
from ..uncertainty.laplace import NAMES as LAPLACE_TENSORS
from ..uncertainty.laplace import trimmed
from ..uncertainty.ood.p_value import OodCalibration
from . import bundle_format as fmt
from .bundle import Bundle, load_bundle
from .bundle_ood import describe_ood, tensors_of


def save_bundle(
    folder: Union[str, Path], network: SingleNetwork, class_names: Sequence[str], preprocessing: Preprocessing, *,
    name: Optional[str] = None, temperature: Optional[float] = None, precision: str = 'float32',
    conformal: Union[Conformal, Tuple[float, float], None] = None, ood: Optional[OodCalibration] = None,
    calibration: Optional[Calibration] = None, abstain_cost: float = 0.5,
    metrics: Optional[Mapping[str, Any]] = None, provenance: Optional[Mapping[str, Any]] = None, card: str = '',
    card_files: Optional[Mapping[str, bytes]] = None, half: bool = False, overwrite: bool = False,
    camera: Optional[CameraBounds] = None,
) -> Bundle:
    """Write a bundle, all or nothing, and load it back.

    Args:
        folder: of the bundle; its parent must exist.
        name: None: the folder's name.
        temperature: None: uncalibrated; then ``precision`` and ``conformal`` do not count.
        conformal: sets, or (alpha, quantile) of least ambiguous ones.
        ood: score with its calibration.
        calibration: all of it; takes the place of the four before.
        provenance: versions of the libraries and the date are added.
        card: Markdown text of ``MODEL_CARD.md``; empty: just the name.
        card_files: pictures and files that the card refers to as ``card/<name>``.
        half: store matrices and convolutions as float16, which halves the file.
        overwrite: replace a bundle that is there.
        camera: what pictures of the camera are like, where ``calibration`` does not say.

    Raises:
        BundleError: the folder is there already, or the values break a rule of the schema.
        OutputError: it cannot be written.
    """
    folder = user_path(folder)
    if folder.exists() and not overwrite:
        raise BundleError(f'{folder}: is there already; choose another name, or say that it may be overwritten')
    if not folder.resolve().parent.is_dir():
        raise BundleError(f'{folder}: the folder {folder.resolve().parent} does not exist')
    if calibration is not None:
        temperature, precision = calibration.temperature, calibration.precision
        conformal, ood = calibration.conformal, calibration.ood
    described = None
    if temperature is not None:
        described = {'temperature': float(temperature), 'precision': precision,
                     'conformal': _describe_conformal(conformal), **_describe_rest(calibration)}
    name = name or folder.resolve().name
    values = {
        'schema_version': fmt.SCHEMA_VERSION, 'name': name, 'architecture': network.architecture.as_dict(),
        'class_names': list(class_names), 'preprocessing': asdict(preprocessing), 'calibration': described,
        'ood': None if ood is None else describe_ood(ood), 'abstain_cost': abstain_cost,
        'metrics': dict(metrics or {}), 'provenance': {**_versions(), **(provenance or {})}, 'files': {},
    }
    if isinstance(network, GraphNetwork):
        values['graph'] = network.facts.as_dict()
    if calibration is not None and calibration.camera is not None:
        camera = calibration.camera
    probe = None if camera is None else camera.probe
    if camera is not None:
        values['camera'] = camera_as_json(camera)
    with whole_folder(folder, overwrite=True) as temporary:
        # In memory first: safetensors keeps others from reading its files, and has errors of its own for a full disk.
        for file_name, data in _network_files(network, half).items():
            (temporary / file_name).write_bytes(data)
        tensors = _tensors_of_trust(ood, calibration, probe)
        if ood is not None or tensors:
            (temporary / fmt.UNCERTAINTY).write_bytes(save_tables(tensors))
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
    return load_bundle(folder)


def _describe_conformal(conformal: Union[Conformal, Tuple[float, float], None]) -> Optional[Dict[str, Any]]:
    if conformal is None:
        return None
    if not isinstance(conformal, Conformal):
        return {'alpha': conformal[0], 'quantile': conformal[1]}
    if conformal.method == 'lac':
        return {'alpha': conformal.alpha, 'quantile': min(conformal.thresholds[0], 1.0)}
    return {**asdict(conformal), 'thresholds': list(conformal.thresholds)}


def _describe_rest(calibration: Optional[Calibration]) -> Dict[str, Any]:
    """What a calibration has beyond temperature and sets."""
    described: Dict[str, Any] = {}
    if calibration is None:
        return described
    described['device'] = calibration.device
    if calibration.vector is not None:
        described['vector'] = True
    if calibration.laplace is not None:
        laplace = calibration.laplace
        described['laplace'] = {'tau': laplace.tau, 'temperature': laplace.temperature,
                                'gives_probabilities': laplace.gives_probabilities}
    if calibration.density_aware is not None:
        described['density_aware'] = asdict(calibration.density_aware)
    if calibration.fusion is not None:
        described['fusion'] = {name: value for name, value in calibration.fusion._asdict().items() if value is not None}
    return described


def _tensors_of_trust(ood: Optional[OodCalibration], calibration: Optional[Calibration], probe: Optional[FaultProbe]
                      ) -> Dict[str, np.ndarray]:
    tensors = {} if probe is None else probe_tensors(probe)
    if ood is not None:
        tensors.update(tensors_of(ood))
    if calibration is not None and calibration.vector is not None:
        tensors.update((f'vector.{key}', tensor) for key, tensor in calibration.vector._asdict().items())
    if calibration is not None and calibration.laplace is not None:
        laplace = trimmed(calibration.laplace)
        tensors.update((f'laplace.{name}', getattr(laplace, name)) for name in LAPLACE_TENSORS)
    # What is not in order in memory would be stored as it lies there.
    return {key: np.array(tensor, order='C') for key, tensor in tensors.items()}


def _network_files(network: SingleNetwork, half: bool) -> Dict[str, bytes]:
    """The network by the names of its files."""
    if not isinstance(network, GraphNetwork):
        return {fmt.MODEL: save(_storable(network, half))}
    if half:
        raise BundleError('a network that is a file keeps its weights as they are; leave --half out')
    files = {fmt.GRAPH_FILES[network.architecture.name]: network.file_bytes()}
    if isinstance(network.head, nn.Linear):
        files[fmt.HEAD] = save(_storable(network.head, _is_half(network.head)))
    return files


def _storable(network: nn.Module, half: bool) -> Dict[str, torch.Tensor]:
    """The state dict on the CPU. Biases and statistics stay float32: they are small, and variances exceed float16."""
    state = {}
    for key, value in network.state_dict().items():
        value = value.detach().cpu()
        if value.is_floating_point():
            value = value.to(torch.float16 if half and value.ndim >= 2 else torch.float32)
        state[key] = value.clone(memory_format=torch.contiguous_format)
    return state


def _is_half(layer: nn.Linear) -> bool:
    """Whether half precision holds its weights exactly."""
    weight = layer.weight.detach().cpu()
    return torch.equal(weight.half().float(), weight.float())


def _versions() -> Dict[str, str]:
    return {'created': utc_now(), 'robot_vision_dl': __version__,
            'torch': torch.__version__, 'python': platform.python_version()}
