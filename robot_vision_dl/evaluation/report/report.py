"""The report: one HTML file that opens from disk, with everything in it and without a script.

Whatever comes from bags, labels or bundles is escaped; beside that, a content security policy forbids scripts and the
network.
"""
from html import escape
from typing import Any, Dict, List, Mapping, Sequence, Tuple

from . import svg
from .report_model import model_section
from .report_style import STYLE
from .verdict import Verdict, count_of, verdict_of

_MOST_BYTES = 9_000_000


def report_html(evaluation) -> str:
    """The report of an :class:`~.evaluator.Evaluation`."""
    metrics = evaluation.metrics
    names = list(metrics['models'])
    body = [_head(evaluation), _navigation(names, metrics)]
    for name in names:
        gates = [gate for gate in metrics['gates'] if gate['model'] == name]
        against = [_against(comparison) for comparison in metrics['comparisons'] if comparison['second'] == name]
        body.append(_verdict(name, verdict_of(metrics['models'][name], gates), against))
    body += [_comparison(comparison) for comparison in metrics['comparisons']]
    if 'live' in metrics:
        body.append(_live(metrics['live'], evaluation.live_speed or {}))
    room = _MOST_BYTES
    for number, name in enumerate(names):
        part = model_section(evaluation, number, name, room)
        room -= len(part)
        body.append(part)
    body += [_recordings(metrics), _notes(metrics)]
    title = escape(f'Evaluation of {", ".join(names)}')
    return ('<!doctype html><html lang="en"><head><meta charset="utf-8">'
            '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; '
            'style-src \'unsafe-inline\'"><meta name="viewport" content="width=device-width,initial-scale=1">'
            f'<meta name="color-scheme" content="light dark"><title>{title}</title><style>{STYLE}</style></head>'
            f'<body><main>{"".join(body)}</main></body></html>\n')


def _head(evaluation) -> str:
    recordings = evaluation.metrics['recordings']
    frames = sum(recording['frames'] for recording in recordings)
    decided = sum(recording['decided'] for recording in recordings)
    label = next(iter(evaluation.metrics['models'].values()))['frames']
    which = ', '.join(recording['name'] for recording in recordings[:6])
    if len(recordings) > 6:
        which += f' and {len(recordings) - 6} more'
    return (f'<h1>How good is it?</h1><p class="sub">{count_of(len(recordings), "recording")} ({escape(which)}), '
            f'{count_of(frames, "frame")}, {decided} decided, '
            f'{label["labelled"]} labelled.</p>')


def _navigation(names: Sequence[str], metrics: Mapping[str, Any]) -> str:
    links = []
    if metrics['comparisons']:
        links.append('<a href="#comparison">Comparison</a>')
    for number, name in enumerate(names):
        prefix = f'{escape(name)}: ' if len(names) > 1 else ''
        for anchor, text in (('', 'decisions'), ('-figures', 'figures'), ('-time', 'time lines')):
            links.append(f'<a href="#m{number}{anchor}">{prefix + text if prefix else text.capitalize()}</a>')
    return f'<nav>{"".join(links)}<a href="#recordings">Recordings</a><a href="#notes">What the figures mean</a></nav>'


def _verdict(name: str, found: Verdict, against: Sequence[Tuple[str, str]]) -> str:
    parts = [(title, [(point.mood, _unbroken(point.text)) for point in points]) for title, points in found.groups()]
    if against:
        parts.insert(1 if found.why else 0, ('Against the first model', list(against)))
    points = ''.join(f'<h3>{title}</h3><ul class="points">'
                     + ''.join(f'<li class="{mood}">{text}</li>' for mood, text in lines) + '</ul>'
                     for title, lines in parts)
    return (f'<section class="card verdict {found.mood}"><div class="who">{escape(name)}</div>'
            f'<div class="what">{escape(found.headline[:1].upper() + found.headline[1:])}</div>{points}</section>')


def _unbroken(text: str) -> str:
    """Escaped; a number and its percent sign stay on one line."""
    return escape(text).replace(' %', '&nbsp;%')


def _against(comparison: Mapping[str, Any]) -> Tuple[str, str]:
    """(mood, HTML) of how a model does against the first one."""
    found = comparison['differences']
    first = f'<a href="#comparison">Against {escape(comparison["first"])}</a>'
    if not found:
        return 'info', f'{first}: without labels of the same frames there is nothing to compare them by.'
    clear = _clear(found)
    mood = 'good' if 'better' in clear and 'worse' not in clear else 'bad' if 'worse' in clear and (
        'better' not in clear) else 'care' if clear else 'info'
    said = '; '.join(f'{word} in {escape(", ".join(names))}' for word, names in clear.items())
    if not said and all(d['low'] is None for d in found.values()):
        said = 'too little to tell'
    return mood, f'{first}: {said or "no difference is shown"}.'


def _clear(found: Mapping[str, Any]) -> Dict[str, List[str]]:
    """Figures in which the second model is shown to be better, and worse; what has none is left out."""
    names = {word: [name for name, d in found.items() if d['verdict'] == word] for word in ('better', 'worse')}
    return {word: figures for word, figures in names.items() if figures}


def _comparison(comparison: Mapping[str, Any]) -> str:
    first, second = escape(comparison['first']), escape(comparison['second'])
    title = f'<h2 id="comparison">{second} against {first}</h2>'
    found = comparison['differences']
    if not found:
        return f'{title}<p class="card">Without labels there is nothing to compare them by.</p>'
    said = '; '.join(f'{word} in {", ".join(names)}' for word, names in _clear(found).items())
    said = f'{second} is {said}.' if said else 'No difference is shown: every interval holds zero.'
    rows = [(name, d['value'], d['low'], d['high'], d['verdict']) for name, d in found.items() if d['low'] is not None]
    return (f'{title}<section class="card"><p><b>{said}</b></p><div class="scroll">{svg.forest(rows)}</div><p '
            f'class="hint">{second} minus {first} on the same frames; 95 % intervals, paired, from drawing whole '
            'recordings or objects. Each line has a scale of its own. Green: better, red: worse, grey: the interval '
            'holds zero, or, of the coverage, more is neither by itself.</p></section>')


def _live(live: Mapping[str, Any], times: Mapping[str, Any]) -> str:
    """What the way over DDS cost."""
    rows = ''.join(f'<tr><td>{escape(found["recording"])}</td><td>{found["sent"]}</td><td>{found["decided"]}</td>'
                   f'<td>{found["not_decided"]}</td><td>{found["decisions_unlike_offline"]}</td></tr>'
                   for found in live['recordings'])
    names = [name for name, value in live['offline'].items() if value is not None]
    over_dds = {name: '-' if value is None else f'{value:.3f}' for name, value in live['over_dds'].items()}
    figures = ''.join(f'<tr><td>{escape(name.replace("_", " "))}</td><td>{live["offline"][name]:.3f}</td>'
                      f'<td>{over_dds[name]}</td></tr>' for name in names)
    figures = f'<table><tr><th></th><th>from the bag</th><th>over DDS</th></tr>{figures}</table>' if figures else ''
    said = {'total': 'from sending a frame to hearing its decision', 'transport': 'of which transport and waiting'}
    latency = ''.join(f'<p class="hint">ms {text}: p50 {times[key]["p50"]:.1f}, p99 {times[key]["p99"]:.1f}</p>'
                      for key, text in said.items() if key in times)
    pace = 'each frame after the decision about the one before' if live['lockstep'] else (
        f'at {live["rate"]:g} times the recorded pace')
    return (f'<h2 id="live">What the way over DDS costs</h2><section class="card"><p>Played to a live node, {pace}; '
            'all figures below are of what that node decided.</p><div class="scroll"><table><tr><th>recording</th>'
            '<th>sent</th><th>decided</th><th>not decided</th><th>unlike those from the bag</th></tr>'
            f'{rows}</table></div>{latency}<div class="scroll">{figures}</div></section>')


def _recordings(metrics: Mapping[str, Any]) -> str:
    rows = []
    for recording in metrics['recordings']:
        dropped = ', '.join(f'{count} {reason}' for reason, count in recording['dropped'].items()) or '-'
        labels = ', '.join(f'{count} {what}' for what, count in recording['labels'].items())
        labels = labels if recording['label_sources'] else '-'
        problems = ''.join(f'<br><span class="hint">{escape(problem)}</span>' for problem in recording['problems'])
        rows.append(f'<tr><td class="wrap">{escape(recording["name"])}{problems}</td><td class="wrap">'
                    f'{escape(", ".join(recording["topics"]))}</td><td>{recording["frames"]}</td>'
                    f'<td>{recording["decided"]}</td><td class="wrap">{escape(dropped)}</td>'
                    f'<td class="wrap">{escape(labels)}</td></tr>')
    return ('<h2 id="recordings">Recordings</h2><section class="card scroll"><table><tr><th>recording</th>'
            '<th class="l">image topics</th><th>frames</th><th>decided</th><th class="l">dropped</th>'
            '<th class="l">labels</th></tr>'
            f'{"".join(rows)}</table></section>')


def _notes(metrics: Mapping[str, Any]) -> str:
    deployment = ', '.join(f'{name} {value}' for name, value in metrics['options']['deployment'].items())
    models = ''.join(
        f'<li>{escape(name)}: bundle {escape(model["model"]["identity"])}, {model["model"]["classes"]} classes, '
        + ('calibrated' if model['model']['calibrated'] else '<b>not calibrated</b>')
        + (f'; {len(model["exactness"]["one_by_one"])} recording(s) run frame by frame, since rounding in a batch '
           'might have turned a decision' if model['exactness']['one_by_one'] else '') + '</li>'
        for name, model in metrics['models'].items())
    return f"""<h2 id="notes">What the figures mean</h2><section class="card">
<p><b>Acted on</b>, <b>accepted</b>: the decision was a class name, not uncertain or unknown. <b>Risk</b>: share of
these that is wrong. <b>None of its classes</b>: labelled unknown. <b>Cost</b>: a wrong label costs 1, abstaining costs
what the deployment says. <b>ECE</b>: mean gap between confidence and accuracy over 15 bins; with few frames even
perfect confidences show some, which is given beside it. <b>NLL</b>, <b>Brier</b>: proper scores, lower is better.
<b>Conformal set</b>: classes that are possible at the promised error rate. <b>AUROC</b>: chance that an unknown frame
looks more foreign than a known one. <b>Intervals</b> hold the true value with 95 % confidence; they come from drawing
whole recordings or objects, since frames of one are alike.</p>
<p>The frames went through the pipeline of the live node, with time taken from their stamps.</p>
<ul>{models}</ul><details><summary>Settings of the deployment</summary><p>{escape(deployment)}</p></details>
</section>"""
