"""``bench mine``: what mining takes of a machine, however it is shared out."""
import json
import subprocess
import sys

import pytest
from evaluation_samples import labelled_bag, small_model

from robot_vision_dl.bench.memory import Peak, memory_of, with_children
from robot_vision_dl.cli import bench as bench_command
from robot_vision_dl.cli.main import main

HELD = 64 << 20
HOLD = f'import sys\nheld = bytearray(b"x") * {HELD}\nprint(flush=True)\nsys.stdin.read()\n'


def test_memory_of_a_process_and_of_what_it_has_started():
    child = f'import subprocess, sys\nsubprocess.run([sys.executable, "-c", {HOLD!r}])'
    with subprocess.Popen([sys.executable, '-c', child], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        peak = Peak()
        peak.look([process.pid])
        below = [pid for pid in with_children([process.pid]) if pid != process.pid]
        held = memory_of(below[0])
        process.communicate()
    assert len(below) == 1 and len(peak.each) == 2
    assert HELD < held.pss <= held.rss < HELD + (100 << 20)
    assert peak.together.pss == sum(one.pss for one in peak.each.values()) > held.pss - (1 << 20)
    assert not memory_of(process.pid).rss  # it has ended
    peak.look([process.pid])
    assert peak.together.rss > HELD  # and the peak stays


@pytest.mark.slow
def test_each_way_gives_the_same_queue(tmp_path, monkeypatch, capsys):
    pytest.importorskip('distributed', reason='Dask is not installed')
    monkeypatch.setattr(bench_command.sys, 'argv', ['robot-vision', 'bench', 'mine'])
    model = small_model(tmp_path / 'model')
    for number in range(3):
        labelled_bag(tmp_path / 'bags' / f'bag_{number}', 60, number)
    assert main(['bench', 'mine', str(tmp_path / 'bags'), '--model', str(model), '--every', '.2', '--set',
                 'backend=torch', '--json', str(tmp_path / 'f.json')]) == 0
    figures = json.loads((tmp_path / 'f.json').read_text())
    assert figures['same'] and figures['frames'] == 90 and figures['hours'] == pytest.approx(3 * 6 / 3600, rel=.1)
    ways = figures['ways']
    assert list(ways) == ['one', 'processes', 'cluster'] and len({way['queue'] for way in ways.values()}) == 1
    assert all(100e6 < way['pss'] <= way['rss'] for way in ways.values())
    # A worker takes what torch takes; a scheduler does not.
    assert len([one for one in ways['cluster']['each'] if one['rss'] > 300e6]) == 3
    assert 'the same queue, byte for byte' in capsys.readouterr().out
