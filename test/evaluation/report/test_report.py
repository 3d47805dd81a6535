"""The report: whole, on its own, safe to open, small enough."""
import dataclasses
import json
import os
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pytest
from evaluation_samples import T0_NS, labelled_bag, small_model

from robot_vision_dl.core.config import ClassifierConfig, with_values
from robot_vision_dl.core.metrics.selective import risk_curve
from robot_vision_dl.data.bags.writer import ImageBagWriter
from robot_vision_dl.evaluation.evaluator import evaluate
from robot_vision_dl.evaluation.options import EvaluationOptions, RunOptions
from robot_vision_dl.evaluation.report.report import report_html
from robot_vision_dl.evaluation.table import ACCEPTED, UNCERTAIN, sureness

OPTIONS = EvaluationOptions(with_values(ClassifierConfig(), {'device': 'cpu', 'decision.abstain_cost': 0.45}),
                            run=RunOptions(draws=100))
EVIL = ('<script>alert(1)</script>', '"><img src=x onerror=alert(2)>', "mug' & co")
VOID = {'meta', 'img', 'br', 'link', 'input', 'hr'}


class Page(HTMLParser):
    """Checks that tags are balanced, and collects what they refer to."""

    def __init__(self, text):
        super().__init__()
        self.open, self.ids, self.links, self.sources, self.tags = [], [], [], [], []
        self.feed(text)
        assert not self.open, self.open

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.tags.append(tag)
        assert not [name for name in values if name.startswith('on')], (tag, values)
        if 'id' in values:
            self.ids.append(values['id'])
        if tag == 'a':
            self.links.append(values['href'])
        if values.get('src') or (tag == 'image' and values.get('href')):
            self.sources.append(values.get('src') or values['href'])
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open and self.open[-1] == tag, (tag, self.open[-3:])
        self.open.pop()


@pytest.fixture(scope='module')
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp('report')
    bags = [labelled_bag(folder / f'bag_{n}', 60, n) for n in range(2)]
    return evaluate(bags, [str(small_model(folder / 'one')), str(small_model(folder / 'two', seed=3))], OPTIONS)


def test_it_stands_on_its_own_and_every_link_leads_somewhere(found):
    text = report_html(found)
    page = Page(text)
    assert len(page.ids) == len(set(page.ids))
    assert page.links and all(link.startswith('#') and link[1:] in page.ids for link in page.links)
    assert page.sources and all(source.startswith('data:image/jpeg;base64,') for source in page.sources)
    assert 'script' not in page.tags and 'link' not in page.tags
    assert not re.search(r'(https?:)?//[a-z]', re.sub(r'data:[^"]*', '', text))
    assert "default-src 'none'" in text


def test_plots_are_well_formed(found):
    plots = re.findall(r'<svg.*?</svg>', report_html(found), re.DOTALL)
    assert len(plots) > 6
    for plot in plots:
        ElementTree.fromstring(plot)
        assert not re.search(r'\bnan\b', re.sub(r'data:[^"]*', '', plot).lower())


def test_it_says_what_is_there(found):
    text = report_html(found)
    for expected in ('Accepted, and none of its classes', 'Acted on, and another class', 'Most uncertain frames',
                     'What becomes of each class?', 'What is said of what?', 'errors an hour', 'time lines', 'bag_0',
                     'two against one', 'prefers-color-scheme:dark', 'max-width:560px'):
        assert expected in text, expected


def test_text_from_bags_labels_and_bundles_is_escaped(tmp_path):
    names = (EVIL[0], EVIL[1], 'bowl')
    model = small_model(tmp_path / 'model', class_names=names)
    bag = tmp_path / 'b<b>ag'
    with ImageBagWriter(bag, frame_id=EVIL[0]) as writer:
        for index in range(24):
            picture = np.random.default_rng(index // 6).integers(0, 255, (40, 50, 3), dtype=np.uint8)
            writer.write_raw('/camera/image_raw', T0_NS + index * 10**8, picture)
    (bag / 'labels.csv').write_text(
        f'stamp,label,track\n0,"{EVIL[0]}","{EVIL[2]}"\n1,"{EVIL[1].replace(chr(34), chr(34) * 2)}",\n')
    found = evaluate([bag], [str(model)], OPTIONS)
    text = report_html(found)
    page = Page(text)
    assert 'script' not in page.tags
    assert EVIL[0] not in text and '<img src=x' not in text and 'b<b>ag' not in text
    assert '&lt;script&gt;' in text
    found.save(tmp_path / 'out')
    summary = (tmp_path / 'out' / 'summary.md').read_text()
    assert not re.search(r'(?<!\\)<', summary) and '![' not in summary


@pytest.mark.slow
def test_ten_thousand_frames_stay_below_ten_megabytes(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (40, 240, 320, 3), dtype=np.uint8)  # the worst for JPEG
    with ImageBagWriter(tmp_path / 'bag') as writer:
        for index in range(10_000):
            writer.write_raw('/camera/image_raw', T0_NS + index * 10**8, noise[index % 40])
    (tmp_path / 'bag' / 'labels.csv').write_text(
        'stamp,label\n' + ''.join(f'{second},{("cup", "mug", "bowl", "unknown")[second // 5 % 4]}\n'
                                  for second in range(0, 1000, 5)))
    found = evaluate([tmp_path / 'bag'], [str(small_model(tmp_path / 'model'))], OPTIONS)
    found.save(tmp_path / 'out')
    assert (tmp_path / 'out' / 'report.html').stat().st_size < 10_000_000


def test_many_classes_are_shown_as_a_list(tmp_path):
    names = [f'class {index}' for index in range(40)]
    bag = labelled_bag(tmp_path / 'bag', 40, labels=False)
    (bag / 'labels.csv').write_text(''.join(f'{i * 0.1:.1f},class {i}\n' for i in range(40)))
    found = evaluate([bag], [str(small_model(tmp_path / 'model', class_names=names))], OPTIONS)
    text = report_html(found)
    Page(text)
    assert 'table class="confusion"' not in text and 'No wrong label is acted on.' in text
    eager = EvaluationOptions(with_values(OPTIONS.deployment, {'decision.abstain_cost': 1.0}), run=OPTIONS.run)
    text = report_html(evaluate([bag], [str(tmp_path / 'model')], eager))
    Page(text)
    assert 'table class="confusion"' not in text and '<th class="l">was called</th>' in text


def test_a_name_that_is_not_utf_8_costs_nothing(tmp_path):
    bag = labelled_bag(tmp_path / 'bag', 24)
    bag = bag.rename(os.fsdecode(os.fsencode(tmp_path) + b'/b\xffag'))
    found = evaluate([bag], [str(small_model(tmp_path / 'model'))], OPTIONS)
    found.save(tmp_path / 'out')
    for name in ('report.html', 'summary.md', 'frames.csv'):
        assert (tmp_path / 'out' / name).read_text(encoding='utf-8')
    assert json.loads((tmp_path / 'out' / 'metrics.json').read_text())['recordings'][0]['name'] == bag.name
    assert '\\udcff' in (tmp_path / 'out' / 'frames.csv').read_text()


def test_pictures_are_named_by_recording_and_seconds(found):
    text = report_html(found)
    assert not re.search(r'#\d+</', text) and re.search(r'<br>bag_[01], \d\.\d s</span>', text)


def test_only_uncertain_frames_are_called_so(found):
    """Of a model that accepts all there are none, although some frames have the highest entropy of all."""
    text = report_html(found)
    part = text[text.index('id="m0-doubtful"'):]
    part = part[:part.index('</section>')]
    alone = [float(value) for value in re.findall(r'this frame alone: \S+ (\d\.\d+)', part)]
    assert alone and all(value <= 0.55 or 'said <b>uncertain' in part for value in alone)
    rows = found.tables['one'].rows
    count = int(((rows['confidence'] < 0.55) | (rows['outcome'] == UNCERTAIN)).sum())
    assert f'{len(alone)} of {count} shown, highest entropy' in part
    eager = dataclasses.replace(found, metrics=json.loads(json.dumps(found.metrics)), tables=dict(found.tables))
    eager.metrics['models']['one']['model']['abstain_cost'] = 1.0
    rows = rows.copy()
    rows['outcome'] = ACCEPTED
    eager.tables['one'] = dataclasses.replace(found.tables['one'], rows=rows)
    assert 'id="m0-doubtful"' not in report_html(eager) and found.choices['one'].doubtful


def test_unknown_is_right_in_the_last_row_only_where_that_is_unknown(tmp_path, found):
    assert 'calling unknown is right in the last row alone' in report_html(found)
    bag = labelled_bag(tmp_path / 'bag', 24)  # a cup and a mug
    text = report_html(evaluate([bag], [str(small_model(tmp_path / 'one'))], OPTIONS))
    assert 'right in the last row' not in text and 'calling it so is wrong in every row' in text
    assert 'after fusing over time' in text


def test_foreign_frames_that_are_accepted_come_first(tmp_path):
    """Of an eager model, whose own metrics say how many there are."""
    bags = [labelled_bag(tmp_path / f'bag_{n}', 60, n) for n in range(2)]
    eager = EvaluationOptions(with_values(ClassifierConfig(), {
        'device': 'cpu', 'decision.abstain_cost': 0.99, 'decision.false_unknown_rate': 0.0}), run=RunOptions(draws=100))
    found = evaluate(bags, [str(small_model(tmp_path / 'one'))], eager)
    model, text = found.metrics['models']['one'], report_html(found)
    accepted = model['decisions']['foreign_accepted']
    assert accepted > 0
    places = [text.index(part) for part in (
        f'<b>{accepted} of {model["frames"]["unknown"]}</b>', '<td><b>unknown</b></td>',
        'Accepted, and none of its classes', 'Acted on, and another class')]
    assert places == sorted(places)


def test_it_says_how_many_pictures_it_shows_and_shows_none_twice(tmp_path):
    eager = EvaluationOptions(with_values(ClassifierConfig(), {
        'device': 'cpu', 'decision.abstain_cost': 0.99, 'decision.false_unknown_rate': 0.0}), run=RunOptions(draws=100))
    found = evaluate([labelled_bag(tmp_path / f'bag_{n}', 90, n) for n in range(2)],
                     [str(small_model(tmp_path / 'one'))], eager)
    text = report_html(found)
    shots = re.findall(r'<figure[^>]*><img [^>]*src="([^"]+)"', text)
    assert shots and len(shots) == len(set(shots))
    accepted = found.metrics['models']['one']['decisions']['foreign_accepted']
    part = text[text.index('id="m0-foreign"'):]
    part = part[:part.index('</section>')]
    shown, of = map(int, re.search(r'(\d+) of (\d+) shown', part).groups())
    assert of == accepted and shown == part.count('<figure') > 2
    panels = re.findall(r'<div class="examples[^>]*>.*?</p>', text, re.DOTALL)
    assert panels and all(re.search(r'\d+ frames?,\s\d+ of \d+ shown', panel) for panel in panels)


def test_the_matrix_holds_every_labelled_frame(found):
    model = found.metrics['models']['one']
    cells = {(is_, said): count for is_, said, count in model['decisions']['confusion']}
    assert sum(cells.values()) == model['frames']['labelled']
    assert {is_ for is_, _ in cells} == {'cup', 'mug', 'unknown'}
    table = re.search(r'<table class="confusion">.*?</table>', report_html(found), re.DOTALL).group()
    heads = re.findall(r'<div>([^<]+)</div>', table)
    assert heads[-2:] == ['uncertain', 'unknown']
    assert re.findall(r'<tr[^>]*><th>(\w+)</th>', table) == ['cup', 'mug', 'unknown']
    assert sum(map(int, re.findall(r'>(\d+)<', table))) == model['frames']['labelled']


def test_the_circle_lies_on_its_curve(found):
    """Curve and operating point are of the same frames."""
    table = found.tables['one']
    rows = table.rows[table.known | table.unknown]
    coverage, risk = risk_curve(sureness(rows), rows['fused_predicted'] != rows['target'])
    decisions = found.metrics['models']['one']['decisions']
    place = decisions['accepted'] - 1
    assert coverage[place] == pytest.approx(decisions['coverage'], rel=1e-5)
    assert risk[place] == pytest.approx(decisions['risk'], abs=0.02)
