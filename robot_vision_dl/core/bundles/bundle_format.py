"""The files of a model bundle: what is in them, and the checks that each must pass.

``bundle.json`` is one JSON object with exactly these keys:

==================  =====================================================================================
``schema_version``  2; 1 is read, too
``name``            of the bundle, for people and reports
``architecture``    ``name``, ``num_classes``, ``in_channels``, ``head``, ``dropout``, ``input_size``,
                    ``stages`` (not in version 1; see :class:`~.architectures.Architecture`)
``class_names``     one a class, in the order of the logits; unique, not empty, none of the reserved names
``preprocessing``   ``resize``, ``crop``, ``mean``, ``std``, ``interpolation`` (may be missing: bilinear; see
                    :class:`~.preprocess.Preprocessing`)
``calibration``     null, or ``temperature``, ``precision`` (of the arithmetic it was fitted at: float32, float16,
                    bfloat16, int8) and ``conformal`` (null; ``alpha`` and ``quantile`` of least ambiguous sets; or the
                    fields of :class:`~.uncertainty.conformal.Conformal`); where there are such things ``device`` (cpu,
                    cuda, mps), ``vector`` (true), ``laplace`` (``tau``, ``temperature``, ``gives_probabilities``) and
                    ``fusion`` (``correlation_time_s``, ``change_time_s``, and ``change_offset``, ``change_slope``);
                    where there is an OOD score ``density_aware`` (``origin``, ``unit``, ``exponent``)
``ood``             null, or ``method``, and ``of`` where it reads a stage; of several scores as one ``method``
                    ``combined`` and ``parts``, each with ``method`` and perhaps ``of``
``camera``          where there is such a thing: what pictures of the camera are like, see
                    :func:`~.uncertainty.camera.bounds.as_json`
``abstain_cost``    in [0, 1], used where a deployment says nothing else
``metrics``         object of measured figures, with the number of pictures that each rests on
``provenance``      object: where the weights and the calibration come from
``graph``           only where ``architecture.name`` is ``onnx`` or ``torch.export``: ``features``, ``stages``,
                    ``batch``, ``sources`` and, where it is int8, ``weight_bits`` and, if OpenVINO runs it,
                    ``runtime`` (see :class:`~.graph_network.GraphFacts`)
``files``           SHA-256 of every other file: ``model.safetensors``, ``MODEL_CARD.md``, where there is an OOD
                    score or anything else of tensors ``uncertainty.safetensors``, and what belongs to the card:
                    ``card/<name>`` (``.png``, ``.jpg``, ``.yaml``, ``.json``)
==================  =====================================================================================

``model.safetensors`` is ``Network.state_dict()``, in float32, or in float16 to be small. In its place a network that is
a file has ``model.onnx`` (the form is told in :mod:`~.networks.onnx_graph`) or ``model.pt2``, of ``torch.export.save``,
and where its logits are linear in its features ``head.safetensors``, with ``weight`` (float32, or float16 where that is
exact) and ``bias``.
``uncertainty.safetensors`` holds ``ood.calibration_scores`` (float32, ascending) and ``ood.<tensor>`` for each tensor
of a fitted score (of several as one ``ood.<number of the part>.<tensor>``, large tables as float16, ``ood.location``,
``ood.scale`` and ``ood.weight``), ``vector.weight`` and ``vector.bias``, ``laplace.<tensor>``, and ``probe.<tensor>``
of :class:`~.uncertainty.camera.probe.FaultProbe`.
"""
import hashlib
import re
from dataclasses import fields
from pathlib import Path
from typing import Any, Dict, List, Mapping, Sequence, Tuple

from ..class_name import name_problem
from ..config import INT8, PRECISIONS
from ..errors import BundleError, ConfigError
from ..files.lfs_pointer import REMEDY, is_lfs_pointer
from ..networks.architecture import Architecture
from ..networks.graph_facts import GRAPHS, ONNX, PROGRAM, GraphFacts
from ..networks.preprocess import Preprocessing
from ..text.printable import printable
from ..types import RESERVED_NAMES
from ..uncertainty.camera.bounds import from_json as camera_from_json
from ..uncertainty.conformal import Conformal
from ..uncertainty.density_aware import DensityAware
from . import bundle_json
from .bundle_files import COPY_AGAIN, MIB, hash_file, hash_regular, read_regular
from .bundle_ood import check_ood
from .bundle_tensors import MOST_BYTES as MOST_TENSOR_BYTES

__all__ = ['hash_file']  # which others know from here

SCHEMA_VERSION = 2
READ_VERSIONS = (1, 2)
"""In the first, an architecture has no ``stages``."""
DESCRIPTION = 'bundle.json'
MODEL = 'model.safetensors'
GRAPH_FILES = {ONNX: 'model.onnx', PROGRAM: 'model.pt2'}
HEAD = 'head.safetensors'
UNCERTAINTY = 'uncertainty.safetensors'
CARD = 'MODEL_CARD.md'
CARD_FOLDER = 'card'

_KEYS = ('schema_version', 'name', 'architecture', 'class_names', 'preprocessing', 'calibration', 'ood', 'abstain_cost',
         'metrics', 'provenance', 'files')
_OPTIONAL_KEYS = ('camera', 'graph')
# Names that cannot lead out of the bundle.
_CARD_FILE = re.compile(CARD_FOLDER + r'/[A-Za-z0-9_-]{1,64}\.(png|jpg|yaml|json)')
_MOST_CARD_BYTES = 64 * MIB
_MOST_CARD_FILES = 100
_MOST_CLASSES = 100_000
_MOST_THRESHOLD = 1e9


def read_description(folder: Path, ask_torchvision: bool = True) -> Tuple[Dict[str, Any], str]:
    """The checked content of ``bundle.json`` and its SHA-256.

    Args:
        ask_torchvision: whether there is an architecture of that name, where it is none of ours; else that is left to
            whoever builds the network: the import of torchvision takes seconds.

    Raises:
        BundleError: it is missing, is not JSON, or breaks a rule of the schema.
    """
    path = folder / DESCRIPTION
    try:
        text = read_regular(path, bundle_json.MOST_BYTES)
    except BundleError as error:
        raise BundleError(f'{error}; a bundle is a folder with {DESCRIPTION}, {MODEL} and {CARD}') from error
    values = bundle_json.parse_json(text, str(path))
    try:
        check_description(values, ask_torchvision)
    except (BundleError, ConfigError) as error:
        raise BundleError(f'{printable(path)}: {error}') from error
    return values, hashlib.sha256(text).hexdigest()


def check_description(values: Any, ask_torchvision: bool = True) -> None:
    """Raise :class:`BundleError` or :class:`ConfigError` for the first rule of the schema that ``values`` breaks."""
    if not isinstance(values, dict):
        raise BundleError(f'must be a JSON object, got {type(values).__name__}')
    version = values.get('schema_version')
    if type(version) is not int or version not in READ_VERSIONS:
        raise BundleError(f'schema_version is {_shown(version)}, this version of robot_vision_dl reads '
                          f'{" and ".join(map(str, READ_VERSIONS))}; update robot_vision_dl, or import the model again')
    _check_keys(values, _KEYS, 'bundle', _OPTIONAL_KEYS)
    for key, kind in (('name', str), ('metrics', dict), ('provenance', dict), ('files', dict)):
        _check_type(values[key], kind, key)
    check_name(values['name'], 'name')
    if version == 1 and isinstance(values['architecture'], dict):
        values['architecture'].setdefault('stages', [])
    architecture = build_section(Architecture, values['architecture'], 'architecture')
    if ask_torchvision and architecture.name not in GRAPHS:
        from ..networks.architectures import check_architecture
        check_architecture(architecture.name)
    if (architecture.name in GRAPHS) != ('graph' in values):
        raise BundleError(f'graph: belongs to the architectures {", ".join(GRAPHS)} and to no other')
    if 'graph' in values:
        if isinstance(values['graph'], dict):  # only where it is int8
            values['graph'].setdefault('weight_bits', None)
            values['graph'].setdefault('runtime', None)
        graph = build_section(GraphFacts, values['graph'], 'graph')
        if len(graph.stages) != len(architecture.stages):
            raise BundleError(f'graph.stages: {len(graph.stages)} sizes, but the architecture names '
                              f'{len(architecture.stages)} stages')
    if isinstance(values['preprocessing'], dict):  # bundles of old do not say it
        values['preprocessing'].setdefault('interpolation', 'bilinear')
    preprocessing = build_section(Preprocessing, values['preprocessing'], 'preprocessing')
    if preprocessing.channels != architecture.in_channels:
        raise BundleError(f'preprocessing: {preprocessing.channels} channel(s), but the network takes '
                          f'{architecture.in_channels}')
    check_class_names(values['class_names'])
    if len(values['class_names']) != architecture.num_classes:
        raise BundleError(f'class_names: {len(values["class_names"])} names, but the network has '
                          f'{architecture.num_classes} classes')
    _check_number(values['abstain_cost'], 0, 1, 'abstain_cost')
    if values['calibration'] is not None:
        _check_calibration(values['calibration'], architecture.num_classes)
        if values['calibration']['precision'] == INT8 and not values.get('graph', {}).get('weight_bits'):
            raise BundleError('calibration.precision: int8 is of int8 networks alone (graph.weight_bits), and this is '
                              'none; `robot-vision quantise` makes one')
    if values['ood'] is None and 'density_aware' in (values['calibration'] or {}):
        raise BundleError('calibration.density_aware: needs an OOD score, and ood is null')
    if values['ood'] is not None:
        check_ood(values['ood'], architecture.stages)
    if 'camera' in values:
        try:
            camera_from_json(values['camera'])
        except ValueError as error:
            raise BundleError(f'camera: {printable(error)}; {COPY_AGAIN}') from error
    calibration = values['calibration'] or {}
    has_tensors = values['ood'] is not None or 'vector' in calibration or 'laplace' in calibration
    has_tensors = has_tensors or 'probe' in (values.get('camera') or {})
    _check_files(values['files'], has_tensors, GRAPH_FILES.get(architecture.name, MODEL))


def check_class_names(names: Any) -> None:
    """Raise :class:`BundleError` unless ``names`` can be the names of classes."""
    _check_type(names, list, 'class_names')
    if not names:
        raise BundleError('class_names: at least one class is needed, got none')
    if len(names) > _MOST_CLASSES:
        raise BundleError(f'class_names: at most {_MOST_CLASSES} classes may be, got {len(names)}')
    seen = set()
    for index, name in enumerate(names):
        check_name(name, f'class_names[{index}]')
        if name.lower() in RESERVED_NAMES:
            raise BundleError(f'class_names[{index}]: {name!r} is reserved for decisions that are no class; rename '
                              'the class')
        if name in seen:
            raise BundleError(f'class_names[{index}]: {name!r} occurs twice; names must be unique')
        seen.add(name)


def check_name(name: Any, where: str) -> None:
    """Raise :class:`BundleError` unless ``name`` can be shown, stored and sent as it is."""
    if not isinstance(name, str) or not name.strip() or name != name.strip():
        raise BundleError(f'{where}: must be a name without space around it, got {_shown(name)}')
    problem = name_problem(name)
    if problem:
        raise BundleError(f'{where}: {_shown(name)} {problem}')


def build_section(kind: type, values: Any, where: str) -> Any:
    """An instance of a dataclass from a JSON object with exactly its fields."""
    _check_keys(values, tuple(f.name for f in fields(kind)), where)
    try:
        return kind(**values)
    except (TypeError, ValueError, OverflowError) as error:  # ConfigError is a ValueError
        if isinstance(error, ConfigError):
            raise
        raise BundleError(f'{where}: {printable(error)}') from error


def most_bytes(name: str) -> int:
    """How large a file of a bundle may be."""
    return MOST_TENSOR_BYTES if name in (MODEL, *GRAPH_FILES.values(), HEAD, UNCERTAINTY) else _MOST_CARD_BYTES


def check_file(folder: Path, name: str, digest: str) -> None:
    """Raise :class:`BundleError` unless the file has the SHA-256 that the bundle states for it."""
    path = folder / name
    try:
        found = hash_regular(path, most_bytes(name))
    except BundleError as error:
        raise BundleError(f'{error}; {DESCRIPTION} lists it') from error
    if found != digest:
        if is_lfs_pointer(path):
            raise BundleError(f'{printable(path)}: {REMEDY}')
        raise BundleError(f'{printable(path)}: its SHA-256 is {found[:12]}..., {DESCRIPTION} states {digest[:12]}...: '
                          + COPY_AGAIN)


def _check_calibration(values: Any, classes: int) -> None:
    _check_keys(values, ('temperature', 'precision', 'conformal'), 'calibration',
                ('device', 'vector', 'laplace', 'fusion', 'density_aware'))
    _check_number(values['temperature'], 1e-3, 1e3, 'calibration.temperature')
    if values['precision'] not in PRECISIONS:
        raise BundleError(f'calibration.precision: must be one of {", ".join(PRECISIONS)}, got '
                          f'{_shown(values["precision"])}')
    if values['conformal'] is not None:
        _check_conformal(values['conformal'], classes, 'calibration.conformal')
    if values.get('device', 'cpu') not in ('cpu', 'cuda', 'mps'):
        raise BundleError(f'calibration.device: must be cpu, cuda or mps, got {_shown(values["device"])}')
    if values.get('vector', True) is not True:
        raise BundleError(f'calibration.vector: must be true, or not there, got {_shown(values["vector"])}')
    if 'laplace' in values:
        where = 'calibration.laplace'
        _check_keys(values['laplace'], ('tau', 'temperature', 'gives_probabilities'), where)
        _check_number(values['laplace']['tau'], 1e-9, 1e12, f'{where}.tau')
        _check_number(values['laplace']['temperature'], 1e-3, 1e3, f'{where}.temperature')
        if type(values['laplace']['gives_probabilities']) is not bool:
            raise BundleError(f'{where}.gives_probabilities: must be true or false, got '
                              f'{_shown(values["laplace"]["gives_probabilities"])}')
    if 'density_aware' in values:
        build_section(DensityAware, values['density_aware'], 'calibration.density_aware')
    if 'fusion' in values:
        _check_keys(values['fusion'], ('correlation_time_s', 'change_time_s'), 'calibration.fusion',
                    ('change_offset', 'change_slope'))
        _check_number(values['fusion']['correlation_time_s'], 0, 60, 'calibration.fusion.correlation_time_s')
        _check_number(values['fusion']['change_time_s'], 0.01, 3600, 'calibration.fusion.change_time_s')
        if ('change_offset' in values['fusion']) != ('change_slope' in values['fusion']):
            raise BundleError('calibration.fusion: change_offset and change_slope belong together; one is missing')
        for name in ('change_offset', 'change_slope'):
            if name in values['fusion']:
                _check_number(values['fusion'][name], -100, 100, f'calibration.fusion.{name}')


def _check_conformal(values: Any, classes: int, where: str) -> None:
    if not (isinstance(values, dict) and 'method' in values):
        _check_keys(values, ('alpha', 'quantile'), where)
        _check_number(values['quantile'], 0, 1, f'{where}.quantile')
        _check_number(values['alpha'], 0, 1, f'{where}.alpha')
        build_section(Conformal, {'method': 'lac', 'alpha': values['alpha'], 'thresholds': [values['quantile']],
                                  'penalty': 0.0, 'free': 0}, where)
        return
    _check_keys(values, tuple(f.name for f in fields(Conformal)), where)
    _check_type(values['method'], str, f'{where}.method')
    _check_type(values['thresholds'], list, f'{where}.thresholds')
    _check_number(values['alpha'], 0, 1, f'{where}.alpha')
    _check_number(values['penalty'], 0, 1e3, f'{where}.penalty')
    _check_number(values['free'], 0, _MOST_CLASSES, f'{where}.free')
    for threshold in values['thresholds']:
        _check_number(threshold, -_MOST_THRESHOLD, _MOST_THRESHOLD, f'{where}.thresholds')
    sets = build_section(Conformal, values, where)
    if sets.method == 'per_class' and len(sets.thresholds) != classes:
        raise BundleError(f'{where}.thresholds: {len(sets.thresholds)} numbers, but the network has {classes} classes')


def _check_files(files: Mapping[str, Any], has_tensors: bool, model: str) -> None:
    needed = [model, CARD] + ([UNCERTAINTY] if has_tensors else [])
    if len(files) > len(needed) + _MOST_CARD_FILES:
        raise BundleError(f'files: {len(files)} files, and a bundle may have {_MOST_CARD_FILES} for its card')
    _check_keys({name: digest for name, digest in files.items() if not _CARD_FILE.fullmatch(name)}, tuple(needed),
                'files', () if model == MODEL else (HEAD,))
    for name, digest in files.items():
        if not isinstance(digest, str) or len(digest) != 64 or set(digest) - set('0123456789abcdef'):
            raise BundleError(f'files.{name}: must be a SHA-256 in lower-case hexadecimal, got {_shown(digest)}')


def _check_keys(values: Any, keys: Sequence[str], where: str, optional: Sequence[str] = ()) -> None:
    _check_type(values, dict, where)
    missing: List[str] = [key for key in keys if key not in values]
    surplus: List[str] = [key for key in values if key not in keys and key not in optional]
    if missing:
        raise BundleError(f'{where}: the key {missing[0]!r} is missing; there must be {", ".join(keys)}')
    if surplus:
        raise BundleError(f'{where}: the key {_shown(surplus[0])} is not known; there may be '
                          f'{", ".join((*keys, *optional))}')


def _check_type(value: Any, kind: type, where: str) -> None:
    if not isinstance(value, kind):
        names: Dict[type, str] = {dict: 'an object', list: 'a list', str: 'a text'}
        raise BundleError(f'{where}: must be {names[kind]}, got {_shown(value)}')


def _check_number(value: Any, low: float, high: float, where: str) -> None:
    if type(value) not in (int, float) or not low <= value <= high:
        raise BundleError(f'{where}: must be a number in {low:g}..{high:g}, got {_shown(value)}')


def _shown(value: Any) -> str:
    return printable(repr(value), 80)
