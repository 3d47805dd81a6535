"""The figures as Markdown, for a pull request."""
from typing import Any, List, Mapping, Optional

from ...core.text.printable import printable
from .verdict import verdict_of
from .wording import are_pictures, boxes_sentence, percent


def markdown(metrics: Mapping[str, Any]) -> str:
    """Verdict, figures of each model, comparisons and gates."""
    lines: List[str] = []
    for name, model in metrics['models'].items():
        found = verdict_of(model, [gate for gate in metrics['gates'] if gate['model'] == name])
        lines += [f'### {plain(name)}: {found.headline}', '']
        for title, points in found.groups():
            lines += [f'{title}:', '', *(f'- {plain(point.text)}' for point in points), '']
    lines += ['| figure | ' + ' | '.join(plain(name) for name in metrics['models']) + ' |',
              '|---|' + '---|' * len(metrics['models'])]
    for label, path in ROWS:
        values = [_value(model, path) for model in metrics['models'].values()]
        if any(value is not None for value in values):
            cells = ('-' if value is None else f'{value:.4g}' for value in values)
            lines.append(f'| {label} | ' + ' | '.join(cells) + ' |')
    for name, model in metrics['models'].items():
        if model.get('background'):
            lines += ['', *_background(name, model['background'])]
    for comparison in metrics['comparisons']:
        second, first = plain(comparison['second']), plain(comparison['first'])
        lines += ['', f'{second} minus {first} (95 % intervals, paired):', '']
        if not comparison['differences']:
            lines.append('no labels to compare them by')
            continue
        lines += ['| figure | difference | interval | verdict |', '|---|---|---|---|']
        for figure, d in comparison['differences'].items():
            between = '-' if d['low'] is None else f'{d["low"]:+.4f} .. {d["high"]:+.4f}'
            lines.append(f'| {figure} | {d["value"]:+.4f} | {between} | {d["verdict"]} |')
    for gate in metrics['gates']:
        lines += ['', f'{"passed" if gate["passed"] else "**failed**"}: {plain(gate["reason"])}']
    return '\n'.join(lines) + '\n'


_MOST_LISTED = 20

ROWS = (
    ('frames decided', 'frames.decided'), ('frames labelled', 'frames.labelled'),
    ('none of its classes, accepted', 'open_set.acted_on_unknown'), ('errors an hour', 'decisions.errors.per_hour'),
    ('of these on none of its classes', 'decisions.errors.foreign_per_hour'),
    ('of its classes acted on rightly', 'decisions.acted_right'),
    ('accuracy of a frame', 'frame.accuracy'), ('accuracy, fused', 'fused.accuracy'),
    ('balanced accuracy', 'frame.balanced_accuracy'), ('F1, macro', 'frame.f1.macro'),
    ('NLL (nats)', 'frame.nll'), ('Brier', 'frame.brier'), ('ECE', 'frame.ece'), ('ECE floor', 'frame.ece_floor'),
    ('ECE floor if frames of an object are right or wrong together', 'frame.ece_floor_objects'),
    ('AURC', 'selective.aurc'), ('acted on (coverage)', 'decisions.coverage'), ('wrong among these (risk)',
                                                                                'decisions.risk'),
    ('cost of a frame', 'decisions.cost'), ('unknown against known, AUROC', 'open_set.scores.own.auroc'),
    ('false-unknown rate', 'open_set.false_unknown_rate'), ('unknown found', 'open_set.found'),
    ('accuracy of tracks', 'tracks.accuracy'), ('time to decision, median of objects ever acted on rightly (s)',
                                                                       'time.decision_s.median'),
    ('changes a second', 'time.changes_per_s'),
)
"""(what people call it, path in a model's metrics)"""


def _background(name: str, found: Mapping[str, Any]) -> List[str]:
    """Decisions that look at the background, by class; mistakes first, as many as may be read."""
    warning = boxes_sentence(found['boxes'])
    lines = [f'{plain(name)}, looks at the background ({found["frames"]} decisions whose object has a box):', '',
             *([plain(warning), ''] if warning else []),
             '| said | rightly: listed | evidence inside | area of the box | wrongly: listed | evidence inside '
             '| area of the box |', '|---|---|---|---|---|---|---|']
    for one in found['classes']:
        cells = [cell for part in (one['right'], one['wrong']) for cell in (
            (f'{part["listed"]} of {part["frames"]}', percent(part['inside']), percent(part['area']))
            if part['frames'] else ('-', '-', '-'))]
        lines.append(f'| {plain(one["class"])} | ' + ' | '.join(cells) + ' |')
    mistakes = [entry for entry in found['listed'] if not entry['right']]
    if mistakes:
        lines += ['', *(f'- {plain(_where(entry))}: is {plain(entry["label"])}, said {plain(entry["said"])}, '
                        f'evidence inside {percent(entry["inside"])}, area {percent(entry["area"])}'
                        for entry in mistakes[:_MOST_LISTED])]
    if len(mistakes) > _MOST_LISTED:
        lines.append(f'- and {len(mistakes) - _MOST_LISTED} more, in metrics.json')
    return lines


def _where(entry: Mapping[str, Any]) -> str:
    return f'{entry["recording"]} {entry["file"] or entry["topic"] + " " + str(entry["index"])}'


def _value(model: Mapping[str, Any], path: str) -> Optional[float]:
    value: Any = model
    if path.startswith('fused.') and are_pictures(model):  # nothing is
        return None
    for part in path.split('.'):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def plain(text: str) -> str:
    """Without what Markdown would take for markup, or a terminal for a command."""
    text = printable(text, 2000)
    for character in '\\`*_[]<>|#':
        text = text.replace(character, f'\\{character}')
    return ' '.join(text.split())
