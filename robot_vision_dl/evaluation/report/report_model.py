"""What the report shows about one model."""
import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Set, Tuple

import numpy as np
from markupsafe import Markup

from ...core.metrics.selective import risk_curve
from ..evidence import ModelEvidence
from ..example_frames import APART, Key, Shot, different_first
from ..picture_messages import TOPIC as PICTURES
from ..table import NO_LABEL, OUT_OF_DISTRIBUTION, UNCERTAIN, Columns, FrameTable, decided, sureness
from . import svg
from .explain_command import explain_command
from .html_templates import render
from .report_background import background_view
from .report_decisions import confusion_view, errors_view, labels_view
from .report_style import ACTED, MEANINGS
from .report_views import EvidenceView, Example, Gallery, Tile
from .timeline import timeline
from .wording import are_pictures, count_of, interval_text, percent

if TYPE_CHECKING:
    from ..evaluator import Evaluation
    from ..recordings import Recording

MOST_TIMELINES = 24
MOST_CLASSES = 60
_COLOURS = 8


@dataclass(frozen=True)
class PlotsView:
    """How right and how sure single frames are; of ``labelled`` frames, ``ood`` of them labelled unknown."""

    reliability: Markup
    risk: Markup
    labelled: int
    ood: int
    per_class: List[Mapping[str, Any]]


@dataclass(frozen=True)
class LineView:
    """The time line of one camera of a recording, or of one object that it saw."""

    recording: str
    topic: str
    frames: int
    picture: Markup


def model_section(evaluation: 'Evaluation', number: int, name: str, room: int) -> Markup:
    """Decisions, confusions, pictures, plots and time lines of the model ``name``, the ``number``-th of the report.

    Args:
        room: characters that the section may take; time lines that go beyond are left out.
    """
    model, table = evaluation.metrics['models'][name], evaluation.tables[name]
    choice, pictures, times = evaluation.choices[name], evaluation.pictures, table.seconds()
    anchor = f'm{number}'
    origin = _Origin(evaluation.bundles[name].source, {one.name: one for one in evaluation.recordings},
                     bool(evaluation.options.deployment.regions))
    shown: Set[bytes] = set()

    evidence = evaluation.evidence.get(name) or ModelEvidence()
    found = {**{key: answer.thumbnail for key, answer in evidence.answers.items()}, **pictures}

    def examples(keys: Sequence[Key]) -> List[Example]:
        return _examples(keys, table, times, found, origin, evidence)

    def listed(keys: Sequence[Key]) -> List[Example]:
        return _examples(keys, table, times, found, origin, evidence, True)

    fresh = {'foreign': _fresh(different_first(choice.ood), pictures, shown),
             'worst': _fresh(different_first(choice.worst), pictures, shown)}
    taken = {*fresh['foreign'], *fresh['worst']}
    cells = {cell: _fresh(entries, pictures, shown) for cell, entries in choice.cells.items()}
    uncertain = _is_uncertain(model, table)
    places = _places_of([shot.key for shot in choice.doubtful], table)
    doubtful = [shot for shot in choice.doubtful if shot.key in places and uncertain[places[shot.key]]]
    fresh['doubtful'] = _fresh(different_first(doubtful), pictures, shown)
    decisions = model['decisions']
    galleries = [Gallery(part, title, order, count, examples(fresh[part])) for part, title, order, count in (
        ('foreign', 'Accepted, and none of its classes', 'the surest first', decisions.get('foreign_accepted')),
        ('worst', 'Acted on, and another class', 'the surest first', decisions.get('confused')),
        ('doubtful', 'Most uncertain frames', 'highest entropy of the frame alone first; not those shown above',
         int(uncertain.sum())))]
    errors = labels = confusion = None
    if model['frames']['labelled']:
        elsewhere = {cell: sum(shot.key in taken for shot in entries) for cell, entries in choice.cells.items()}
        errors, labels = errors_view(model), labels_view(model)
        confusion = confusion_view(model, table, cells, elsewhere, examples, anchor, galleries[0], galleries[1])
    section = render(
        'model.html', anchor=anchor, name=name, meanings=MEANINGS, errors=errors, labels=labels, confusion=confusion,
        galleries=[gallery for gallery in galleries if fresh[gallery.part]], apart=APART,
        alone=are_pictures(model), tiles=_tiles(model),
        evidence=evidence_view(evidence, name in evaluation.evidence),
        background=background_view(model, listed) if model['frames']['labelled'] else None,
        plots=_plots(model, table) if model['frame'] else None, bar=lambda share: Markup(svg.bar(share)))
    return section + _timelines(evaluation, name, anchor, room - len(section))


@dataclass(frozen=True)
class EvidenceNote:
    """What is to be known of the evidence under the pictures.

    Attributes:
        count: frames that have some.
        seconds: that it took.
        exact: maps add up to the logits.
        without: why there is none; empty: there is.
    """

    count: int
    seconds: float
    exact: bool
    without: str


def evidence_view(evidence: ModelEvidence, is_asked: bool) -> Optional[EvidenceNote]:
    """None where nobody asked for it."""
    if not is_asked:
        return None
    count = sum(bool(answer.pictures) for answer in evidence.answers.values())
    return EvidenceNote(count, evidence.seconds, evidence.exact, evidence.without)


def _is_uncertain(model: Mapping[str, Any], table: FrameTable) -> np.ndarray:
    """Frames that were decided to be uncertain, or would be if each were alone, bool (n,)."""
    uncertain: np.ndarray = table.rows['outcome'] == UNCERTAIN
    if model['model']['cost_matrix']:
        return uncertain
    return uncertain | (table.rows['confidence'] < 1 - model['model']['abstain_cost'])


def _fresh(entries: Sequence[Shot], pictures: Mapping[Key, bytes], shown: Set[bytes]) -> List[Key]:
    """Those whose picture the model's part of the report does not show yet; they are added to what it shows."""
    found = []
    for entry in entries:
        picture = pictures.get(entry.key)
        if picture and picture not in shown:
            shown.add(picture)
            found.append(entry.key)
    return found


def _tiles(model: Mapping[str, Any]) -> List[Tile]:
    """Key figures."""
    intervals = (model['intervals'] or {}).get('figures', {})

    def between(name: str) -> str:
        found = intervals.get(name)
        return interval_text(found, '{:.3f}'.format)

    tiles: List[Tuple[str, Optional[float], str]] = []  # (label, value, note)
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
        over_time = [] if are_pictures(model) else [('accuracy, fused', fused['accuracy'], between('fused.accuracy'))]
        tiles += [('accuracy' if are_pictures(model) else 'accuracy, single frames', frame['accuracy'],
                   between('accuracy')), *over_time,
                  ('balanced accuracy', frame['balanced_accuracy'], between('balanced_accuracy')),
                  ('F1, macro', frame['f1']['macro'], between('f1')),
                  ('NLL, nats', frame['nll'], between('nll')), ('Brier', frame['brier'], between('brier')),
                  ('calibration error (ECE)', frame['ece'],
                   _both(between('ece'), f'{frame["ece_floor"]:.3f} if perfect' + (
                       '' if frame.get('ece_floor_objects') is None else
                       f', up to {frame["ece_floor_objects"]:.3f} as frames of an object are alike'))),
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
    return [Tile(_short(value), label, note) for label, value, note in tiles if value is not None]


def _both(*notes: str) -> str:
    return '; '.join(note for note in notes if note)


def _short(value: float) -> str:
    return f'{value:.3f}' if abs(value) < 10 else f'{value:.1f}'


def _plots(model: Mapping[str, Any], table: FrameTable) -> PlotsView:
    rows = Columns(table.rows, table.known | table.unknown)
    return PlotsView(Markup(_reliability(model)), Markup(_risk(model, rows)), len(rows), model['frames']['unknown'],
                     sorted(model['frame']['per_class'], key=lambda entry: -entry['frames'])[:MOST_CLASSES])


def _reliability(model: Mapping[str, Any]) -> str:
    parts = [('frame', 'single frames', 's1'), ('fused', 'fused', 's2')]
    if are_pictures(model):
        parts = [('frame', 'pictures', 's1')]
    bins = {key: [b for b in model[key]['reliability'] if b['frames'] > 0.01 * model['frames']['known']]
            for key, _, _ in parts}
    lines = [svg.Line(name, style, [b['confidence'] for b in bins[key]], [b['accuracy'] for b in bins[key]], True)
             for key, name, style in parts]
    total = max(1, sum(b['frames'] for b in model['frame']['reliability']))
    counts = [b['frames'] / total for b in model['frame']['reliability']]
    return svg.chart(lines, 'it says so many are right', 'so many are right', diagonal=True, bars=counts,
                     title='reliability diagram')


def _risk(model: Mapping[str, Any], rows: Columns) -> str:
    """Curve and circle are of the same frames: all that are labelled, what is none of the classes among them."""
    coverage, risk = risk_curve(sureness(rows), rows['fused_predicted'] != rows['target'])
    keep = np.unique(np.linspace(0, len(risk) - 1, 160).astype(int))
    decisions = model['decisions']
    highest = max(float(risk[keep].max()), decisions['risk'] or 0.0)
    top = next(value for value in (0.05, 0.1, 0.2, 0.3, 0.5, 1.0) if highest <= value or value == 1.0)
    marker = None if decisions['risk'] is None else (decisions['coverage'], decisions['risk'], 'as it decides')
    name = 'pictures' if are_pictures(model) else 'fused'
    return svg.chart([svg.Line(name, 's1', coverage[keep], risk[keep])], 'share that is acted on, the surest first',
                     'share of these that is wrong', y_max=top, marker=marker, title='risk-coverage curve')


class _Origin(NamedTuple):
    """Where the frames of a model's section come from.

    Attributes:
        model: as it was asked for.
        recordings: by name.
        are_regions: parts of pictures were judged, not whole ones.
    """

    model: str
    recordings: Mapping[str, 'Recording']
    are_regions: bool

    def command(self, key: Key, row: np.void, is_listed: bool) -> str:
        """What explains a frame that was acted on wrongly, was uncertain or is listed; empty for others."""
        target, said = int(row['target']), int(decided(row))
        is_mistake = target != NO_LABEL and said >= 0 and said != target
        if self.are_regions or not (is_mistake or is_listed or int(row['outcome']) == UNCERTAIN):
            return ''
        return explain_command(self.model, self.recordings[key.recording], key, int(row['receive_ns']))


def _examples(keys: Sequence[Key], table: FrameTable, times: np.ndarray, pictures: Mapping[Key, bytes],
              origin: '_Origin', evidence: ModelEvidence, is_listed: bool = False) -> List[Example]:
    places = _places_of(keys, table)
    several = len(table.topics) > 1
    found = []
    for key in keys:
        place = places.get(key)
        if place is None or not pictures.get(key):
            continue
        row = table.rows[place]
        label = table.label(int(row['target'])) if int(row['target']) != NO_LABEL else ''
        called = table.class_names[row['fused_predicted']]
        outcome = 'uncertain: ' if row['outcome'] == UNCERTAIN else ''
        said = f'{outcome}{called} {row["fused_confidence"]:.2f}'
        if row['outcome'] == OUT_OF_DISTRIBUTION:
            said = 'unknown'
        where = f'{key.recording}{" " + key.topic if several else ""}, {times[place]:.1f} s'
        alone = f'{table.class_names[row["predicted"]]} {row["confidence"]:.2f}'
        recording = origin.recordings[key.recording]
        if recording.pictures:
            file = recording.file(key.number)
            where, alone = file if len(table.recordings) == 1 else f'{key.recording}/{file}', ''
        answer = evidence.answers.get(key)
        shown = answer.pictures if answer else ()
        if answer and answer.difference and is_listed:
            shown = (answer.difference, *shown[:1])  # what it is listed for
        found.append(Example(_base64(pictures[key]), label or called, label, said, alone, where,
                             tuple(EvidenceView(one.name, _base64(one.jpeg)) for one in shown),
                             answer.place[:2] if answer and answer.place else (),
                             origin.command(key, row, is_listed)))
    return found


def _base64(jpeg: bytes) -> str:
    return base64.b64encode(jpeg).decode()


def _places_of(keys: Sequence[Key], table: FrameTable) -> Dict[Key, int]:
    """Where in a table some frames are."""
    wanted = set(keys)
    candidates = np.flatnonzero(np.isin(table.rows['index'], [key.number for key in wanted]))
    found = {}
    for place in candidates.tolist():
        row = table.rows[place]
        key = Key(table.recordings[row['recording']], table.topics[row['topic']], int(row['index']), int(row['object']))
        if key in wanted:
            found[key] = place
    return found


def _timelines(evaluation: 'Evaluation', name: str, anchor: str, room: int) -> Markup:
    """Time lines of a model's cameras, as many as there is room for."""
    model, table = evaluation.metrics['models'][name], evaluation.tables[name]
    needed = float('nan') if model['model']['cost_matrix'] else 1 - model['model']['abstain_cost']
    strips = {(outcome.recording, topic): strip for outcome in evaluation.outcomes
              for topic, strip in outcome.strips.items()}
    colours = _colours(table)
    gap_s = evaluation.options.deployment.fusion.reset_gap_s
    # Pictures of folders have no times.
    cameras = [places for places in table.sequences() if table.topics[table.rows[places[0]]['topic']] != PICTURES]
    # Of objects those that were longest in view.
    cameras.sort(key=lambda places: -len(places) * (table.rows[places[0]]['object'] >= 0))
    lines: List[LineView] = []
    for places in cameras[:MOST_TIMELINES]:
        row = table.rows[places[0]]
        recording, topic = table.recordings[row['recording']], table.topics[row['topic']]
        picture = timeline(table, places, strips.get((recording, topic), ()), colours, needed, gap_s)
        room -= len(picture)
        if room < 0:
            break
        track = table.tracks[row['track']] if row['object'] >= 0 and row['track'] >= 0 else ''
        what = f'{topic}, object {row["object"]} ({track})' if track else topic
        lines.append(LineView(recording, what, len(places), Markup(picture)))
    return render('timelines.html', anchor=anchor, name=name, meanings=(*MEANINGS, ACTED), colours=colours, lines=lines,
                  left_out=len(cameras) - len(lines), has_frames=len(table) > 0)


def _colours(table: FrameTable) -> Dict[str, int]:
    """Numbers of colours for the classes that are seen most."""
    rows = table.rows
    seen = np.concatenate([rows['target'][rows['target'] >= 0], rows['fused_predicted'][rows['outcome'] == 0]])
    counts = np.bincount(seen, minlength=1)
    best = np.argsort(-counts, kind='stable')[:_COLOURS]
    return {table.class_names[index]: place + 1 for place, index in enumerate(best.tolist()) if counts[index]}
