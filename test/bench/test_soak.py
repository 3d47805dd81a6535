"""The soak at a scale that a test allows: everything happens once at least, and all of it is judged."""
import argparse
import json
import random

import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')
pytest.importorskip('vision_msgs.msg', reason='vision_msgs is not installed')

from node_harness import small_bundle  # noqa: E402

from robot_vision_dl.bench import soak  # noqa: E402
from robot_vision_dl.bench.soak_events import _bad_compressed, _bad_raw  # noqa: E402
from robot_vision_dl.core.camera_settings import regions_of  # noqa: E402
from robot_vision_dl.core.config import ImageConfig  # noqa: E402
from robot_vision_dl.core.errors import ImageError  # noqa: E402
from robot_vision_dl.core.images.cdr import decode_compressed_image, decode_image  # noqa: E402
from robot_vision_dl.core.runtime.frame_reader import read_frame  # noqa: E402


def arguments(**changes):
    parser = argparse.ArgumentParser()
    soak.add_arguments(parser)
    args = parser.parse_args([])
    args.json = None
    vars(args).update(changes)
    return args


def figures(memory=(100.0,) * 10, latency=(20.0,) * 10, **changes):
    parts = [{'memory_mb': m, 'p50_ms': t} for m, t in zip(memory, latency)]
    return {'nodes': {'n': {'parts': parts, 'unexplained': 0, 'received': 10, 'decided': 10, **changes}}}


@pytest.mark.parametrize('found, problem', [
    (figures(), None),
    (figures(memory=(50, 80, 100, 100, 110, 120, 125, 130, 135, 138)), None),
    (figures(memory=tuple(range(100, 200, 10))), 'memory grew by 60 MB'),
    (figures(memory=(float('nan'),) * 10), 'memory grew by nan MB'),
    (figures(latency=(20,) * 8 + (90, 90)), 'median latency grew from 20 to 90 ms'),
    (figures(latency=(2,) * 8 + (9, 9)), None),
    (figures(unexplained=1), '1 of 10 frames are unexplained'),
    (figures(decided=0), 'decided nothing')])
def test_what_is_judged(found, problem):
    problems = soak._judge(found, arguments())
    assert [problem in one for one in problems] == ([True] if problem else [])


def test_bad_messages_are_bad():
    rng = random.Random(4)
    for make, decode in ((_bad_raw, decode_image), (_bad_compressed, decode_compressed_image)):
        for name, data in make(rng):
            if name not in ('JPEG with a hole', 'unknown format'):  # a picture may come of these
                with pytest.raises(ImageError):
                    read_frame('c', decode(data), 1, ImageConfig(), regions_of('', ['c']).get('c'))


@pytest.mark.slow
def test_a_short_soak_is_flat_and_explained(tmp_path, monkeypatch, capsys):
    first = small_bundle(tmp_path / 'first', ('cardboard', 'glass', 'metal'))
    second = small_bundle(tmp_path / 'second', ('left', 'right'), seed=1)
    for name in ('ROS_DOMAIN_ID', 'ROS_AUTOMATIC_DISCOVERY_RANGE'):
        monkeypatch.setenv(name, '')
        monkeypatch.delenv(name)
    code = soak.run(arguments(minutes=0.35, seed=2, model=str(first), other=str(second), rate=10.0,
                              json=tmp_path / 'soak.json', most_growth_mb=200.0, most_slower=50.0))
    found = json.loads((tmp_path / 'soak.json').read_text())
    assert code == 0 and found['problems'] == [], capsys.readouterr().out
    assert found['done']['model swaps'] >= 1 and found['done']['bad images'] >= 1
    for node in found['nodes'].values():
        assert node['received'] == node['decided'] + sum(node['dropped'].values()) and node['decided'] > 20
        assert len(node['parts']) == 10
    assert 'flat, and all explained' in capsys.readouterr().out
