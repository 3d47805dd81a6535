"""What a model must reach: ``accuracy=.9`` as a condition on the figures of ``metrics.json``."""
from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Optional, Sequence

from ..core.errors import ConfigError
from ..core.suggestions import did_you_mean
from ..core.text.number_text import plain_float

# Plain names of what people ask for most; everything else is under its path in metrics.json.
_SHORT = {
    'accuracy': 'frame.accuracy', 'balanced_accuracy': 'frame.balanced_accuracy', 'f1': 'frame.f1.macro',
    'nll': 'frame.nll', 'brier': 'frame.brier', 'ece': 'frame.ece',
    'coverage': 'decisions.coverage', 'risk': 'decisions.risk', 'cost': 'decisions.cost',
    'acted_right': 'decisions.acted_right', 'acted_wrong': 'decisions.acted_wrong',
    'foreign_accepted': 'open_set.acted_on_unknown', 'errors_per_h': 'decisions.errors.per_hour',
    'foreign_errors_per_h': 'decisions.errors.foreign_per_hour',
    'auroc': 'open_set.scores.own.auroc', 'fpr95': 'open_set.scores.own.fpr95',
    'false_unknown_rate': 'open_set.false_unknown_rate', 'aurc': 'selective.aurc',
    'decision_s': 'time.decision_s.median', 'changes_per_s': 'time.changes_per_s',
    'track_accuracy': 'tracks.accuracy',
}


@dataclass(frozen=True)
class Gate:
    """``name`` must not be under (or over) ``limit``; inclusive: the limit itself passes."""

    name: str
    limit: float
    over: bool

    def check(self, figures: Mapping[str, Optional[float]], model: str) -> Dict[str, Any]:
        """As it stands in ``metrics.json``; a figure that cannot be told does not pass."""
        value = figures.get(self.name)
        passed = value is not None and (value <= self.limit if self.over else value >= self.limit)
        word = 'at most' if self.over else 'at least'
        shown = 'cannot be told from these bags and labels' if value is None else f'is {value:.4g}'
        reason = f'{model}: {self.name} {shown}, {"and" if passed else "but"} must be {word} {self.limit:g}'
        return {'model': model, 'figure': self.name, 'rule': word, 'limit': self.limit, 'value': value,
                'passed': passed, 'reason': reason}


def figures(model: Mapping[str, Any]) -> Dict[str, Optional[float]]:
    """Every single figure of a model's metrics by its path, and the short names."""
    found: Dict[str, Optional[float]] = {}

    def walk(value: Any, path: str) -> None:
        if isinstance(value, Mapping):
            for key, item in value.items():
                walk(item, f'{path}.{key}' if path else str(key))
        elif value is None or (isinstance(value, (int, float)) and not isinstance(value, bool)):
            found[path] = value

    walk({key: value for key, value in model.items() if key not in ('groups', 'model', 'intervals', 'exactness')}, '')
    for short, path in _SHORT.items():
        found[short] = found.get(path)
    return found


def parse_gates(under: Sequence[str], over: Sequence[str]) -> List[Gate]:
    """Gates from ``NAME=VALUE`` texts.

    Raises:
        ConfigError: a text is not of that form.
    """
    gates = []
    for option, texts, is_over in (('--fail-under', under, False), ('--fail-over', over, True)):
        for text in texts:
            name, _, value = text.partition('=')
            limit = plain_float(value.strip())
            if not name or limit is None:
                raise ConfigError(f'{option} {text!r}: expected NAME=VALUE, for instance accuracy=.9')
            gates.append(Gate(name, limit, is_over))
    return gates


def check_gates(metrics: Mapping[str, Any], gates: Sequence[Gate]) -> List[Dict[str, Any]]:
    """Every gate for every model.

    Raises:
        ConfigError: there is no such figure.
    """
    results = []
    for model, content in metrics['models'].items():
        known = figures(content)
        for gate in gates:
            if gate.name not in known and not _could_be(gate.name, content):
                raise ConfigError(f'no figure {gate.name!r}; {did_you_mean(gate.name, known)}')
            results.append(gate.check(known, model))
    return results


def _could_be(name: str, content: Mapping[str, Any]) -> bool:
    """Whether a figure belongs to a section that is empty for want of labels."""
    section = name.split('.')[0]
    return section in content and content[section] is None
