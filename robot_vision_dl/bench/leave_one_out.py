"""Each class in turn is the unknown: the near case, an unknown thing of the same kind before the same background.

``head``: its logit is taken away, and calibration and scores are fitted anew without its pictures. The network has
seen the class, which flatters whatever looks at its features. ``training``: the network itself is trained without it.
All scores are judged on the same pictures and by the same decision: accepted is what is neither unknown at the rate of
false unknowns nor uncertain at the cost of abstaining.
"""
from dataclasses import dataclass, replace
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

import numpy as np
import torch

from ..core.bundles.bundle import Bundle
from ..core.bundles.trust_limits import p_value_grid
from ..core.config import DecisionConfig
from ..core.metrics.classification import accuracy
from ..core.metrics.ranking import auroc, fpr_at_tpr, two_groups
from ..core.types import Assessment
from ..core.uncertainty.calibrate import calibrate, halves
from ..core.uncertainty.density_aware import DensityAware, scale_of
from ..core.uncertainty.ood.base import LinearHead
from ..core.uncertainty.ood.p_value import OodCalibration, ood_method
from ..core.uncertainty.ood.pictures import Pictures
from ..evaluation.labelled_outputs import LabelledOutputs
from ..evaluation.predict import Outputs, assessments
from .met import alone, over_time, pipeline_of, shares, with_score
from .published import Outcomes

REFERENCE, CALIBRATION, DATA = 'reference', 'calibration', 'data'
MODES = ('head', 'training')
FROZEN = 'kNN, frozen'
_MOST_ROUNDS = 20
_RIVALS = ('energy', 'max_softmax')
_NEIGHBOURS = 5


class Part(NamedTuple):
    """Pictures of one use.

    Attributes:
        frames: of the pictures of which part of the data, see :class:`Material`.
        places: those of them that are meant, int64 (n,).
    """

    frames: str
    places: np.ndarray


class Material(NamedTuple):
    """What there is to fit to and to judge by.

    Attributes:
        frames: labels, times and recordings of all frames of each part of the data, by its name.
        reference: to fit scores to: what the network was trained on; None: half of the calibration pictures.
        calibration: to fit everything else to.
        judged: the rest.
        frozen: penultimate features of the pretrained network for all frames of each part; empty: it is not known.
    """

    frames: Mapping[str, LabelledOutputs]
    reference: Optional[Part]
    calibration: Part
    judged: Part
    frozen: Mapping[str, np.ndarray]


Without = Callable[[Sequence[int]], Tuple[Mapping[str, Outputs], Optional[LinearHead]]]
"""Numbers of classes -> outputs over those that remain, of all frames of each part; the head, where it is linear."""


def rounds_of(classes: int, at_once: int, seed: int) -> List[List[int]]:
    """Which classes are left out together in each round; each class once.

    Args:
        at_once: so many; 0: one at a time up to 20 classes, else as many as make 10 rounds, drawn at random.
    """
    count = at_once or (1 if classes <= _MOST_ROUNDS else -(-classes // 10))
    order = np.arange(classes) if count == 1 else np.random.default_rng(seed).permutation(classes)
    return [sorted(order[begin:begin + count].tolist()) for begin in range(0, classes, count)]


def without_logits(outputs: Mapping[str, LabelledOutputs], head: Optional[LinearHead]) -> Without:
    """Takes logits away from what the network gave."""
    def without(gone: Sequence[int]) -> Tuple[Mapping[str, Outputs], Optional[LinearHead]]:
        some = next(iter(outputs.values()))
        others = [index for index in range(some.logits.shape[1]) if index not in gone]
        return ({name: Outputs(one.logits[:, others], one.features, one.stages) for name, one in outputs.items()},
                None if head is None else LinearHead(head.weight[others], head.bias[others]))
    return without


def leave_one_out(bundle: Bundle, material: Material, without: Without, rounds: Sequence[Sequence[int]], seed: int,
                  told: Callable[[int], None] = lambda count: None) -> Dict[str, Any]:
    """Figures of all rounds, and their mean over rounds; a round without pictures to judge by is left out.

    Args:
        without: gives the network's outputs for a round.
        told: is called with the number of rounds that are done.
    """
    found = []
    for number, gone in enumerate(rounds):
        one = _round(bundle, material, without, gone, seed)
        if one is not None:
            found.append(one)
        told(number + 1)
    return {'rounds': found, 'mean': _mean(found)}


@dataclass(frozen=True)
class _Seen:
    """Outputs, labels among the classes that remain (-1: left out), and frozen features of some frames."""

    outputs: Outputs
    labels: np.ndarray
    frozen: Optional[np.ndarray]

    def __getitem__(self, chosen: np.ndarray) -> '_Seen':
        z, f, stages = self.outputs
        return _Seen(Outputs(z[chosen], f[chosen], tuple(one[chosen] for one in stages)), self.labels[chosen],
                     None if self.frozen is None else self.frozen[chosen])


def _round(bundle: Bundle, material: Material, without: Without, gone: Sequence[int], seed: int
           ) -> Optional[Dict[str, Any]]:
    names = [name for index, name in enumerate(bundle.class_names) if index not in gone]
    numbers = np.full(len(bundle.class_names) + 1, -1)  # the last is that of NO_CLASS
    numbers[[index for index in range(len(bundle.class_names)) if index not in gone]] = np.arange(len(names))
    every = material.frames[material.judged.frames].labels[material.judged.places]
    material = material._replace(judged=material.judged._replace(places=material.judged.places[every >= 0]))
    judged_y = every[every >= 0]
    strange = np.isin(judged_y, gone)
    if not strange.any() or strange.all():
        return None
    outputs, head = without(gone)

    def seen(part: Part) -> _Seen:
        labels = numbers[material.frames[part.frames].labels]
        frozen = material.frozen.get(part.frames)
        return _Seen(outputs[part.frames], labels, frozen)[part.places]

    def learned(part: Part) -> _Seen:
        every = seen(part)
        return every[np.flatnonzero(every.labels >= 0)]
    calibration, judged = learned(material.calibration), seen(material.judged)
    reference = None if material.reference is None else learned(material.reference)
    model = _calibrated(bundle, names, calibration, reference, head, seed)
    assessed = list(assessments(model, *judged.outputs[:2], judged.outputs.stages))
    scores = _scores_of(model, assessed, calibration, reference, judged, seed)
    cost, epsilon = bundle.abstain_cost, DecisionConfig().false_unknown_rate
    frames, places = material.frames[material.judged.frames], material.judged.places
    methods: Dict[str, Any] = {}
    for name, (values, ood) in scores.items():
        own = assessed if ood is model.ood else with_score(assessed, name, values, ood.p_value(values))
        # Which p-values there can be, and so the rate that is decided by, is a matter of the score.
        fused = over_time(pipeline_of(replace(model, ood=ood)), frames, own, places)
        single = alone(own, cost, epsilon)
        known, theirs = values[~strange], values[strange]
        methods[name] = {
            'auroc': auroc(*two_groups(known, theirs)), 'fpr95': fpr_at_tpr(*two_groups(-theirs, -known)),
            'left_out': {'alone': _of(single, strange), 'fused': _of(fused, strange)},
            'known': {'alone': _of(single, ~strange), 'fused': _of(fused, ~strange)}}
    grid = p_value_grid(model)
    return {
        'classes': [bundle.class_names[index] for index in gone], 'n': int(strange.sum()),
        'known': int((~strange).sum()), 'calibrated_on': len(calibration.labels),
        'fitted_to': None if reference is None else len(reference.labels),
        'accuracy': accuracy(judged.outputs.logits[~strange], judged.labels[~strange]),
        'rate_is_reached': grid is not None and grid.smallest <= epsilon * (1 + 1e-9), 'methods': methods}


def _of(outcomes: Outcomes, chosen: np.ndarray) -> Dict[str, Any]:
    return shares(Outcomes(*(one & chosen for one in outcomes)))


def _calibrated(bundle: Bundle, names: Sequence[str], calibration: _Seen, reference: Optional[_Seen],
                head: Optional[LinearHead], seed: int) -> Bundle:
    """The bundle as it would have been calibrated without the classes, with the same kinds of calibration."""
    parts = () if bundle.ood is None else bundle.ood.all_parts
    needs_head = bundle.laplace is not None or any(ood_method(part.method).needs_head for part in parts)
    z, f, stages = calibration.outputs
    found = calibrate(
        z, f, calibration.labels, ood='+'.join(map(str, parts)) or None, seed=seed, stages=stages,
        stage_names=bundle.architecture.stages, head=head if needs_head else None,
        scaling='temperature' if bundle.vector is None else 'vector',
        reference=None if reference is None else Pictures.of(
            *reference.outputs[:2], reference.labels, reference.outputs.stages))
    return replace(bundle, class_names=tuple(names), temperature=found.temperature, vector=found.vector,
                   laplace=found.laplace if bundle.laplace is not None else None, ood=found.ood, conformal=None,
                   density_aware=_on_scale(bundle.density_aware, found.ood))


def _on_scale(density_aware: Optional[DensityAware], ood: Optional[OodCalibration]) -> Optional[DensityAware]:
    """The same exponent, at the scores of the new calibration: there are no corrupted pictures to fit it to."""
    if density_aware is None or ood is None or ood.scores is None:
        return None
    origin, unit = scale_of(ood.scores)
    return DensityAware(origin, unit, density_aware.exponent)


def _scores_of(model: Bundle, assessed: Sequence[Assessment], calibration: _Seen, reference: Optional[_Seen],
               judged: _Seen, seed: int) -> Dict[str, Tuple[np.ndarray, OodCalibration]]:
    """Score of each judged frame, and its calibration, by name of the method."""
    found: Dict[str, Tuple[np.ndarray, OodCalibration]] = {}
    if model.ood is not None:
        found[f'{model.ood.name} *'] = np.array([one.ood.score if one.ood else 0.0 for one in assessed]), model.ood
    for name in _RIVALS:
        score = ood_method(name)()
        with torch.inference_mode():
            held_out, values = (score(one.logits, one.features) for one in (
                Pictures.of(*calibration.outputs[:2]), Pictures.of(*judged.outputs[:2])))
        found[name] = values, OodCalibration(name, held_out)
    if judged.frozen is not None:
        fitted, rest = reference, calibration
        if fitted is None:
            first, second = halves(len(calibration.labels), seed)
            fitted, rest = calibration[first], calibration[second]
        assert fitted.frozen is not None and rest.frozen is not None
        features = [torch.from_numpy(np.asarray(one, np.float32)) for one in (
            fitted.frozen, rest.frozen, judged.frozen)]
        with torch.inference_mode():
            knn = ood_method('knn').fit(features[0], features[0])
            held_out, values = (knn(one, one) for one in features[1:])
        found[FROZEN] = values, OodCalibration.of(knn, 'knn', held_out)
    return found


def _mean(rounds: Sequence[Mapping[str, Any]]) -> Dict[str, Any]:
    """Of each method's figures, the mean over the rounds in which they are known."""
    means: Dict[str, Any] = {}
    for name in rounds[0]['methods'] if rounds else ():
        every = [one['methods'][name] for one in rounds]
        means[name] = {key: float(np.mean([one[key] for one in every])) for key in ('auroc', 'fpr95')}
        for group in ('left_out', 'known'):
            means[name][group] = {how: {key: _mean_of([one[group][how][key] for one in every]) for key in (
                'accepted', 'uncertain', 'unknown')} for how in ('alone', 'fused')}
    return means


def _mean_of(values: Sequence[Optional[float]]) -> Optional[float]:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
