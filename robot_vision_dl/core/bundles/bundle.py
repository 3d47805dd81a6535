"""A model with everything that belongs to its weights: classes, preprocessing, calibration, provenance.

``bundle_format.py`` describes the files, ``bundle_writer.py`` writes them. Loading is strict and runs no code of the
bundle: there is no pickle.
"""
import hashlib
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, List, Mapping, Optional, Tuple, Union

import numpy as np

from ..errors import BundleError, ConfigError, RobotVisionError
from ..networks import torch_use
from ..networks.architecture import Architecture, is_timm
from ..networks.graph_facts import GraphFacts
from ..networks.int8 import adds_exactly
from ..networks.preprocess import Preprocessing
from ..text.printable import printable
from ..uncertainty.camera.bounds import CameraBounds
from ..uncertainty.camera.bounds import from_json as camera_from_json
from ..uncertainty.conformal import Conformal
from ..uncertainty.density_aware import DensityAware
from ..uncertainty.fusion_times import FusionTimes
from ..uncertainty.laplace import Laplace
from ..uncertainty.ood.p_value import OodCalibration
from ..uncertainty.vector import VectorScaling
from . import bundle_format as fmt
from . import bundle_tensors
from .bundle_files import COPY_AGAIN
from .bundle_ood import read_ood
from .bundle_search import ENSEMBLE, MOST_MEMBERS, TORCHVISION, find_bundle

if TYPE_CHECKING:
    import torch
    from torch import nn

    from ..networks.graph_network import SingleNetwork
    from ..uncertainty.ensemble import AnyNetwork


@dataclass(frozen=True)
class Bundle:
    """A verified model bundle; :func:`load_bundle` makes it.

    Attributes:
        name: for people and reports.
        source: what was asked for: a folder, a name in ``models/``, ``torchvision:<architecture>``, ``timm:<name>``.
        folder: where the files lie; None for weights of torchvision or timm.
        identity: 12 hexadecimal digits that change with any byte of the bundle; torchvision and timm name theirs.
        weights: SHA-256 of the file of the network; empty: it has none of its own, and ``identity`` says which it is.
        architecture: of the network.
        graph: what a network that is a file gives (``architecture.name`` is ``onnx`` or ``torch.export``); else None.
        has_head: whether the logits of such a network are known to be linear in its features.
        class_names: C names in the order of the logits.
        preprocessing: what the weights expect.
        temperature: T of the calibrated softmax; None: uncalibrated.
        precision, device: arithmetic, and kind of device (cpu, cuda), that the temperature and scores were fitted at;
            None: uncalibrated, or not known.
        conformal: sets of possible classes, or None.
        ood: OOD score with its calibration, or None.
        vector: takes the temperature's place, where it is there.
        laplace: of the last layer, or None.
        fusion: time constants from calibration bags, or None.
        density_aware: what makes probabilities claim less where a frame is unusual, or None.
        members: bundles that are run together as an ensemble; empty: this is one model.
        abstain_cost: in [0, 1], where the deployment says nothing else.
        camera: what pictures of its camera are like, or None: then the general bounds hold.
        metrics, provenance: measured figures and origins, as written.
    """

    name: str
    source: str
    folder: Optional[Path]
    identity: str
    architecture: Architecture
    class_names: Tuple[str, ...]
    preprocessing: Preprocessing
    temperature: Optional[float] = None
    precision: Optional[str] = None
    device: Optional[str] = None
    conformal: Optional[Conformal] = None
    ood: Optional[OodCalibration] = None
    vector: Optional[VectorScaling] = None
    laplace: Optional[Laplace] = None
    fusion: Optional[FusionTimes] = None
    density_aware: Optional[DensityAware] = None
    abstain_cost: float = 0.5
    weights: str = ''
    metrics: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    provenance: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    members: Tuple['Bundle', ...] = ()
    graph: Optional[GraphFacts] = None
    has_head: bool = False
    camera: Optional[CameraBounds] = None

    @property
    def calibrated(self) -> bool:
        """Whether probabilities were calibrated on pictures kept for that."""
        return self.temperature is not None

    def load_network(self, device: 'Union[str, torch.device]' = 'cpu', dtype: 'Optional[torch.dtype]' = None
                     ) -> 'AnyNetwork':
        """The network in evaluation mode, with its weights in ``channels_last`` order.

        Weights are converted to ``dtype``, float32 if it is None, however they are stored.

        Raises:
            BundleError: the weights do not fit the architecture, or torchvision's cannot be had.
        """
        if self.members:
            from ..uncertainty.ensemble import EnsembleNetwork
            return EnsembleNetwork([member.load_single_network(device, dtype) for member in self.members],
                                   [member.temperature or 1.0 for member in self.members]).to(device).eval()
        return self.load_single_network(device, dtype)

    def load_single_network(self, device: 'Union[str, torch.device]' = 'cpu', dtype: 'Optional[torch.dtype]' = None
                            ) -> 'SingleNetwork':
        """As :meth:`load_network`, for what an ensemble is not taken for.

        Raises:
            BundleError: as there, or this is an ensemble.
        """
        if self.members:
            raise BundleError(f'{self.name}: is an ensemble of {len(self.members)} networks, and one is expected')
        import torch

        from ..networks.graph_network import restore_graph
        from ..networks.network import build_network, restore_network
        from .network_weights import read_weights
        dtype = dtype or torch.float32
        if self.graph is not None:
            return restore_graph(self.architecture, self.graph, self.graph_file, self._head(), self.preprocessing.crop,
                                 dtype).to(device=device)
        if self.folder is None:
            network = build_network(self.architecture, weights=self.identity.rpartition('@')[2]).to(dtype)
        else:
            path = self.folder / fmt.MODEL
            state = {key: value.to(dtype) if value.is_floating_point() else value
                     for key, value in read_weights(path).items()}
            try:
                network = restore_network(self.architecture, state)
            except Exception as error:  # noqa: B902 - torch and torchvision refuse in many ways what cannot be built
                raise BundleError(f'{printable(path)}: {printable(error, 600)}') from error
        # Convolutions run up to twice as fast in this order, on CPUs and on GPUs with tensor cores.
        return network.to(device=device).to(memory_format=torch.channels_last)

    @property
    def graph_file(self) -> Path:
        """The file of a network that is one."""
        assert self.folder is not None and self.graph is not None
        return self.folder / fmt.GRAPH_FILES[self.architecture.name]

    def _head(self) -> 'Optional[nn.Linear]':
        """Of a network that is a file, where it is known."""
        assert self.folder is not None and self.graph is not None
        path = self.folder / fmt.HEAD
        if not self.has_head:
            return None
        from .network_weights import linear_layer
        return linear_layer(bundle_tensors.read_head(path, len(self.class_names), self.graph.features))


def load_bundle(path_or_name: Union[str, Path]) -> Bundle:
    """Find and verify a bundle.

    Args:
        path_or_name: a folder; the name of a bundle in the package's ``models/``; or ``torchvision:<architecture>``,
            optionally with ``@<weights>``, or ``timm:<name>``, which are then uncalibrated; or
            ``ensemble:<bundle>,<bundle>,...``.

    Raises:
        BundleError: there is none, or a file of it is missing, damaged or breaks the schema.
    """
    source = str(path_or_name)
    if source.startswith(TORCHVISION):
        return _torchvision_bundle(source)
    if is_timm(source):
        return _timm_bundle(source)
    if source.startswith(ENSEMBLE):
        return _ensemble_bundle(source)
    folder = find_bundle(source)
    # Where torch is not there, that the architecture exists is found out by whoever builds it, if anybody does.
    values, digest = fmt.read_description(folder, ask_torchvision=torch_use.is_loaded())
    for name, expected in values['files'].items():
        fmt.check_file(folder, name, expected)
    features = _features_of(folder, values)
    classes, calibration = len(values['class_names']), values['calibration'] or {}
    path = folder / fmt.UNCERTAINTY
    tensors = bundle_tensors.read_tensors(path) if fmt.UNCERTAINTY in values['files'] else {}
    described = [name for name in ('vector', 'laplace') if name in calibration] + ['ood'] * bool(values['ood'])
    described += ['probe'] * ('probe' in (values.get('camera') or {}))
    bundle_tensors.check_names(path, tensors, described)
    return Bundle(
        name=values['name'], source=source, folder=folder, identity=digest[:12],
        weights=values['files'][fmt.GRAPH_FILES.get(values['architecture']['name'], fmt.MODEL)],
        architecture=Architecture(**values['architecture']), class_names=tuple(values['class_names']),
        preprocessing=Preprocessing(**values['preprocessing']), temperature=calibration.get('temperature'),
        precision=calibration.get('precision'), device=calibration.get('device'),
        conformal=_read_conformal(calibration.get('conformal')),
        ood=(read_ood(path, values['ood'], tensors, classes, features, values['architecture']['stages'])
             if values['ood'] else None),
        vector=bundle_tensors.read_vector(path, tensors, classes) if 'vector' in calibration else None,
        laplace=(bundle_tensors.read_laplace(path, calibration['laplace'], tensors, classes, features)
                 if 'laplace' in calibration else None),
        fusion=FusionTimes(**calibration['fusion']) if 'fusion' in calibration else None,
        density_aware=DensityAware(**calibration['density_aware']) if 'density_aware' in calibration else None,
        abstain_cost=float(values['abstain_cost']), metrics=MappingProxyType(values['metrics']),
        provenance=MappingProxyType(values['provenance']), graph=_graph_of(values),
        has_head=fmt.HEAD in values['files'],
        camera=_camera(path, values['camera'], tensors) if values.get('camera') else None)


def is_changed(bundle: Bundle) -> bool:
    """Whether there is another bundle now where this one was read; quick, as :func:`~.bundle_search.check_source`.

    Raises:
        BundleError: there is none any more.
    """
    if bundle.members:
        return any(is_changed(member) for member in bundle.members)
    return bundle.folder is not None and fmt.read_description(bundle.folder)[1][:12] != bundle.identity


def identity_of(source: Union[str, Path]) -> str:
    """Identity of the bundle that is there now under a name or path; empty: of a source that is no folder, or none."""
    try:
        return fmt.read_description(find_bundle(str(source), suggest=False))[1][:12]
    except (BundleError, OSError):
        return ''


def verify_bundle(path_or_name: Union[str, Path]) -> List[str]:
    """Everything that is wrong with a bundle, one sentence each; empty if it is sound and its network loads.

    A network that this processor would run wrongly (int8 without VNNI) is not loaded: nothing is wrong with its files.
    """
    problems = []
    try:
        folder = find_bundle(str(path_or_name))
        values, _ = fmt.read_description(folder)
    except RobotVisionError as error:
        return [str(error)]
    for name, expected in values['files'].items():
        try:
            fmt.check_file(folder, name, expected)
        except BundleError as error:
            problems.append(str(error))
    if not problems:
        try:
            bundle = load_bundle(folder)
            if bundle.graph is None or bundle.graph.weight_bits != 8 or adds_exactly():
                bundle.load_network()
        except RobotVisionError as error:
            problems.append(str(error))
    return problems


def _torchvision_bundle(source: str) -> Bundle:
    """torchvision's own weights as an uncalibrated bundle; they are fetched when the network is loaded."""
    from ..networks.weights import torchvision_weights
    from .torchvision_facts import torchvision_facts
    name, _, wanted = source[len(TORCHVISION):].partition('@')
    try:
        entry = torchvision_weights(name, wanted or 'DEFAULT')
    except ConfigError as error:
        raise BundleError(f'model {printable(repr(source))}: {error}') from error
    class_names, preprocessing = torchvision_facts(name, entry)
    input_size = entry.meta['min_size'][0] if name.startswith(('vit_', 'maxvit_')) else None
    return Bundle(
        name=source, source=source, folder=None, identity=f'{TORCHVISION}{name}@{entry.name}',
        architecture=Architecture(name, len(class_names), input_size=input_size), class_names=class_names,
        preprocessing=preprocessing, provenance=MappingProxyType({'weights': entry.url}))


def _timm_bundle(source: str) -> Bundle:
    """timm's own weights as an uncalibrated bundle; they are fetched when the network is loaded."""
    from .timm_facts import timm_facts
    try:
        facts = timm_facts(source)
    except ConfigError as error:
        raise BundleError(f'model {printable(repr(source))}: {error}') from error
    if not facts.class_names:
        raise BundleError(f'model {printable(repr(source))}: its weights have no classes that timm names; train a last '
                          f'layer for yours (network.architecture: {source}, network.pretrained: DEFAULT)')
    provenance = {'weights': facts.repository, 'license': facts.license}
    return Bundle(
        name=source, source=source, folder=None, identity=f'{source}@DEFAULT',
        architecture=Architecture(source, len(facts.class_names)), class_names=facts.class_names,
        preprocessing=facts.preprocessing, provenance=MappingProxyType({k: v for k, v in provenance.items() if v}))


def _ensemble_bundle(source: str) -> Bundle:
    """Several bundles as one; each brings its own calibration."""
    names = [name.strip() for name in source[len(ENSEMBLE):].split(',')]
    shown = printable(repr(source))
    if len(names) < 2:
        raise BundleError(f'model {shown}: an ensemble needs two bundles at least: {ENSEMBLE}<bundle>,<bundle>,...')
    if len(names) > MOST_MEMBERS:
        raise BundleError(f'model {shown}: an ensemble may have {MOST_MEMBERS} members, got {len(names)}')
    if any(name.startswith(ENSEMBLE) for name in names):
        raise BundleError(f'model {shown}: a member may not itself be an ensemble')
    members = tuple(load_bundle(name) for name in names)
    first = members[0]
    for member in members:
        for what in ('class_names', 'preprocessing'):
            if getattr(member, what) != getattr(first, what):
                raise BundleError(f'model {shown}: {member.name} has other {what.replace("_", " ")} than '
                                  f'{first.name}; the members of an ensemble must see and name the same')
        if member.vector is not None or member.members:
            raise BundleError(f'model {shown}: {member.name} is scaled by a vector or is itself an '
                              'ensemble; members need a temperature')
    precisions, devices = ({getattr(member, what) for member in members} for what in ('precision', 'device'))
    identity = hashlib.sha256(' '.join(member.identity for member in members).encode()).hexdigest()[:12]
    # The members are calibrated each; what is left to do is their mean.
    return Bundle(
        name=' + '.join(member.name for member in members), source=source, folder=None, identity=identity,
        architecture=first.architecture, class_names=first.class_names, preprocessing=first.preprocessing,
        temperature=1.0 if all(member.calibrated for member in members) else None,
        precision=precisions.pop() if len(precisions) == 1 else None,
        device=devices.pop() if len(devices) == 1 else None, abstain_cost=first.abstain_cost, fusion=first.fusion,
        members=members, camera=None if first.camera is None else replace(first.camera, probe=None))


def _camera(path: Path, values: Mapping[str, Any], tensors: Mapping[str, np.ndarray]) -> CameraBounds:
    try:
        return camera_from_json(values, tensors)
    except ValueError as error:
        raise BundleError(f'{printable(path)}: camera: {printable(error)}; {COPY_AGAIN}') from error


def _features_of(folder: Path, values: Mapping[str, Any]) -> int:
    """How many features the head sees; raises unless the weights can be read and have one output a class."""
    graph = _graph_of(values)
    if graph is not None:
        if fmt.HEAD in values['files']:
            bundle_tensors.read_head(folder / fmt.HEAD, len(values['class_names']), graph.features)
        return graph.features
    path = folder / fmt.MODEL
    shape = bundle_tensors.head_shape(path)
    if not shape or len(shape) not in (2, 4) or shape[0] != len(values['class_names']):
        raise BundleError(f'{path}: the head has {shape[0] if shape else None} outputs, but {fmt.DESCRIPTION} names '
                          f'{len(values["class_names"])} classes')
    return shape[1]


def _graph_of(values: Mapping[str, Any]) -> Optional[GraphFacts]:
    """What a network that is a file gives."""
    return GraphFacts(**values['graph']) if 'graph' in values else None


def _read_conformal(values: Optional[Mapping[str, Any]]) -> Optional[Conformal]:
    """Conformal sets in either form."""
    if values is None:
        return None
    if 'method' not in values:
        return Conformal('lac', values['alpha'], (values['quantile'],))
    return Conformal(**{**values, 'thresholds': tuple(values['thresholds'])})
