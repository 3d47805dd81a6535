"""What :class:`~robot_vision_dl.Classifier` says of a picture."""
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

import numpy as np

from .core.regions.results import ObjectResult, ObjectResults
from .core.runtime.object_overlay import draw_objects
from .core.runtime.overlay import draw
from .core.runtime.result_values import best_classes
from .core.types import Outcome, Result


class ClassProbability(NamedTuple):
    """A class and how probable it is, in [0, 1]."""

    label: str
    probability: float


@dataclass(frozen=True)
class Classification:
    """The decision about one picture and what it rests on; the same values that the node publishes.

    Attributes:
        label: a class name, ``unknown`` or ``uncertain``: what a robot is told.
        confidence: in [0, 1]. Accepted: probability of ``label``. Uncertain: of the best class. Unknown: how probable
            it is that the picture shows none of the classes.
        decision: accepted, uncertain or unknown; equal to these texts.
        why: one sentence for people.
        best: the most probable class, the candidate of ``uncertain``; with costs of confusions the cheapest. None:
            unknown, or an object that was not looked at.
        top: calibrated probabilities of this picture alone, best first; empty for an object that was not looked at.
        entropy: of these probabilities, divided by the logarithm of the number of classes, so in [0, 1].
        ood_p_value: share of the calibration pictures that look at least as far out of distribution, in (0, 1]; None:
            the model has no calibrated score.
        unknown_probability: how probable it is that none of the classes is shown, in [0, 1].
        conformal_set: the classes that are possible at the model's error rate, best first; None: the model has none.
        file: where the picture came from, for files.
        time_s: when it was taken, for frames of a sequence.
        result: everything else: the picture, logits, the probabilities of all classes, what was looked at, times.
    """

    label: str
    confidence: float
    decision: Outcome
    why: str
    best: Optional[str]
    top: Tuple[ClassProbability, ...]
    entropy: float
    ood_p_value: Optional[float]
    unknown_probability: float
    conformal_set: Optional[Tuple[str, ...]]
    file: Optional[Path] = None
    time_s: Optional[float] = None
    result: Optional[Result] = field(default=None, repr=False, compare=False)

    @property
    def accepted(self) -> bool:
        """Whether ``label`` is a class that may be acted on."""
        return self.decision is Outcome.ACCEPTED

    def as_dict(self) -> Dict[str, Any]:
        """All but ``result``, as JSON has it."""
        return {
            'file': None if self.file is None else str(self.file), 'time_s': self.time_s, 'label': self.label,
            'confidence': self.confidence, 'decision': self.decision.value, 'why': self.why, 'best': self.best,
            'top': [{'label': label, 'probability': probability} for label, probability in self.top],
            'entropy': self.entropy, 'ood_p_value': self.ood_p_value, 'unknown_probability': self.unknown_probability,
            'conformal_set': None if self.conformal_set is None else list(self.conformal_set)}

    def overlay(self) -> np.ndarray:
        """The picture with the decision drawn in: uint8, shape (H, W, 3), RGB, at least 640 pixels wide.

        Raises:
            ValueError: this is one of the objects of a picture, of which :class:`ObjectsInPicture` has the overlay.
        """
        if self.result is None:
            raise ValueError('an object has no picture of its own; the list that `objects` gave has overlay()')
        return np.ascontiguousarray(draw(self.result)[..., ::-1])

    def __str__(self) -> str:
        return f'{self.label} {self.confidence:.2f} ({self.decision.value}): {self.why}'


class ObjectsInPicture(List[Classification]):
    """A decision for each object of a picture, in the order of the boxes that were given.

    Attributes:
        results: everything else: of each object its box, why it was not looked at, the probabilities of all classes;
            what the whole picture says about the camera; times.
    """

    def __init__(self, results: ObjectResults, top_k: int, file: Optional[Path] = None) -> None:
        super().__init__(_of_object(one, results.class_names, top_k, file) for one in results.objects)
        # One picture has no tracks: what is drawn is the place in the list.
        self.results = replace(results, objects=tuple([replace(one, track=str(place))
                                                       for place, one in enumerate(results.objects)]))

    def overlay(self) -> np.ndarray:
        """The picture with all boxes and decisions drawn in: uint8, shape (H, W, 3), RGB, at least 640 pixels wide."""
        return np.ascontiguousarray(draw_objects(self.results)[..., ::-1])


def _of_object(one: ObjectResult, names: Tuple[str, ...], top_k: int, file: Optional[Path]) -> Classification:
    found, decision = one.assessment, one.decision
    possible = None if found is None else found.conformal_set
    return Classification(
        label=decision.label, confidence=decision.confidence, decision=decision.outcome, why=decision.reason,
        best=None if decision.outcome is Outcome.UNKNOWN or found is None else names[decision.class_index],
        top=() if found is None else tuple(ClassProbability(names[index], probability) for index, probability
                                           in best_classes(found.probabilities, top_k)),
        entropy=1.0 if found is None else found.predictive_entropy,
        ood_p_value=None if found is None or found.ood is None else found.ood.p_value,
        unknown_probability=one.unknown_probability,
        conformal_set=None if possible is None else tuple(names[index] for index in possible), file=file)


def classification_of(result: Result, top_k: int, file: Optional[Path] = None, time_s: Optional[float] = None
                      ) -> Classification:
    """A result as a :class:`Classification` with ``top_k`` probabilities."""
    names, assessment, decision = result.class_names, result.assessment, result.decision
    possible = assessment.conformal_set
    return Classification(
        label=decision.label, confidence=decision.confidence, decision=decision.outcome, why=decision.reason,
        best=None if decision.outcome is Outcome.UNKNOWN else names[decision.class_index],
        top=tuple(ClassProbability(names[index], probability)
                  for index, probability in best_classes(assessment.probabilities, top_k)),
        entropy=assessment.predictive_entropy, ood_p_value=None if assessment.ood is None else assessment.ood.p_value,
        unknown_probability=result.unknown_probability,
        conformal_set=None if possible is None else tuple(names[index] for index in possible),
        file=file, time_s=time_s, result=result)
