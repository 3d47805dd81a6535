"""Bags within bounds of disk and time, whatever comes and whoever else is at the folder."""
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robot_vision_dl.core.errors import OutputError
from robot_vision_dl.core.recording.bag_ring import BAG_S, BagRing, Written
from robot_vision_dl.core.recording.hourly_budget import BURST, HOUR_S, HourlyBudget
from robot_vision_dl.core.recording.mcap_writer import RecordedMessage
from robot_vision_dl.core.recording.message_definitions import IMAGE
from robot_vision_dl.data.bags.reader import open_bags

PLENTY = 1e15


def frame(number, size=1000, time_ns=None):
    time_ns = 10**9 * (1000 + number) if time_ns is None else time_ns
    return [RecordedMessage('/cam', IMAGE, time_ns, b'\0\1\0\0' + number.to_bytes(4, 'little') + bytes(size))]


def on_disk(folder):
    return sum(path.stat().st_size for path in Path(folder).rglob('*') if path.is_file() and path.name != '.lock')


def numbers(folder):
    """Of the frames in all bags, in the order of the bags; nothing is wrong with any."""
    found = []
    for reader in open_bags([folder]):
        assert not reader.problems, reader.problems
        found += [int.from_bytes(bytes(one.cdr)[4:8], 'little') for one in reader.messages()]
        reader.close()
    return found


def bags(folder):
    return sorted(path.name for path in Path(folder).iterdir() if path.is_dir())


@settings(max_examples=200, deadline=None)
@given(st.floats(1e3, 1e9), st.lists(st.tuples(st.floats(0, 4000), st.floats(0, 2e8)), max_size=60), st.floats(0, 0.9))
def test_no_hour_gets_more_than_its_budget(per_hour, wishes, leave):
    budget, now_s, taken = HourlyBudget(per_hour, 5.0), 5.0, []
    for wait_s, size in wishes:
        now_s += wait_s
        if budget.allows(size, now_s, leave):
            budget.take(size, now_s)
            taken.append((now_s, size))
    for begin_s, _ in taken:
        assert sum(size for at_s, size in taken if begin_s <= at_s <= begin_s + HOUR_S) <= per_hour * (1 + 1e-9)


def test_a_spent_budget_comes_back_evenly():
    budget = HourlyBudget(1000.0, 0.0)
    assert budget.allows(100.0, 0.0) and not budget.allows(100.1, 0.0) and not budget.allows(60.0, 0.0, leave=0.5)
    budget.take(100.0, 0.0)
    assert not budget.allows(1.0, 0.0)
    assert budget.left(HOUR_S / 900) == pytest.approx(1.0)
    assert budget.left(1e9) == 1000.0 * BURST
    assert HourlyBudget(1000.0, 0.0, spent=30.0).left(0.0) == 70.0
    assert HourlyBudget(1000.0, 0.0, spent=1e6).left(0.0) == 0.0


@settings(max_examples=20, deadline=None)
@given(wishes=st.lists(st.tuples(st.integers(0, 60_000), st.floats(0, 400), st.integers(-3, 3)), max_size=40))
def test_bounds_hold_after_each_frame_and_the_newest_are_kept(wishes, tmp_path_factory):
    """Whatever sizes, pauses, and clocks of the cameras that jump."""
    folder = tmp_path_factory.mktemp('ring')
    most, per_hour, now_s, time_ns = 200_000, 2e6, 0.0, 10**12
    ring = BagRing(str(folder), most, 0, per_hour, now_s)
    kept, history = [], []
    for number, (size, wait_s, jump_s) in enumerate(wishes):
        now_s, time_ns = now_s + wait_s, time_ns + jump_s * 10**9
        before = ring.bytes_written
        outcome = ring.write(frame(number, size, time_ns), now_s)
        if outcome is Written.WRITTEN:
            kept.append(number)
            history.append((now_s, ring.bytes_written - before))
        assert on_disk(folder) <= ring.bytes_on_disk <= most
        assert sum(cost for at_s, cost in history if at_s >= now_s - HOUR_S) <= per_hour
    ring.close()
    assert on_disk(folder) == ring.bytes_on_disk <= most
    found = numbers(folder) if bags(folder) else []
    assert sorted(found) == kept[len(kept) - len(found):], 'the oldest make room'
    assert bool(found) == bool(kept)


def test_what_is_charged_is_what_is_there(tmp_path):
    ring = BagRing(str(tmp_path), 10**7, 0, PLENTY, 0.0)
    for number in range(7):
        ring.write(frame(number), float(number))
    charged = ring.bytes_written
    ring.close()
    assert charged - 200 <= on_disk(tmp_path) <= charged


def test_a_bag_is_closed_when_it_is_old_or_large(tmp_path):
    ring = BagRing(str(tmp_path), 8 * 50_000, 0, PLENTY, 0.0)
    assert ring.due_s is None
    ring.write(frame(0), 10.0)
    assert ring.due_s == 10.0 + BAG_S
    ring.tick(10.0 + BAG_S - 1)
    assert not list(tmp_path.glob('*/metadata.yaml'))
    ring.tick(10.0 + BAG_S)
    assert len(list(tmp_path.glob('*/metadata.yaml'))) == 1 and ring.due_s is None
    for number in range(1, 4):  # a bag has an eighth of all at most, and one frame more
        ring.write(frame(number, 30_000), 20.0 + BAG_S)
    assert len(bags(tmp_path)) == 3
    ring.close()
    assert numbers(tmp_path) == [0, 1, 2, 3]


def test_time_that_goes_back_begins_a_bag(tmp_path):
    ring = BagRing(str(tmp_path), 10**7, 0, PLENTY, 0.0)
    for number, seconds in enumerate((100, 101, 100.5, 5, 6)):
        ring.write(frame(number, time_ns=round(seconds * 10**9)), float(number))
    ring.close()
    assert len(bags(tmp_path)) == 2
    assert numbers(tmp_path) == [0, 2, 1, 3, 4]


def test_bags_of_earlier_runs_count_and_make_room(tmp_path):
    for run in range(3):
        ring = BagRing(str(tmp_path), 10**7, 0, PLENTY, 0.0)
        assert ring.bags == run
        ring.write(frame(run, 30_000), 0.0)
        ring.close()
    assert [name.split('_')[1] for name in bags(tmp_path)] == ['000000', '000001', '000002']
    ring = BagRing(str(tmp_path), 110_000, 0, PLENTY, 0.0)
    assert ring.bytes_on_disk == on_disk(tmp_path) > 90_000
    ring.write(frame(3, 30_000), 0.0)
    ring.close()
    assert numbers(tmp_path) == [1, 2, 3]


@pytest.mark.parametrize('cut', [0, 500, 1500, 4000])
def test_what_a_killed_writer_left_is_finished(tmp_path, cut):
    """By the next one; whatever the last bytes of its file are, nothing of the rest is lost."""
    code = ('import os, sys\nsys.path[:0] = [sys.argv[2], sys.argv[3]]\nfrom test_bag_ring import *\n'
            'ring = BagRing(sys.argv[1], 10**7, 0, PLENTY, 0.0)\n'
            'for number in range(8):\n    ring.write(frame(number), 0.0)\n'
            'os.kill(os.getpid(), 9)')
    here = Path(__file__).resolve().parent
    died = subprocess.run([sys.executable, '-c', code, str(tmp_path), str(here), str(here.parents[1])],
                          env=dict(os.environ), capture_output=True, text=True)
    assert died.returncode == -9, died.stderr
    storage, = tmp_path.rglob('*.mcap')
    os.truncate(storage, storage.stat().st_size - cut)
    ring = BagRing(str(tmp_path), 10**7, 0, PLENTY, 0.0)
    assert ring.bytes_on_disk == on_disk(tmp_path)
    assert numbers(tmp_path) == list(range({0: 8, 500: 7, 1500: 6, 4000: 4}[cut]))
    ring.write(frame(9), 1.0)
    ring.close()
    assert numbers(tmp_path)[-1] == 9 and len(bags(tmp_path)) == 2


def test_what_was_written_before_a_restart_counts_for_the_hour(tmp_path):
    ring = BagRing(str(tmp_path), 10**7, 0, 1e6, 0.0)
    assert ring.write(frame(0, 80_000), 0.0) is Written.WRITTEN
    ring.close()
    ring = BagRing(str(tmp_path), 10**7, 0, 1e6, 0.0)
    assert ring.write(frame(1, 80_000), 0.0) is Written.OVER_BUDGET
    assert ring.write(frame(1, 80_000), 400.0) is Written.WRITTEN
    ring.close()


def test_a_labelled_bag_is_somebodys(tmp_path):
    """It is neither removed nor counted, and no other folder is touched."""
    for name in ('other', 'doubts_12_x', 'doubts_000100_20260101T000000Z'):
        (tmp_path / name).mkdir()
        (tmp_path / name / 'mine.txt').write_text('mine')
    ring = BagRing(str(tmp_path), 100_000, 0, PLENTY, 0.0)
    ring.write(frame(0, 30_000), 0.0)
    ring.tick(1e4)
    first = next(tmp_path.glob('doubts_000101_*'))
    (first / 'labels.yaml').write_text('labels')
    for number in range(1, 9):
        assert ring.write(frame(number, 30_000), 1e4) is Written.WRITTEN
        ring.tick(1e6)
    ring.close()
    assert sorted(path.name for path in first.iterdir())[1:] == ['labels.yaml', 'metadata.yaml']
    assert [path.read_text() for path in sorted(tmp_path.rglob('mine.txt'))] == ['mine'] * 3
    assert on_disk(tmp_path) < 100_000 + 40_000


def test_what_is_too_large_is_never_written_and_costs_nobody_his_place(tmp_path):
    ring = BagRing(str(tmp_path), 100_000, 0, 1e6, 0.0)
    assert ring.write(frame(0, 30_000), 0.0) is Written.WRITTEN
    assert ring.write(frame(1, 200_000), 1e5) is Written.TOO_LARGE
    assert ring.write(frame(2, 60_000), 1e5) is Written.TOO_LARGE
    assert ring.write(frame(3, 44_000), 1e5, leave=0.6) is Written.TOO_LARGE
    ring.close()
    assert numbers(tmp_path) == [0]


def test_so_much_of_the_disk_stays_free(tmp_path):
    free = os.statvfs(tmp_path).f_bavail * os.statvfs(tmp_path).f_frsize
    ring = BagRing(str(tmp_path), 10**7, 2 * free, PLENTY, 0.0)
    assert ring.write(frame(0), 0.0) is Written.DISK_FULL
    ring.close()
    assert bags(tmp_path) == []


def test_one_process_has_a_folder(tmp_path):
    ring = BagRing(str(tmp_path / 'a'), 10**6, 0, PLENTY, 0.0)
    code = ('import sys\nfrom robot_vision_dl.core.recording.bag_ring import BagRing\n'
            'BagRing(sys.argv[1], 10**6, 0, 1e9, 0.0).close()')
    command = [sys.executable, '-c', code, str(tmp_path / 'a')]
    refused = subprocess.run(command, capture_output=True, text=True, env=dict(os.environ))
    assert 'another process is writing doubts' in refused.stderr
    with pytest.raises(OutputError):
        BagRing(str(tmp_path / 'a'), 10**6, 0, PLENTY, 0.0)
    ring.close()
    assert subprocess.run(command, env=dict(os.environ)).returncode == 0


def test_a_folder_that_somebody_removes_is_made_again(tmp_path):
    ring = BagRing(str(tmp_path / 'a'), 10**6, 0, PLENTY, 0.0)
    ring.write(frame(0), 0.0)
    for path in (tmp_path / 'a').glob('doubts_*'):
        for file in path.iterdir():
            file.unlink()
        path.rmdir()
    assert ring.write(frame(1), 1.0) is Written.WRITTEN
    ring.close()
    assert numbers(tmp_path / 'a') == [1]


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 1 MB of its own."""
    place = tmp_path / 'disk'
    place.mkdir()
    if subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', place], capture_output=True).returncode:
        pytest.skip('a disk cannot be mounted here: that takes root')
    yield place
    subprocess.run(['umount', '-l', place], check=True)


def all_frames(folder):
    return [int.from_bytes(bytes(one.cdr)[4:8], 'little') for reader in open_bags([folder])
            for one in reader.messages()]


def test_a_full_disk_is_left_to_others(small_disk):
    """So much is left that the bag can be closed."""
    (small_disk / 'of_others').write_bytes(bytes(700_000))
    ring = BagRing(str(small_disk / 'doubts'), 10**9, 0, PLENTY, 0.0)
    outcomes = [ring.write(frame(number, 60_000), float(number)) for number in range(9)]
    assert outcomes == [Written.WRITTEN] * 5 + [Written.DISK_FULL] * 4
    (small_disk / 'of_others').unlink()
    assert ring.write(frame(5, 60_000), 9.0) is Written.WRITTEN
    ring.close()
    assert numbers(small_disk / 'doubts') == [0, 1, 2, 3, 4, 5]


def test_a_disk_that_fills_meanwhile_ends_no_bag_in_disorder(small_disk, monkeypatch):
    """The frame for which there is no room leaves nothing; all before it are read; room again, and it goes on."""
    other = small_disk / 'of_others'
    other.write_bytes(bytes(700_000))
    monkeypatch.setattr(BagRing, 'free_bytes', lambda ring: 10**12)  # as it was a moment before
    ring = BagRing(str(small_disk / 'doubts'), 10**9, 0, PLENTY, 0.0)
    for number in range(5):
        assert ring.write(frame(number, 60_000), float(number)) is Written.WRITTEN
    for _ in range(2):  # also of a bag that would begin with it
        with pytest.raises(OSError, match='No space left on device'):
            ring.write(frame(5, 60_000), 5.0)
    assert all_frames(small_disk / 'doubts') == [0, 1, 2, 3, 4]
    assert ring.bytes_on_disk == on_disk(small_disk / 'doubts')
    other.unlink()
    assert ring.write(frame(99, 60_000), 99.0) is Written.WRITTEN
    ring.close()
    assert all_frames(small_disk / 'doubts') == [0, 1, 2, 3, 4, 99]
    assert numbers(sorted((small_disk / 'doubts').glob('doubts_*'))[-1]) == [99]
