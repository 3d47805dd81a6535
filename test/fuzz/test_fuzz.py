"""The fuzzer finds what it is for, and a short run of it over every reader finds nothing."""
import json
import os
import random
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from fuzz.campaign import run_campaign
from fuzz.mutate import BYTE_MUTATIONS, jpeg_mutated, png_mutated, text_mutated
from fuzz.target import ACCEPTED, Finding, Target, pack, unpack
from fuzz.targets import TARGETS
from fuzz.worker import input_of

COUNTS = {'messages': 3000, 'bundles': 150, 'bags': 150, 'texts': 600}
SEED = 20261125


class Planted(Target):
    """A reader with one fault of each kind."""

    name = 'planted'
    documented = (ValueError,)
    cases = 100

    def prepare(self, folder: Path) -> None:
        """Nothing to make."""

    def case(self, rng: random.Random) -> bytes:
        """One byte that decides, among others that do not."""
        return pack({}, bytes(rng.randrange(1, 100) for _ in range(20)) + bytes([rng.randrange(200, 220)]))

    def run(self, data: bytes) -> str:
        """Misbehave by the largest byte."""
        fault = max(unpack(data)[1], default=0)
        if fault == 200:
            os.abort()
        if fault == 201:
            raise KeyError('not documented')
        if fault == 202:
            np.ones(300 << 17)  # 300 MB
        if fault == 203:
            raise Finding('accepted what it must not')
        if fault == 204:
            begin = time.process_time()
            while time.process_time() - begin < 1.2:
                pass
        if fault == 205:
            raise ValueError('documented')
        if fault == 206:
            raise ValueError('\x1b[2J a text that cannot be shown')
        if fault == 207:
            np.empty(300 << 17)  # asked for, never touched
        return ACCEPTED


_PLANTED_CAMPAIGN = """
import json, sys
from pathlib import Path
from fuzz.campaign import run_campaign, save_failures
from fuzz.target import unpack
from fuzz.test_fuzz import Planted
from fuzz.worker import input_of
result = run_campaign(Planted(), 1, 100, 2)
assert result.tried == 100
found = {max(unpack(input_of(Planted(), 1, index))[1]): failure.kind for index, failure in result.failures.items()}
one_of_each = {failure.kind: index for index, failure in result.failures.items()}
result.failures = {one_of_each[kind]: result.failures[one_of_each[kind]] for kind in ('crash', 'exception')}
save_failures(Planted(), 1, result, Path(sys.argv[1]))
Path(sys.argv[1], 'found.json').write_text(json.dumps(found))
"""


def test_every_planted_fault_is_found_and_made_small(tmp_path):
    # In a process of its own: this one may have memory left over that an allocation would not add to.
    done = subprocess.run([sys.executable, '-c', _PLANTED_CAMPAIGN, str(tmp_path)], capture_output=True, text=True,
                          cwd=Path(__file__).resolve().parents[1], timeout=300)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / 'found.json').read_text())
    assert found == {'200': 'crash', '201': 'exception', '202': 'memory', '203': 'accepted', '204': 'slow',
                     '206': 'exception', '207': 'memory'}
    saved = sorted(tmp_path.glob('*.bin'))
    assert len(saved) == 2
    assert all(len(unpack(path.read_bytes())[1]) == 1 for path in saved), 'only the byte that decides is left'
    assert 'SIGABRT' in next(tmp_path.glob('*crash.txt')).read_text()


def test_a_worker_that_hangs_is_ended_and_the_others_are_tried(monkeypatch):
    class Hanging(Planted):
        def run(self, data: bytes) -> str:
            if max(unpack(data)[1]) == 210:
                time.sleep(1000)
            return ACCEPTED

    monkeypatch.setattr('fuzz.campaign.WALL_LIMIT_S', 1.0)
    hanging = [index for index in range(60) if max(unpack(input_of(Hanging(), 3, index))[1]) == 210]
    assert hanging
    result = run_campaign(Hanging(), 3, 60, 1)
    assert {index: failure.kind for index, failure in result.failures.items()} == dict.fromkeys(hanging, 'hang')
    assert result.tried == 60


def test_inputs_follow_from_seed_and_number():
    assert input_of(Planted(), 1, 5) == input_of(Planted(), 1, 5)
    assert input_of(Planted(), 1, 5) != input_of(Planted(), 2, 5)


@pytest.mark.parametrize('mutation', [*BYTE_MUTATIONS, jpeg_mutated, png_mutated, text_mutated])
def test_a_mutation_changes_mostly_and_takes_any_bytes(mutation):
    data = bytes(range(256)) * 2
    changed = [mutation(data, random.Random(seed), (b'other' * 20,)) for seed in range(100)]
    assert sum(one != data for one in changed) > 80
    for short in (b'', b'\x89PNG\r\n\x1a\n', b'\xff\xd8\xff', b'a'):
        for seed in range(20):
            assert isinstance(mutation(short, random.Random(seed), (b'other',)), bytes)


@pytest.mark.parametrize('name', sorted(TARGETS))
def test_short_campaign(name, tmp_path):
    # In a process of its own: decoders that have threads here could not be used in workers that are forked off.
    arguments = ['--target', name, '--seed', str(SEED), '--count', str(COUNTS[name]), '--jobs', '2',
                 '--out', str(tmp_path)]
    done = subprocess.run([sys.executable, '-m', 'fuzz', *arguments], cwd=Path(__file__).resolve().parents[1],
                          capture_output=True, text=True, timeout=600)
    kept = '\n'.join(path.read_text() for path in sorted(tmp_path.glob('*.txt')))
    assert done.returncode == 0, f'{done.stdout}\n{done.stderr}\n{kept}'
    row = re.search(rf'^{name}((?: +\d+){{6}})', done.stdout, re.M).group(1).split()
    tried, accepted, failures = row[0], row[1], row[5]  # and damage told, refused, no answer
    assert (int(tried), int(failures)) == (COUNTS[name], 0)
    assert int(accepted) > COUNTS[name] / 50, 'nearly nothing was accepted: the corpus does not fit'
    assert COUNTS[name] - int(accepted) > COUNTS[name] / 20, 'the mutations do nothing'
