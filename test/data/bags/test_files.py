"""Which files make a recording: copies, parts, episodes, dates, strangers beside a metadata.yaml, links."""
import json
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from bag_samples import write_ros1, write_ros2
from labelled_samples import T0_S, write_bag, write_folders

from robot_vision_dl.cli.main import main
from robot_vision_dl.core.errors import BagError, ConfigError
from robot_vision_dl.data.bags.files import find_bags
from robot_vision_dl.data.bags.reader import BagReader
from robot_vision_dl.data.frame_sources import open_sources
from robot_vision_dl.data.frame_stream import FrameStream
from robot_vision_dl.data.labels.labels import LabelConfig
from robot_vision_dl.data.selection import SelectionConfig
from robot_vision_dl.evaluation.options import EvaluationOptions
from robot_vision_dl.evaluation.recordings import open_recordings


def frames_in(path):
    """(name and frames of each recording, what was noted)."""
    bags = find_bags(path)
    found = []
    for bag in bags:
        with BagReader(bag) as reader:
            found.append((bag.path.name, sum(1 for _ in reader.image_messages())))
    return found, ' | '.join(note for bag in bags for note in (*bag.notes, *bag.problems))


def part(folder: Path, name: str, start_s: float, count: int = 10) -> Path:
    """One file of ``count`` frames at 10 Hz, ``start_s`` after the sample bags begin."""
    folder.mkdir(exist_ok=True)
    bag = write_bag(folder / 'writing', count, start_s=T0_S + start_s)
    file = folder / f'{name}.mcap'
    next(bag.glob('*.mcap')).rename(file)
    shutil.rmtree(bag)
    return file


@pytest.mark.parametrize('name', ('x.active.active', 'x.active', '.active', 'x.mcap.active.active', 'x.zstd.active'))
def test_a_name_without_a_format_is_no_bag(name, tmp_path):
    (tmp_path / name).write_bytes(b'\x89MCAP0\r\n')
    with pytest.raises(BagError, match='not a bag'):
        find_bags(tmp_path / name)


@pytest.mark.parametrize('listed', (True, False))
def test_copy_that_rosbag2_leaves_beside_the_packed_file(listed, tmp_path):
    packed = write_ros2(tmp_path / 'run', 6, compression='file')
    assert packed.suffix == '.zstd'
    (tmp_path / 'other').mkdir()
    plain = write_ros2(tmp_path / 'other' / 'run', 6)
    shutil.copy(plain, packed.with_suffix(''))
    if not listed:
        (tmp_path / 'run' / 'metadata.yaml').unlink()
    found, notes = frames_in(tmp_path / 'run')
    assert found == [('run', 6)]
    left_out = packed.with_suffix('') if listed else packed
    assert f'{left_out}: not read, a copy of' in notes and ('which metadata.yaml lists' in notes) == listed


def test_part_that_was_unpacked_by_hand_is_the_part_that_is_listed(tmp_path):
    packed = write_ros2(tmp_path / 'run', 6, compression='file')
    shutil.copy(write_ros2(tmp_path / 'plain', 6), packed.with_suffix(''))
    packed.unlink()
    assert frames_in(tmp_path / 'run')[0] == [('run', 6)]


def test_of_two_states_the_whole_one_is_read(tmp_path):
    packed = write_ros2(tmp_path / 'run', 6, compression='file')
    (tmp_path / 'run' / 'metadata.yaml').unlink()
    data = write_ros2(tmp_path / 'plain', 6).read_bytes()
    packed.with_suffix('').write_bytes(data[:len(data) // 2])  # unpacking was broken off
    found, notes = frames_in(tmp_path / 'run')
    assert found == [('run', 6)] and f'{packed.with_suffix("")}: not read, a copy of {packed.name}' in notes


@pytest.mark.parametrize('name', ('bag (1).mcap', 'bag - Copy.mcap', 'bag copy.mcap', 'bag.mcap.zst'))
def test_copies_of_file_managers(name, tmp_path):
    file = part(tmp_path / 'day', 'bag', 0)
    if name.endswith('.zst'):
        packed = write_ros2(tmp_path / 'packed', 10, compression='file')
        shutil.copy(packed, tmp_path / 'day' / name)
    else:
        shutil.copy(file, tmp_path / 'day' / name)
    found, notes = frames_in(tmp_path / 'day')
    assert found == [('day', 10)] and f'{name}: not read, a copy of bag.mcap' in notes


def test_file_named_as_a_copy_that_is_none_is_read(tmp_path):
    part(tmp_path / 'day', 'bag', 0)
    part(tmp_path / 'day', 'bag (1)', 100, 7)
    assert sorted(count for _, count in frames_in(tmp_path / 'day')[0]) == [7, 10]


def test_backup_of_reindexing(tmp_path):
    write_ros1(tmp_path / 'a.bag', 5)
    shutil.copy(tmp_path / 'a.bag', tmp_path / 'a.orig.bag')
    shutil.copy(tmp_path / 'a.bag', tmp_path / 'a.bag.active')
    found, notes = frames_in(tmp_path)
    assert found == [('a.bag', 5)] and notes.count('not read, a copy of a.bag') == 2


def test_episodes_in_one_folder_keep_their_labels(tmp_path):
    for number, label in enumerate(('cup', 'mug', 'jar')):
        part(tmp_path / 'day', f'episode_{number}', 3600 * number)
        (tmp_path / 'day' / f'episode_{number}.labels.yaml').write_text(f'- {{start: 0, label: {label}}}')
    stream = FrameStream(open_sources([tmp_path / 'day'], LabelConfig()), SelectionConfig(0.0, -1))
    assert {(frame.frame.recording, frame.frame.label) for frame in stream} == {
        ('episode_0', 'cup'), ('episode_1', 'mug'), ('episode_2', 'jar')}
    assert '3 files, episode_0.mcap to episode_2.mcap, are read as recordings of their own' in str(stream.label_report)
    assert 'has labels of its own beside it' in str(stream.label_report)


@pytest.mark.parametrize('starts, count, why', [
    ((0, 1, 2), 1, ''),  # the next begins when the one before has ended
    ((0, 4, 8), 1, ''),  # a slow topic
    ((0, 3600, 7200), 3, 'between the end of episode_0.mcap and the beginning of episode_1.mcap lie 60.0 min'),
    ((0, 60, 61), 3, 'lie 59.1 s'),
    ((0, 0, 0), 3, 'episode_1.mcap begins before episode_0.mcap ends'),  # three robots
    ((10, 5, 0), 3, 'episode_1.mcap begins before episode_0.mcap ends'),
])
def test_times_tell_parts_from_episodes(starts, count, why, tmp_path):
    for number, start in enumerate(starts):
        part(tmp_path / 'day', f'episode_{number}', start, 10)
    found, notes = frames_in(tmp_path / 'day')
    assert len(found) == count and sum(frames for _, frames in found) == 30
    assert (why if why else 'are read as parts of one recording: their numbers and times follow on') in notes


def test_parts_missing_leave_a_gap_that_is_no_new_recording(tmp_path):
    for number in (0, 1, 3, 4):
        part(tmp_path / 'run', f'run_{number}', 30 * number, 300)
    found, notes = frames_in(tmp_path / 'run')
    assert found == [('run', 1200)] and 'parts of the recording are missing: number 2' in notes


@pytest.mark.parametrize('names', (
    ('cam_20240101120000', 'cam_20240101120500'), ('cam_20240101', 'cam_20240102'), ('cam_120000', 'cam_120500'),
    ('cam_2024_01_01-12_00_10', 'cam_2024_01_01-12_00_41'), ('cam_007', 'cam_008'),
    ('cam_1700000000', 'cam_1700000300'), ('cam_99999999999999999999999', 'cam_99999999999999999999998')))
def test_dates_are_no_numbers_of_parts_and_cost_no_memory(names, tmp_path):
    for number, name in enumerate(names):
        part(tmp_path / 'day', name, 31 * number)
    code = ('import json, resource, sys\n'
            'from robot_vision_dl.data.bags.files import find_bags\n'
            'before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n'
            'bags = find_bags(sys.argv[1])\n'
            'print(json.dumps([[bag.path.name for bag in bags],\n'
            '                  resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before]))')
    done = subprocess.run([sys.executable, '-c', code, str(tmp_path / 'day')], capture_output=True, text=True,
                          preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30)))
    assert done.returncode == 0, done.stderr
    found, more_kb = json.loads(done.stdout)
    assert sorted(found) == sorted(f'{name}.mcap' for name in names) and more_kb < 200_000
    assert [count for _, count in frames_in(tmp_path / 'day')[0]] == [10, 10]


def test_stranger_beside_a_listed_recording_is_one_of_its_own(tmp_path):
    bag = write_bag(tmp_path / 'run', 5)
    part(bag, 'calibration_9', -500, 3)
    found, notes = frames_in(bag)
    assert found == [('run', 5), ('calibration_9.mcap', 3)]
    assert 'metadata.yaml does not list calibration_9.mcap; no later part by its name' in notes


def test_renamed_files_are_read_and_told(tmp_path):
    bag = write_bag(tmp_path / 'run', 5)
    next(bag.glob('*.mcap')).rename(bag / 'nice.mcap')
    found, notes = frames_in(bag)
    assert found == [('run', 5)] and 'none of the 1 files that metadata.yaml lists is there' in notes


@pytest.mark.parametrize('text', (
    'rosbag2_bagfile_information: {relative_file_paths: {a: b}}', 'rosbag2_bagfile_information: []', '[]', '',
    'rosbag2_bagfile_information: {relative_file_paths: [!!int ""]}', 'a: ' + '[' * 5000, '\0', 'a: !!timestamp "x"',
    'rosbag2_bagfile_information: {relative_file_paths: [null, [a]]}', 'rosbag2_bagfile_information: 2001-99-99'))
def test_metadata_that_lies_about_its_form(text, tmp_path):
    bag = write_bag(tmp_path / 'run', 5)
    (bag / 'metadata.yaml').write_text(text)
    found, notes = frames_in(bag)
    assert found == [('run', 5)] and 'metadata.yaml: damaged, so it is not used' in notes


def test_bags_behind_links_once_each_and_no_circles(tmp_path):
    write_bag(tmp_path / 'store' / 'run', 4)
    (tmp_path / 'mine').mkdir()
    (tmp_path / 'mine' / 'link').symlink_to(tmp_path / 'store' / 'run')
    (tmp_path / 'mine' / 'again').symlink_to(tmp_path / 'store' / 'run')
    (tmp_path / 'mine' / 'circle').symlink_to(tmp_path / 'mine')
    (tmp_path / 'mine' / 'gone').symlink_to(tmp_path / 'nothing')
    found, notes = frames_in(tmp_path / 'mine')
    assert [count for _, count in found] == [4]
    assert notes.count('reached a second time by a link') == 2 and 'links to what is not there: gone' in notes


def test_what_is_named_twice_is_read_once(tmp_path):
    write_bag(tmp_path / 'day' / 'run', 4, labels=[(0.0, 'cup')])
    (tmp_path / 'link').symlink_to(tmp_path / 'day' / 'run')
    pictures = write_folders(tmp_path / 'pictures', {'cup': 2, 'mug': 2})
    paths = [tmp_path / 'day', tmp_path / 'day' / 'run', tmp_path / 'link', next((tmp_path / 'day/run').glob('*.mcap')),
             pictures, tmp_path / 'day' / '..' / 'pictures']
    stream = FrameStream(open_sources(paths, LabelConfig()), SelectionConfig(0.0, -1))
    assert len(list(stream)) == 4 + 4
    assert str(stream.label_report).count('not read a second time') == 4
    recording, = open_recordings(paths[:4], EvaluationOptions())
    assert recording.frames == 4 and sum('not read a second time' in text for text in recording.problems) == 3


def test_hidden_files_are_no_bags(tmp_path):
    write_bag(tmp_path / 'run', 4)
    (tmp_path / 'run' / '._run.mcap').write_bytes(b'\0\5\x16\7')  # macOS keeps attributes so
    (tmp_path / '.Trash-1000').mkdir()
    shutil.copytree(tmp_path / 'run', tmp_path / '.Trash-1000' / 'run')
    found, notes = frames_in(tmp_path)
    assert found == [('run', 4)] and 'left out 2, hidden' in notes and '.Trash-1000' in notes
    shutil.rmtree(tmp_path / 'run')
    with pytest.raises(BagError, match='no bag in this folder.*left out 1, hidden'):
        find_bags(tmp_path)


def test_labels_of_the_only_file_and_of_single_parts(tmp_path):
    write_bag(tmp_path / 'run', 4)
    (tmp_path / 'run' / 'run.labels.yaml').write_text('- {start: 0, label: cup}')
    stream = FrameStream(open_sources([tmp_path / 'run'], LabelConfig()), SelectionConfig(0.0, -1))
    assert [sample.frame.label for sample in stream] == ['cup'] * 4
    for number in range(2):
        part(tmp_path / 'split', f'split_{number}', number)
    shutil.copy(tmp_path / 'run' / 'run.labels.yaml', tmp_path / 'outside.yaml')
    (tmp_path / 'split' / 'metadata.yaml').write_text(
        'rosbag2_bagfile_information: {relative_file_paths: [split_0.mcap, split_1.mcap]}')
    (tmp_path / 'split' / 'split_1.labels.yaml').write_text('- {start: 0, label: cup}')
    with pytest.raises(ConfigError, match='split_1.mcap is one of 2 parts of a recording, but has labels of its own'):
        open_sources([tmp_path / 'split'], LabelConfig())
    (tmp_path / 'split' / 'split_1.labels.yaml').rename(tmp_path / 'split' / 'split.labels.yaml')
    for _ in range(2):
        stream = FrameStream(open_sources([tmp_path / 'split'], LabelConfig()), SelectionConfig(0.0, -1))
        assert [sample.frame.label for sample in stream] == ['cup'] * 20
        (tmp_path / 'split' / 'metadata.yaml').unlink(missing_ok=True)


def test_second_file_of_labels_is_told(tmp_path):
    bag = write_bag(tmp_path / 'run', 4)
    (bag / 'labels.yaml').write_text('- {start: 0, label: cup}')
    (bag / 'labels.csv').write_text('0,mug')
    (tmp_path / 'labels.yaml').write_text('- {start: 0, label: for others}')
    stream = FrameStream(open_sources([bag], LabelConfig()), SelectionConfig(0.0, -1))
    assert [sample.frame.label for sample in stream] == ['cup'] * 4
    said = str(stream.label_report)
    assert f'{bag / "labels.csv"} is not read: {bag / "labels.yaml"} has the labels' in said
    assert said.count('is not read') == 1


def test_info_shows_what_is_left_out(tmp_path, capsys):
    for number in range(2):
        part(tmp_path / 'day', f'episode_{number}', 3600 * number)
    shutil.copy(tmp_path / 'day' / 'episode_0.mcap', tmp_path / 'day' / 'episode_0 (1).mcap')
    main(['bag', 'info', str(tmp_path / 'day')])
    said = capsys.readouterr().out
    assert 'note: ' in said and 'episode_0 (1).mcap: not read, a copy of episode_0.mcap' in said
    assert 'are read as recordings of their own: between the end of episode_0.mcap' in said
    main(['bag', 'info', str(tmp_path / 'day'), '--json'])
    assert len(json.loads(capsys.readouterr().out)[0]['notes']) == 2


def test_evaluation_reads_every_part_of_each_recording(tmp_path):
    for number in range(3):
        part(tmp_path / 'day', f'long_{number}', number)
    part(tmp_path / 'day', 'other', 900, 7)
    recordings = open_recordings([tmp_path / 'day'], EvaluationOptions())
    assert [(recording.name, recording.frames) for recording in recordings] == [('long_0', 30), ('other', 7)]
    with BagReader(recordings[0].files) as reader:  # as the runner does, in whatever process
        assert len(list(reader.image_messages())) == 30


def test_real_bags_side_by_side(shared_data):
    found, notes = frames_in(shared_data / 'bags')
    assert len(found) == 6 and 'not read' not in notes
    assert np.sum([count for _, count in found]) == 1 + 2 + 4 + 3
