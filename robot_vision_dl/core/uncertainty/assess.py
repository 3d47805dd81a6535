"""What one forward pass says about each frame of a batch: everything between the network and the fusion over time."""
from functools import cached_property
from math import isfinite, nan
from typing import TYPE_CHECKING, List, NamedTuple, Optional, Protocol, Sequence, Tuple, Union, cast

import numpy as np

from ..errors import RobotVisionError
from ..networks.prediction import HostPrediction
from ..types import Assessment, OodResult
from .camera.bounds import CameraBounds
from .camera.probe import FaultProbe
from .conformal import Conformal
from .density_aware import DensityAware, tempered
from .entropy import normalised_entropies, normalised_entropy
from .laplace import Laplace, LaplacePredictive
from .ood.base import Values, on_host
from .ood.energy import energy_below
from .ood.p_value import OodCalibration, OodDetector
from .pass_products import PassProducts, Table
from .temperature import below_highest, calibrated_softmax, softmax_and_entropy
from .vector import VectorScaling

if TYPE_CHECKING:
    from ..networks.network import Prediction
    from .ensemble import EnsemblePrediction

AnyPrediction = Union[HostPrediction, 'Prediction', 'EnsemblePrediction']
"""What a network or a runtime gave of a batch."""


class CalibratedModel(Protocol):
    """What is known about a network's errors; a bundle is one, and its docstring says what each of these is."""

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def temperature(self) -> Optional[float]: ...  # noqa: D102
    @property
    def vector(self) -> Optional[VectorScaling]: ...  # noqa: D102
    @property
    def laplace(self) -> Optional[Laplace]: ...  # noqa: D102
    @property
    def ood(self) -> Optional[OodCalibration]: ...  # noqa: D102
    @property
    def conformal(self) -> Optional[Conformal]: ...  # noqa: D102
    @property
    def density_aware(self) -> Optional[DensityAware]: ...  # noqa: D102
    @property
    def camera(self) -> Optional[CameraBounds]: ...  # noqa: D102
    @property
    def members(self) -> Sequence['CalibratedModel']: ...  # noqa: D102


class Products(NamedTuple):
    """Of B frames, float32: what of an assessment is read of large tables; see :mod:`.packed`.

    Attributes:
        logits: shape (B, C).
        scores: of the OOD score, or of each part of a combination, shape (B, P); None: there is none.
        scales: of the Laplace approximation, see :class:`~.packed.LaplaceScales`; None: there is none.
        members: of an ensemble, the probabilities of each of its M members, shape (M, B, C); else None.
        member_scores: of an ensemble, as ``scores``, of each member; empty: not all of them have any.
        fault_sums: see :class:`~..types.Assessment`, shape (B, K + H); None: there are none.
    """

    logits: np.ndarray
    scores: Optional[np.ndarray] = None
    scales: Optional[np.ndarray] = None
    members: Optional[np.ndarray] = None
    member_scores: Tuple[np.ndarray, ...] = ()
    fault_sums: Optional[np.ndarray] = None


class Assessor:
    """Turns predictions into assessments; everything here is float32, in numpy, on the CPU.

    After a forward pass little is left in the caches, and then an operation of numpy takes a third of the time that one
    of torch does.

    Args:
        bundle: what is known about the network's errors.
        precision: of the network, for messages.
    """

    def __init__(self, bundle: CalibratedModel, precision: str = 'float32') -> None:
        self.bundle = bundle
        self._precision = precision
        self._laplace = None if bundle.laplace is None else LaplacePredictive(bundle.laplace)
        self._detector = OodDetector(bundle.ood) if bundle.ood is not None else None
        self._members = [Assessor(member) for member in bundle.members]
        self._probe = None if bundle.camera is None or self._members else bundle.camera.probe

    def __call__(self, prediction: AnyPrediction, mc_logits: Optional[Values] = None) -> List[Assessment]:
        """One assessment a frame.

        Args:
            prediction: of a batch, on whatever device.
            mc_logits: logits (M, B, C) of Monte Carlo dropout, which then give the mutual information.

        Raises:
            RobotVisionError: a logit is not a number, or infinite.
        """
        logits, drawn = _single(prediction.logits), None if mc_logits is None else _single(mc_logits)
        # What reads large tables comes first: it clears the caches for all that follows.
        if hasattr(prediction, 'members'):
            ensemble = cast('EnsemblePrediction', prediction)
            return self._assessments(logits, self._below_highest(logits), None, self._ood_of_members(ensemble),
                                     _single(ensemble.members), drawn)
        prediction = cast(HostPrediction, prediction)  # of the same fields
        features, stages = _single(prediction.features), [_single(stage) for stage in prediction.stages]
        detector = self._detector
        if detector is not None:
            detector.check(stages)
        if self._probe is not None:
            check_probe(self._probe, stages)
        read = None if self._products is None else self._products(logits, features, stages)
        z = logits if read is None else read.logits
        below = self._below_highest(z)
        ood: Sequence[Optional[OodResult]] = [None] * len(z)
        if detector is not None and detector.tables and read is not None:
            ood = detector.of_products(read.of_tables, energy_below(*below), logits, features, stages)
        elif detector is not None:
            ood = detector(logits, features, stages)
        scales = None
        if self._laplace is not None and drawn is None and read is not None:
            scales = self._laplace.scales_of(read.of_tables[-1])
        faults = None
        if self._probe is not None and read is not None:
            one, *others = (read.of_tables[self._probe_at + place].values for place in range(len(stages)))
            faults = sum(others, one)
        return self._assessments(z, below, scales, ood, None, drawn, faults)

    def of_products(self, found: Products) -> List[Assessment]:
        """One assessment a frame, of what :class:`~.packed.PackedProducts` made of a batch on a GPU.

        Raises:
            RobotVisionError: as for a call.
        """
        ood: Sequence[Optional[OodResult]] = [None] * len(found.logits)
        if self._members:
            detectors = self._member_detectors()
            if detectors and found.member_scores:
                ood = self._of_members([one.of_scores(scores) for one, scores in zip(detectors, found.member_scores)])
        elif self._detector is not None and found.scores is not None:
            ood = self._detector.of_scores(found.scores)
        return self._assessments(found.logits, self._below_highest(found.logits), found.scales, ood, found.members,
                                 faults=found.fault_sums)

    @cached_property
    def _products(self) -> Optional[PassProducts]:
        """Of the tables of the OOD score, in their order, then of the fault probe and of the Laplace approximation."""
        tables = [] if self._detector is None else list(self._detector.tables)
        if self._probe is not None:
            tables += [Table(self._probe.of_stage(place), 1, place, None if place else self._probe.offsets)
                       for place in range(len(self._probe.widths))]
        if self._laplace is not None:
            tables.append(self._laplace.table)
        return PassProducts(tables) if tables else None

    @property
    def _probe_at(self) -> int:
        """Place of the first table of the fault probe."""
        return 0 if self._detector is None else len(self._detector.tables)

    def _below_highest(self, z: np.ndarray) -> Tuple[np.ndarray, List[float]]:
        """Logits (B, C) minus the highest of their row, and that.

        Raises:
            RobotVisionError: a logit is not a number, or infinite.
        """
        highest = np.maximum.reduce(z, axis=1)
        tops = highest.tolist()
        if not all(map(isfinite, tops)):
            raise RobotVisionError(f'{self.bundle.name} gave logits that are not numbers at {self._precision}; its '
                                   'weights may not suit this precision')
        return z - highest[:, None], tops

    def _assessments(self, z: np.ndarray, below_and_highest: Tuple[np.ndarray, List[float]],
                     scales: Optional[np.ndarray], ood: Sequence[Optional[OodResult]],
                     members: Optional[np.ndarray], mc_logits: Optional[np.ndarray] = None,
                     faults: Optional[np.ndarray] = None) -> List[Assessment]:
        """The rest, which is small.

        Args:
            z: logits, float32 (B, C).
            below_and_highest: of :meth:`_below_highest`.
            scales: of the Laplace approximation, where it is used.
            ood: of each frame.
            members: of an ensemble, probabilities (M, B, C).
            mc_logits: as for a call.
            faults: sums of the fault probe, (B, K + H); None: there are none.
        """
        laplace, (below, _) = self._laplace, below_and_highest
        entropy: List[float]
        information: Optional[List[float]] = None
        if mc_logits is not None:
            sampled = calibrated_softmax(*self._scaled(mc_logits))
            information = normalised_entropies(sampled).mutual_information.tolist()
        elif members is not None:
            information = normalised_entropies(members).mutual_information.tolist()
        tau: Optional[List[float]] = None
        if self.bundle.density_aware is not None:
            tau = [self.bundle.density_aware.tau_of(nan if one is None else one.score) for one in ood]
            tau = tau if max(tau, default=0) > 1 else None
        if laplace is not None and scales is not None and laplace.laplace.gives_probabilities:
            p, entropies = laplace(below, scales)
            entropy, information = entropies.predictive.tolist(), entropies.mutual_information.tolist()
            if tau is not None:
                p = tempered(p, np.array(tau))
                entropy = normalised_entropy(p).tolist()
        else:
            p, entropy = softmax_and_entropy(*self._scaled(below), tau)
            if laplace is not None and scales is not None:
                information = laplace.mutual_information(below, scales)
        return [self._assessment(*values) for values in zip(
            z, p, entropy, [None] * len(z) if information is None else information, ood,
            [None] * len(z) if faults is None else faults)]

    def _scaled(self, logits: np.ndarray) -> Tuple[np.ndarray, Optional[float]]:
        """Logits (..., C), and the temperature at which their softmax is calibrated."""
        if self.bundle.vector is None:
            return logits, self.bundle.temperature
        return below_highest(self.bundle.vector(logits)), 1.0

    def _ood_of_members(self, prediction: 'EnsemblePrediction') -> Sequence[Optional[OodResult]]:
        detectors = self._member_detectors()
        if not detectors:
            return [None] * len(prediction.logits)
        return self._of_members([
            detector(_single(z), _single(f), [_single(stage) for stage in stages]) for detector, z, f, stages in zip(
                detectors, prediction.member_logits, prediction.member_features, prediction.member_stages)])

    def _member_detectors(self) -> List[OodDetector]:
        """Of the members, if all of them have p-values; else none."""
        found = [one._detector for one in self._members
                 if one._detector is not None and one._detector.calibration.scores is not None]
        return found if len(found) == len(self._members) else []

    def _of_members(self, results: Sequence[Sequence[OodResult]]) -> List[Optional[OodResult]]:
        """Twice the mean of the members' p-values, which is a p-value (Vovk and Wang 2020), and their mean score."""
        name = '+'.join(sorted({result[0].method for result in results}))
        return [OodResult(name, float(np.mean([r.score for r in frame])),
                          min(1.0, 2 * float(np.mean([r.p_value for r in frame]))),
                          min(frame, key=lambda r: r.p_value).part) for frame in zip(*results)]

    def _assessment(self, z: np.ndarray, p: np.ndarray, entropy: float, information: Optional[float],
                    ood: Optional[OodResult], fault_sums: Optional[np.ndarray]) -> Assessment:
        conformal, was_empty = (None, False) if self.bundle.conformal is None else self.bundle.conformal.set_of(p)
        # The members' own total may differ a little from that of the published probabilities; the parts add up to the
        # latter.
        information = None if information is None else min(information, entropy)
        expected = None if information is None else entropy - information
        return Assessment(z, p, entropy, expected, information, ood, conformal, was_empty, fault_sums)


def check_probe(probe: FaultProbe, stages: Sequence[Values]) -> None:
    """Raise unless the stages are as wide as those that the probe was fitted to."""
    found = tuple(stage.shape[1] for stage in stages)
    if found != probe.widths:
        raise RobotVisionError(f'the bounds of the camera read stages of {probe.widths} features, and those of the '
                               f'network have {found}; `robot-vision calibrate` fits them anew')


def _single(values: Values) -> np.ndarray:
    """As an array of float32."""
    if isinstance(values, np.ndarray):
        return values
    return on_host(values.float())
