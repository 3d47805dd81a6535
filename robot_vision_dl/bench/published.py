"""What a bundle publishes of network outputs that are there already: probabilities and p-values, frame by frame."""
from dataclasses import replace
from typing import NamedTuple, Sequence

import numpy as np

from ..core.bundles.bundle import Bundle
from ..evaluation.predict import assessments


class Published(NamedTuple):
    """Of n frames.

    Attributes:
        probabilities: calibrated, float64 (n, C), rows sum to 1.
        p_values: of "known", (n,); 1 where the bundle has no OOD score.
    """

    probabilities: np.ndarray
    p_values: np.ndarray

    def outcomes(self, abstain_cost: float, false_unknown_rate: float) -> 'Outcomes':
        """Which frames would be accepted, uncertain or unknown, each on its own."""
        unknown = self.p_values <= false_unknown_rate
        accepted = ~unknown & (self.probabilities.max(axis=1) >= 1 - abstain_cost)
        return Outcomes(accepted, ~unknown & ~accepted, unknown)


class Outcomes(NamedTuple):
    """Which of n frames, bool (n,); each frame is one of the three."""

    accepted: np.ndarray
    uncertain: np.ndarray
    unknown: np.ndarray


def published(bundle: Bundle, logits: np.ndarray, features: np.ndarray, stages: Sequence[np.ndarray] = ()
              ) -> Published:
    """As the live node has them, from logits (n, C), features (n, F) and stages (n, F_s) each."""
    # Sets and the mutual information are not looked at here.
    keeps_laplace = bundle.laplace is not None and bundle.laplace.gives_probabilities
    bundle = replace(bundle, conformal=None, laplace=bundle.laplace if keeps_laplace else None)
    found = list(assessments(bundle, logits, features, stages))
    p = np.array([one.probabilities for one in found], np.float64)
    p_values = np.array([1.0 if one.ood is None or one.ood.p_value is None else one.ood.p_value for one in found])
    return Published(p / p.sum(axis=1, keepdims=True), p_values)
