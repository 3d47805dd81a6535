"""The report: whole, on its own, safe to open, small enough."""
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pytest
from evaluation_samples import T0_NS, labelled_bag, small_model

from robot_vision_dl.core.config import ClassifierConfig, with_values
from robot_vision_dl.data.bag_writer import ImageBagWriter
from robot_vision_dl.evaluation.evaluator import evaluate
from robot_vision_dl.evaluation.options import EvaluationOptions, RunOptions
from robot_vision_dl.evaluation.report import report_html

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
    for expected in ('Worst mistakes', 'Most uncertain frames', 'What does it confuse?', 'time lines', 'bag_0',
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
    assert '<script>' not in summary and '<b>' not in summary


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
    assert 'table class="confusion"' not in text and '<th class="l">called</th>' in text
