"""What the report shows about one model."""
import base64
from html import escape
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

import numpy as np

from . import svg
from .gallery import Choice, Key
from .selective import risk_curve
from .table import FOREIGN, NO_LABEL, UNCERTAIN, Columns, FrameTable
from .timeline import timeline
from .verdict import count_of

MOST_CLASSES = 24
"""A confusion matrix of more classes is shown as the list of its largest entries."""
MOST_TIMELINES = 24
_COLOURS = 8


def model_section(evaluation, number: int, name: str, room: int) -> str:
    """Tiles, plots, confusions, pictures and time lines of the model ``name``, the ``number``-th of the report.

    Args:
        room: characters that the section may take; time lines that go beyond are left out.
    """
    model, table = evaluation.metrics['models'][name], evaluation.tables[name]
    choice = evaluation.choices[name]
    pictures = evaluation.pictures
    needed = float('nan') if model['model']['cost_matrix'] else 1 - model['model']['abstain_cost']
    parts = [f'<h2 id="m{number}">{escape(name)}: figures</h2>', _figures(model)]
    if model['frame']:
        parts += ['<div class="two">', _reliability(model), _risk(model, table), '</div>']
        parts.append(_confusion(model, table, choice, pictures, f'm{number}'))
        parts.append(_per_class(model))
    for title, hint, entries in (
            ('Worst mistakes', 'Acted on, and wrong; the surest first.', choice.worst),
            ('Most uncertain frames', 'Highest entropy of the frame alone.', choice.doubtful)):
        if entries:
            parts.append(f'<section class="card"><h3>{title}</h3><p class="hint">{hint}</p>'
                         f'{_shots([key for _, key in entries], table, pictures)}</section>')
    parts.append(f'<h2 id="m{number}-time">{escape(name)}: time lines</h2>')
    room -= sum(map(len, parts))
    parts.append(_timelines(evaluation, table, needed, room))
    return ''.join(parts)


def _figures(model: Mapping[str, Any]) -> str:
    """Key figures as tiles."""
    intervals = (model['intervals'] or {}).get('figures', {})

    def between(name: str) -> str:
        found = intervals.get(name)
        return f'{found["low"]:.3f} to {found["high"]:.3f}' if found and found['low'] is not None else ''

    tiles: List[Tuple[str, Optional[float], str]] = []
    decisions, frame, fused = model['decisions'], model['frame'], model['fused']
    if 'coverage' in decisions:
        tiles += [('acted on', decisions['coverage'], between('coverage')),
                  ('wrong among these (risk)', decisions['risk'], between('risk')),
                  (f'cost a frame (silence: {decisions["cost_of_silence"]:g})', decisions['cost'], between('cost'))]
    else:
        n = max(1, model['frames']['decided'])
        tiles += [(key, decisions[key] / n, count_of(decisions[key], 'frame'))
                  for key in ('accepted', 'uncertain', 'unknown')]
    if frame:
        tiles += [('accuracy, single frames', frame['accuracy'], between('accuracy')),
                  ('accuracy, fused', fused['accuracy'], between('fused.accuracy')),
                  ('balanced accuracy', frame['balanced_accuracy'], between('balanced_accuracy')),
                  ('F1, macro', frame['f1']['macro'], between('f1')),
                  ('NLL, nats', frame['nll'], between('nll')), ('Brier', frame['brier'], between('brier')),
                  ('calibration error (ECE)', frame['ece'],
                   _both(between('ece'), f'{frame["ece_floor"]:.3f} if perfect')),
                  ('area under risk-coverage', model['selective']['aurc'], between('aurc'))]
    if model['tracks']:
        tiles.append(('accuracy of objects', model['tracks']['accuracy'], f'{model["tracks"]["count"]} objects'))
    found = model['open_set']
    if found:
        own = found['scores'].get('own')
        if own and own['auroc'] is not None:
            tiles += [('unknown told from known (AUROC)', own['auroc'],
                       _both(between('auroc'), f'FPR at 95 %: {own["fpr95"]:.2f}'))]
        tiles.append(('known called unknown', found['false_unknown_rate'], ''))
    if model['conformal']:
        conformal = model['conformal']
        tiles.append(('classes in a conformal set', conformal['mean_size'],
                      '' if conformal['coverage'] is None else f'hold the true one: {conformal["coverage"]:.3f}'))
    times = model['time']
    if times.get('decision_s') and times['decision_s']['median'] is not None:
        tiles.append(('seconds to the right decision', times['decision_s']['median'],
                      f'90 % within {times["decision_s"]["p90"]:.1f}'))
    tiles.append(('changes a second', times['changes_per_s'], ''))
    return '<div class="figures">' + ''.join(
        f'<div class="figure"><b>{_short(value)}</b><span>{escape(label)}</span>'
        f'<span>{escape(note) or "&nbsp;"}</span></div>'
        for label, value, note in tiles if value is not None) + '</div>'


def _both(*notes: str) -> str:
    return '; '.join(note for note in notes if note)


def _short(value: float) -> str:
    return f'{value:.3f}' if abs(value) < 10 else f'{value:.1f}'


def _reliability(model: Mapping[str, Any]) -> str:
    bins = {key: [b for b in model[key]['reliability'] if b['frames'] > 0.01 * model['frames']['known']]
            for key in ('frame', 'fused')}
    lines = [svg.Line(name, style, [b['confidence'] for b in bins[key]], [b['accuracy'] for b in bins[key]], True)
             for key, name, style in (('frame', 'single frames', 's1'), ('fused', 'fused', 's2'))]
    total = max(1, sum(b['frames'] for b in model['frame']['reliability']))
    counts = [b['frames'] / total for b in model['frame']['reliability']]
    plot = svg.chart(lines, 'it says so many are right', 'so many are right', diagonal=True, bars=counts,
                     title='reliability diagram')
    return (f'<section class="card"><h3>Is it right as often as it says?</h3>{plot}<p class="hint">On the dashed line '
            'it is; below it promises too much. Bars: how many frames; bins with less than '
            '1 % of them are left out.</p></section>')


def _risk(model: Mapping[str, Any], table: FrameTable) -> str:
    rows = Columns(table.rows, table.known)
    lines = []
    for prefix, name, style in (('', 'single frames', 's1'), ('fused_', 'fused', 's2')):
        coverage, risk = risk_curve(rows[f'{prefix}confidence'], rows[f'{prefix}predicted'] != rows['target'])
        keep = np.unique(np.linspace(0, len(risk) - 1, 160).astype(int))
        lines.append(svg.Line(name, style, coverage[keep], risk[keep]))
    highest = max(float(np.max(line.y)) for line in lines)
    top = next(value for value in (0.05, 0.1, 0.2, 0.3, 0.5, 1.0) if highest <= value or value == 1.0)
    decisions = model['decisions']
    marker = None if decisions['risk'] is None else (decisions['coverage'], decisions['risk'], 'as it decides')
    plot = svg.chart(lines, 'share that is answered, the surest first', 'share of these that is wrong', y_max=top,
                     marker=marker, title='risk-coverage curve')
    return (f'<section class="card"><h3>What does caution buy?</h3>{plot}<p class="hint">The circle is where its '
            'decisions lie today; a higher abstain_cost moves it right, a lower one left.</p></section>')


def _confusion(model: Mapping[str, Any], table: FrameTable, choice: Choice, pictures: Mapping[Key, bytes],
               anchor: str) -> str:
    entries = {(i, j): count for i, j, count in model['frame']['confusion']}
    places = {name: number for number, name in enumerate(table.class_names)}
    shown = [entry['class'] for entry in model['frame']['per_class']]
    examples = {(table.class_names[i], table.class_names[j]): [key for _, key in found]
                for (i, j), found in choice.cells.items()}
    linked = {cell for cell in entries if any(key in pictures for key in examples.get(cell, ()))}

    def target(cell: Tuple[str, str]) -> str:
        return f'{anchor}-c{places[cell[0]]}-{places[cell[1]]}'

    wrong = sorted((cell for cell in entries if cell[0] != cell[1]), key=lambda cell: (-entries[cell], cell))
    if len(shown) <= MOST_CLASSES:
        content = _matrix(shown, entries, linked, target)
    else:
        rows = ''.join(
            f'<tr><td>{escape(i)}</td><td class="l">{escape(j)}</td><td>'
            + (f'<a href="#{target((i, j))}">{entries[i, j]}</a>' if (i, j) in linked else str(entries[i, j]))
            + '</td></tr>' for i, j in wrong[:40])
        content = ('<div class="scroll"><table><tr><th>is</th><th class="l">called</th><th>frames</th></tr>'
                   f'{rows}</table></div>')
    panels = []
    first = next((cell for cell in wrong if cell in linked), None)
    for cell in sorted(linked, key=lambda cell: (cell != first, cell)):
        called = 'called so' if cell[0] == cell[1] else f'called {escape(cell[1])}'
        panels.append(f'<div class="examples{" first" if cell == first else ""}" id="{target(cell)}"><p><b>'
                      f'{escape(cell[0])}</b>, {called}: {count_of(entries[cell], "frame")}</p>'
                      f'{_shots(examples[cell], table, pictures)}</div>')
    hint = 'Choose a cell to see examples. ' if linked else ''
    return (f'<section class="card cells"><h3>What does it confuse?</h3><p class="hint">{hint}Rows: what it is; '
            'columns: what a single frame was called; shade: share of the row.</p>'
            f'{content}{"".join(panels)}</section>')


def _matrix(shown: Sequence[str], entries: Mapping[Tuple[str, str], int], linked: set, target) -> str:
    rows = ['<tr><th></th>' + ''.join(f'<th class="col"><div>{escape(name)}</div></th>' for name in shown) + '</tr>']
    for i in shown:
        total = max(1, sum(entries.get((i, j), 0) for j in shown))
        cells = []
        for j in shown:
            count = entries.get((i, j), 0)
            share = count / total
            text = (f'<a href="#{target((i, j))}" title="{escape(i)} called {escape(j)}: {share:.0%} of {total}">'
                    f'{count}</a>' if (i, j) in linked else f'<span>{count or ""}</span>')
            cells.append(f'<td{" class=dark" if share > 0.55 else ""} style="background:rgba(var(--heat),'
                         f'{0.04 + 0.92 * share:.2f})">{text}</td>')
        rows.append(f'<tr><th>{escape(i)}</th>{"".join(cells)}</tr>')
    return f'<div class="scroll"><table class="confusion">{"".join(rows)}</table></div>'


def _per_class(model: Mapping[str, Any]) -> str:
    entries = sorted(model['frame']['per_class'], key=lambda entry: -entry['frames'])[:60]

    def cell(value: Optional[float]) -> str:
        return '<td>-</td>' if value is None else f'<td>{svg.bar(value)} {value:.3f}</td>'

    rows = ''.join(f'<tr><td>{escape(e["class"])}</td><td>{e["frames"]}</td>{cell(e["precision"])}{cell(e["recall"])}'
                   f'{cell(e["f1"])}</tr>' for e in entries)
    return ('<section class="card"><h3>Class by class</h3><div class="scroll"><table><tr><th>class</th><th>frames</th>'
            f'<th>precision</th><th>recall</th><th>F1</th></tr>{rows}</table></div></section>')


def _shots(keys: Sequence[Key], table: FrameTable, pictures: Mapping[Key, bytes]) -> str:
    rows = _rows_of(keys, table)
    out = []
    for key in keys:
        row = rows.get(key)
        if row is None or key not in pictures:
            continue
        label = table.label(int(row['target']))
        called = table.class_names[row['fused_predicted']]
        outcome = 'uncertain: ' if row['outcome'] == UNCERTAIN else ''
        said = 'unknown' if row['outcome'] == FOREIGN else f'{outcome}{escape(called)} {row["fused_confidence"]:.2f}'
        is_ = f'<span class="is">{escape(label)}</span>, ' if int(row['target']) != NO_LABEL else ''
        out.append(f'<figure><img loading="lazy" alt="{escape(label or called)}" '
                   f'src="data:image/jpeg;base64,{base64.b64encode(pictures[key]).decode()}"><figcaption>{is_}'
                   f'{said}; this frame alone: '
                   f'{escape(table.class_names[row["predicted"]])} {row["confidence"]:.2f}<br><span class="where">'
                   f'{escape(key.recording)} {escape(key.topic)} #{key.index}</span></figcaption></figure>')
    return f'<div class="shots">{"".join(out)}</div>'


def _rows_of(keys: Sequence[Key], table: FrameTable) -> Dict[Key, np.void]:
    """The rows of some frames."""
    wanted = set(keys)
    candidates = np.flatnonzero(np.isin(table.rows['index'], [key.index for key in wanted]))
    found = {}
    for place in candidates.tolist():
        row = table.rows[place]
        key = Key(table.recordings[row['recording']], table.topics[row['topic']], int(row['index']))
        if key in wanted:
            found[key] = row
    return found


def _timelines(evaluation, table: FrameTable, needed: float, room: int) -> str:
    strips = {(outcome.recording, topic): strip for outcome in evaluation.outcomes
              for topic, strip in outcome.strips.items()}
    colours = _colours(table)
    gap_s = evaluation.options.deployment.fusion.reset_gap_s
    cameras = table.cameras()
    keys = (('accepted', 'acc'), ('uncertain', 'unc'), ('unknown', 'unk'))
    out = ['<p>' + ''.join(f'<span class="key"><i style="background:var(--{colour})"></i>{name}</span>'
                           for name, colour in keys)
           + ''.join(f'<span class="key"><i style="background:var(--c{number})"></i>{escape(name)}</span>'
                     for name, number in colours.items())
           + '<span class="key">dashed: what a label needs to be accepted</span></p>']
    shown = 0
    for places in cameras[:MOST_TIMELINES]:
        row = table.rows[places[0]]
        key = (table.recordings[row['recording']], table.topics[row['topic']])
        picture = timeline(table, places, strips.get(key, ()), colours, needed, gap_s)
        room -= len(picture)
        if room < 0:
            break
        shown += 1
        out.append(f'<section class="card"><h3>{escape(key[0])} <span class="sub">{escape(key[1])}, '
                   f'{count_of(len(places), "frame")}</span></h3>{picture}</section>')
    if shown < len(cameras):
        out.append(f'<p class="hint">{len(cameras) - shown} more are in frames.csv.</p>')
    return ''.join(out)


def _colours(table: FrameTable) -> Dict[str, int]:
    """Numbers of colours for the classes that are seen most."""
    rows = table.rows
    seen = np.concatenate([rows['target'][rows['target'] >= 0], rows['fused_predicted'][rows['outcome'] == 0]])
    counts = np.bincount(seen, minlength=1)
    best = np.argsort(-counts, kind='stable')[:_COLOURS]
    return {table.class_names[index]: place + 1 for place, index in enumerate(best.tolist()) if counts[index]}
