"""The colours of the report: one meaning each, told apart by everybody."""
import re
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from robot_vision_dl.evaluation import report
from robot_vision_dl.evaluation.report import timeline
from robot_vision_dl.evaluation.report.html_templates import FOLDER
from robot_vision_dl.evaluation.report.report_style import ACTED, MEANINGS, STYLE
from robot_vision_dl.evaluation.table import ACCEPTED, NO_LABEL, OUT_OF_DISTRIBUTION, ROW, UNCERTAIN, UNKNOWN_TARGET

SIGHT = {  # Machado, Oliveira, Fernandes 2009, severity 1, on linear RGB
    'all colours': np.eye(3),
    'no red': [[.152286, 1.052583, -.204868], [.114503, .786281, .099216], [-.003882, -.048116, 1.051998]],
    'no green': [[.367322, .860646, -.227968], [.280085, .672501, .047413], [-.01182, .04294, .968881]],
    'no blue': [[1.255528, -.076749, -.178779], [-.078411, .930809, .147602], [.004733, .691367, .3039]]}
XYZ = np.array([[.4124, .3576, .1805], [.2126, .7152, .0722], [.0193, .1192, .9505]])
THEMES = dict(zip(('light', 'dark'), re.findall(r':root\{(.*?)\}', STYLE, re.DOTALL)))


def lab(colour, sight):
    """CIE L*a*b* of ``#rrggbb`` as it is seen."""
    c = np.array([int(colour[place:place + 2], 16) for place in (1, 3, 5)]) / 255
    linear = np.where(c <= .04045, c / 12.92, ((c + .055) / 1.055) ** 2.4)
    x = XYZ @ np.clip(np.array(SIGHT[sight]) @ linear, 0, 1) / (.9505, 1, 1.089)
    f = np.where(x > .008856, np.cbrt(x), 7.787 * x + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize('sight', SIGHT)
@pytest.mark.parametrize('theme', THEMES)
def test_colours_are_told_apart(theme, sight):
    """A difference of 10 is plain to see beside each other."""
    colours = dict(re.findall(r'--(\w+):(#[0-9a-f]{6})', THEMES[theme]))
    meanings = {name: lab(colours[name], sight) for name in ('right', 'wrong', 'uncertain', 'unknown', 'acted')}
    classes = {name: lab(colours[name], sight) for name in colours if re.fullmatch(r'c\d', name)}
    assert len(classes) == 9
    for a, b in combinations(meanings, 2):
        assert np.linalg.norm(meanings[a] - meanings[b]) > 20, (a, b)
    for a in meanings:
        for b in classes:
            assert np.linalg.norm(meanings[a] - classes[b]) > 10, (a, b)


def test_each_colour_of_a_meaning_is_used_for_it_alone():
    """Wherever a rule paints with it, the rule is of that meaning."""
    styles = {name for name, _ in (*MEANINGS, ACTED)}
    for selector, body in re.findall(r'([^{}]+)\{([^{}]*)\}', STYLE):
        for used in re.findall(r'var\(--(\w+)\)', body):
            if used in styles:
                assert re.search(rf'\.{used}$', selector.strip()), (selector, used)
    assert set(timeline.BANDS) == styles
    for path in (*Path(report.__file__).parent.glob('*.py'), *FOLDER.iterdir()):
        if path.suffix != '.css':
            assert not re.search(r'var\(--(?:right|wrong|uncertain|unknown|acted)\)|#[0-9a-f]{6}', path.read_text())


def test_the_time_line_shows_what_became_of_a_frame():
    rows = np.zeros(6, ROW)
    rows['outcome'] = (ACCEPTED, ACCEPTED, ACCEPTED, ACCEPTED, UNCERTAIN, OUT_OF_DISTRIBUTION)
    rows['target'] = (0, 1, UNKNOWN_TARGET, NO_LABEL, 0, UNKNOWN_TARGET)
    assert timeline.became(rows) == ['right', 'wrong', 'wrong', 'acted', 'uncertain', 'unknown']


def test_what_can_be_scrolled_shows_that_there_is_more():
    """Shadows stay at the edges, and covers that go with the content hide them where it ends."""
    body = re.search(r'\n\.scroll\{([^}]*)\}', STYLE).group(1)
    assert body.count('no-repeat local') == body.count('no-repeat scroll') == 2
    assert all('--more:' in theme for theme in THEMES.values())
