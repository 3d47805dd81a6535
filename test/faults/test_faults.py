"""The campaign itself, short: with a fixed seed, as `make faults` runs it."""
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip('lightning', reason='the campaign trains')
CAMPAIGN = Path(__file__).with_name('campaign.py')


def run(*words: str) -> str:
    done = subprocess.run([sys.executable, str(CAMPAIGN), *words], capture_output=True, text=True, timeout=1500)
    assert done.returncode == 0 and done.stdout.endswith('failures: 0\n'), done.stdout[-4000:] + done.stderr[-2000:]
    return done.stdout


def test_a_few_kills_leave_nothing_half_written():
    table = run('--kills', '4', '--seed', '3', '--only', 'bag from-images')
    assert 'bag from-images  4 ' in table


@pytest.mark.slow
def test_without_mounts_files_are_limited_instead():
    assert 'RLIMIT_FSIZE' in run('--kills', '4', '--seed', '4', '--no-mounts', '--only', 'bag extract', 'calibrate')


@pytest.mark.slow
def test_every_command_is_killed_starved_refused_and_raced():
    assert run('--kills', '5', '--seed', '5').count(' 5 ') >= 9


@pytest.mark.slow
def test_the_campaign_finds_what_is_half_written(tmp_path):
    """It is told by one that is not careful: a bag written in its place."""
    code = (f'import sys; sys.path.insert(0, {str(CAMPAIGN.parent)!r})\n'
            'import campaign, children, contextlib\n'
            'from pathlib import Path\n'
            'children.warm_up()\n'
            'import robot_vision_dl.data.bags.writer as writer\n'
            '@contextlib.contextmanager\n'
            'def careless(path, **_):\n'
            '    yield Path(path)\n'
            'writer.whole_folder = careless\n'
            'sys.exit(campaign.main(["--kills", "12", "--seed", "1", "--no-mounts", "--only", "bag from-images"]))\n')
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, timeout=300)
    assert done.returncode == 1 and not done.stdout.endswith('failures: 0\n'), done.stderr[-2000:]
    assert 'taken for whole' in done.stdout or 'again: rc 2' in done.stdout
