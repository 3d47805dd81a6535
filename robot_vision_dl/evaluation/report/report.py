"""The report: one HTML file that opens from disk, with everything in it and without a script.

Whatever comes from bags, labels or bundles is escaped; beside that, a content security policy forbids scripts and the
network.
"""
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Sequence, Tuple

from markupsafe import Markup

from . import svg
from .html_templates import render
from .report_model import model_section
from .report_style import STYLE
from .verdict import verdict_of

if TYPE_CHECKING:
    from ..evaluator import Evaluation

_MOST_BYTES = 9_000_000
_NAMED = 6
"""Recordings whose names the head of the report gives."""


@dataclass(frozen=True)
class PointView:
    """A sentence of a verdict.

    Attributes:
        against: the model that it compares with; empty for none.
    """

    mood: str
    text: str
    against: str = ''


@dataclass(frozen=True)
class VerdictView:
    """The verdict on a model as it is shown: points by title."""

    name: str
    mood: str
    headline: str
    groups: List[Tuple[str, List[PointView]]]


@dataclass(frozen=True)
class ComparisonView:
    """A model against the first one.

    Attributes:
        said: in which figures it is shown to be better and worse; empty for none.
        forest: plot of the differences; empty where there is nothing to compare by.
    """

    first: str
    second: str
    said: str
    forest: Markup


def report_html(evaluation: 'Evaluation') -> str:
    """The report of an :class:`~.evaluator.Evaluation`."""
    metrics = evaluation.metrics
    recordings, names = metrics['recordings'], list(metrics['models'])
    room = _MOST_BYTES
    models = []
    for number, name in enumerate(names):
        models.append(model_section(evaluation, number, name, room))
        room -= len(models[-1])
    which = ', '.join(recording['name'] for recording in recordings[:_NAMED])
    if len(recordings) > _NAMED:
        which += f' and {len(recordings) - _NAMED} more'
    are_folders = all(recording.pictures for recording in evaluation.recordings)
    return render(
        'report.html', kind='folder of pictures' if are_folders else 'recording', are_folders=are_folders,
        frame=('picture' if are_folders else 'object of a detector'
               if metrics['models'][names[0]]['frames'].get('of_objects') else 'frame'),
        style=Markup(STYLE), metrics=metrics, names=names, which=which, models=models,
        frames=sum(recording['frames'] for recording in recordings),
        decided=sum(recording['decided'] for recording in recordings),
        labelled=metrics['models'][names[0]]['frames']['labelled'],
        verdicts=[_verdict(name, metrics) for name in names],
        comparisons=[_comparison(comparison) for comparison in metrics['comparisons']],
        live_speed=evaluation.live_speed or {})


def _verdict(name: str, metrics: Mapping[str, Any]) -> VerdictView:
    found = verdict_of(metrics['models'][name], [gate for gate in metrics['gates'] if gate['model'] == name])
    groups = [(title, [PointView(point.mood, point.text) for point in points]) for title, points in found.groups()]
    against = [_against(comparison) for comparison in metrics['comparisons'] if comparison['second'] == name]
    if against:
        groups.insert(1 if found.why else 0, ('Against the first model', against))
    return VerdictView(name, found.mood, found.headline[:1].upper() + found.headline[1:], groups)


def _against(comparison: Mapping[str, Any]) -> PointView:
    """How a model does against the first one."""
    found, first = comparison['differences'], comparison['first']
    if not found:
        return PointView('info', 'without labels of the same frames there is nothing to compare them by.', first)
    clear = _clear(found)
    mood = 'good' if 'better' in clear and 'worse' not in clear else 'bad' if 'worse' in clear and (
        'better' not in clear) else 'care' if clear else 'info'
    said = _said(clear)
    if not said and all(d['low'] is None for d in found.values()):
        said = 'too little to tell'
    return PointView(mood, f'{said or "no difference is shown"}.', first)


def _clear(found: Mapping[str, Any]) -> Dict[str, List[str]]:
    """Figures in which the second model is shown to be better, and worse; what has none is left out."""
    names = {word: [name for name, d in found.items() if d['verdict'] == word] for word in ('better', 'worse')}
    return {word: figures for word, figures in names.items() if figures}


def _said(clear: Mapping[str, Sequence[str]]) -> str:
    return '; '.join(f'{word} in {", ".join(names)}' for word, names in clear.items())


def _comparison(comparison: Mapping[str, Any]) -> ComparisonView:
    found = comparison['differences'] or {}  # None: they were not judged on the same labelled frames
    rows = [(name, d['value'], d['low'], d['high'], d['verdict']) for name, d in found.items() if d['low'] is not None]
    return ComparisonView(comparison['first'], comparison['second'], _said(_clear(found)),
                          Markup(svg.forest(rows)) if found else Markup())
