"""The page about how much data is enough says what the code does."""
import math
import re
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).resolve().parents[1]))
from labelled_samples import frames_of  # noqa: E402

from robot_vision_dl.core.config import DecisionConfig  # noqa: E402
from robot_vision_dl.core.uncertainty.attainable_rates import (  # noqa: E402
    MIN_PER_CLASS,
    MIN_PICTURES,
    pictures_for_rate,
    smallest_rate,
)
from robot_vision_dl.data.division import Part, SplitConfig
from robot_vision_dl.data.selection import SelectionConfig  # noqa: E402
from robot_vision_dl.data.split import make_split  # noqa: E402

PAGE = (Path(__file__).resolve().parents[2] / 'docs' / 'explanation' / 'how-much-data.md').read_text(encoding='utf-8')
# What was measured is not compared.
ROWS = {cells[0]: cells[1] for cells in ([cell.strip() for cell in line.strip('|').split('|')]
                                         for line in PAGE.splitlines() if line.startswith('|') and '| .' not in line)}
DEFAULT = DecisionConfig().false_unknown_rate


def first_number(promise):
    return int(re.match(r'\d+', ROWS[promise])[0])


@pytest.mark.parametrize('promise, needed', [
    ('a calibration at all', MIN_PICTURES), ('how sure of one class', MIN_PER_CLASS),
    ('conformal sets at the error rate .1', pictures_for_rate(0.1)), ('conformal sets at .05', pictures_for_rate(0.05)),
    ('conformal sets per class at .1', pictures_for_rate(0.1)), ('`unknown` at the rate .1', pictures_for_rate(0.1)),
    ('`unknown` at .05', pictures_for_rate(0.05)), ('`unknown` at .01, the default', pictures_for_rate(DEFAULT)),
    ('`unknown` at .01, an ensemble', pictures_for_rate(DEFAULT / 2)),
    ('the rate of `unknown` holds for things, not only for frames', pictures_for_rate(DEFAULT)),
])
def test_of_a_calibration(promise, needed):
    assert first_number(promise) == needed


def test_one_picture_fewer_does_not_reach_the_rate():
    for rate in (0.1, 0.05, DEFAULT):
        n = pictures_for_rate(rate)
        assert smallest_rate(n) <= rate + 1e-12 < smallest_rate(n - 1)
    assert DEFAULT == 0.01


def test_of_training_and_selection():
    pytest.importorskip('lightning', reason='training is an extra: pip install .[train]')
    from robot_vision_dl.training.trainable_layers import FEW_OBJECTS
    assert first_number('the layers after the last stage (`network.train_from: auto`)') == FEW_OBJECTS
    assert f'less than {SelectionConfig().least} frames (`data.selection.least`)' in PAGE
    assert SplitConfig().calibration == 0.1 and 'A tenth of the frames by default' in PAGE


def test_of_a_verdict():
    from robot_vision_dl.evaluation.report import verdict
    needs = ROWS['a verdict "worth deploying"']
    assert [int(number) for number in re.findall(r'\d+', needs)[:2]] == [verdict.FEW_FRAMES, verdict.FEW_RECORDINGS]
    assert first_number('what becomes of unknown things') == verdict.FEW_OOD
    for promise, within in (('an accuracy near .9 known to within .06', 0.06), ('the same to within .03', 0.03)):
        assert 1.96 * math.sqrt(0.09 / first_number(promise)) == pytest.approx(within, abs=0.002)
    none_wrong = first_number('"wrong in at most 1 %" with not one error seen')
    assert 1 - 0.05**(1 / none_wrong) == pytest.approx(0.01, abs=2e-4)


@pytest.mark.parametrize('seconds', [2.0, 10.0])
@pytest.mark.parametrize('takes', [1, 2, 3, 4, 5])
def test_which_parts_have_recordings_of_their_own(takes, seconds):
    frames = frames_of({f'{label}_{number}': [(label, seconds)] for label in 'abcde' for number in range(takes)}, 8.0)
    split = make_split(frames, SplitConfig())
    recordings = {part: {frame.recording for frame, own in zip(frames, split.parts) if own is part} for part in Part}
    own = [part.value for part in Part
           if not any(recordings[part] & recordings[other] for other in Part if other is not part)]
    said = ROWS[str(takes)]
    assert (said.split(':')[0] if not own else said) == (', '.join(own) or 'none')
