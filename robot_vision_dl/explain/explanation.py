"""What can be said about one decision: the decision as the robot makes it, and what of the picture it rests on."""
from dataclasses import dataclass
from typing import List, Optional, Tuple

import numpy as np
import torch
from torch.nn.functional import interpolate

from ..classification import Classification
from ..core.backends.int8_choice import int8_beside
from ..core.bundles.any_pixels import any_pixels
from ..core.bundles.bundle import Bundle
from ..core.decision.decision import Policy
from ..core.errors import ConfigError
from ..core.networks.evidence import LastMaps
from ..core.networks.network import Network
from ..core.networks.preprocess import Preprocessor, visible_region
from ..core.runtime.overlay import to_bgr
from ..core.types import Picture
from ..core.uncertainty.ensemble import AnyNetwork
from .activations import StageMaps, stage_maps, stages_of
from .decision_rules import Grounds, grounds_of
from .occlusion import Occlusion, occlusion
from .unknown_score import ScoreReader, UnknownScore


@dataclass(frozen=True)
class ClassMap:
    """What speaks for a class, place by place.

    Attributes:
        name: of the class, or ``a - b`` for what speaks for one rather than the other.
        probability: calibrated, of this picture alone; None for a difference.
        evidence: float32 (h, w), in units of the logits; None where the network has no map.
        cost: float32 (n, n), by how much the logit falls where the place is covered.
    """

    name: str
    probability: Optional[float]
    evidence: Optional[np.ndarray]
    cost: np.ndarray


@dataclass(frozen=True)
class Explanation:
    """One picture.

    Attributes:
        classification: as the robot decides about the picture alone.
        grounds: the numbers that the decision rests on.
        unknown: how its score of unknowns comes about; None: the model has no calibrated score of its own.
        seen: uint8 (H, W, 3), BGR: the part of the picture that the network is shown.
        classes: the most probable classes, best first, and last the difference of the first two.
        exact: whether the evidence of a place is a term of the logit's sum.
        layer: whose maps they are.
        agreement: correlation of evidence and cost of covering over the places, for the best class; None: no evidence.
        patch: side of what covers, as a share of the picture.
        stages: the maps after stages.
        notes: what could not be shown, and why.
    """

    classification: Classification
    grounds: Grounds
    unknown: Optional[UnknownScore]
    seen: np.ndarray
    classes: Tuple[ClassMap, ...]
    exact: bool
    layer: str
    agreement: Optional[float]
    patch: float
    stages: Tuple[StageMaps, ...]
    notes: Tuple[str, ...] = ()


class Explainer:
    """Explains decisions of one model; its network is loaded once."""

    def __init__(self, bundle: Bundle, policy: Policy) -> None:
        """Load it; ``policy`` is that of the deployment, by which is decided."""
        self._bundle, self._policy = bundle, policy
        self._network = bundle.load_network()
        self._preprocess = Preprocessor(bundle.preprocessing, 'cpu')
        self._notes: List[str] = []
        self._last: Optional[LastMaps] = None
        beside = int8_beside(bundle)
        if beside:
            self._notes.append(f'This is about the float32 network. On a CPU {" or ".join(beside)}, which lies beside '
                               'it, may run in its place (parameter precision), whose numbers differ a little')
        self._scores = (ScoreReader(bundle, policy.false_unknown_rate)
                        if bundle.ood is not None and bundle.ood.scores is not None else None)
        if not isinstance(self._network, Network):
            self._notes.append(f'{bundle.name} is {"an ensemble" if bundle.members else "a file of another program"}: '
                               'evidence and maps of its layers cannot be read; what covering a place costs needs '
                               'neither')
            return
        try:
            self._last = LastMaps(self._network, any_pixels(bundle))
        except ConfigError as error:
            self._notes.append(str(error))

    @property
    def network(self) -> AnyNetwork:
        """It."""
        return self._network

    def __call__(self, classification: Classification, picture: Picture, most: int = 3) -> Explanation:
        """Explain one decision.

        Args:
            classification: of ``picture``, by the same model.
            picture: the whole of it.
            most: classes that are shown.
        """
        bundle, result = self._bundle, classification.result
        assert result is not None, 'the decision about a whole picture'
        pixels = self._preprocess([picture])
        unknown, ood = None, result.assessment.ood
        if self._scores is not None and ood is not None and ood.p_value is not None:
            with torch.inference_mode():
                prediction = self._network(pixels)
            unknown = self._scores(ood, prediction)
        probabilities = result.assessment.probabilities
        order = [int(one) for one in np.argsort(-probabilities, kind='stable')[:max(2, most)]]
        found = None if self._last is None else self._last.evidence(pixels, order)
        evidence = None if found is None else found.maps[0].numpy()
        stages: List[StageMaps] = []
        if isinstance(self._network, Network):
            stages = stage_maps(self._network, pixels, stages_of(self._network))
        covered = occlusion(self._network, pixels, order)
        classes = [ClassMap(bundle.class_names[index], float(probabilities[index]),
                            None if evidence is None else evidence[place], covered.maps[place].numpy())
                   for place, index in enumerate(order)]
        if len(order) > 1:
            first, second = classes[:2]
            classes.append(ClassMap(
                f'{first.name} - {second.name}', None,
                None if first.evidence is None or second.evidence is None else first.evidence - second.evidence,
                first.cost - second.cost))
        top, left, bottom, right = visible_region(bundle.preprocessing, *picture.pixels.shape[:2])
        return Explanation(
            classification, grounds_of(bundle, self._policy, classification), unknown,
            to_bgr(picture)[top:bottom, left:right], tuple(classes), found is not None and found.exact,
            self._last.layer if self._last else '', None if evidence is None else _agreement(evidence[0], covered),
            covered.patch, tuple(stages), tuple(self._notes))


def _agreement(evidence: np.ndarray, covered: Occlusion) -> Optional[float]:
    """Correlation of two maps over the cells of the second; None where one of them is flat."""
    cells = covered.maps.shape[-1]
    large = interpolate(torch.from_numpy(evidence)[None, None], (cells, cells), mode='bilinear', antialias=True)
    one, other = large.flatten().numpy(), covered.maps[0].flatten().numpy()
    if one.std() < 1e-9 or other.std() < 1e-9:
        return None
    return float(np.corrcoef(one, other)[0, 1])
