"""Which OOD score suits a network: judged on pictures that it was not fitted to.

With pictures of unknown things, by how well each score tells them from known ones. Without, each class in turn plays
the unknown one: scores are fitted without its pictures, its logit is taken away, and they have to tell its held-out
pictures from those of the other classes. The network itself has seen the class, so this flatters all scores; it is
the order among them that is used. In both cases pictures of a camera at fault (see ``sensor_faults.py``) count as well,
half by the AUROC and half by the share that is called unknown: of two scores that rank equally well, one may have all
black frames among its most extreme percent and the other none, and only that percent is ever called unknown.
"""
from dataclasses import dataclass
from typing import Dict, List, Mapping, Optional, Sequence, Tuple, Union

import numpy as np
import torch

from ...errors import ConfigError
from ...metrics.ranking import auroc, two_groups
from .base import LinearHead
from .p_value import OOD_METHODS, ood_method

# Of equally good ones the first is taken: those without tensors, then by what they cost.
CANDIDATES = ('energy', 'max_logit', 'max_softmax', 'react', 'vim', 'mahalanobis', 'relative_mahalanobis', 'knn')
OF_LOGITS = ('energy', 'max_logit', 'max_softmax')
"""Those that do without features, which an ONNX file may not give."""
_MOST_CLASSES = 20
_MIN_PICTURES = 5
LEFT_OUT = 'class left out'
_EPSILON = 0.01  # of the p-value below which a picture counts as called unknown


@dataclass(frozen=True)
class Pictures:
    """Outputs of a network for n pictures, float32.

    Attributes:
        logits, features: shapes (n, C) and (n, F).
        labels: int64 (n,), or None for pictures of no class.
        stages: of each stage of the network, shape (n, F_s).
    """

    logits: torch.Tensor
    features: torch.Tensor
    labels: Optional[torch.Tensor] = None
    stages: Tuple[torch.Tensor, ...] = ()

    @classmethod
    def of(cls, logits: np.ndarray, features: np.ndarray, labels: Optional[np.ndarray] = None,
           stages: Sequence[np.ndarray] = ()) -> 'Pictures':
        """From arrays."""
        z, f, *rest = (torch.from_numpy(np.asarray(one, np.float32)) for one in (logits, features, *stages))
        return cls(z, f, None if labels is None else torch.from_numpy(np.asarray(labels, np.int64)), tuple(rest))

    def __getitem__(self, chosen: Union[torch.Tensor, np.ndarray]) -> 'Pictures':
        return Pictures(self.logits[chosen], self.features[chosen],
                        None if self.labels is None else self.labels[chosen],
                        tuple(one[chosen] for one in self.stages))

    def __len__(self) -> int:
        return len(self.logits)

    def split(self, index: int) -> Tuple['Pictures', 'Pictures']:
        """Those of other classes, and those of this class."""
        assert self.labels is not None
        is_index = torch.eq(self.labels, index)
        return self[~is_index], self[is_index]


@dataclass(frozen=True)
class OodChoice:
    """The score that was chosen, and by what.

    Attributes:
        method: a key of ``OOD_METHODS``.
        reason: one sentence for the model card.
        auroc: of each candidate on each group of OOD pictures, method -> group -> value.
    """

    method: str
    reason: str
    auroc: Mapping[str, Mapping[str, float]]


def choose_ood(fitted: Pictures, held_out: Pictures, ood_pictures: Optional[Mapping[str, Pictures]] = None,
               head: Optional[LinearHead] = None, methods: Optional[Sequence[str]] = None,
               faulty: Optional[Mapping[str, Pictures]] = None) -> OodChoice:
    """The candidate with the largest AUROC, as a mean over groups of OOD pictures, and most faults caught.

    Args:
        fitted: known pictures with labels, to fit scores to.
        held_out: other known pictures with labels.
        ood_pictures: groups of pictures of no class by name; None: each class in turn plays them.
        head: of the network; None: not linear, so scores that need it are no candidates.
        methods: candidates; None: all that can be fitted.
        faulty: groups of pictures of a camera at fault. All of them together count as much as everything else.
    """
    names = [name for name in CANDIDATES if methods is None or name in methods]
    names = [name for name in names if head is not None or not OOD_METHODS[name].needs_head]
    if not names:
        raise ConfigError(f'no OOD score can be fitted of {", ".join(methods or CANDIDATES)}: they need a linear head')
    with torch.inference_mode():
        faults, caught = {}, {}
        for name in names:
            known, scores = _scores(name, fitted, held_out, faulty or {}, head)
            faults[name] = {group: auroc(*two_groups(known, one)) for group, one in scores.items()}
            limit = _quantile_above(known, 1 - _EPSILON)
            caught[name] = {group: float(np.mean(one > limit)) for group, one in scores.items()}
        if ood_pictures:
            table = {name: _on_ood(name, fitted, held_out, ood_pictures, head) for name in names}
            count = sum(len(group) for group in ood_pictures.values())
            basis = f'{count} picture{"" if count == 1 else "s"} of no class ({", ".join(ood_pictures)})'
        else:
            groups = _left_out_classes(held_out)
            if not groups and not faulty:
                return OodChoice(names[0], f'{names[0]}: too few pictures a class to compare scores', {})
            table = {name: {LEFT_OUT: _on_left_out(name, fitted, held_out, groups, head)} if groups else {}
                     for name in names}
            basis = f'{len(groups)} classes, each left out in turn'
    means = {}
    for name in names:
        parts = [np.mean(list(table[name].values()))] if table[name] else []
        if faulty:
            parts.append(0.5 * np.mean(list(faults[name].values())) + 0.5 * np.mean(list(caught[name].values())))
        means[name] = float(np.mean(parts))
    if faulty:
        basis += f', and on pictures of a camera at fault ({", ".join(faulty)})'
        table = {name: {**values, **faults[name]} for name, values in table.items()}
    best = max(names, key=lambda name: round(means[name], 3))
    second = max((name for name in names if name != best), key=means.__getitem__, default=None)
    what = 'mean of AUROC and share called unknown' if faulty else 'mean AUROC'
    reason = f'{best} had the largest {what}, {means[best]:.3f}, on {basis}'
    if second:
        reason += f'; next {second} with {means[second]:.3f}'
    return OodChoice(best, reason, table)


def _scores(name: str, fitted: Pictures, held_out: Pictures, groups: Mapping[str, Pictures],
            head: Optional[LinearHead]) -> Tuple[np.ndarray, Dict[str, np.ndarray]]:
    """A score's values on known pictures, and on each group of others."""
    if not groups:
        return np.zeros(1), {}
    score = ood_method(name).fit(fitted.logits, fitted.features, fitted.labels, head)
    return score(held_out.logits, held_out.features), {
        group: score(one.logits, one.features) for group, one in groups.items()}


def _on_ood(name: str, fitted: Pictures, held_out: Pictures, ood_pictures: Mapping[str, Pictures],
                head: Optional[LinearHead]) -> Dict[str, float]:
    known, scores = _scores(name, fitted, held_out, ood_pictures, head)
    return {group: auroc(*two_groups(known, one)) for group, one in scores.items()}


def _left_out_classes(held_out: Pictures) -> List[int]:
    assert held_out.labels is not None
    counts = torch.bincount(held_out.labels)
    classes = [index for index, count in enumerate(counts.tolist()) if count >= _MIN_PICTURES]
    return classes[:_MOST_CLASSES] if len(classes) > 2 else []


def _on_left_out(name: str, fitted: Pictures, held_out: Pictures, classes: Sequence[int], head: Optional[LinearHead]
                 ) -> float:
    """Mean AUROC over the classes."""
    values = []
    for index in classes:
        others = [c for c in range(held_out.logits.shape[1]) if c != index]
        remaining_head = head and LinearHead(head.weight[others], head.bias[others])
        known, ood_pictures = (_without_logit(part, others) for part in held_out.split(index))
        kept = _without_logit(fitted.split(index)[0], others)
        score = ood_method(name).fit(kept.logits, kept.features, kept.labels, remaining_head)
        values.append(auroc(*two_groups(*(score(part.logits, part.features) for part in (known, ood_pictures)))))
    return float(np.mean(values))


def _without_logit(pictures: Pictures, others: List[int]) -> Pictures:
    return Pictures(pictures.logits[:, others], pictures.features, pictures.labels, pictures.stages)


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
