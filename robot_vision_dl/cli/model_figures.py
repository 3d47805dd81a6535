"""What was measured of a bundle: a short table for people, everything as JSON.

Metrics are as whoever wrote the bundle wrote them: what is no number under a usual name is left to the JSON.
"""
from typing import Any, Dict, List, Mapping, Optional, Sequence

from ..core.bundles.bundle import Bundle
from ..core.bundles.model_card import CALIBRATED_AGAIN, TESTED, published_by
from ..core.bundles.trust_limits import trust_limits
from ..core.text.printable import printable

FIGURES = (
    ('pictures', ('pictures',)), ('accuracy', ('accuracy', 'top1')), ('balanced accuracy', ('balanced_accuracy',)),
    ('F1, macro', ('macro_f1',)), ('NLL (nats)', ('nll',)), ('NLL by Laplace', ('nll_laplace',)),
    ('NLL, plain softmax', ('nll_plain',)), ('Brier', ('brier',)), ('ECE', ('ece',)),
    ('ECE if perfect', ('ece_floor',)),
    ('given a class', ('accepted',)), ('sets hold the true one', ('conformal_coverage',)),
    ('classes in a set', ('conformal_mean_size',)),
    ('ms a pass, one thread', ('ms',)), ('MB', ('megabytes',)))
"""(title, names in the metrics) of the table's rows."""
_MOST_COLUMNS, _MOST_LINES, _MOST_NUMBERS = 6, 6, 4


def calibrated_again(bundle: Bundle) -> bool:
    """Whether its test figures are of the calibration before."""
    known = bundle.provenance
    return 'test' in bundle.metrics and 'calibrated_from' in known and TESTED not in known


def metric_lines(bundle: Bundle) -> List[str]:
    """A table with a column for each part of the metrics, and a line for each part that is another kind of number."""
    parts = {str(name): values for name, values in bundle.metrics.items() if isinstance(values, Mapping)}
    flat = {name: value for name, value in bundle.metrics.items() if not isinstance(value, Mapping)}
    if sum(_figure(flat, keys) is not None for _, keys in FIGURES) > 1:
        parts = {'calibration': flat, **parts}  # of a bundle that was imported
    usual = [name for name, values in parts.items()
             if sum(_figure(values, keys) is not None for _, keys in FIGURES) > 1]
    columns = {name: parts[name] for name in usual[:_MOST_COLUMNS]}
    lines: List[str] = []
    if columns:
        table = [['', *(_name(name) for name in columns)]]
        for title, keys in FIGURES:
            found = [_figure(values, keys) for values in columns.values()]
            if any(value is not None for value in found):
                table.append([title, *('-' if value is None else f'{value:.4g}' for value in found)])
        widths = [max(map(len, column)) for column in zip(*table)]
        lines += ['  '.join([row[0].ljust(widths[0]), *(text.rjust(width) for text, width in zip(row[1:], widths[1:]))])
                  for row in table]
    for name in [name for name in parts if name not in usual][:_MOST_LINES]:
        numbers = [f'{printable(key, 45)} {value:.4g}' for key, value in parts[name].items() if _is_number(value)]
        if numbers:
            more = f', {len(numbers) - _MOST_NUMBERS} more' if len(numbers) > _MOST_NUMBERS else ''
            lines.append(f'{_name(name)}: {", ".join(numbers[:_MOST_NUMBERS])}{more}')
    if calibrated_again(bundle):
        lines.append(f'test: {CALIBRATED_AGAIN}')
    return ['  metrics', *(f'    {line}' for line in lines)] if lines else []


def learned_counts(bundle: Bundle) -> Optional[Dict[str, int]]:
    """How many pictures it knows to have learned from, by what for; None: it does not say."""
    from ..data.learned_pictures import learned_pictures
    learned = learned_pictures(bundle)
    return None if learned is None else {
        'trained_on': len(learned.trained_on), 'calibrated_on': len(learned.calibrated_on)}


def learned_text(bundle: Bundle) -> str:
    """The same in words; empty: it does not say."""
    counts = learned_counts(bundle)
    if counts is None:
        return ''
    trained = f'{counts["trained_on"]} pictures that it was trained on' if counts['trained_on'] else (
        'pictures that are not known')
    return f'{trained}, {counts["calibrated_on"]} that its calibration or early stop used: `evaluate` tells them again'


def as_json(bundle: Bundle) -> Dict[str, Any]:
    """All that is measured and known of a bundle."""
    return {'name': bundle.name, 'identity': bundle.identity,
            'folder': None if bundle.folder is None else str(bundle.folder), 'network': bundle.architecture.name,
            'classes': list(bundle.class_names), 'probabilities_by': probabilities_by(bundle),
            'abstain_cost': bundle.abstain_cost, 'learned_pictures': learned_counts(bundle),
            'test_is_of_the_calibration_before': calibrated_again(bundle),
            'cautions': [limit.sentence for limit in trust_limits(bundle)],
            'metrics': dict(bundle.metrics), 'provenance': dict(bundle.provenance)}


def probabilities_by(bundle: Bundle) -> Optional[str]:
    """What makes the probabilities that are published; None: the plain softmax."""
    if not bundle.calibrated:
        return None
    return 'mean of its members, each by its own calibration' if bundle.members else published_by(bundle)


def _name(part: str) -> str:
    return printable(part, 24).replace('_', ' ')


def _figure(values: Mapping[str, Any], keys: Sequence[str]) -> Optional[float]:
    return next((values[key] for key in keys if _is_number(values.get(key))), None)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e300
