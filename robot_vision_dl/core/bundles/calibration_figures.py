"""What the figures of a calibration say against using the model at all, a sentence each, for all who show it.

The figures come from the bundle's JSON, where anything may stand: what is not a number is as if it were not there.
"""
from math import log
from typing import Any, Dict, Mapping, Optional, Sequence

import numpy as np

from ..config import DecisionConfig
from ..text.printable import printable
from ..uncertainty.attainable_rates import pictures_for_rate
from ..uncertainty.ood.sensor_faults import FAULTS

HARDLY_FAULTY = 0.1
"""Of pictures of a camera at fault, all kinds together, fewer called unknown are hardly any: one kind of four may be
found, and the others not."""
HARDLY_FOUND = 0.05
"""Of a group of pictures of no class, fewer called unknown are hardly any: chance alone gives the rate itself, .01."""
TELLS_APART = 0.9
"""From what AUROC on a score ranks what is out of distribution well; if it is not found then, the threshold is why."""
OBJECTS, RECORDINGS = 'objects', 'recordings'


def count_of(figures: Mapping[str, Any]) -> str:
    """``' of 10 objects'``, or recordings, where it is known of how many the calibration pictures are; else empty."""
    kind, count = figures.get('counted'), figures.get('objects')
    if type(count) is not int or kind not in (OBJECTS, RECORDINGS):
        return ''
    return f' of {count} {kind if count != 1 else kind[:-1]}'


def ood_sentence(figures: Mapping[str, Any]) -> Optional[str]:
    """Whether hardly any of the OOD pictures, or of those of a camera at fault, are called unknown, and what helps."""
    rates, ranks = _numbers(figures.get('unknown_rate')), _numbers(figures.get('ood_auroc'))
    faulty = {name: rate for name, rate in rates.items() if name in FAULTS}
    found = {name: rate for name, rate in rates.items() if name not in FAULTS and rate < HARDLY_FOUND}
    if faulty and float(np.mean(list(faulty.values()))) < HARDLY_FAULTY:
        found.update(faulty)
    if not found:
        return None
    rate = _numbers(figures).get('unknown_rate_at', 0.0)
    at = f'false_unknown_rate {rate:.4g}' if 0 < rate < 1 else 'the rate it was measured at'
    ranked = {name: value for name, value in found.items() if ranks.get(name, 0.0) >= TELLS_APART}
    missed = {name: value for name, value in found.items() if name not in ranked}
    said = []
    if missed:
        said.append(f'its OOD score misses what it is for: called unknown at {at}: {_shown(missed, ranks)}. Do not '
                    'rely on unknown there: try `robot-vision calibrate` with --ood-pictures (pictures of no class), '
                    'or train it further')
    if ranked:
        said.append(f'its OOD score tells what is unknown from its classes, its threshold does not: called unknown '
                    f'at {at}: {_shown(ranked, ranks)}. {_remedy(rate)}')
    return '; '.join(said)


def _shown(found: Mapping[str, float], ranks: Mapping[str, float]) -> str:
    """Share called unknown, and AUROC, of some groups."""
    return ', '.join(f'{printable(name, 40)} {rate:.4f}' + (f' (AUROC {ranks[name]:.2f})' if name in ranks else '')
                     for name, rate in list(found.items())[:8])


def _remedy(rate: float) -> str:
    """For a score that ranks well and a threshold that finds little, measured at ``rate``."""
    wanted = DecisionConfig().false_unknown_rate
    if not wanted < rate < 1:
        return 'Raise decision.false_unknown_rate, or calibrate on pictures of the deployment'
    return (f'With {round(1 / rate) - 1} calibration pictures its threshold lies beyond all of them: calibrate on '
            f'more, {pictures_for_rate(wanted)} at least for decision.false_unknown_rate {wanted:g}')


def chance_sentence(figures: Mapping[str, Any], classes: int) -> Optional[str]:
    """Whether the model did no better on the calibration pictures than one that looks at nothing."""
    numbers, found = _numbers(figures), []
    nll, accuracy, nothing = numbers.get('nll'), numbers.get('top1'), log(classes) if classes > 1 else 0.0
    if nll is not None and nothing and nll >= 0.99 * nothing:  # a temperature brings any network near to ln C
        found.append(f'a negative log-likelihood of {nll:.3f} (knowing nothing: ln {classes} = {nothing:.3f})')
    share = _largest_share(figures.get('pictures_by_class'), classes)
    if accuracy is not None and share < 1 and accuracy <= max(share, 1 / classes):
        found.append(f'an accuracy of {accuracy:.3f} ('
                     + (f'always the most frequent class: {share:.3f})' if share else f'guessing: {1 / classes:.3f})'))
    if not found:
        return None
    pictures = figures.get('pictures')
    on = f'{pictures} calibration pictures{count_of(figures)}' if type(pictures) is int else 'its calibration pictures'
    better = max(share, 1 / classes)
    if accuracy is not None and type(pictures) is int and accuracy > better + 3 * (better / max(pictures, 1)) ** 0.5:
        return (f'on {on} it is far too sure where it is wrong: {" and ".join(found)}, though it gets {accuracy:.3f} '
                'right; train on more objects, or calibrate on more pictures')
    return (f'on {on} it is no better than chance: {" and ".join(found)}; look whether its classes and labels are '
            'those of the pictures, or train it further')


def _largest_share(counts: Any, classes: int) -> float:
    """Of the calibration pictures, of one class; 0 where it is not known."""
    if not isinstance(counts, Sequence) or len(counts) != classes or not all(type(one) is int for one in counts):
        return 0.0
    return float(max(counts) / max(sum(counts), 1))


def _numbers(values: Any) -> Dict[str, float]:
    values = values if isinstance(values, Mapping) else {}
    return {name: value for name, value in values.items() if type(value) in (int, float) and abs(value) < 1e300}
