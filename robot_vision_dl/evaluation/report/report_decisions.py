"""What the report shows a deployer first: errors an hour, what became of each class, what is said of what."""
from html import escape
from typing import Any, Callable, List, Mapping, Optional, Sequence, Tuple

from ..example_frames import SAID_UNCERTAIN, SAID_UNKNOWN, Key
from ..table import UNKNOWN_TARGET, FrameTable
from .report_style import MEANINGS, legend
from .verdict import count_of, duration, percent, rate

MOST_CLASSES = 24
"""A matrix of more classes is shown as the list of its largest entries."""
MOST_LABELS = 60
Cell = Tuple[int, int]
"""(what a frame is, what was decided), as in :class:`~.example_frames.Choice`."""


def errors_section(model: Mapping[str, Any]) -> str:
    """What goes wrong, in tiles, what is none of its classes first."""
    decisions, frames, found = model['decisions'], model['frames'], model['open_set']
    intervals = (model['intervals'] or {}).get('figures', {})

    def between(name: str, shown: Callable[[float], str]) -> str:
        one = intervals.get(name)
        return f'{shown(one["low"])} to {shown(one["high"])}' if one and one['low'] is not None else ''

    errors = decisions['errors']
    tiles: List[Tuple[str, str, str, str]] = []
    if frames['unknown']:
        share = found['acted_on_unknown']
        tiles.append((f'{decisions["foreign_accepted"]} of {frames["unknown"]}', 'none of its classes, accepted',
                      ', '.join(filter(None, (percent(share), between('foreign_accepted', percent)))),
                      'bad' if share > 0.1 else 'care' if share > 0.05 else 'good'))
    else:
        tiles.append(('not tested', 'none of its classes, accepted', 'no frame is labelled unknown', 'care'))
    tiles.append((f'{decisions["confused"]} of {frames["known"]}', 'one of its classes, taken for another', percent(
        decisions['confused'] / max(1, frames['known'])), ''))
    if errors['per_hour'] is not None:
        if frames['unknown']:
            tiles.append((rate(errors['foreign_per_hour']), 'errors an hour on what is none of its classes',
                          between('foreign_errors_per_h', rate), ''))
        tiles.append((rate(errors['per_hour']), 'errors an hour in all', between('errors_per_h', rate), ''))
    if decisions['acted_right'] is not None:
        tiles.append((percent(decisions['acted_right']), 'of its classes acted on rightly',
                      between('acted_right', percent), ''))
    content = ''.join(f'<div class="figure {mood}"><b>{value}</b><span>{label}</span><span>{note or "&nbsp;"}</span>'
                      '</div>' for value, label, note, mood in tiles).replace(' %', '&nbsp;%')
    return (f'<div class="figures">{content}</div><p class="hint">An error: a wrong label that is acted on, counted '
            f'once, however long it lasts with one object; {errors["count"]} in {duration(errors["hours"] or 0)} of '
            'labelled video. Ranges: 95 % intervals.</p>')


def labels_section(model: Mapping[str, Any]) -> str:
    """Right, wrong, uncertain and unknown by label, as counts, shares and a bar."""
    entries = model['decisions']['by_label']
    total = {'label': 'all', 'is_unknown': False, 'is_total': True,
             **{key: sum(entry[key] for entry in entries) for key in ('frames', *(part for part, _ in MEANINGS))}}
    foreign = [entry for entry in entries if entry['is_unknown']]
    known = sorted((entry for entry in entries if not entry['is_unknown']),
                   key=lambda entry: -entry['wrong'] / entry['frames'])
    shown = [*foreign, *known[:MOST_LABELS], total]
    rows = ''.join(_label_row(entry) for entry in shown)
    heads = ''.join(f'<th class="p">{text}</th>' for _, text in MEANINGS)
    left = len(known) - MOST_LABELS
    more = f'<p class="hint">{left} more are in metrics.json.</p>' if left > 0 else ''
    return ('<section class="card"><h3>What becomes of each class?</h3><p class="hint">The frames of each label, the '
            'class with most wrong ones first; of what is labelled unknown each frame that is acted on is wrong, and '
            f'calling it unknown is right.</p><p>{legend()}</p><div class="scroll"><table class="labels"><tr>'
            f'<th>is</th><th>frames</th><th></th>{heads}</tr>{rows}</table></div>{more}</section>')


def _label_row(entry: Mapping[str, Any]) -> str:
    n = max(1, entry['frames'])
    bar = ''.join(f'<i class="part {part}" style="width:{100 * entry[part] / n:.2f}%"></i>'
                  for part, _ in MEANINGS if entry[part])
    cells = ''.join(f'<td class="p none">{"-" if part == "right" and entry["is_unknown"] else 0}</td>'
                    if not entry[part] else f'<td class="p">{entry[part]} <small>'
                    f'{percent(entry[part] / n).replace(" ", "&nbsp;")}</small></td>' for part, _ in MEANINGS)
    name = escape(entry['label'])
    return (f'<tr><td>{"<b>" + name + "</b>" if entry["is_unknown"] or "is_total" in entry else name}</td>'
            f'<td>{entry["frames"]}</td><td><span class="stack">{bar}</span></td>{cells}</tr>')


def confusion_section(model: Mapping[str, Any], table: FrameTable, keys: Mapping[Cell, Sequence[Key]],
                      elsewhere: Mapping[Cell, int], shots: Callable[[Sequence[Key]], str], anchor: str) -> str:
    """What is decided of what, with pictures.

    Args:
        keys: frames to show of each cell.
        elsewhere: how many of a cell the report shows in the sections of wrong ones.
        shots: HTML of some pictures.
        anchor: what the ids of this model begin with.
    """
    places = {name: number for number, name in enumerate(table.class_names)}
    others = {'uncertain': SAID_UNCERTAIN, 'unknown': SAID_UNKNOWN}
    entries = {(places.get(is_, UNKNOWN_TARGET), others.get(said, places.get(said, 0))): count
               for is_, said, count in model['decisions']['confusion']}
    linked = {cell for cell in entries if keys.get(cell) or elsewhere.get(cell)}
    classes = sorted({index for cell in entries for index in cell if index >= 0})
    wrong = sorted((cell for cell in entries if _kind(cell) == 'wrong'),
                   key=lambda cell: (cell[0] != UNKNOWN_TARGET, -entries[cell], cell))
    if len(classes) <= MOST_CLASSES:
        content = _matrix(classes, entries, linked, table, anchor)
    elif not wrong:
        content = '<p>No wrong label is acted on.</p>'
    else:
        rows = ''.join(
            f'<tr><td>{escape(_is(cell, table))}</td><td class="l">{escape(_said(cell, table))}</td><td>'
            + (f'<a href="#{_id(cell, anchor)}">{entries[cell]}</a>' if cell in linked else str(entries[cell]))
            + '</td></tr>' for cell in wrong[:40])
        content = ('<div class="scroll"><table><tr><th>is</th><th class="l">was called</th><th>frames</th></tr>'
                   f'{rows}</table></div>')
    first = next((cell for cell in wrong if cell in linked), None)
    panels = ''.join(
        f'<div class="examples{" first" if cell == first else ""}" id="{_id(cell, anchor)}"><p><b>'
        f'{escape(_is(cell, table))}</b>, {_told(cell, table)}: {count_of(entries[cell], "frame")}, '
        f'{_counted(cell, entries, keys, elsewhere, anchor)}</p>'
        f'{shots(keys.get(cell, ()))}</div>' for cell in sorted(linked, key=lambda cell: (cell != first, cell)))
    hint = 'Choose a cell to see examples. ' if linked else ''
    return (f'<section class="card cells"><h3>What is said of what?</h3><p class="hint">{hint}Rows: what it is; '
            'columns: what was decided, after fusing over time; '
            'calling unknown is right in the last row alone. Shade: share of the row.</p>'
            f'<p>{legend()}</p>{content}{panels}</section>')


def _counted(cell: Cell, entries: Mapping[Cell, int], keys: Mapping[Cell, Sequence[Key]],
             elsewhere: Mapping[Cell, int], anchor: str) -> str:
    """How many of its frames are shown, and where."""
    count = len(keys.get(cell, ()))
    if not elsewhere.get(cell):
        return f'{count} of {entries[cell]} shown here'
    part, title = ('foreign', 'Accepted, and none of its classes') if cell[0] == UNKNOWN_TARGET else (
        'worst', 'Acted on, and another class')
    here = f'{count} of {entries[cell]} shown here, {elsewhere[cell]}' if count else (
        f'{elsewhere[cell]} of {entries[cell]} shown')
    return f'{here} under <a href="#{anchor}-{part}">{title}</a>'


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
    if cell[0] == cell[1]:
        return 'called so'
    return f'called {escape(_said(cell, table))}'


def _id(cell: Cell, anchor: str) -> str:
    parts = {SAID_UNCERTAIN: 'u', SAID_UNKNOWN: 'x'}
    return f'{anchor}-c{parts.get(cell[0], cell[0])}-{parts.get(cell[1], cell[1])}'


def _matrix(classes: Sequence[int], entries: Mapping[Cell, int], linked: set, table: FrameTable, anchor: str) -> str:
    columns = [*classes, SAID_UNCERTAIN, SAID_UNKNOWN]
    heads = ''.join(f'<th class="col{" edge" if said == SAID_UNCERTAIN else ""}"><div>'
                    f'{escape(_said((0, said), table))}</div></th>' for said in columns)
    rows = [f'<tr><th></th>{heads}</tr>']
    present = {is_ for is_, _ in entries}
    for is_ in [index for index in (*classes, UNKNOWN_TARGET) if index in present]:
        total = sum(entries.get((is_, said), 0) for said in columns)
        cells = ''.join(_matrix_cell((is_, said), entries.get((is_, said), 0), total, linked, table, anchor)
                        for said in columns)
        edge = ' class="edge"' if is_ == UNKNOWN_TARGET else ''
        rows.append(f'<tr{edge}><th>{escape(table.label(is_))}</th>{cells}</tr>')
    return f'<div class="scroll"><table class="confusion">{"".join(rows)}</table></div>'


def _matrix_cell(cell: Cell, count: int, total: int, linked: set, table: FrameTable, anchor: str) -> str:
    share = count / max(1, total)
    title = f'{escape(_is(cell, table))}, {_told(cell, table)}: {percent(share)} of {total}'
    text: Optional[str] = f'<span>{count or ""}</span>'
    if cell in linked:
        text = f'<a href="#{_id(cell, anchor)}" title="{title}">{count}</a>'
    shade = 0.0 if not count else 0.15 + 0.75 * share
    kind = _kind(cell)
    edge = 'edge' if cell[1] == SAID_UNCERTAIN else ''
    classes = ' '.join(filter(None, (kind, 'dark' if shade > 0.6 else '', edge)))
    return f'<td class="{classes}" style="background:rgba(var(--h-{kind}),{shade:.2f})">{text}</td>'
