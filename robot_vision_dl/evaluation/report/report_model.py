"""What the report shows about one model."""
import base64
from html import escape
from typing import Any, Dict, List, Mapping, Optional, Sequence, Set, Tuple

import numpy as np

from ...core.metrics.selective import risk_curve
from ..example_frames import APART, Key, Shot
from ..picture_messages import TOPIC as PICTURES
from ..table import FOREIGN, NO_LABEL, UNCERTAIN, Columns, FrameTable, sureness
from . import svg
from .report_decisions import confusion_section, errors_section, labels_section
from .report_style import ACTED, legend
from .timeline import timeline
from .verdict import count_of, percent

MOST_TIMELINES = 24
_COLOURS = 8


def model_section(evaluation, number: int, name: str, room: int) -> str:
    """Decisions, confusions, pictures, plots and time lines of the model ``name``, the ``number``-th of the report.

    Args:
        room: characters that the section may take; time lines that go beyond are left out.
    """
    model, table = evaluation.metrics['models'][name], evaluation.tables[name]
    choice = evaluation.choices[name]
    pictures = evaluation.pictures
    times = table.seconds()
    needed = float('nan') if model['model']['cost_matrix'] else 1 - model['model']['abstain_cost']
    parts = [f'<h2 id="m{number}">{escape(name)}: decisions</h2>']
    shown: Set[bytes] = set()
    foreign, worst = _fresh(choice.foreign, pictures, shown), _fresh(choice.worst, pictures, shown)
    taken = {*foreign, *worst}
    cells = {cell: _fresh(entries, pictures, shown) for cell, entries in choice.cells.items()}
    doubtful = _fresh(choice.doubtful, pictures, shown)
    if model['frames']['labelled']:
        elsewhere = {cell: sum(shot.key in taken for shot in entries) for cell, entries in choice.cells.items()}
        parts += [errors_section(model), labels_section(model),
                  confusion_section(model, table, cells, elsewhere, lambda keys: _shots(keys, table, times, pictures),
                                    f'm{number}')]
    decisions = model['decisions']
    for part, title, hint, keys, count in (
            ('foreign', 'Accepted, and none of its classes', 'the surest first', foreign,
             decisions.get('foreign_accepted')),
            ('worst', 'Acted on, and another class', 'the surest first', worst, decisions.get('confused')),
            ('doubtful', 'Most uncertain frames', 'highest entropy of the frame alone; not those shown above', doubtful,
             model['frames']['decided'])):
        if keys:
            parts.append(f'<section class="card" id="m{number}-{part}"><h3>{title}</h3><p class="hint">{len(keys)} of '
                         f'{count} shown, {hint}; different objects first, of {APART} frames in a row one.'
                         f'</p>{_shots(keys, table, times, pictures)}</section>')
    parts += [f'<h2 id="m{number}-figures">{escape(name)}: figures</h2>', _figures(model)]
    if model['frame']:
        parts += ['<div class="two">', _reliability(model), _risk(model, table), '</div>', _per_class(model)]
    parts.append(f'<h2 id="m{number}-time">{escape(name)}: time lines</h2>')
    room -= sum(map(len, parts))
    parts.append(_timelines(evaluation, table, needed, room))
    return ''.join(parts)


def _fresh(entries: Sequence[Shot], pictures: Mapping[Key, bytes], shown: Set[bytes]) -> List[Key]:
    """Those whose picture the model's part of the report does not show yet; they are added to what it shows."""
    found = []
    for entry in entries:
        picture = pictures.get(entry.key)
        if picture and picture not in shown:
            shown.add(picture)
            found.append(entry.key)
    return found


def _figures(model: Mapping[str, Any]) -> str:
    """Key figures as tiles."""
    intervals = (model['intervals'] or {}).get('figures', {})

    def between(name: str) -> str:
        found = intervals.get(name)
        return f'{found["low"]:.3f} to {found["high"]:.3f}' if found and found['low'] is not None else ''

    tiles: List[Tuple[str, Optional[float], str]] = []
    decisions, frame, fused = model['decisions'], model['frame'], model['fused']
    if 'coverage' in decisions:
        tiles += [('of all labelled frames acted on', decisions['coverage'], between('coverage')),
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
                       _both(between('auroc'), f'FPR at 95 %: {own["fpr95"]:.2f}',
                             f'so its score; its threshold finds {percent(found["found"])} of it'
                             if found['found'] is not None else ''))]
        tiles.append(('known called unknown', found['false_unknown_rate'], ''))
    if model['conformal']:
        conformal = model['conformal']
        tiles.append((f'of {model["model"]["classes"]} classes in a conformal set', conformal['mean_size'],
                      '' if conformal['coverage'] is None else f'hold the true one: {conformal["coverage"]:.3f}'))
    times = model['time']
    if times.get('decision_s') and times['decision_s']['median'] is not None and times['watched_s']:
        quick = times['decision_s']
        every = round(quick['count'] / (1 - quick['never']))
        tiles.append(('seconds to the right decision, median', quick['median'],
                      f'of the {quick["count"]} of {every} objects ever acted on rightly; 90 % of these within '
                      f'{quick["p90"]:.1f}'))
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
    """Curve and circle are of the same frames: all that are labelled, what is none of the classes among them."""
    rows = Columns(table.rows, table.known | table.unknown)
    coverage, risk = risk_curve(sureness(rows), rows['fused_predicted'] != rows['target'])
    keep = np.unique(np.linspace(0, len(risk) - 1, 160).astype(int))
    decisions = model['decisions']
    highest = max(float(risk[keep].max()), decisions['risk'] or 0.0)
    top = next(value for value in (0.05, 0.1, 0.2, 0.3, 0.5, 1.0) if highest <= value or value == 1.0)
    marker = None if decisions['risk'] is None else (decisions['coverage'], decisions['risk'], 'as it decides')
    plot = svg.chart([svg.Line('fused', 's1', coverage[keep], risk[keep])], 'share that is acted on, the surest first',
                     'share of these that is wrong', y_max=top, marker=marker, title='risk-coverage curve')
    foreign = model['frames']['unknown']
    of = f', {foreign} of them labelled unknown, which are wrong whenever they are acted on' if foreign else ''
    return (f'<section class="card"><h3>What does caution buy?</h3>{plot}<p class="hint">Of '
            f'{count_of(len(rows), "labelled frame")}{of}; those called unknown come last. The circle is where its '
            'decisions lie today; a higher abstain_cost moves it right, a lower one left.</p></section>')


def _per_class(model: Mapping[str, Any]) -> str:
    entries = sorted(model['frame']['per_class'], key=lambda entry: -entry['frames'])[:60]

    def cell(value: Optional[float]) -> str:
        return '<td>-</td>' if value is None else f'<td>{svg.bar(value)} {value:.3f}</td>'

    rows = ''.join(f'<tr><td>{escape(e["class"])}</td><td>{e["frames"]}</td>{cell(e["precision"])}{cell(e["recall"])}'
                   f'{cell(e["f1"])}</tr>' for e in entries)
    return ('<section class="card"><h3>Class by class</h3><div class="scroll"><table><tr><th>class</th><th>frames</th>'
            f'<th>precision</th><th>recall</th><th>F1</th></tr>{rows}</table></div></section>')


def _shots(keys: Sequence[Key], table: FrameTable, times: np.ndarray, pictures: Mapping[Key, bytes]) -> str:
    places = _places_of(keys, table)
    several = len(table.topics) > 1
    out = []
    for key in keys:
        place = places.get(key)
        if place is None or key not in pictures:
            continue
        row = table.rows[place]
        label = table.label(int(row['target']))
        called = table.class_names[row['fused_predicted']]
        outcome = 'uncertain: ' if row['outcome'] == UNCERTAIN else ''
        said = 'unknown' if row['outcome'] == FOREIGN else f'{outcome}{escape(called)} {row["fused_confidence"]:.2f}'
        is_ = f'is <span class="is">{escape(label)}</span><br>' if int(row['target']) != NO_LABEL else ''
        where = f'{escape(key.recording)}{" " + escape(key.topic) if several else ""}, {times[place]:.1f} s'
        out.append(f'<figure><img loading="lazy" alt="{escape(label or called)}" '
                   f'src="data:image/jpeg;base64,{base64.b64encode(pictures[key]).decode()}"><figcaption>{is_}'
                   f'said <b>{said}</b><br><span class="where">this frame alone: '
                   f'{escape(table.class_names[row["predicted"]])} {row["confidence"]:.2f}<br>{where}</span>'
                   '</figcaption></figure>')
    return f'<div class="shots">{"".join(out)}</div>'


def _places_of(keys: Sequence[Key], table: FrameTable) -> Dict[Key, int]:
    """Where in a table some frames are."""
    wanted = set(keys)
    candidates = np.flatnonzero(np.isin(table.rows['index'], [key.index for key in wanted]))
    found = {}
    for place in candidates.tolist():
        row = table.rows[place]
        key = Key(table.recordings[row['recording']], table.topics[row['topic']], int(row['index']))
        if key in wanted:
            found[key] = place
    return found


def _timelines(evaluation, table: FrameTable, needed: float, room: int) -> str:
    strips = {(outcome.recording, topic): strip for outcome in evaluation.outcomes
              for topic, strip in outcome.strips.items()}
    colours = _colours(table)
    gap_s = evaluation.options.deployment.fusion.reset_gap_s
    every = table.cameras()
    cameras = [places for places in every if table.topics[table.rows[places[0]]['topic']] != PICTURES]
    if not cameras:
        return '<p class="hint">Pictures of folders have no times, so there are no time lines.</p>' if every else ''
    out = ['<p>' + legend(ACTED)
           + ''.join(f'<span class="key"><i style="background:var(--c{number})"></i>{escape(name)}</span>'
                     for name, number in colours.items())
           + '<span class="key"><i style="background:var(--c0)"></i>other classes</span>'
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
