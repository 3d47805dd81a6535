"""What people are shown of an int8 bundle: its figures beside those of the float32 one."""
from typing import Any, Dict, List, Mapping, Sequence, Tuple

from ..core.backends.int8_choice import SUFFIXES
from ..core.text.table import aligned
from .int8_bundle import PAYS, Int8Bundle

OF_FLOAT = 'Of the float32 network that this one was made of.'
"""What is said of test figures that the card keeps."""
_ROWS = (('accuracy', 'accuracy', 4), ('NLL (nats)', 'nll', 4), ('ECE', 'ece', 4), ('ECE if perfect', 'ece_floor', 4),
         ('given a class', 'accepted', 4))
_GROUPS = (('FPR95', 'fpr95', 4), ('accepted', 'accepted_foreign', 4))
_LAST = (('ms a pass (one thread)', 'ms', 2), ('MB of the bundle', 'megabytes', 2))


def rows(metrics: Mapping[str, Any]) -> List[Tuple[str, str, str]]:
    """(what, float32, int8) of a bundle's metrics, as texts."""
    first, second = metrics['float32'], metrics['int8']

    def texts(title: str, one: Any, other: Any, digits: int) -> Tuple[str, str, str]:
        return title, f'{one:.{digits}f}', f'{other:.{digits}f}'
    found = [texts(title, first[key], second[key], digits) for title, key, digits in _ROWS]
    for title, key, digits in _GROUPS:
        groups: Dict[str, float] = second.get(key, {})
        found += [texts(f'{title}, {name} ({second["foreign_pictures"][name]})', first[key][name], value, digits)
                  for name, value in groups.items() if name in first.get(key, {})]
    return found + [texts(title, first[key], second[key], digits) for title, key, digits in _LAST]


def summary(made: Int8Bundle) -> str:
    """What was made, for people, before it is written."""
    table = aligned([('', 'float32', 'int8'), *rows(made.metrics)])
    said = [f'int8: {made.provenance["quantised"]}', *(f'  {line}' for line in table),
            '  (both calibrated on the same pictures for this table, so float32 is not quite the bundle as it is)',
            f'  {speed_up(made.metrics):.2f} times as quick; {_lost(made)}']
    return '\n'.join([*said, *(f'  note: {note}' for note in made.notes)])


def _lost(made: Int8Bundle) -> str:
    """What is lost, with what so many pictures can tell."""
    lost = made.loss
    return (f'accuracy lost: {lost.accuracy:.4f} on {lost.pictures} held-out pictures ({lost.lost} right in float32 '
            f'alone, {lost.won} in int8 alone; 95 % on either side: {lost.at_least:.4f} to {lost.at_most:.4f}), '
            f'{lost.expected:.4f} by the probabilities of float32')


def speed_up(metrics: Mapping[str, Any]) -> float:
    """How many times as quick int8 is as float32."""
    return float(metrics['float32']['ms'] / metrics['int8']['ms'])


def card_section(made: Int8Bundle, name: str) -> Sequence[str]:
    """Lines of Markdown for the model card."""
    pays = speed_up(made.metrics) >= PAYS
    n = made.loss.pictures
    return [
        '## int8 beside float32', '',
        f'{_capital(made.provenance["quantised"])}. Made of `{name}` '
        f'({made.provenance["quantised_from"]}); both are calibrated on the same pictures for this table and judged on '
        f'{n} others.', '', '| | float32 | int8 |', '|---|---|---|',
        *(f'| {title} | {one} | {other} |' for title, one, other in rows(made.metrics)), '',
        f'FPR95: pictures of no class that pass where 95 % of the known do; accepted: those that are given a class. '
        f'{speed_up(made.metrics):.2f} times as quick where it was made{"" if pays else ": it does not pay there"} '
        '(float32 by ONNX Runtime).', '',
        f'{_capital(_lost(made))}. It would not have been written had it lost more than '
        f'{made.metrics["int8"]["most_loss"]:g} with 95 % confidence (the lower end), or by the probabilities of '
        'float32: how much less probable, by the calibrated float32 network, the class is that int8 names.',
        *(f'\n{_capital(note)}.' for note in made.notes)]


def _capital(text: str) -> str:
    return f'{text[0].upper()}{text[1:]}'


def default_name(folder_name: str, runtime: str) -> str:
    """Where deployments that set ``precision: int8`` look for it, beside the float32 bundle."""
    return folder_name + SUFFIXES[runtime]
