"""Numbers as the report and its sentences say them."""
from typing import Any, Callable, Mapping, Optional, Sequence

from ...core.text.printable import printable

_MOST_NAMED = 8


def are_pictures(model: Mapping[str, Any]) -> bool:
    """Whether all that was decided are pictures of folders: each alone, without times."""
    frames = model['frames']
    return bool(frames['decided']) and frames.get('of_folders') == frames['decided']


def boxes_sentence(boxes: Mapping[str, Any]) -> str:
    """Which labels of boxes were taken for the object, where that is not simply the class's name; else empty.

    Args:
        boxes: as in ``background`` of ``metrics.json``.
    """
    counted, unboxed = boxes['counted'], boxes['unboxed']
    if counted and not boxes['by_name']:
        return ('No box is called as a class of the model, so every box counts as the object, whatever it is of: '
                f'{_some(counted)}. Where that is a class under another name: --map "LABEL=CLASS".')
    if unboxed:
        return (f'No box is called {_some(unboxed)}: of pictures labelled so, those alone are looked at that have a '
                'box of what was said. Where boxes have another name for it: --map "LABEL=CLASS".')
    return ''


def _some(names: Sequence[str]) -> str:
    more = f' and {len(names) - _MOST_NAMED} more' if len(names) > _MOST_NAMED else ''
    return ', '.join(printable(name, 60) for name in names[:_MOST_NAMED]) + more


def interval_text(found: Optional[Mapping[str, Any]], shown: Callable[[float], str]) -> str:
    """``9.1 % to 42 %``; empty where there is none, and where all that is drawn from is alike: it would be a point."""
    if not found or found['low'] is None or found['low'] == found['high']:
        return ''
    return f'{shown(found["low"])} to {shown(found["high"])}'


def count_of(number: int, name: str) -> str:
    """``1 frame``, ``2 frames``; ``2 stretches of 10 s``."""
    first, _, rest = name.partition(' of ')
    plural = first + ('es' if first.endswith('ch') else 's')
    return f'{number} {first if number == 1 else plural}{" of " + rest if rest else ""}'


def percent(share: float) -> str:
    """``9.1 %``, ``42 %``; 0 and 100 only where it is just that."""
    if 0 < share < 0.0005 or 0.9995 < share < 1:
        return 'less than 0.1 %' if share < 0.5 else 'more than 99.9 %'
    text = f'{100 * share:.1f}' if 0 < share < 0.1 or 0.9 < share < 1 else f'{100 * share:.0f}'
    return f'{text} %'


def rate(per_hour: float) -> str:
    """Events an hour."""
    return f'{per_hour:.0f}' if per_hour >= 10 or per_hour == 0 else f'{per_hour:.1f}'


def duration(hours: float) -> str:
    """Hours, minutes or seconds."""
    return f'{hours:.1f} h' if hours >= 1 else f'{60 * hours:.1f} min' if hours >= 1 / 60 else f'{3600 * hours:.0f} s'
