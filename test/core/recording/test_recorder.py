"""The recorder's thread: what is written, what is left out and told, and that nobody waits for it."""
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from random import Random

import pytest

from robot_vision_dl.core.config import RecordDoubtsConfig
from robot_vision_dl.core.recording import recorder as module
from robot_vision_dl.core.recording.doubts import Decided
from robot_vision_dl.core.recording.mcap_writer import RecordedMessage
from robot_vision_dl.core.recording.message_definitions import IMAGE
from robot_vision_dl.core.recording.recorder import DoubtRecorder
from robot_vision_dl.core.types import Outcome
from robot_vision_dl.data.bags.reader import open_bags


def config(folder, **changes):
    return RecordDoubtsConfig(**{'folder': str(folder), 'min_free_mb': 0.0, 'mb_per_hour': 1e6, 'max_mb': 1e6,
                                 **changes})


def messages(number, size=1000):
    return [RecordedMessage('/cam', IMAGE, 10**12 + number, number.to_bytes(4, 'little') + bytes(size))]


def add(recorder, number, size=1000, reasons=('unknown',)):
    recorder.add(reasons, size, lambda: messages(number, size))


def wait(until, what, timeout_s=20.0):
    deadline = time.monotonic() + timeout_s
    while not until():
        assert time.monotonic() < deadline, f'waited in vain for {what}'
        time.sleep(0.005)


def numbers(folder):
    found = []
    for reader in open_bags([folder]):
        assert not reader.problems
        found += [int.from_bytes(bytes(one.cdr)[:4], 'little') for one in reader.messages()]
    return found


@pytest.fixture
def make():
    """A function that makes a recorder, which is stopped at the end."""
    made = []

    def maker(*arguments, **values):
        made.append(DoubtRecorder(config(*arguments, **values)))
        return made[-1]
    yield maker
    for one in made:
        one.stop()


def test_what_is_added_is_there_when_it_has_stopped(make, tmp_path):
    recorder = make(tmp_path / 'doubts')
    for number in range(30):
        add(recorder, number)
    recorder.stop()
    account = recorder.account()
    assert numbers(tmp_path / 'doubts') == list(range(30))
    assert (account.frames, account.written['unknown'], account.dropped, account.waiting) == (30, 30, {}, 0)
    assert account.folder == str(tmp_path / 'doubts') and account.trouble == ''
    assert 30_000 < account.bytes < 60_000


def test_off_is_nothing_at_all(make, tmp_path):
    recorder = make('')
    assert recorder.reasons('front', [Decided('', 'unknown', Outcome.UNKNOWN)], False, 0.0) == ()
    assert not [thread for thread in threading.enumerate() if thread.name == 'record doubts']


def test_it_is_on_the_disk_soon_and_without_a_stop(make, tmp_path):
    recorder = make(tmp_path)
    add(recorder, 7)
    wait(lambda: recorder.account().frames == 1, 'the frame')
    found = [bytes(one.cdr)[0] for reader in open_bags([tmp_path]) for one in reader.messages()]
    assert found == [7]


def test_a_disk_that_is_too_slow_costs_frames_and_not_time(make, tmp_path, monkeypatch):
    """The queue holds so many bytes; who adds never waits."""
    held = threading.Event()
    write = module.BagRing.write

    def slow(ring, *arguments):
        held.wait(20)
        return write(ring, *arguments)
    monkeypatch.setattr(module.BagRing, 'write', slow)
    recorder = make(tmp_path, max_waiting_mb=1.0)
    began = time.monotonic()
    for number in range(50):
        add(recorder, number, 90_000)
    assert time.monotonic() - began < 1.0
    account = recorder.account()
    assert account.waiting == 10 and account.dropped == {'queue_full': 40}
    held.set()
    recorder.stop()
    assert numbers(tmp_path) == list(range(10))
    assert recorder.account().waiting == 0


def test_what_was_written_no_longer_waits(make, tmp_path):
    recorder = make(tmp_path, max_waiting_mb=1.0)
    for number in range(30):
        add(recorder, number, 90_000)
        wait(lambda: not recorder.account().waiting, 'the frame')
    assert recorder.account().frames == 30 and not recorder.account().dropped


@pytest.mark.slow
def test_killed_at_any_moment_nothing_that_was_told_as_written_is_lost(tmp_path):
    """Again and again in the same folder; what each leaves is finished by the next one."""
    code = (
        'import sys, time\nsys.path[:0] = [sys.argv[2]]\nfrom test_recorder import *\n'
        'recorder = DoubtRecorder(config(sys.argv[1]))\n'
        'told = 0\n'
        'for number in range(int(sys.argv[3]), 10**9):\n'
        '    add(recorder, number, 50_000)\n'
        '    while recorder.account().waiting > 3:\n'
        '        time.sleep(0.0005)\n'
        '    if recorder.account().frames > told:\n'
        '        told = recorder.account().frames\n'
        '        print(told, flush=True)\n')
    here, folder = Path(__file__).resolve().parent, tmp_path / 'doubts'
    paths = [str(here.parents[1]), os.environ.get('PYTHONPATH', '')]
    environment = {**os.environ, 'PYTHONPATH': os.pathsep.join(paths)}
    random, known, promised = Random(0), [], 0
    for run in range(int(os.environ.get('RVD_KILLS', 10))):
        first = 1_000_000 * run  # more than a run can write
        command = [sys.executable, '-c', code, str(folder), str(here), str(first)]
        with subprocess.Popen(command, text=True, stdout=subprocess.PIPE, env=environment) as writer:
            told = [int(writer.stdout.readline())]
            time.sleep(random.uniform(0, 0.3))
            writer.kill()
            told += map(int, writer.stdout.read().split())
        found = [int.from_bytes(bytes(one.cdr)[:4], 'little') for reader in open_bags([folder])
                 for one in reader.messages()]
        # Of a frame that was just being written some can be read, until the bag is finished without it.
        before, mine = [one for one in found if one < first], [one for one in found if one >= first]
        assert before in (known, known[:-1]) and len(before) >= promised
        assert mine == list(range(first, first + len(mine))) and len(mine) >= told[-1]
        known, promised = found, len(before) + told[-1]
    module.BagRing(str(folder), 10**9, 0, 1e9, 0.0).close()
    assert numbers(folder) in (known, known[:-1]), 'and nothing is wrong with any bag'


def test_a_folder_that_cannot_be_is_told_with_the_remedy(make, tmp_path):
    (tmp_path / 'file').write_text('')
    recorder = make(tmp_path / 'file' / 'doubts')
    wait(lambda: recorder.account().trouble, 'the trouble')
    trouble = recorder.account().trouble
    assert 'record_doubts.folder' in trouble and 'Not a directory' in trouble
    add(recorder, 0)
    wait(lambda: recorder.account().dropped == {'not_writable': 1}, 'the frame that is not written')
    recorder.configure(config(tmp_path / 'other'))
    add(recorder, 1)
    wait(lambda: recorder.account().frames == 1, 'the frame in another folder')
    assert recorder.account().trouble == '' and recorder.account().folder == str(tmp_path / 'other')


def test_a_folder_of_another_process_is_told_and_tried_again(make, tmp_path, monkeypatch):
    monkeypatch.setattr(module, 'RETRY_S', 0.05)
    ring = module.BagRing(str(tmp_path), 10**6, 0, 1e9, 0.0)
    recorder = make(tmp_path)
    wait(lambda: 'another process is writing doubts' in recorder.account().trouble, 'the trouble')
    ring.close()
    wait(lambda: not recorder.account().trouble, 'the end of it')
    add(recorder, 0)
    wait(lambda: recorder.account().frames == 1, 'the frame')


def test_an_error_of_the_disk_is_told_and_tried_again(make, tmp_path, monkeypatch):
    monkeypatch.setattr(module, 'SOON_S', 0.05)
    real, fails = module.BagRing.free_bytes, [True]

    def free_bytes(ring):
        if fails[0]:
            raise OSError(28, 'No space left on device')
        return real(ring)
    monkeypatch.setattr(module.BagRing, 'free_bytes', free_bytes)
    recorder = make(tmp_path)
    add(recorder, 0)
    wait(lambda: recorder.account().dropped == {'not_writable': 1}, 'the frame that is not written')
    wait(lambda: recorder.account().trouble, 'the trouble')
    assert recorder.account().trouble == (
        f'{tmp_path}: cannot be written (No space left on device); make room, lower record_doubts.max_mb, or set '
        'record_doubts.folder to a folder of another disk; it is tried again every 0.05 s')
    fails[0] = False

    def written():
        add(recorder, 1)
        return recorder.account().frames
    wait(written, 'a frame once there is room')
    assert recorder.account().trouble == ''


@pytest.mark.parametrize('is_open', [True, False])
def test_a_folder_that_is_removed_is_made_again_and_no_frame_is_lost(make, tmp_path, monkeypatch, is_open):
    if not is_open:
        monkeypatch.setattr('robot_vision_dl.core.recording.bag_ring.BAG_S', 0.0)  # each bag is closed at once
    folder = tmp_path / 'a' / 'doubts'
    recorder = make(folder)
    for number in range(3):
        add(recorder, number)
        wait(lambda: recorder.account().frames == number + 1 and not recorder.account().waiting,  # noqa: B023
             'the frame')
        shutil.rmtree(folder.parent)
    add(recorder, 9)
    recorder.stop()
    assert numbers(folder) == [9]
    account = recorder.account()
    assert (account.frames, account.dropped, account.trouble, account.bags) == (4, {}, '', 1)


def test_a_folder_that_is_moved_keeps_its_frames_and_a_new_one_takes_the_next(make, tmp_path):
    folder = tmp_path / 'doubts'
    recorder = make(folder)
    add(recorder, 0)
    wait(lambda: recorder.account().frames == 1 and not recorder.account().waiting, 'the first frame')
    folder.rename(tmp_path / 'moved')
    add(recorder, 1)
    recorder.stop()
    assert numbers(folder) == [1]
    reader, = open_bags([tmp_path / 'moved'])
    assert len(list(reader.messages())) == 1  # as a killed writer leaves it, since nothing is written to other places
    assert [sorted(path.name for path in bag.iterdir()) for bag in folder.iterdir() if bag.is_dir()] == [
        [f'{bag.name}_0.mcap', 'metadata.yaml'] for bag in folder.iterdir() if bag.is_dir()]


def test_what_cannot_be_made_is_told_as_what_it_is_and_tried_soon(make, monkeypatch):
    recorder = make('/proc/doubts')
    wait(lambda: recorder.account().trouble, 'the trouble')
    assert 'No such file' in recorder.account().trouble
    assert recorder.account().trouble.endswith('; it is tried again every 1 s')


def test_a_full_disk_of_which_nothing_is_to_stay_free_is_told_as_full(make, tmp_path, monkeypatch):
    monkeypatch.setattr(module.BagRing, 'free_bytes', lambda _ring: 4096)
    recorder = make(tmp_path, min_free_mb=0.0)
    add(recorder, 0, 90_000)
    wait(lambda: recorder.account().dropped == {'disk_full': 1}, 'the frame that is not written')
    assert recorder.account().trouble == (
        f'{tmp_path}: the disk is full: 4 KB are free, and a frame takes 90 KB: make room, or set '
        'record_doubts.folder to a folder of another disk')


def test_bounds_that_no_frame_fits_are_told_with_those_that_would_do(make, tmp_path):
    recorder = make(tmp_path, mb_per_hour=1.0)
    add(recorder, 0, 300_000)
    wait(lambda: recorder.account().dropped == {'too_large': 1}, 'the frame that is too large')
    trouble = recorder.account().trouble
    assert trouble == ('a frame of 0.3 MB is more than may be written at once: raise record_doubts.mb_per_hour to at '
                       'least 4, or take compressed images')
    recorder.configure(config(tmp_path, mb_per_hour=4.0))
    add(recorder, 1, 300_000)
    wait(lambda: recorder.account().frames == 1, 'the frame')
    assert recorder.account().trouble == ''


def test_so_much_of_the_disk_stays_free_and_is_told(make, tmp_path):
    recorder = make(tmp_path, min_free_mb=1e9)
    add(recorder, 0)
    wait(lambda: recorder.account().dropped == {'disk_full': 1}, 'the frame that is not written')
    assert 'record_doubts.min_free_mb, 1e+09, are to stay so: make room' in recorder.account().trouble


def test_doubts_leave_room_for_frames_at_random(make, tmp_path):
    recorder = make(tmp_path, mb_per_hour=10.0, random_share=0.5)
    for number in range(20):  # 1 MB at once
        add(recorder, number, 90_000)
    add(recorder, 99, 90_000, ('random',))
    recorder.stop()
    found = numbers(tmp_path)
    assert found == [*range(len(found) - 1), 99] and 7 <= len(found) <= 9
    assert recorder.account().dropped['over_budget'] == 21 - len(found)


def test_a_message_that_cannot_be_made_ends_nothing(make, tmp_path):
    recorder = make(tmp_path)
    recorder.add(('unknown',), 10, lambda: 1 / 0)
    wait(lambda: 'ZeroDivisionError' in recorder.account().trouble, 'the trouble')
    add(recorder, 1)
    wait(lambda: recorder.account().frames == 1, 'the next frame')
    assert recorder.account().dropped == {'failed': 1} and not recorder.account().trouble


def test_the_folder_changes_while_it_runs(make, tmp_path):
    recorder = make('')
    for number, name in enumerate(('a', 'b', 'a')):
        recorder.configure(config(tmp_path / name))
        add(recorder, number)
        wait(lambda: recorder.account().frames == number + 1, 'the frame')  # noqa: B023
    recorder.configure(config(''))
    wait(lambda: not recorder.account().bags, 'the end')
    assert numbers(tmp_path / 'a') == [0, 2] and numbers(tmp_path / 'b') == [1]
    assert len(list(Path(tmp_path).glob('*/*/metadata.yaml'))) == 3
    add(recorder, 9)
    recorder.stop()
    assert recorder.account().frames == 3
