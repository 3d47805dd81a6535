"""The report's section on decisions that look at the background."""
from dataclasses import dataclass
from typing import Any, Callable, List, Mapping, Optional, Sequence

from ..background import MOST_RIGHT, MOST_WRONG, key_of
from ..example_frames import Key
from ..explained import MOST_LISTED
from .report_views import Example, Gallery
from .verdict import has_shortcut
from .wording import boxes_sentence, percent


@dataclass(frozen=True)
class PartView:
    """Of n decisions: mean shares in words, how many are listed, and whether that is a reason to look."""

    frames: int
    inside: str
    area: str
    listed: int
    mood: str


@dataclass(frozen=True)
class ClassView:
    """What was said, rightly and wrongly."""

    name: str
    right: PartView
    wrong: PartView


@dataclass(frozen=True)
class BackgroundView:
    """What boxes tell about evidence.

    Attributes:
        frames: that were looked at.
        warning: whose boxes count, where that is not what one would think; else empty.
        notes: on those that were not.
        classes: the ones with most listed first; last all together.
        galleries: mistakes, and right decisions, that are listed; empty ones are left out.
    """

    frames: int
    warning: str
    notes: List[str]
    classes: List[ClassView]
    galleries: List[Gallery]


def background_view(model: Mapping[str, Any], examples: Callable[[Sequence[Key]], List[Example]]
                    ) -> Optional[BackgroundView]:
    """None where no boxes are known."""
    found = model.get('background')
    if not found:
        return None
    warning = boxes_sentence(found['boxes'])
    classes = sorted(found['classes'], key=lambda one: (-one['right']['listed'] - one['wrong']['listed'], one['class']))
    views = [ClassView(one['class'], _part(one['right']), _part(one['wrong'])) for one in classes]
    if len(views) > 1:
        views.append(ClassView('all', _part(found['right']), _part(found['wrong'])))
    notes = [text for count, text in (
        (found['without_box'], 'have no box of the object'),
        (found['without_evidence'], 'have nothing that speaks for what was said, or could not be read again'),
        (found['left_out'], f'are beyond the {MOST_WRONG} mistakes and {MOST_RIGHT} right decisions a class that are '
                            'looked at')) if count for text in [f'{count} {text}']]
    galleries = []
    for part, is_right, title in (('background', False, 'Mistakes that look at the background'),
                                  ('shortcut', True, 'Right, and look at the background')):
        entries = [entry for entry in found['listed'] if entry['right'] == is_right]
        shown = examples([key_of(entry) for entry in entries[:MOST_LISTED]])
        if entries:
            galleries.append(Gallery(part, title, 'the surest first', len(entries), shown))
    return BackgroundView(found['frames'], warning, notes, views, galleries)


def _part(figures: Mapping[str, Any]) -> PartView:
    n, listed = figures['frames'], figures['listed']
    return PartView(n, '' if not n else percent(figures['inside']), '' if not n else percent(figures['area']), listed,
                    'bad' if has_shortcut(figures) else 'care' if listed else '')
