"""OOD score -> conformal p-value, by which a frame is called unknown."""
from bisect import bisect_left
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Dict, List, Mapping, Optional, Set, Type, Union

import numpy as np
import torch

from ...errors import BundleError, ConfigError
from ...text.printable import printable
from ...types import OodResult
from .base import OodScore
from .energy import Energy
from .knn import KNearestNeighbours
from .mahalanobis import Mahalanobis, RelativeMahalanobis
from .max_logit import MaxLogit
from .max_softmax import MaxSoftmax
from .react import ReAct
from .vim import Vim

OOD_METHODS: Dict[str, Type[OodScore]] = {
    'energy': Energy,
    'knn': KNearestNeighbours,
    'mahalanobis': Mahalanobis,
    'max_logit': MaxLogit,
    'max_softmax': MaxSoftmax,
    'react': ReAct,
    'relative_mahalanobis': RelativeMahalanobis,
    'vim': Vim,
}


def ood_method(name: str) -> Type[OodScore]:
    """The class of a score by its name.

    Raises:
        ConfigError: there is no such score.
    """
    if name not in OOD_METHODS:
        raise ConfigError(f'no OOD method {printable(repr(name), 60)}; there are {", ".join(sorted(OOD_METHODS))}')
    return OOD_METHODS[name]


def stored_names(score: OodScore) -> Set[str]:
    """Names of the tensors that a score is made of again."""
    return set(score.state_dict())


@dataclass(frozen=True)
class OodCalibration:
    """A score, what it was fitted to, and its values on pictures of known classes.

    Attributes:
        method: a key of ``OOD_METHODS``.
        scores: float32, shape (n,), ascending: of calibration pictures, on which nothing else was fitted. None, where
            there are none; then there are no p-values, and nothing is called unknown.
        tensors: the score's buffers by name.
    """

    method: str
    scores: Optional[np.ndarray] = None
    tensors: Mapping[str, torch.Tensor] = field(default_factory=lambda: MappingProxyType({}))

    def __post_init__(self) -> None:
        ood_method(self.method)
        if self.scores is not None:
            scores = np.sort(np.asarray(self.scores, np.float32))
            if scores.ndim != 1 or not len(scores) or not np.isfinite(scores).all():
                raise BundleError(f'OOD calibration ({self.method}): scores must be a list of finite numbers, '
                                  'not empty')
            object.__setattr__(self, 'scores', scores)

    def p_value(self, score: Union[float, np.ndarray]) -> np.ndarray:
        """(1 + #{calibration >= score}) / (n + 1), in (0, 1], float64 (Bates et al. 2023, equation 2).

        A score that is not a number counts as further out of distribution than all others.
        """
        if self.scores is None:
            raise ConfigError(f'OOD calibration ({self.method}): there are no calibration scores, so no p-values')
        # In float32 like the calibration scores, or equal scores would not count as equal.
        below = np.searchsorted(self.scores, np.asarray(score, np.float32), side='left')
        return np.asarray((1.0 + len(self.scores) - below) / (len(self.scores) + 1))

    def build_score(self) -> OodScore:
        """The score with its tensors, on their device.

        Raises:
            BundleError: the tensors are not those of the method.
        """
        score_class = ood_method(self.method)
        names = stored_names(score_class())
        if names != set(self.tensors):
            raise BundleError(f'OOD calibration: {self.method} needs the tensors {sorted(names)}, got '
                              f'{printable(sorted(self.tensors))}; `robot-vision calibrate` makes them anew')
        return score_class(**self.tensors).eval()

    @classmethod
    def of(cls, score: OodScore, method: str, scores: Optional[np.ndarray]) -> 'OodCalibration':
        """What is to be stored about a fitted score."""
        tensors = {name: getattr(score, name).detach().cpu() for name in stored_names(score)}
        return cls(method, scores, MappingProxyType(tensors))


class OodDetector:
    """Scores the frames of a batch.

    Args:
        calibration: from the bundle.
        device: of the network.
    """

    def __init__(self, calibration: OodCalibration, device: Union[torch.device, str] = 'cpu') -> None:
        self.calibration = calibration
        self._score = calibration.build_score().to(device)
        self._ascending = None if calibration.scores is None else calibration.scores.tolist()

    def __call__(self, logits: torch.Tensor, features: torch.Tensor) -> List[OodResult]:
        """One result a frame, for float32 logits (B, C) and features (B, F) on the device."""
        scores = self._score.forward(logits, features).tolist()  # there are no hooks to be called
        return [OodResult(self.calibration.method, score, self._p_value(score)) for score in scores]

    def _p_value(self, score: float) -> Optional[float]:
        """As :meth:`OodCalibration.p_value`, in plain Python.

        numpy's way takes longer where it is not in the caches, which a forward pass fills with other things.
        """
        if self._ascending is None:
            return None
        n = len(self._ascending)
        below = n if score != score else bisect_left(self._ascending, score)
        return (1.0 + n - below) / (n + 1)
