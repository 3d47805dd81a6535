"""What the calibration of a model cannot promise, a sentence each: for commands, nodes, cards and reports."""
from math import ceil
from typing import Any, List, Mapping, NamedTuple, Optional, Sequence

from ..config import DecisionConfig
from ..uncertainty.attainable_rates import (
    MIN_PER_CLASS,
    MIN_PICTURES,
    ROUNDING,
    Grid,
    pictures_for_rate,
    smallest_rate,
)
from ..uncertainty.scaling import AS_BEFORE
from ..uncertainty.temperature import MAX_TEMPERATURE, MIN_TEMPERATURE
from .bundle import Bundle
from .calibration_figures import OBJECTS, chance_sentence, count_of, ood_sentence
from .score_origin import keeps_score

_NO_THRESHOLD = 1e9  # of conformal.py


class Limit(NamedTuple):
    """Something that a model's calibration cannot do.

    Attributes:
        what: ``unknown`` (is never said), ``unknown_rate``, ``objects``, ``conformal``, ``classes``, ``probabilities``,
            ``foreign`` or ``chance``.
        text: what does not hold, why, and the remedy.
        have, needed: calibration pictures (of ``objects``: objects); None where their number is not known, or not the
            reason.
        model: name of the model, or of the member of an ensemble.
    """

    what: str
    text: str
    have: Optional[int] = None
    needed: Optional[int] = None
    model: str = ''

    @property
    def sentence(self) -> str:
        """With the name of the model."""
        return f'{self.model}: {self.text}'

    def under(self, heading: str) -> str:
        """For where the name ``heading`` is said already."""
        return self.text if self.model == heading else self.sentence


MEASURED = ('objects', 'foreign', 'chance')
"""Limits that an evaluation on other frames measures for itself."""


def p_value_grid(bundle: Bundle) -> Optional[Grid]:
    """The p-values that a model can give; None: it gives none."""
    if bundle.members:
        counts = [_scores_of(member) for member in bundle.members]
        if not all(counts):
            return None
        # Twice the mean of the members' p-values.
        parts = [2 * smallest_rate(count) / len(counts) for count in counts]
        return Grid(min(sum(parts), 1.0), min(parts))
    if not _scores_of(bundle):
        return None
    rate = smallest_rate(_scores_of(bundle))
    return Grid(rate, rate)


def _scores_of(bundle: Bundle) -> int:
    """How many calibration pictures the OOD score has; 0: it has none, or there is no score."""
    return 0 if bundle.ood is None or bundle.ood.scores is None else len(bundle.ood.scores)


def trust_limits(bundle: Bundle, decision: Optional[DecisionConfig] = None) -> List[Limit]:
    """What the calibration of a model cannot promise in a deployment; empty for one that holds.

    Args:
        decision: of the deployment; None: the defaults.
    """
    if not bundle.calibrated:
        return []  # which is said elsewhere, and is worse
    decision = decision or DecisionConfig()
    found = [limit and limit._replace(model=bundle.name) for limit in (_unknown_limit(bundle, decision),)]
    for one in bundle.members or (bundle,):
        figures = _figures(one)
        own = [_conformal_limit(one, figures), _class_limit(one, figures), _likelihood_limit(one, figures)]
        useless = {'chance': chance_sentence(figures, len(one.class_names))}
        if decision.false_unknown_rate > 0 and one.ood is not None:
            useless['foreign'] = ood_sentence(figures)
        own += [Limit(what, text) for what, text in useless.items() if text]
        found += [limit and limit._replace(model=one.name) for limit in own]
    return [limit for limit in found if limit is not None]


def _figures(bundle: Bundle) -> Mapping[str, Any]:
    """Of the calibration; whatever else stands in their place counts as none."""
    figures = bundle.metrics.get('calibration', bundle.metrics)
    return figures if isinstance(figures, Mapping) else {}


def _unknown_limit(bundle: Bundle, decision: DecisionConfig) -> Optional[Limit]:
    rate = decision.false_unknown_rate
    grid = p_value_grid(bundle)
    if rate <= 0:
        return None
    if grid is None:
        return Limit('unknown', 'nothing is called unknown: it has no OOD score with '
                     'calibration pictures; `robot-vision calibrate` adds one')
    needed = pictures_for_rate(rate / 2 if bundle.members else rate)
    fewest = min(bundle.members or (bundle,), key=_scores_of)
    n, figures = _scores_of(fewest), _figures(fewest)
    if grid.smallest <= rate * (1 + ROUNDING):
        objects = figures.get('objects')
        if figures.get('scores_of_before'):
            return None  # of how many objects those are was told of that calibration
        if figures.get('counted') != OBJECTS or type(objects) is not int or objects >= needed:
            return None
        return Limit('objects', f'unknown at decision.false_unknown_rate {rate:g} rests on {n} calibration pictures'
                     f'{count_of(figures)}; pictures of one object are alike, so that known objects may be called '
                     f'unknown far more often. For the rate to hold, pictures of {needed} objects are needed',
                     objects, needed)
    pictures = figures.get('pictures')
    if figures.get('scores_of_before'):
        which = f'{n} calibration pictures, {figures["scores_of_before"]} of them of a calibration before,'
    elif type(pictures) is int and pictures > n:
        which = f'{n} of {pictures} calibration pictures{count_of(figures)}, all but those that fitted the score,'
    else:
        which = f'{n} calibration pictures{count_of(figures)}'
    known = f'{which} give no p-value below {grid.smallest:.4f}; {needed} are needed'
    given = f'{needed} labelled pictures' if keeps_score(fewest, needed) else (
        f'{needed} labelled pictures with --reference (pictures that it was trained on) or {2 * needed} without, where '
        'half are set aside to fit the score')
    known = f'{known}. Give `robot-vision calibrate` {given}; or'
    if decision.smallest_reachable_rate:
        return Limit('unknown_rate', 'unknown is said at the smallest rate that can be reached, '
                     f'{grid.smallest:.4f} of the frames of known classes, instead of decision.false_unknown_rate '
                     f'{rate:g}: {known} accept it by decision.false_unknown_rate: '
                     f'{ceil(grid.smallest * 1e4) / 1e4:.4f}', n, needed)
    return Limit('unknown', f'nothing can be called unknown at decision.false_unknown_rate {rate:g}: '
                 f'{known} accept {grid.smallest:.4f} by decision.smallest_reachable_rate: true', n, needed)


def _conformal_limit(bundle: Bundle, figures: Mapping[str, Any]) -> Optional[Limit]:
    sets = bundle.conformal
    if sets is None:
        return None
    beyond = [index for index, limit in enumerate(sets.thresholds)
              if limit >= (1.0 if sets.method == 'lac' else _NO_THRESHOLD)]
    if not beyond:
        return None
    needed = pictures_for_rate(sets.alpha)
    have = figures.get('pictures') if type(figures.get('pictures')) is int else None
    if sets.method == 'per_class':
        names = _some([bundle.class_names[index] for index in beyond if index < len(bundle.class_names)])
        return Limit('conformal', f'its sets at error rate {sets.alpha:g} always hold {names}: a class '
                     f'needs {needed} calibration pictures for a threshold of its own', None, needed)
    if sets.method == 'raps':
        needed += (needed - 1) // 4  # a fifth chooses the penalty
    if have is not None and have >= needed:
        return None  # wide for another reason: the network is often as wrong as can be
    count = f'{have} calibration pictures are too few' if have is not None else 'there were too few pictures'
    return Limit('conformal', f'its sets at error rate {sets.alpha:g} hold every class: {count}, '
                 f'{needed} are needed', have, needed)


def _class_limit(bundle: Bundle, figures: Mapping[str, Any]) -> Optional[Limit]:
    counts, seen, classes = figures.get('pictures_by_class'), figures.get('classes_seen'), len(bundle.class_names)
    if type(seen) is int and 2 * seen < classes:
        return Limit('classes', f'its calibration pictures are of {seen} of its {classes} classes: how sure it may be '
                     'of the others is hardly known, and they may be called unknown more often', seen, classes)
    if not isinstance(counts, Sequence) or len(counts) != classes:
        return None
    sentence = few_of_a_class(bundle.class_names, counts)
    return Limit('classes', sentence, min(counts), MIN_PER_CLASS) if sentence else None


def few_of_a_class(class_names: Sequence[str], counts: Sequence[int]) -> Optional[str]:
    """A sentence about the classes with too few calibration pictures; None: there are none."""
    few = [f'{name} ({count})' for name, count in zip(class_names, counts) if count < MIN_PER_CLASS]
    if not few:
        return None
    none = 'few or no' if min(counts) == 0 else 'few'
    return (f'{none} calibration pictures of {_some(few)}: how sure it may be of them is hardly known; '
            f'{MIN_PER_CLASS} of each are needed')


def _likelihood_limit(bundle: Bundle, figures: Mapping[str, Any]) -> Optional[Limit]:
    """Bundles that were calibrated without a check are still about."""
    tried = figures.get('nll_by_scaling')
    # What was fitted to others before may be worse than none on a few pictures: it was kept, not made.
    plain: Any = tried[AS_BEFORE] if isinstance(tried, Mapping) and AS_BEFORE in tried else figures.get('nll_plain')
    scaled: Any = figures.get('nll')
    if bundle.laplace is not None and bundle.laplace.gives_probabilities:
        scaled = figures.get('nll_laplace', scaled)
    have = figures['pictures'] if type(figures.get('pictures')) is int else None
    on = f' on {have} pictures' if have is not None else ''
    if all(type(value) in (int, float) for value in (plain, scaled)) and scaled > plain + 5e-4:
        return Limit('probabilities', 'its calibration made its probabilities worse, by '
                     f'cross-validation{on} a negative log-likelihood of {plain:.4f} became {scaled:.4f}; '
                     '`robot-vision calibrate` fits it again', have, MIN_PICTURES)
    temperature = bundle.temperature
    if bundle.vector is None and temperature is not None and not (
            MIN_TEMPERATURE * 1.01 < temperature < MAX_TEMPERATURE * 0.99):
        return Limit('probabilities', f'its temperature {temperature:.3g} lies at the end of the '
                     f'range, so the calibration pictures{on} did not determine it; `robot-vision calibrate` fits it '
                     'again', have, MIN_PICTURES)
    return None


def _some(names: Sequence[str], most: int = 8) -> str:
    return ', '.join(names[:most]) + (f' and {len(names) - most} more' if len(names) > most else '')
