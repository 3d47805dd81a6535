"""Which OOD score a bundle uses: judged on pictures that it was not fitted to, by the group that it finds worst.

The combination of all stages (see ``combined.py``) is taken unless pictures say otherwise: it needs no picture of no
class. Where there are such pictures, each candidate is judged on every group of them and on every fault of a camera
(see ``sensor_faults.py``), half by the AUROC and half by the share that is called unknown: of two scores that rank
equally well, one may have all black frames among its most extreme percent and the other none, and only that percent is
ever called unknown. A candidate that misses a group is out, however good its mean is, and of the others the one whose
worst group is best is taken: a robot meets one fault at a time, not the mean of all.

Where nothing can be combined (fewer than 30 pictures to fit it to) and there are no pictures of no class, each class in
turn plays the unknown one: scores are fitted without its pictures, its logit is taken away, and they have to tell its
held-out pictures from those of the other classes. The network itself has seen the class, so this flatters all scores;
it is the order among them that is used.

A score that was fitted before, to the pictures of the training, comes before all that half of the pictures of a
calibration can be fitted to: it knows more pictures, and leaves both halves to calibrate it.
"""
from dataclasses import dataclass
from typing import Collection, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple, Union

import numpy as np
import torch

from ...errors import ConfigError
from ...metrics.ranking import auroc, two_groups
from ..scaling import AS_BEFORE
from .base import LinearHead
from .combined import LEAST_REFERENCE, Combined, FrameScore, fit_parts
from .p_value import OodCalibration
from .part import COMBINED, OF_LOGITS, OOD_METHODS, Part, usual_parts
from .pictures import Pictures

__all__ = ['OF_LOGITS', 'Pictures']  # which others know from here

# Of equally good ones the first is taken: those without tensors, then by what they cost.
CANDIDATES = ('energy', 'max_logit', 'max_softmax', 'react', 'vim', 'mahalanobis', 'mahalanobis_normalised',
              'mahalanobis_low_rank', 'relative_mahalanobis', 'knn')
_MOST_CLASSES = 20
_MIN_PICTURES = 5
_LEAST_KNOWN = 100  # held-out pictures, of fewer the threshold is too coarse to say that the combination misses a fault
_MOST_NAMED = 4
LEFT_OUT = 'class left out'
_EPSILON = 0.01  # of the p-value below which a picture counts as called unknown
_MISSES = 0.25  # so much less of a group called unknown than by the best is well below it
_TELLS_NOTHING = 0.5  # mean of AUROC and share called unknown: by chance about a quarter
_CLEARLY = 0.02  # better a single score must be for the combination not to be taken


@dataclass(frozen=True)
class OodChoice:
    """The score that was chosen, and by what.

    Attributes:
        method: as it is written: ``combined``, ``knn``, ``knn@blocks.3``; or :data:`AS_BEFORE`.
        reason: one sentence for the model card.
        auroc: of each candidate on each group of OOD pictures, method -> group -> value.
        parts: what the score is made of, one or several.
    """

    method: str
    reason: str
    auroc: Mapping[str, Mapping[str, float]]
    parts: Tuple[Part, ...]


class _Found(NamedTuple):
    """Of a candidate on a group: AUROC, and the share called unknown (None: not looked at)."""

    auroc: float
    caught: Optional[float] = None

    @property
    def value(self) -> float:
        return self.auroc if self.caught is None else (self.auroc + self.caught) / 2


def choose_ood(fitted: Pictures, held_out: Pictures, ood_pictures: Optional[Mapping[str, Pictures]] = None,
               head: Optional[LinearHead] = None, methods: Optional[Sequence[str]] = None,
               faulty: Optional[Mapping[str, Pictures]] = None, stage_names: Sequence[str] = (),
               standard: Optional[Pictures] = None, seed: int = 0, before: Optional[OodCalibration] = None
               ) -> OodChoice:
    """The combination, or the candidate that is clearly better where it is worst.

    Args:
        fitted: known pictures with labels, to fit scores to.
        held_out: other known pictures with labels.
        ood_pictures: groups of pictures of no class by name; of fewer than five, a group chooses nothing.
        head: of the network; None: not linear, so scores that need it are no candidates.
        methods: candidates; None: all that can be fitted.
        faulty: groups of pictures of a camera at fault.
        stage_names: in the order of the pictures' stages.
        standard, seed: see :func:`~.combined.fit_parts`.
        before: a score that was fitted to other pictures, which is preferred.
    """
    tried = {name: parts for name, parts in candidates(stage_names, fitted, head).items()
             if methods is None or name in methods}
    if before is not None:
        tried = {AS_BEFORE: before.all_parts, **tried}
    if not tried:
        raise ConfigError(f'no OOD score can be fitted of {", ".join(methods or CANDIDATES)}: they need a linear head')
    few = [name for name, group in (ood_pictures or {}).items() if len(group) < _MIN_PICTURES]
    ood_pictures = {name: group for name, group in (ood_pictures or {}).items() if name not in few}
    groups = {**ood_pictures, **(faulty or {})}
    preferred = _preferred(tried)
    if not ood_pictures and preferred:  # it is only asked whether that misses a fault
        if len(held_out) < _LEAST_KNOWN:
            groups, faulty = {}, None
        tried = {name: parts for name, parts in tried.items() if groups or name == preferred}
    with torch.inference_mode():
        found = {name: _on_groups(before.build_score() if before and name == AS_BEFORE else fit_parts(
            parts, fitted, stage_names, head, standard, seed), held_out, groups) if groups else {}
                 for name, parts in tried.items()}
        basis = []
        if ood_pictures:
            count = sum(len(group) for group in ood_pictures.values())
            basis.append(f'{count} picture{"" if count == 1 else "s"} of no class ({", ".join(ood_pictures)})')
        elif not preferred:
            classes = _left_out_classes(held_out)
            for name, parts in tried.items() if classes else ():
                found[name][LEFT_OUT] = _Found(_on_left_out(parts[0], fitted, held_out, classes, head))
            basis += [f'{len(classes)} classes, each left out in turn'] if classes else []
    if faulty:
        basis.append(f'pictures of a camera at fault ({", ".join(faulty)})')
    best, reason = _decide(found, basis, bool(ood_pictures))
    if few:
        reason += (f'; fewer than {2 * _MIN_PICTURES - 1} pictures of no class ({", ".join(few)}) choose nothing, '
                   'since half of them judge what is chosen')
    table = {name: {group: one.auroc for group, one in values.items()} for name, values in found.items() if values}
    return OodChoice(best, reason, table, tried[best])


def candidates(stage_names: Sequence[str], fitted: Pictures, head: Optional[LinearHead]
               ) -> Dict[str, Tuple[Part, ...]]:
    """What can be fitted to pictures and a head, by how it is written; what is preferred comes first."""
    features = fitted.features.shape[1]
    parts = usual_parts(stage_names, features)
    found = {COMBINED: parts} if len(parts) > 1 and len(fitted) >= LEAST_REFERENCE else {}
    found.update({name: (Part(name),) for name in CANDIDATES
                  if (features or name in OF_LOGITS) and (head is not None or not OOD_METHODS[name].needs_head)})
    found.update({str(part): (part,) for part in parts if part.of})
    return found


def _preferred(names: Collection[str]) -> Optional[str]:
    """Of some candidates the one that is taken unless pictures say otherwise; None: none of them is."""
    return next((name for name in (AS_BEFORE, COMBINED) if name in names), None)


def _decide(found: Mapping[str, Mapping[str, _Found]], basis: Sequence[str], foreign: bool) -> Tuple[str, str]:
    """The name of the best, and why."""
    names = list(found)
    if not any(found.values()):
        why = {COMBINED: 'of stages and last features, which needs no pictures of no class',
               AS_BEFORE: 'fitted to other pictures before, and only calibrated on these'}
        return names[0], f'{names[0]}: {why.get(names[0], "too few pictures a class to compare scores")}'
    missed = {name: _missed(name, found) for name in names}
    sound = [name for name in names if not missed[name]] or names
    worst = {name: min(found[name].items(), key=lambda item: item[1].value) for name in names}
    best = max(sound, key=lambda name: round(worst[name][1].value, 2))
    preferred = _preferred(sound)
    if preferred and (not foreign or worst[best][1].value < worst[preferred][1].value + _CLEARLY):
        best = preferred
    elif preferred == AS_BEFORE and worst[best][1].value < _TELLS_NOTHING:
        best = preferred  # of two that are no better than chance
    group, value = worst[best]
    measure = 'AUROC' if value.caught is None else 'mean of AUROC and share called unknown'
    reason = f'{best}: on {" and ".join(basis)} its {measure} is {value.value:.3f} where it is worst ({group})'
    second = max((name for name in sound if name != best), key=lambda name: worst[name][1].value, default=None)
    if second:
        reason += f'; next {second} with {worst[second][1].value:.3f} ({worst[second][0]})'
    out = [f'{name} ({_some(missed[name], 1)})' for name in names if missed[name] and name not in sound]
    if out:
        reason += f'; out, for they call far fewer of a group unknown than others do: {_some(out, _MOST_NAMED)}'
    elif missed[best]:
        reason += f'; each score misses a group, this one {", ".join(missed[best])}'
    return best, reason


def _some(texts: Sequence[str], most: int) -> str:
    """The first of them, and how many more there are."""
    more = len(texts) - most
    return ', '.join(texts[:most]) + (f' and {more} more' if more > 0 else '')


def _missed(name: str, found: Mapping[str, Mapping[str, _Found]]) -> List[str]:
    """Groups of which a candidate calls far fewer unknown than the best does."""
    missed = []
    for group, own in found[name].items():
        most = max(values[group].caught or 0.0 for values in found.values())
        if own.caught is not None and own.caught < most - _MISSES:
            missed.append(f'{group} {own.caught:.2f} of at most {most:.2f}')
    return missed


def _on_groups(score: Union[FrameScore, Combined], held_out: Pictures, groups: Mapping[str, Pictures]
               ) -> Dict[str, _Found]:
    """What a score does on each group, beside known pictures that it was not fitted to."""
    known = score(held_out.logits, held_out.features, held_out.stages)
    limit, found = _quantile_above(known, 1 - _EPSILON), {}
    for group, pictures in groups.items():
        theirs = score(pictures.logits, pictures.features, pictures.stages)
        found[group] = _Found(auroc(*two_groups(known, theirs)), float(np.mean(theirs > limit)))
    return found


def _left_out_classes(held_out: Pictures) -> List[int]:
    assert held_out.labels is not None
    counts = torch.bincount(held_out.labels)
    classes = [index for index, count in enumerate(counts.tolist()) if count >= _MIN_PICTURES]
    return classes[:_MOST_CLASSES] if len(classes) > 2 else []


def _on_left_out(part: Part, fitted: Pictures, held_out: Pictures, classes: Sequence[int], head: Optional[LinearHead]
                 ) -> float:
    """Mean AUROC over the classes of a score on what the head sees."""
    values = []
    for index in classes:
        others = [c for c in range(held_out.logits.shape[1]) if c != index]
        remaining_head = head and LinearHead(head.weight[others], head.bias[others])
        known, ood_pictures = (_without_logit(one, others) for one in held_out.split(index))
        kept = _without_logit(fitted.split(index)[0], others)
        score = OOD_METHODS[part.method].fit(kept.logits, kept.features, kept.labels, remaining_head)
        values.append(auroc(*two_groups(*(score(one.logits, one.features) for one in (known, ood_pictures)))))
    return float(np.mean(values))


def _without_logit(pictures: Pictures, others: List[int]) -> Pictures:
    return Pictures(pictures.logits[:, others], pictures.features, pictures.labels, pictures.stages, pictures.groups)


def split_groups(ood_pictures: Mapping[str, Pictures], seed: int) -> Tuple[Dict[str, Pictures], Dict[str, Pictures]]:
    """Each group in two random halves: one to choose by, one to report on, which a group of one picture has not."""
    first, second = {}, {}
    for name, group in ood_pictures.items():
        order = torch.from_numpy(np.random.default_rng(seed).permutation(len(group)))
        first[name] = group[order[::2]]
        if len(group) > 1:
            second[name] = group[order[1::2]]
    return first, second


def _quantile_above(values: np.ndarray, share: float) -> float:
    """``np.quantile(values, share, method='higher')``, which NumPy has from 1.22 on; Ubuntu 22.04 brings 1.21."""
    ordered = np.sort(np.asarray(values))
    return float(ordered[int(np.ceil((len(ordered) - 1) * share))])
