"""Damaged messages of every encoding give a picture of their own bytes or a reason, in bounded time and memory."""
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from fuzz import mutate_images

SCRIPT = Path(mutate_images.__file__)


def run(seed: int, count: int, folder: Path) -> None:
    child = subprocess.run([sys.executable, str(SCRIPT), str(seed), str(count), str(folder)], capture_output=True,
                           text=True, timeout=600)
    if child.returncode not in (0, 1):
        number = int(np.fromfile(folder / 'at', np.int64)[0])
        *_, (name, _, _) = mutate_images.messages(seed, number + 1)
        pytest.fail(f'seed {seed}, message {number}, made of {name}, ended the process with {child.returncode}')
    assert child.returncode == 0, child.stdout
    accepted = int(child.stdout.split()[2])
    assert count / 50 < accepted < count / 2, 'changes too hard or too soft to show anything'


def test_damaged_messages(tmp_path):
    run(0, 4000, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize('seed', [1, 2])
def test_many_damaged_messages(seed, tmp_path):
    run(seed, 100_000, tmp_path)


def test_what_is_wrong_is_seen(monkeypatch):
    """The judge itself, with decoders that are at fault."""
    kind, raw = mutate_images.image_messages(0)[0][1:]
    right = mutate_images.decode
    assert mutate_images.judge(kind, raw) == ('', True)

    class Picture:
        pixels = None

    def old_memory(message):
        picture = Picture()
        picture.pixels = np.random.default_rng().integers(0, 256, (9, 9), np.uint8)
        return picture

    def slow(message):
        mutate_images.time.sleep(1.05)
        return right(message)

    def other_error(message):
        raise KeyError('x')
    for fault, text in ((old_memory, 'not of the message'), (slow, 's'), (other_error, "KeyError: 'x'")):
        monkeypatch.setattr(mutate_images, 'decode', fault)
        assert text in mutate_images.judge(kind, raw)[0]
