"""What the report shows a deployer first: errors an hour, what became of each class, what is said of what."""
from dataclasses import dataclass
from typing import Any, Callable, List, Mapping, Sequence, Tuple

from ..example_frames import Key
from ..table import SAID_UNCERTAIN, SAID_UNKNOWN, UNKNOWN_TARGET, FrameTable
from .report_style import MEANINGS
from .report_views import Example, Gallery, Tile
from .wording import interval_text, percent, rate

MOST_CLASSES = 24
"""A matrix of more classes is shown as the list of its largest entries."""
MOST_LABELS, MOST_WRONG = 60, 40
Cell = Tuple[int, int]
"""(what a frame is, what was decided), as in :class:`~.example_frames.Choice`."""


@dataclass(frozen=True)
class ErrorsView:
    """Of so many hours of labelled video; 0 hours of pictures, which have no times."""

    tiles: List[Tile]
    count: int
    hours: float


def errors_view(model: Mapping[str, Any]) -> ErrorsView:
    """What goes wrong, in tiles, what is none of its classes first."""
    decisions, frames, found = model['decisions'], model['frames'], model['open_set']
    intervals = (model['intervals'] or {}).get('figures', {})

    def between(name: str, shown: Callable[[float], str]) -> str:
        return interval_text(intervals.get(name), shown)

    errors = decisions['errors']
    tiles: List[Tile] = []
    if frames['unknown']:
        share = found['acted_on_unknown']
        tiles.append(Tile(f'{decisions["foreign_accepted"]} of {frames["unknown"]}', 'none of its classes, accepted',
                          ', '.join(filter(None, (percent(share), between('foreign_accepted', percent)))),
                          'bad' if share > 0.1 else 'care' if share > 0.05 else 'good'))
    else:
        tiles.append(Tile('not tested', 'none of its classes, accepted', 'no frame is labelled unknown', 'care'))
    tiles.append(Tile(f'{decisions["confused"]} of {frames["known"]}', 'one of its classes, taken for another',
                      percent(decisions['confused'] / max(1, frames['known']))))
    if errors['per_hour'] is not None:
        if frames['unknown']:
            tiles.append(Tile(rate(errors['foreign_per_hour']), 'errors an hour on what is none of its classes',
                              between('foreign_errors_per_h', rate)))
        tiles.append(Tile(rate(errors['per_hour']), 'errors an hour in all', between('errors_per_h', rate)))
    if decisions['acted_right'] is not None:
        tiles.append(Tile(percent(decisions['acted_right']), 'of its classes acted on rightly',
                          between('acted_right', percent)))
    faults: Mapping[str, int] = decisions.get('camera_faults', {})
    if faults:
        tiles.append(Tile(f'{sum(faults.values())} of {frames["decided"]}', 'frames with the camera at fault',
                          ', '.join(f'{fault} {count}' for fault, count in faults.items()), 'care'))
    return ErrorsView(tiles, errors['timed'] if errors['hours'] else errors['count'], errors['hours'] or 0)


@dataclass(frozen=True)
class LabelPart:
    """How many frames of a label came to something: a style of :data:`.report_style.MEANINGS`.

    Attributes:
        share: of the frames of the label.
        cannot_be: nothing of this label can come to it.
    """

    style: str
    count: int
    share: float
    cannot_be: bool


@dataclass(frozen=True)
class LabelRow:
    """What became of a label's frames; ``is_strong``: shown in bold."""

    label: str
    frames: int
    is_strong: bool
    parts: List[LabelPart]


@dataclass(frozen=True)
class LabelsView:
    """Rows that are shown, and the number of those that are not."""

    rows: List[LabelRow]
    left_out: int


def labels_view(model: Mapping[str, Any]) -> LabelsView:
    """Right, wrong, uncertain and unknown by label: unknown first, then the class with most wrong ones, last all."""
    entries = model['decisions']['by_label']
    total = {'label': 'all', 'is_unknown': False,
             **{key: sum(entry[key] for entry in entries) for key in ('frames', *(part for part, _ in MEANINGS))}}
    ood = [entry for entry in entries if entry['is_unknown']]
    known = sorted((entry for entry in entries if not entry['is_unknown']),
                   key=lambda entry: -entry['wrong'] / entry['frames'])
    rows = [_label_row(entry, entry['is_unknown']) for entry in (*ood, *known[:MOST_LABELS])]
    return LabelsView([*rows, _label_row(total, True)], max(0, len(known) - MOST_LABELS))


def _label_row(entry: Mapping[str, Any], is_strong: bool) -> LabelRow:
    n = max(1, entry['frames'])
    return LabelRow(entry['label'], entry['frames'], is_strong, [
        LabelPart(part, entry[part], entry[part] / n, part == 'right' and entry['is_unknown'])
        for part, _ in MEANINGS])


@dataclass(frozen=True)
class ConfusionCell:
    """So many frames that are one thing and were called another.

    Attributes:
        kind: style of what that means, right, wrong, uncertain or unknown.
        id: of the panel with examples; empty for none.
        shade: of the cell, 0 to 1.
        style: classes of the cell's style.
        title: share of the row, in words.
    """

    is_: str
    said: str
    count: int
    kind: str
    id: str
    shade: float = 0.0
    style: str = ''
    title: str = ''


@dataclass(frozen=True)
class Heading:
    """Of a column; ``has_edge``: it is set apart from those before."""

    name: str
    has_edge: bool


@dataclass(frozen=True)
class ConfusionRow:
    """Of one label; ``has_edge``: it is set apart from those before."""

    name: str
    has_edge: bool
    cells: List[ConfusionCell]


@dataclass(frozen=True)
class Panel:
    """Examples of a cell.

    Attributes:
        told: what was decided, in words.
        count: frames of the cell.
        shown, elsewhere: how many of them are shown here, and in ``gallery``.
        is_first: shown until another panel is chosen.
    """

    id: str
    is_: str
    told: str
    count: int
    shown: int
    elsewhere: int
    gallery: Gallery
    examples: List[Example]
    is_first: bool


@dataclass(frozen=True)
class ConfusionView:
    """A matrix (``rows`` below ``columns``) or, of many classes, none and ``wrong`` ones, the largest first."""

    columns: List[Heading]
    rows: List[ConfusionRow]
    wrong: List[ConfusionCell]
    panels: List[Panel]


def confusion_view(model: Mapping[str, Any], table: FrameTable, keys: Mapping[Cell, Sequence[Key]],
                   elsewhere: Mapping[Cell, int], examples: Callable[[Sequence[Key]], List[Example]], anchor: str,
                   ood: Gallery, worst: Gallery) -> ConfusionView:
    """What is decided of what, with pictures.

    Args:
        keys: frames to show of each cell.
        elsewhere: how many of a cell the report shows in the galleries of wrong ones.
        examples: of some frames.
        anchor: what the ids of this model begin with.
        ood, worst: the galleries of wrong ones.
    """
    places = {name: number for number, name in enumerate(table.class_names)}
    others = {'uncertain': SAID_UNCERTAIN, 'unknown': SAID_UNKNOWN}
    entries = {(places.get(is_, UNKNOWN_TARGET), others.get(said, places.get(said, 0))): count
               for is_, said, count in model['decisions']['confusion']}
    linked = {cell for cell in entries if keys.get(cell) or elsewhere.get(cell)}
    classes = sorted({index for cell in entries for index in cell if index >= 0})
    wrong = sorted((cell for cell in entries if _kind(cell) == 'wrong'),
                   key=lambda cell: (cell[0] != UNKNOWN_TARGET, -entries[cell], cell))
    first = next((cell for cell in wrong if cell in linked), None)

    def cell_of(cell: Cell, total: int) -> ConfusionCell:
        count = entries.get(cell, 0)
        share = count / max(1, total)
        shade = 0.0 if not count else 0.15 + 0.75 * share
        style = ' '.join(filter(None, (_kind(cell), 'dark' if shade > 0.6 else '',
                                       'edge' if cell[1] == SAID_UNCERTAIN else '')))
        return ConfusionCell(_is(cell, table), _said(cell, table), count, _kind(cell),
                             _id(cell, anchor) if cell in linked else '', shade, style,
                             f'{_is(cell, table)}, {_told(cell, table)}: {percent(share)} of {total}')

    columns = [*classes, SAID_UNCERTAIN, SAID_UNKNOWN]
    present = {is_ for is_, _ in entries}
    rows = []
    for is_ in [index for index in (*classes, UNKNOWN_TARGET) if index in present]:
        total = sum(entries.get((is_, said), 0) for said in columns)
        rows.append(ConfusionRow(table.label(is_), is_ == UNKNOWN_TARGET,
                                 [cell_of((is_, said), total) for said in columns]))
    panels = [Panel(_id(cell, anchor), _is(cell, table), _told(cell, table), entries[cell], len(keys.get(cell, ())),
                    elsewhere.get(cell, 0), ood if cell[0] == UNKNOWN_TARGET else worst,
                    examples(keys.get(cell, ())), cell == first)
              for cell in sorted(linked, key=lambda cell: (cell != first, cell))]
    return ConfusionView([Heading(_said((0, said), table), said == SAID_UNCERTAIN) for said in columns],
                         rows if len(classes) <= MOST_CLASSES else [],
                         [cell_of(cell, entries[cell]) for cell in wrong[:MOST_WRONG]], panels)


def _kind(cell: Cell) -> str:
    is_, said = cell
    if said < 0:
        return 'unknown' if said == SAID_UNKNOWN else 'uncertain'
    return 'right' if is_ == said else 'wrong'


def _is(cell: Cell, table: FrameTable) -> str:
    return table.label(cell[0])


def _said(cell: Cell, table: FrameTable) -> str:
    return {SAID_UNCERTAIN: 'uncertain', SAID_UNKNOWN: 'unknown'}.get(cell[1]) or table.class_names[cell[1]]


def _told(cell: Cell, table: FrameTable) -> str:
    return 'called so' if cell[0] == cell[1] else f'called {_said(cell, table)}'


def _id(cell: Cell, anchor: str) -> str:
    parts = {SAID_UNCERTAIN: 'u', SAID_UNKNOWN: 'x'}
    return f'{anchor}-c{parts.get(cell[0], cell[0])}-{parts.get(cell[1], cell[1])}'
