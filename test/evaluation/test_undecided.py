"""What would decide a gate, and what so many recordings can tell: by hand, and where the truth is known."""
import numpy as np
import pytest

from robot_vision_dl.evaluation.bootstrap import Interval
from robot_vision_dl.evaluation.no_worse import Decided, GateResult, t_quantile
from robot_vision_dl.evaluation.undecided import describe_reach, describe_remedies, passing_spread, recordings_needed


def gate(figure, value, low, high, margin, recordings=8, decided=Decided.UNDECIDED):
    return GateResult(figure, .9, .9 + value, Interval(value, low, high), margin, recordings, decided, 'so it is')


@pytest.mark.parametrize('figure, value, low, high, margin, recordings, needed', [
    ('accuracy', 0, -.04, .03, .02, 8, 32),  # half as wide from four times as many
    ('accuracy', -.01, -.04, .02, .02, 8, 72),
    ('nll', .01, -.02, .04, .02, 8, 72),  # less is better
    ('accuracy', .1, .09, .11, .02, 3, 6),
    ('foreign_accepted', float('nan'), float('nan'), float('nan'), .05, 0, 6),
    ('acted_wrong', .0075, -.08, .075, .01, 7, 1001),
    ('accuracy', -.03, -.05, 0, .02, 8, None),
])
def test_recordings_that_are_needed(figure, value, low, high, margin, recordings, needed):
    assert recordings_needed(gate(figure, value, low, high, margin, recordings)) == needed


def test_remedies_name_what_would_help_and_what_values_would_say():
    good, bad = gate('accuracy', 0, -.04, .03, .02), gate('nll', .1, -.1, .3, .05)
    text = '\n'.join(describe_remedies([good]))
    assert 'accuracy about 32 (now 8)' in text and '--without accuracy,' in text and '--margin' in text
    assert 'would install it' in text and 'not more recordings' not in text
    text = '\n'.join(describe_remedies([good, bad]))
    assert 'the value of nll is beyond its margin' in text and 'would refuse it too (nll)' in text
    failed = gate('acted_wrong', .2, .1, .3, .01, decided=Decided.FAILED)
    assert describe_remedies([failed]) == []
    assert 'would refuse it too (acted_wrong)' in '\n'.join(describe_remedies([good, failed]))


@pytest.mark.parametrize('recordings', [6, 10, 30])
def test_an_equal_model_passes_every_other_time_at_that_spread(recordings):
    spread, rng = passing_spread(.02, recordings), np.random.default_rng(0)
    effects = rng.normal(0, spread, (20_000, recordings))
    reach = t_quantile(recordings - 1) * effects.std(axis=1, ddof=1) / np.sqrt(recordings)
    assert np.mean(effects.mean(axis=1) - reach >= -.02) == pytest.approx(.5, abs=.05)


def test_reach_is_told_of_gates_that_have_enough_recordings():
    text = '\n'.join(describe_reach({'accuracy': .02, 'foreign_accepted': .05}, {'accuracy': 7, 'foreign_accepted': 2}))
    assert 'accuracy 0.022 (7 recordings)' in text and 'foreign' not in text
    assert describe_reach({'accuracy': .02}, {'accuracy': 5}) == []
