"""What one forward pass says about each frame of a batch: everything between the network and the fusion over time."""
from math import isfinite, nan
from typing import List, Optional, Protocol, Sequence, Tuple, Union

import numpy as np
import torch

from ..errors import RobotVisionError
from ..networks.network import Prediction
from ..types import Assessment, OodResult
from .conformal import Conformal
from .density_aware import DensityAware, tempered
from .ensemble import EnsemblePrediction
from .entropy import normalised_entropies, normalised_entropy
from .laplace import Laplace, LaplacePredictive
from .ood.base import on_host
from .ood.p_value import OodCalibration, OodDetector
from .temperature import below_highest, calibrated_softmax, softmax_and_entropy
from .vector import VectorScaling


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
    def members(self) -> Sequence['CalibratedModel']: ...  # noqa: D102


class Assessor:
    """Turns predictions into assessments; everything here is float32.

    What is not a product with a large table runs in numpy, on the CPU. After a forward pass little is left in the
    caches, and then an operation of numpy takes a third of the time that one of torch does.

    Args:
        bundle: what is known about the network's errors.
        device: of the network.
        precision: of the network, for messages.
    """

    def __init__(self, bundle: CalibratedModel, device: torch.device, precision: str = 'float32') -> None:
        self.bundle = bundle
        self._precision = precision
        self._laplace = None if bundle.laplace is None else LaplacePredictive(bundle.laplace).to(device)
        self._detector = OodDetector(bundle.ood, device) if bundle.ood is not None else None
        self._members = [Assessor(member, device) for member in bundle.members]

    def __call__(self, prediction: Union[Prediction, EnsemblePrediction], mc_logits: Optional[torch.Tensor] = None
                 ) -> List[Assessment]:
        """One assessment a frame.

        Args:
            prediction: of a batch, on the network's device.
            mc_logits: logits (M, B, C) of Monte Carlo dropout, which then give the mutual information.

        Raises:
            RobotVisionError: a logit is not a number, or infinite.
        """
        logits, features = prediction.logits, prediction.features
        if logits.dtype is not torch.float32:
            logits, features = logits.float(), features.float()
        z = on_host(logits)
        # What reads large tables comes first: it clears the caches for all that follows.
        laplace = self._laplace if mc_logits is None and not self._members else None
        projected = None if laplace is None else laplace.project(features)
        ood = self.ood(prediction, logits, features)
        highest = z.max(axis=1)
        if not all(map(isfinite, highest.tolist())):
            raise RobotVisionError(f'{self.bundle.name} gave logits that are not numbers at {self._precision}; its '
                                   'weights may not suit this precision')
        below = z - highest[:, None]
        entropy: List[float]
        information: Optional[List[float]] = None
        if mc_logits is not None:
            members = calibrated_softmax(*self._scaled(on_host(mc_logits.float())))
            information = normalised_entropies(members).mutual_information.tolist()
        elif self._members:
            assert isinstance(prediction, EnsemblePrediction)
            information = normalised_entropies(on_host(prediction.members.float())).mutual_information.tolist()
        if laplace is not None and projected is not None and laplace.laplace.gives_probabilities:
            p, entropies = laplace(below, projected)
            entropy, information = entropies.predictive.tolist(), entropies.mutual_information.tolist()
        else:
            p, entropy = softmax_and_entropy(*self._scaled(below))
            if laplace is not None and projected is not None:
                information = laplace.mutual_information(below, projected)
        density_aware = self.bundle.density_aware
        if density_aware is not None:
            tau = density_aware.tau(np.array([nan if one is None else one.score for one in ood]))
            if tau.max() > 1:
                p = tempered(p, tau)
                entropy = normalised_entropy(p).tolist()
        return [self._assessment(*values) for values in zip(
            z, p, entropy, [None] * len(z) if information is None else information, ood)]

    def _scaled(self, logits: np.ndarray) -> Tuple[np.ndarray, Optional[float]]:
        """Logits (..., C), and the temperature at which their softmax is calibrated."""
        if self.bundle.vector is None:
            return logits, self.bundle.temperature
        return below_highest(self.bundle.vector(logits)), 1.0

    def ood(self, prediction: Union[Prediction, EnsemblePrediction], logits: torch.Tensor, features: torch.Tensor
            ) -> Sequence[Optional[OodResult]]:
        """How far out of distribution each frame is, or None each."""
        if self._members:
            assert isinstance(prediction, EnsemblePrediction)
            return self._ood_of_members(prediction)
        if self._detector is None:
            return [None] * len(logits)
        assert isinstance(prediction, Prediction)
        return self._detector(logits, features, _single(prediction.stages))

    def _ood_of_members(self, prediction: EnsemblePrediction) -> Sequence[Optional[OodResult]]:
        """Twice the mean of the members' p-values, which is a p-value (Vovk and Wang 2020), and their mean score."""
        detectors = [one._detector for one in self._members
                     if one._detector is not None and one._detector.calibration.scores is not None]
        if len(detectors) < len(self._members):
            return [None] * len(prediction.logits)
        results = [detector(z, f.float(), _single(stages)) for detector, z, f, stages in zip(
            detectors, prediction.member_logits, prediction.member_features, prediction.member_stages)]
        name = '+'.join(sorted({result[0].method for result in results}))
        return [OodResult(name, float(np.mean([r.score for r in frame])),
                          min(1.0, 2 * float(np.mean([r.p_value for r in frame]))),
                          min(frame, key=lambda r: r.p_value).part) for frame in zip(*results)]

    def _assessment(self, z: np.ndarray, p: np.ndarray, entropy: float, information: Optional[float],
                    ood: Optional[OodResult]) -> Assessment:
        conformal, was_empty = (None, False) if self.bundle.conformal is None else self.bundle.conformal.set_of(p)
        # The members' own total may differ a little from that of the published probabilities; the parts add up to the
        # latter.
        information = None if information is None else min(information, entropy)
        expected = None if information is None else entropy - information
        return Assessment(z, p, entropy, expected, information, ood, conformal, was_empty)


def _single(stages: Sequence[torch.Tensor]) -> Tuple[torch.Tensor, ...]:
    """In float32."""
    return tuple(one if one.dtype is torch.float32 else one.float() for one in stages)
