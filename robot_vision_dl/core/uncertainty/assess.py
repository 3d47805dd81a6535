"""What one forward pass says about each frame of a batch: everything between the network and the fusion over time."""
from typing import TYPE_CHECKING, List, Optional, Sequence

import numpy as np
import torch

from ..errors import RobotVisionError
from ..network import Prediction
from ..types import Assessment, OodResult
from .ensemble import EnsemblePrediction
from .entropy import normalised_entropies, normalised_entropy
from .laplace import LaplacePredictive
from .ood import OodDetector
from .temperature import calibrated_softmax

if TYPE_CHECKING:
    from ..bundle import Bundle


class Assessor:
    """Turns predictions into assessments; everything here is float32.

    Args:
        bundle: what is known about the network's errors.
        device: of the network.
        precision: of the network, for messages.
    """

    def __init__(self, bundle: 'Bundle', device: torch.device, precision: str = 'float32'):
        self.bundle = bundle
        self._precision = precision
        self._vector = None if bundle.vector is None else type(bundle.vector)(*(t.to(device) for t in bundle.vector))
        self._laplace = None if bundle.laplace is None else LaplacePredictive(bundle.laplace).to(device)
        self._gives_probabilities = self._laplace is not None and bundle.laplace.gives_probabilities
        self._detector = OodDetector(bundle.ood) if bundle.ood is not None else None
        self._members = [Assessor(member, device) for member in bundle.members]

    def __call__(self, prediction: Prediction, thinned: Optional[torch.Tensor] = None) -> List[Assessment]:
        """One assessment a frame.

        Args:
            prediction: of a batch, on the network's device.
            thinned: logits (M, B, C) of Monte Carlo dropout, which then give the mutual information.

        Raises:
            RobotVisionError: a logit is not a number, or infinite.
        """
        logits, features = prediction.logits.float(), prediction.features.float()
        probabilities = self.probabilities(logits)
        entropy = normalised_entropy(probabilities)
        information: Sequence[Optional[float]] = [None] * len(logits)
        if thinned is not None:
            information = normalised_entropies(self.probabilities(thinned.float())).mutual_information.tolist()
        elif self._members:
            information = normalised_entropies(prediction.members).mutual_information.tolist()
        elif self._laplace is not None:
            information = self._laplace.mutual_information(logits, features)
            if self._gives_probabilities:
                probabilities, parts = self._laplace(logits, features)
                entropy = parts.predictive.tolist()
        z, p = logits.cpu().numpy(), probabilities.cpu().numpy()
        if any(value != value for value in entropy):
            raise RobotVisionError(f'{self.bundle.name} gave logits that are not numbers at {self._precision}; its '
                                   'weights may not suit this precision')
        ood = self.ood(prediction, logits, features)
        return [self._assessment(*values) for values in zip(z, p, entropy, information, ood)]

    def probabilities(self, logits: torch.Tensor) -> torch.Tensor:
        """Calibrated softmax (B, C) of float32 logits (B, C)."""
        if self._vector is not None:
            return torch.softmax(self._vector(logits), dim=-1)
        return calibrated_softmax(logits, self.bundle.temperature)

    def ood(self, prediction: Prediction, logits: torch.Tensor, features: torch.Tensor
            ) -> Sequence[Optional[OodResult]]:
        """How foreign each frame is, or None each."""
        if self._members:
            return self._ood_of_members(prediction)
        return [None] * len(logits) if self._detector is None else self._detector(logits, features)

    def _ood_of_members(self, prediction: EnsemblePrediction) -> Sequence[Optional[OodResult]]:
        """Twice the mean of the members' p-values, which is a p-value (Vovk and Wang 2020), and their mean score."""
        if any(one._detector is None or one.bundle.ood.scores is None for one in self._members):
            return [None] * len(prediction.logits)
        results = [one._detector(z, f.float()) for one, z, f in zip(
            self._members, prediction.member_logits, prediction.member_features)]
        name = '+'.join(sorted({result[0].method for result in results}))
        return [OodResult(name, float(np.mean([r.score for r in frame])),
                          min(1.0, 2 * float(np.mean([r.p_value for r in frame])))) for frame in zip(*results)]

    def _assessment(self, z: np.ndarray, p: np.ndarray, entropy: float, information: Optional[float],
                    ood: Optional[OodResult]) -> Assessment:
        conformal, was_empty = (None, False) if self.bundle.conformal is None else self.bundle.conformal.set_of(p)
        # The members' own total may differ a little from that of the published probabilities; the parts add up to the
        # latter.
        information = None if information is None else min(information, entropy)
        expected = None if information is None else entropy - information
        return Assessment(z, p, entropy, expected, information, ood, conformal, was_empty)
