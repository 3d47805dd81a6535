"""Bags to a queue: the same bytes however it is made, killed or not; labels stay; what is wrong is told."""
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from evaluation_samples import STEP_NS, T0_NS, Crash, labelled_bag, small_model
from labelled_samples import pattern

from robot_vision_dl.core.config import ClassifierConfig, with_values
from robot_vision_dl.core.errors import BagError, BundleError, ConfigError, OutputError, RobotVisionError
from robot_vision_dl.core.processes import Children
from robot_vision_dl.core.types import ColorOrder, Picture
from robot_vision_dl.core.uncertainty.camera.bounds import as_json, default_bounds
from robot_vision_dl.core.uncertainty.camera.statistics import COLOURS
from robot_vision_dl.data.bags.writer import ImageBagWriter
from robot_vision_dl.data.learned_pictures import LearnedPictures, fingerprint
from robot_vision_dl.labelling.events import Action, EventStore, Stretch
from robot_vision_dl.labelling.mining import run as run_module
from robot_vision_dl.labelling.mining.options import MiningOptions
from robot_vision_dl.labelling.mining.run import mine
from robot_vision_dl.labelling.outcome import write_labels
from robot_vision_dl.labelling.queue_file import MINED, QueueFile
from robot_vision_dl.labelling.server.desk import Desk
from robot_vision_dl.labelling.server.meter import Meter

CPU = with_values(ClassifierConfig(), {'device': 'cpu', 'backend': 'torch'})  # no seconds of export to ONNX
NO_LABELS = replace(MiningOptions().labels, sources=('none',))
OPTIONS = MiningOptions(every_s=0.2, count=10, deployment=CPU, labels=NO_LABELS)


@pytest.fixture(scope='module')
def model(tmp_path_factory):
    return str(small_model(tmp_path_factory.mktemp('models') / 'small'))


@pytest.fixture(scope='module')
def bags(tmp_path_factory):
    folder = tmp_path_factory.mktemp('bags')
    return [str(labelled_bag(folder / f'bag_{n}', 60, n)) for n in range(3)]


@pytest.fixture(scope='module')
def queue(model, bags, tmp_path_factory):
    out = tmp_path_factory.mktemp('queues') / 'one'
    return out, mine(bags, model, out, OPTIONS)


def scheduler_address(folder, seconds=60):
    """From the file that the scheduler writes, which is there, but empty, while it is being written."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            return json.loads((folder / 'scheduler.json').read_text())['address']
        except (FileNotFoundError, ValueError):
            time.sleep(.05)
    raise AssertionError(f'no address within {seconds} s: {(folder / "scheduler.log").read_text()[-2000:]}')


@contextmanager
def dask_cluster(folder):
    """Address and process of a scheduler that has two workers, all as users start them."""
    pytest.importorskip('distributed', reason='Dask is not installed')
    environment = {**os.environ, 'PYTHONPATH': os.pathsep.join(filter(None, sys.path))}
    told = ['--no-dashboard', '--scheduler-file', str(folder / 'scheduler.json')]
    with Children(environment) as children:
        dask = sys.executable, '-m', 'dask'
        scheduler = children.start([*dask, 'scheduler', '--port', '0', *told], folder / 'scheduler.log')
        address = scheduler_address(folder)
        for number in range(2):
            children.start([*dask, 'worker', '--no-nanny', '--nthreads', '1', '--local-directory', str(folder), *told],
                           folder / f'worker_{number}.log')
        from dask.distributed import Client
        with Client(address) as client:
            client.wait_for_workers(2, timeout=60)
            yield address, scheduler.pid
            client.shutdown()


def sha(folder):
    return hashlib.sha256((folder / MINED).read_bytes()).hexdigest()


def intervals_of(folder):
    with QueueFile(folder) as queue:
        return list(queue.intervals()), queue.recordings


def test_each_picture_is_an_interval_with_its_film_strip(queue):
    folder, report = queue
    intervals, recordings = intervals_of(folder)
    assert [one.name for one in recordings] == ['bag_0', 'bag_1', 'bag_2']
    assert [one.id for one in intervals] == list(range(1, len(intervals) + 1))
    # A picture every 1.2 s, looked at five times a second: six frames each, of which a flickering decision may cut one.
    changes = {T0_NS + n * 12 * STEP_NS for n in range(1, 5)}
    for recording in recordings:
        mine_ = sorted((one.start_ns, one.end_ns) for one in intervals if one.recording == recording.id)
        assert changes <= {start for start, _ in mine_} and len(mine_) <= 8
        assert all(a[1] <= b[0] for a, b in zip(mine_, mine_[1:]))
    assert sum(one.frames for one in intervals) == report.looked_at == 90 and report.left_out == 90
    with QueueFile(folder) as opened:
        for one in intervals:
            stamps = [stamp for stamp, _, _ in opened.frames(one.id)]
            assert stamps == sorted(stamps) and one.start_ns == stamps[0] and stamps[-1] < one.end_ns
            assert len(stamps) == min(8, one.frames) and opened.picture(one.id, 0)[:2] == b'\xff\xd8'
        assert opened.meta['model_hash'] and opened.meta['random'] == {'drawn': 1, 'of': len(intervals), 'learned': 0}
        assert 'tmp' not in str({key: value for key, value in opened.meta.items() if key != 'model'})


def test_the_chosen_come_first_and_the_doubtful_before_the_rest(queue):
    intervals, _ = intervals_of(queue[0])
    chosen = [one.chosen for one in intervals]
    assert chosen == [True] * 10 + [False] * (len(intervals) - 10)
    doubts = [one.doubt for one in intervals if one.chosen and not one.random]
    assert doubts == sorted(doubts, reverse=True) and doubts[0] > doubts[-1]
    rest = [one.doubt for one in intervals if not one.chosen and one.alike is None]
    assert rest == sorted(rest, reverse=True)
    assert sum(one.random for one in intervals) == 1
    assert all(np.linalg.norm(one.feature) == pytest.approx(1, abs=1e-2) for one in intervals)


def test_frames_of_one_stamp_are_in_one_interval_and_told(model, tmp_path):
    with ImageBagWriter(tmp_path / 'stuck') as writer:
        for index in range(40):  # the stamp goes on every tenth frame, the picture changes every fifth
            writer.write_raw('/camera/image_raw', T0_NS + index // 10 * 10**9, pattern(index // 5))
    report = mine([str(tmp_path / 'stuck')], model, tmp_path / 'queue', replace(OPTIONS, every_s=0.0))
    intervals, _ = intervals_of(tmp_path / 'queue')
    spans = sorted((one.start_ns, one.end_ns) for one in intervals)
    assert all(a[1] <= b[0] for a, b in zip(spans, spans[1:])) and sum(one.frames for one in intervals) == 4
    assert any('36 frames have the stamp of the frame before' in note for note in report.problems)


def test_two_processes_and_a_cluster_of_two_give_the_same_bytes(queue, model, bags, tmp_path):
    mine(bags, model, tmp_path / 'two', OPTIONS, workers=2)
    assert sha(tmp_path / 'two') == sha(queue[0])
    with dask_cluster(tmp_path) as (address, scheduler):
        mine(bags, model, tmp_path / 'cluster', OPTIONS, cluster=address)
        # It hands work on, and is not to load what that needs.
        assert 'libtorch' not in Path(f'/proc/{scheduler}/maps').read_text()
    assert sha(tmp_path / 'cluster') == sha(queue[0])


def test_the_number_of_cores_and_threads_of_torch_do_not_matter(queue, model, bags, tmp_path, monkeypatch):
    import torch
    monkeypatch.setattr(os, 'sched_getaffinity', lambda _process: set(range(6)))
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(4)
        mine(bags, model, tmp_path / 'six', OPTIONS)
    finally:
        torch.set_num_threads(before)
    assert sha(tmp_path / 'six') == sha(queue[0])


def test_killed_it_goes_on_with_what_is_not_done(queue, model, bags, tmp_path):
    out = tmp_path / 'killed'
    command = [sys.executable, '-m', 'robot_vision_dl.cli.main', 'mine', *bags, '--model', model, '--out', str(out),
               '--every', '.2', '--count', '10', '--labels', 'none', '--device', 'cpu', '--set', 'backend=torch']
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    while not list(out.glob('parts/*.sqlite')) and process.poll() is None:
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    done = len(list(out.glob('parts/*.sqlite')))
    assert 1 <= done and (process.returncode == -9 or done == 3)
    (out / MINED).unlink(missing_ok=True)
    seen = []
    report = mine(bags, model, out, OPTIONS, opened=lambda found: seen.extend(one.name for one in found))
    assert report.resumed == done and len(seen) == 3 - done
    assert sha(out) == sha(queue[0])
    assert not list(out.glob('**/.robot-vision-*'))


def test_more_bags_later_take_what_was_found_before_and_labels_and_names_stay(model, bags, tmp_path):
    out = tmp_path / 'grows'
    mine(bags[:1], model, out, OPTIONS)
    first, _ = intervals_of(out)
    about = first[0]
    with EventStore(out) as store:
        store.append('tab', 'me', [Action('12345678', 'label', (Stretch(
            'bag_0', bags[0], about.topic, about.start_ns, about.end_ns),), 'cup')])
    labels = (out / 'labels.sqlite').read_bytes()
    same = tmp_path / 'other' / 'bag_0'
    shutil.copytree(bags[1], same)  # of the same name
    report = mine([bags[0], str(same)], model, out, OPTIONS)
    assert report.resumed == 1 and report.labelled == 1
    assert (out / 'labels.sqlite').read_bytes() == labels
    intervals, recordings = intervals_of(out)
    assert [one.name for one in recordings] == ['bag_0', 'other/bag_0']
    labelled, = [one for one in intervals if (one.recording, one.start_ns) == (1, about.start_ns)]
    assert not labelled.chosen or labelled.random
    copy = labelled_bag(tmp_path / 'copy', 60, 0, labels=False, start_ns=T0_NS + 10**12)  # looks like bag_0
    mine([bags[0], str(copy)], model, out, OPTIONS)
    intervals, _ = intervals_of(out)
    labelled, = [one for one in intervals if (one.recording, one.start_ns) == (1, about.start_ns)]
    like_it, = [one for one in intervals if one.start_ns == about.start_ns + 10**12]
    assert like_it.alike == labelled.id and labelled.alike is None and (not like_it.chosen or like_it.random)


def test_paths_are_absolute_and_names_stay_with_bags_that_move(model, bags, tmp_path, monkeypatch):
    """Labels name a recording: no other bag may get its name, and the bag keeps it wherever it lies."""
    out, there = tmp_path / 'queue', tmp_path / 'there'
    shutil.copytree(bags[0], there / 'hall')
    monkeypatch.chdir(there)
    mine(['hall'], model, out, OPTIONS)
    with QueueFile(out) as queue:
        first, = queue.recordings
    assert (first.name, first.path) == ('hall', str(there / 'hall'))
    with EventStore(out) as store:
        store.append('tab', 'Ann', [Action('event-00000001', 'span', (
            Stretch('hall', first.path, '/camera/image_raw', T0_NS, T0_NS + STEP_NS),), 'cup')])
    shutil.copytree(bags[1], tmp_path / 'other' / 'hall')
    for _ in range(2):  # the second time the queue of before has no recording of that name
        mine([str(tmp_path / 'other' / 'hall')], model, out, OPTIONS)
        with QueueFile(out) as queue:
            assert [one.name for one in queue.recordings] == ['other/hall']
    (tmp_path / 'moved').mkdir()
    mine([str(there / 'hall')], model, out, OPTIONS)
    (there / 'hall').rename(tmp_path / 'moved' / 'hall')
    mine([str(tmp_path / 'moved' / 'hall'), str(tmp_path / 'other' / 'hall')], model, out, OPTIONS)
    with QueueFile(out) as queue:
        assert {one.name: one.path for one in queue.recordings} == {
            'hall': str(tmp_path / 'moved' / 'hall'), 'other/hall': str(tmp_path / 'other' / 'hall')}


def test_another_bag_at_the_same_path_gets_neither_name_nor_labels(model, bags, tmp_path):
    out, hall = tmp_path / 'queue', tmp_path / 'there' / 'hall'
    labelled_bag(hall, 24, 0, labels=False)
    mine([str(hall)], model, out, OPTIONS)
    with EventStore(out) as store:
        store.append('tab', 'Ann', [Action('event-00000001', 'span', (
            Stretch('hall', str(hall), '/camera/image_raw', T0_NS, T0_NS + STEP_NS),), 'cup')])
    hall.rename(tmp_path / 'first')
    labelled_bag(hall, 24, 1, labels=False, start_ns=T0_NS + 10**12)
    for others in ([], [bags[2]], []):  # also where the queue of before has no recording of that name
        mine([str(hall), *others], model, out, OPTIONS)
        with QueueFile(out) as queue:
            assert [one.name for one in queue.recordings][0] == 'there/hall'
        with pytest.raises(ConfigError, match='is not the bag that was mined as hall'):
            write_labels(out)
        mine([bags[2]], model, out, OPTIONS)
    shutil.rmtree(hall)
    (tmp_path / 'first').rename(hall)
    mine([str(hall)], model, out, OPTIONS)
    with QueueFile(out) as queue:
        assert [one.name for one in queue.recordings] == ['hall']
        assert {one.name for one in queue.former} == {'there/hall', Path(bags[2]).name}
    assert [one.recording for one in write_labels(out)] == ['hall']


def test_what_the_bag_labels_is_not_chosen_and_a_new_model_looks_again(bags, model, tmp_path):
    out = tmp_path / 'labelled'
    options = replace(OPTIONS, labels=MiningOptions().labels)
    mine(bags, model, out, options)
    intervals, _ = intervals_of(out)
    assert {one.given for one in intervals} == {'cup', 'mug', 'unknown'}
    assert not [one for one in intervals if one.chosen and not one.random and one.reason != 'label']
    mine(bags, model, out, replace(options, labelled=True))
    assert sum(one.chosen for one in intervals_of(out)[0]) == 10
    newer = str(small_model(tmp_path / 'newer', seed=1))
    assert mine(bags, newer, out, options).resumed == 0
    assert len(list(out.glob('parts/*.sqlite'))) == 3  # those of the other model are gone


def test_what_the_model_has_learned_from_is_no_measure_of_it(bags, tmp_path, capsys):
    """After a round of the loop the same recordings are mined with a model that was trained on some of their labels."""
    from robot_vision_dl.cli.main import main
    labelled = (0, 1, 2, 1000, 1001)  # three stretches of bag_0, two of bag_1
    seen = [np.minimum(pattern(number), 240) + np.random.default_rng(index).integers(0, 12, (48, 64, 3), np.uint8)
            for number in labelled for index in range(number % 1000 * 12, number % 1000 * 12 + 12)]
    prints = np.array([fingerprint(Picture(one, ColorOrder.BGR)) for one in seen])
    trained = str(small_model(tmp_path / 'trained', card_files=LearnedPictures.of(prints).card_file()))
    options = replace(OPTIONS, random_share=1.0, count=100)
    found = {}
    for name, model in (('trained', trained), ('other', str(small_model(tmp_path / 'other')))):
        report = mine(bags, model, tmp_path / name / 'queue', options)
        intervals, recordings = intervals_of(tmp_path / name / 'queue')
        assert len(intervals) == report.random == report.drawn_from and all(one.chosen for one in intervals)
        begins = {one.id: int(one.name[-1]) for one in recordings}
        found[name] = {1000 * begins[one.recording] + (one.start_ns - T0_NS) // (12 * STEP_NS)
                       for one in intervals if not one.random}
        assert report.learned == sum(not one.random for one in intervals)
    assert found == {'trained': set(labelled), 'other': set()}
    with closing(Desk(tmp_path / 'trained' / 'queue', 'ada')) as desk:
        told = Meter(desk).progress()['random']
        assert told['n'] == 0 and told['learned'] == sum(
            not one.random for one in intervals_of(tmp_path / 'trained' / 'queue')[0]) >= 5
    assert main(['mine', *bags, '--model', trained, '--out', str(tmp_path / 'again'), '--every', '0.2', '--device',
                 'cpu', '--random-share', '1', '--count', '100']) == 0
    assert re.search(r'drawn at random from \d+; \d+ of them show what the model has learned from',
                     capsys.readouterr().out)


def test_a_damaged_list_of_learned_pictures_is_told_before_anything_is_looked_at(bags, tmp_path):
    model = str(small_model(tmp_path / 'model', card_files={'pictures.json': b'{"schema": 1}'}))
    looked_at = []
    with pytest.raises(BundleError, match='pictures.json: is none of the lists of pictures'):
        mine(bags, model, tmp_path / 'queue', OPTIONS, opened=looked_at.append)
    assert not looked_at and not (tmp_path / 'queue').exists()


@pytest.mark.slow
def test_a_recording_that_ends_its_process_costs_no_other_and_is_done_next_time(queue, model, bags, tmp_path,
                                                                               monkeypatch):
    opened = run_module.open_recordings
    monkeypatch.setattr(run_module, 'open_recordings', lambda *args: [
        replace(one, labels=Crash('kill')) if one.name == 'bag_1' else one for one in opened(*args)])
    report = mine(bags, model, tmp_path / 'q', OPTIONS, workers=2)
    assert report.recordings == 2 and re.match('bag_1: its worker process was ended by SIGKILL', report.failures[0])
    monkeypatch.undo()
    report = mine(bags, model, tmp_path / 'q', OPTIONS)
    assert report.resumed == 2 and sha(tmp_path / 'q') == sha(queue[0])


def test_damaged_bags_and_bags_without_images_are_told_and_the_others_mined(model, bags, tmp_path):
    cut = tmp_path / 'cut'
    shutil.copytree(bags[0], cut)
    file = next(cut.glob('*.mcap'))
    file.write_bytes(file.read_bytes()[:file.stat().st_size // 2])
    empty = tmp_path / 'empty'
    with ImageBagWriter(empty) as writer:
        writer.write_cdr('/x', 'std_msgs/msg/String', T0_NS, b'\0\1\0\0\1\0\0\0\0')
    told = []
    report = mine([bags[1], str(cut), str(empty)], model, tmp_path / 'q', OPTIONS, tell=told.append)
    assert report.recordings == 2 and 'left out' in '\n'.join(told) and 'empty: no image topic' in '\n'.join(told)
    assert report.unreadable == 1
    assert any(problem.startswith('cut:') for problem in report.problems)
    with pytest.raises(BagError, match='no image topic'):
        mine([str(empty)], model, tmp_path / 'none', OPTIONS)


def test_a_model_that_tells_no_unknowns_still_finds_what_is_uncertain(bags, tmp_path):
    plain = str(small_model(tmp_path / 'plain', calibrated=False))
    told = []
    report = mine(bags[:1], plain, tmp_path / 'q', OPTIONS, tell=told.append)
    assert 'is not calibrated' in told[0] and not report.by_reason['unknown'].intervals
    assert sum(count.chosen for count in report.by_reason.values())


def test_cameras_at_fault_stand_apart(model, tmp_path):
    with ImageBagWriter(tmp_path / 'bag') as writer:
        for place in range(40):
            picture = np.zeros((48, 64, 3), np.uint8) if 10 <= place < 30 else pattern(place // 10)
            picture = picture if 10 <= place < 30 else np.minimum(picture, 240) + np.uint8(place)  # not frozen
            writer.write_raw('/camera', T0_NS + place * 2 * STEP_NS, picture)
    mine([str(tmp_path / 'bag')], model, tmp_path / 'q', OPTIONS)
    intervals, _ = intervals_of(tmp_path / 'q')
    faulty = [one for one in intervals if one.reason == 'camera_fault']
    assert sum(one.frames for one in faulty) == 20 and not any(one.chosen for one in faulty)
    assert [one.id for one in faulty] == list(range(len(intervals) - len(faulty) + 1, len(intervals) + 1))
    assert faulty[0].explanation.startswith('camera: ')


def test_single_pictures_with_exchanged_colours_cut_nothing_and_a_camera_that_shows_most_so_is_at_fault(tmp_path):
    for name, exchanged in (('sound', (3, 4, 12)), ('exchanged', range(2, 20))):
        with ImageBagWriter(tmp_path / name) as writer:
            for place in range(20):
                picture = np.minimum(pattern(place // 10), 240) + np.uint8(place % 10)
                picture[..., 0] //= 2  # less blue
                picture = picture[..., ::-1] if place in exchanged else picture
                writer.write_raw('/camera', T0_NS + place * 2 * STEP_NS, np.ascontiguousarray(picture))
    model = small_model(tmp_path / 'model')
    mine([str(tmp_path / 'sound')], str(model), tmp_path / 'untold queue', OPTIONS)
    bounds = replace(default_bounds(), pictures=1, swap_weights=(1.0,) * COLOURS, swap_bound=-0.7)  # by what is bluer
    bundle = json.loads((model / 'bundle.json').read_text())
    (model / 'bundle.json').write_text(json.dumps({**bundle, 'camera': as_json(bounds)}))
    for name in ('sound', 'exchanged'):
        mine([str(tmp_path / name)], str(model), tmp_path / f'{name} queue', OPTIONS)
    untold, sound, exchanged = (intervals_of(tmp_path / f'{name} queue')[0]
                                for name in ('untold', 'sound', 'exchanged'))
    assert {one.reason for one in exchanged} == {'camera_fault'} and 'red and blue' in exchanged[0].explanation
    assert any('red and blue look exchanged in' in one.explanation for one in sound)
    assert [(one.start_ns, one.end_ns, one.reason, one.doubt, one.chosen) for one in sound] == [
        (one.start_ns, one.end_ns, one.reason, one.doubt, one.chosen) for one in untold]


def test_nearly_the_same_intervals_of_two_recordings_are_shown_once(model, tmp_path):
    paths = [str(labelled_bag(tmp_path / name, 60, 0, labels=False, start_ns=T0_NS + at)) for name, at in
             (('a', 0), ('b', 10**12))]
    report = mine(paths, model, tmp_path / 'q', OPTIONS)
    intervals, _ = intervals_of(tmp_path / 'q')
    by_id = {one.id: one for one in intervals}
    followers = [one for one in intervals if one.alike is not None]
    assert report.alike == len(followers) == len(intervals) // 2
    for one in followers:
        other = by_id[one.alike]
        assert other.alike is None and other.recording != one.recording and not (one.chosen and not one.random)
        assert (one.start_ns - other.start_ns) % 10**12 == 0


def test_folders_of_something_else_are_refused_and_two_do_not_write_one(model, bags, tmp_path):
    (tmp_path / 'photos').mkdir()
    (tmp_path / 'photos' / 'a.jpg').write_bytes(b'x')
    with pytest.raises(ConfigError, match=r'photos is no queue but holds a\.jpg; name a new folder'):
        mine(bags, model, tmp_path / 'photos', OPTIONS)
    with pytest.raises(ConfigError, match='is a file'):
        mine(bags, model, tmp_path / 'photos' / 'a.jpg', OPTIONS)
    assert [path.name for path in (tmp_path / 'photos').iterdir()] == ['a.jpg']
    pictures = tmp_path / 'pictures' / 'cup'
    pictures.mkdir(parents=True)
    import cv2
    cv2.imwrite(str(pictures / '1.png'), pattern(0))
    with pytest.raises(ConfigError, match='from-images'):
        mine([str(tmp_path / 'pictures')], model, tmp_path / 'q', OPTIONS)

    def again(_found):
        with pytest.raises(OutputError, match='another process is writing this queue'):
            mine(bags, model, tmp_path / 'q', OPTIONS)
    mine(bags, model, tmp_path / 'q', OPTIONS, opened=again)


def test_a_damaged_part_is_told_and_made_anew(queue, model, bags, tmp_path):
    out = tmp_path / 'q'
    shutil.copytree(queue[0], out)
    part = sorted(out.glob('parts/*.sqlite'))[0]
    part.write_bytes(part.read_bytes()[:5000])
    with pytest.raises(OutputError, match='was damaged .* give the same command again'):
        mine(bags, model, out, OPTIONS)
    assert mine(bags, model, out, OPTIONS).resumed == 2 and sha(out) == sha(queue[0])


def test_nothing_that_can_be_looked_at_is_an_error(model, bags, tmp_path, monkeypatch):
    opened = run_module.open_recordings
    monkeypatch.setattr(run_module, 'open_recordings', lambda *args: [
        replace(one, labels=Crash('fault')) for one in opened(*args)])
    monkeypatch.setattr(run_module, 'part_key', lambda recording, _settings: recording.name)
    with pytest.raises(RobotVisionError, match='not one recording could be looked at; bag_0: KeyError'):
        mine(bags[:1], model, tmp_path / 'q', OPTIONS)


def test_the_command_says_what_it_found_and_what_comes_next(model, bags, tmp_path, capsys):
    from robot_vision_dl.cli.main import main
    out = tmp_path / 'q'
    assert main(['mine', *bags, '--model', model, '--out', str(out), '--every', '.2', '--count', '10', '--labels',
                 'none', '--device', 'cpu', '--set', 'backend=torch']) == 0
    said = capsys.readouterr().out
    assert re.search(r'^reason +intervals +minutes +to label', said)
    assert re.search(r'^in all +\d+ +0\.\d +10$', said, re.MULTILINE)
    assert '90 frames of 3 recording(s) were looked at; 90 that came sooner' in said
    assert said.endswith(f'next: robot-vision label {out}\n')
    assert Path(out, MINED).is_file()


@pytest.mark.parametrize('content', [b'', b'garbage'])
def test_a_bag_that_cannot_be_read_is_named_and_the_command_ends_with_2(model, bags, tmp_path, capsys, content):
    """As `evaluate` does; the others are in the queue."""
    from robot_vision_dl.cli.main import main
    bad, out = tmp_path / 'garb.mcap', tmp_path / 'out'
    bad.write_bytes(content)
    command = ['mine', bags[0], str(bad), '--model', model, '--out', str(out), '--every', '.2', '--labels', 'none',
               '--device', 'cpu', '--set', 'backend=torch']
    assert main(command) == 2
    assert f'left out: {bad}: ' in capsys.readouterr().err
    assert [one.name for one in intervals_of(out)[1]] == ['bag_0']
    assert main([one for one in command if one != str(bad)]) == 0



@pytest.mark.slow
def test_ten_hours_take_less_than_two_gigabytes(model, tmp_path):
    """Two frames a second of 96 x 96 pixels, something else every 15 s; the peak of the process's resident memory."""
    import cv2
    frames, of_a_scene, rng = 72_000, 30, np.random.default_rng(0)
    noise = rng.integers(0, 12, (50, 96, 96, 3), np.uint8)
    for bag in range(4):
        with ImageBagWriter(tmp_path / 'bags' / f'bag_{bag}') as writer:
            for place in range(frames // 4):
                scene = cv2.resize(pattern(10_000 * bag + place // of_a_scene), (96, 96))
                writer.write_jpeg('/camera', T0_NS + place * 5 * STEP_NS, np.minimum(scene, 240) + noise[place % 50])
    command = ['mine', str(tmp_path / 'bags'), '--model', model, '--out', str(tmp_path / 'q'), '--labels', 'none',
               '--device', 'cpu', '--set', 'backend=torch']
    script = (f'import resource, sys\nfrom robot_vision_dl.cli.main import main\ncode = main({command!r})\n'
              'print("peak kB", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)\nsys.exit(code)')
    ended = subprocess.run([sys.executable, '-c', script], capture_output=True, text=True, timeout=3000)
    assert ended.returncode == 0, ended.stderr
    found = re.search(r'peak kB (\d+)', ended.stdout)
    assert found and int(found[1]) < 2_000_000
    assert '72000 frames of 4 recording(s) were looked at\n' in ended.stdout
    assert sum(one.frames for one in intervals_of(tmp_path / 'q')[0]) == frames
