"""``robot-vision bag`` extract, from-images and synth, run as a user does."""
import csv
import subprocess
import sys
import zlib
from collections import Counter

import cv2
import numpy as np
import pytest
from labelled_samples import T0_S, TOPIC, S, write_bag, write_folders

from robot_vision_dl.cli.main import main
from robot_vision_dl.core.images.cdr import encode_compressed_image
from robot_vision_dl.core.networks.preprocess import Preprocessing
from robot_vision_dl.core.types import CompressedImage, Header
from robot_vision_dl.data.bags.reader import BagReader
from robot_vision_dl.data.bags.writer import ImageBagWriter
from robot_vision_dl.data.cache import CacheConfig
from robot_vision_dl.data.division import SplitConfig
from robot_vision_dl.data.picture_folder import folder_pictures
from robot_vision_dl.data.pictures import read_picture
from robot_vision_dl.data.prepare import DataConfig, prepare
from robot_vision_dl.data.selection import SelectionConfig
from robot_vision_dl.data.split import make_split

LABELS = [(0.0, 'cup'), (0.5, 'mug/big')]


def index_of(folder):
    with open(folder / 'index.csv', newline='') as file:
        return list(csv.DictReader(file))


def counts(folder):
    return dict(Counter(path.parent.name for path in folder.rglob('*.*g')))


def test_extract_writes_jpegs_as_recorded(tmp_path, capsys):
    bag = write_bag(tmp_path / 'run', 10, labels=LABELS, jpeg=True)
    out = tmp_path / 'out'
    assert main(['bag', 'extract', str(bag), '--out', str(out)]) == 0
    assert counts(out) == {'cup': 5, 'mug_big': 5}
    with BagReader(bag) as reader:
        recorded = {message.receive_ns: message.decode().data.tobytes() for message in reader.image_messages()}
    for row in index_of(out):
        name = row['file']
        assert name.endswith(f'/run_camera_image_raw_compressed_{row["stamp_ns"]}.jpg')
        assert (out / name).read_bytes() == recorded[int(row['stamp_ns'])]
        assert (row['recording'], row['topic']) == ('run', f'{TOPIC}/compressed')
    assert {row['label'] for row in index_of(out)} == {'cup', 'mug/big'}
    said = capsys.readouterr().out
    assert '10 pictures (cup 5, mug/big 5), 10 as recorded' in said and 'run' in said


def test_extract_png_of_raw_images_is_lossless(tmp_path):
    bag = write_bag(tmp_path / 'run', 6, labels=LABELS)
    assert main(['bag', 'extract', str(bag), '--out', str(tmp_path / 'out'), '--format', 'png']) == 0
    with BagReader(bag) as reader:
        for message, row in zip(reader.image_messages(), index_of(tmp_path / 'out')):
            expected = message.decode().data.reshape(48, 64, 3)
            np.testing.assert_array_equal(cv2.imread(str(tmp_path / 'out' / row['file'])), expected)


def test_extract_with_limits(tmp_path):
    bag = write_bag(tmp_path / 'run', 40, labels=LABELS)
    assert main(['bag', 'extract', str(bag), '--out', str(tmp_path / 'a'), '--every', '0.5', '--max', '3']) == 0
    assert counts(tmp_path / 'a') == {'cup': 1, 'mug_big': 3}
    assert main(['bag', 'extract', str(bag), '--out', str(tmp_path / 'b'), '--labels', 'none', '--every', '1']) == 0
    assert counts(tmp_path / 'b') == {'unlabelled': 4}
    assert main(['bag', 'extract', str(bag), '--out', str(tmp_path / 'c'), '--ignore', 'cup', '--topics', TOPIC]) == 0
    assert counts(tmp_path / 'c') == {'mug_big': 35}


TURNED = b'Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0'


def turned_files():
    """(File, its suffix) of a picture of 48 x 32 pixels that its EXIF data turn, at all places in a file."""
    picture = np.zeros((32, 48, 3), np.uint8)
    picture[:, :8] = 255
    plain, png = (cv2.imencode(suffix, picture)[1].tobytes() for suffix in ('.jpg', '.png'))
    exif = b'\xff\xe1' + (len(TURNED) + 2).to_bytes(2, 'big') + TURNED
    for before in (b'', b'\xff\xfe' + (5002).to_bytes(2, 'big') + bytes(5000), b'\xff' * 3000 + b'\xff\xed\xea\x62'
                   + bytes(60000)):
        yield plain[:2] + before + exif + plain[2:], 'jpg'
    content = b'eXIf' + TURNED[6:]
    yield (png[:33] + (len(content) - 4).to_bytes(4, 'big') + content + zlib.crc32(content).to_bytes(4, 'big')
           + png[33:]), 'png'


@pytest.mark.parametrize('turned, form', [*turned_files()])
def test_extract_turns_no_picture(turned, form, tmp_path):
    """An EXIF orientation is ignored on the live side; as recorded, other programs would turn the picture."""
    assert form == 'png' or cv2.imdecode(np.frombuffer(turned, np.uint8), cv2.IMREAD_COLOR).shape == (48, 32, 3)
    with ImageBagWriter(tmp_path / 'run') as writer:
        message = CompressedImage(Header(T0_S * S, ''), 'jpeg', np.frombuffer(turned, np.uint8))
        writer.write_cdr(TOPIC, 'sensor_msgs/msg/CompressedImage', T0_S * S, encode_compressed_image(message))
    assert main(['bag', 'extract', str(tmp_path / 'run'), '--out', str(tmp_path / 'out'), '--labels', 'none',
                 '--format', form]) == 0
    path, = (tmp_path / 'out' / 'unlabelled').iterdir()
    assert cv2.imread(str(path)).shape == (32, 48, 3)
    assert b'Exif' not in path.read_bytes() and b'eXIf' not in path.read_bytes()


@pytest.mark.parametrize('turned, form', [*turned_files()])
def test_a_picture_that_is_turned_is_upright_in_the_bag(turned, form, tmp_path, capsys):
    (tmp_path / 'pictures' / 'cup').mkdir(parents=True)
    (tmp_path / 'pictures' / 'cup' / f'a.{form}').write_bytes(turned)
    expected = read_picture(tmp_path / 'pictures' / 'cup' / f'a.{form}').pixels
    assert main(['bag', 'from-images', str(tmp_path / 'pictures'), '--out', str(tmp_path / 'bag')]) == 0
    assert '0 as they were' in capsys.readouterr().out or form == 'png'
    assert main(['bag', 'extract', str(tmp_path / 'bag'), '--out', str(tmp_path / 'out')]) == 0
    path, = (tmp_path / 'out' / 'cup').iterdir()
    assert cv2.imread(str(path)).shape == expected.shape
    assert form == 'png' or expected.shape == (48, 32, 3)


@pytest.mark.parametrize('arguments, message', [
    (['{bag}', '--out', '{full}'], 'is not empty, and nothing in it is replaced'),
    (['{bag}', '--out', '{new}', '--topics', '/front'], "no image topic '/front' in the bags"),
    (['{bag}', '--out', '{new}', '--every', '-1'], '--every: must be 0 to 10000000, got -1'),
    (['{bag}', '--out', '{new}', '--labels', 'topic:/lable'], "no label topic '/lable'; did you mean '/label'?"),
    (['{bag}', '--out', '{new}', '--max', '-1'], '--max: must be 0 to 2147483647, got -1'),
    (['missing.bag', '--out', '{new}'], 'missing.bag: no such file or folder'),
])
def test_extract_mistakes(arguments, message, tmp_path, capsys):
    bag = write_bag(tmp_path / 'run', 3, labels=LABELS)
    (tmp_path / 'full').mkdir()
    (tmp_path / 'full' / 'x').write_text('')
    names = {'bag': bag, 'full': tmp_path / 'full', 'new': tmp_path / 'new'}
    assert main(['bag', 'extract', *(argument.format(**names) for argument in arguments)]) == 2
    assert message in capsys.readouterr().err


def test_nothing_labelled_is_exit_code_one(tmp_path, capsys):
    bag = write_bag(tmp_path / 'run', 3)
    (bag / 'labels.yaml').write_text('- {start: 100, label: cup}')
    assert main(['bag', 'extract', str(bag), '--out', str(tmp_path / 'out')]) == 1
    assert 'hint: run' in capsys.readouterr().out


def test_real_ros1_bag(shared_data, tmp_path):
    """A Raspberry Pi camera's JPEG, byte for byte; labelled from outside of the read-only folder."""
    from rosbags.highlevel import AnyReader
    (tmp_path / 'l.yaml').write_text('- {start: 0, label: marker}')
    bag = shared_data / 'bags' / 'ros1_compressed_aruco.bag'
    out = tmp_path / 'out'
    assert main(['bag', 'extract', str(bag), '--out', str(out), '--labels', str(tmp_path / 'l.yaml')]) == 0
    with AnyReader([bag]) as reader:
        connection, _, raw = next(m for m in reader.messages() if 'CompressedImage' in m[0].msgtype)
        expected = reader.deserialize(raw, connection.msgtype)
    row, = index_of(out)
    stamp = expected.header.stamp
    assert int(row['stamp_ns']) == stamp.sec * S + stamp.nanosec
    written = (out / row['file']).read_bytes()
    if b'Exif\0' not in written[:4096] and b'Exif\0' not in expected.data[:4096].tobytes():
        assert written == expected.data.tobytes()


@pytest.mark.parametrize('label_type', ('string', 'classification'))
def test_pictures_to_a_bag_and_back(label_type, tmp_path, capsys):
    folder = write_folders(tmp_path / 'pictures', {'cup': 4, 'mug': 3})
    bag, out = tmp_path / 'bag', tmp_path / 'out'
    assert main(['bag', 'from-images', str(folder), '--out', str(bag), '--shuffle', '--label-type', label_type,
                 '--rate', '4']) == 0
    assert '7 pictures (cup 4, mug 3), 7 as they were, 1.8 s at 4 Hz' in capsys.readouterr().out
    assert main(['bag', 'extract', str(bag), '--out', str(out), '--labels', 'topic:/label', 'auto']) == 0
    for label in ('cup', 'mug'):
        before = {path.read_bytes() for path in (folder / label).iterdir()}
        assert {path.read_bytes() for path in (out / label).iterdir()} == before
    again = tmp_path / 'again'
    assert main(['bag', 'from-images', str(out), '--out', str(again), '--raw', '--width', '64']) == 0
    with BagReader(again) as reader:
        assert {name: topic.count for name, topic in reader.topics.items()}['/camera/image_raw'] == 7
    assert main(['bag', 'from-images', str(folder), '--out', str(bag)]) == 2
    assert 'exists already' in capsys.readouterr().err
    assert main(['bag', 'from-images', str(folder), '--out', str(bag), '--overwrite', '--max', '1']) == 0


def test_synth_and_extract_through_the_shell(tmp_path):
    folder = write_folders(tmp_path / 'pictures', {'cup': 4, 'mug': 4})
    command = [sys.executable, '-m', 'robot_vision_dl.cli.main', 'bag']
    made = subprocess.run([*command, 'synth', str(folder), '--out', str(tmp_path / 'bags'), '--recordings', '2',
                           '--size', '64x48', '--rate', '5', '--seconds-per-track', '1'],
                          capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    assert '2 recordings, 40 frames of 64x48' in made.stdout
    assert main(['bag', 'extract', str(tmp_path / 'bags'), '--out', str(tmp_path / 'out')]) == 0
    assert counts(tmp_path / 'out') == {'cup': 20, 'mug': 20}
    assert len({row['track'] for row in index_of(tmp_path / 'out')}) == 8


def test_info_tells_label_coverage(tmp_path, capsys):
    import json
    bag = write_bag(tmp_path / 'run', 10, labels=LABELS)
    assert main(['bag', 'info', str(bag)]) == 0
    assert (f'labels of {TOPIC}: cup 5, mug/big 5; without: 0 gaps, 0 conflicts, 0 ignored of 10 frames'
            in capsys.readouterr().out)
    (bag / 'labels.yaml').write_text('- {start: 0, end: 0.5, label: cup}\n- {start: 0.35, end: 0.75, label: mug}')
    assert main(['bag', 'info', str(bag), '--json']) == 0
    found, = json.loads(capsys.readouterr().out)[0]['labels']
    assert found['labels'] == {'cup': 4, 'mug': 3} and (found['conflicts'], found['gaps']) == (1, 2)
    (bag / 'labels.yaml').write_text('- {start: 0, lable: cup}')
    assert main(['bag', 'info', str(bag)]) == 1
    assert 'problem: labels: ' in capsys.readouterr().out


@pytest.mark.parametrize('arguments, message', [
    (['--size', '64'], "--size: must be WxH, such as 320x240, got '64'"),
    (['--motion', '9'], '--motion: must be 0 to 3, got 9'),
    (['--recordings', '0'], '--recordings: must be 1 to 10000, got 0'),
    (['--recordings', '9'], 'ask for fewer recordings or tracks'),
])
def test_synth_mistakes(arguments, message, tmp_path, capsys):
    folder = write_folders(tmp_path / 'pictures', {'cup': 4, 'mug': 4})
    given = ['--recordings', '2'] if '--recordings' not in arguments else []
    assert main(['bag', 'synth', str(folder), '--out', str(tmp_path / 'bags'), *given, *arguments]) == 2
    assert message in capsys.readouterr().err


def test_synth_replaces_only_when_told(tmp_path, capsys):
    folder = write_folders(tmp_path / 'pictures', {'cup': 2, 'mug': 2})
    command = ['bag', 'synth', str(folder), '--out', str(tmp_path / 'bags'), '--recordings', '1', '--size', '64x48',
               '--seconds-per-track', '0.2']
    assert main(command) == 0
    assert main(command) == 2
    assert 'exists already' in capsys.readouterr().err
    assert main([*command, '--overwrite']) == 0


def test_synth_without_labels_shows_the_same_and_says_nothing(tmp_path):
    folder = write_folders(tmp_path / 'pictures', {'cup': 2, 'mug': 2})
    frames = {}
    for name, options in (('said', []), ('silent', ['--unlabelled'])):
        assert main(['bag', 'synth', str(folder), '--out', str(tmp_path / name), '--recordings', '1', '--size', '64x48',
                     '--seconds-per-track', '0.2', *options]) == 0
        bag = tmp_path / name / 'recording_00'
        with BagReader(bag) as reader:
            frames[name] = list(reader.image_messages(['/camera/image_raw/compressed']))
            assert ('/label' in reader.topics) == ((bag / 'labels.yaml').exists()) == (name == 'said')
    assert frames['said'] == frames['silent'] and len(frames['silent']) == 8


def test_synth_lists_its_pictures_so_that_each_stays_with_its_recording(tmp_path):
    """What is trained on both has a picture and the frames that show it in one part."""
    folder = write_folders(tmp_path / 'pictures', {'cup': 12, 'mug': 12})
    bags = tmp_path / 'bags'
    assert main(['bag', 'synth', str(folder), '--out', str(bags), '--recordings', '4', '--size', '64x48', '--list',
                 '--seconds-per-track', '0.4', '--rate', '5']) == 0
    store = prepare(DataConfig((str(bags), str(bags / 'pictures.csv')), selection=SelectionConfig(0.0, -1, least=0),
                               cache=CacheConfig(str(tmp_path / 'cache'))), Preprocessing(40, (32, 32)))
    where = {}
    for frame in store.frames:
        where.setdefault((frame.label, frame.track), []).append((frame.recording, frame.topic))
    assert len(where) == 24
    assert all(len(found) == 3 and len(set(found)) == 1 for found in where.values())
    parts = make_split(store.frames, SplitConfig(0.25, 0.25, 0.25, 0.25)).parts
    homes = [{parts[place] for place, frame in enumerate(store.frames) if frame.track == track} for _, track in where]
    assert all(len(one) == 1 for one in homes)
    assert main(['bag', 'synth', str(folder), '--out', str(bags), '--recordings', '4', '--list', '--overwrite']) == 0


def test_names_that_look_like_formulas_are_text_and_come_back(tmp_path):
    bag = write_bag(tmp_path / 'run', 4, labels=[(0.0, '=1+1'), (0.2, '@mug')], jpeg=True)
    assert main(['bag', 'extract', str(bag), '--out', str(tmp_path / 'out')]) == 0
    rows = index_of(tmp_path / 'out')
    assert {row['label'] for row in rows} == {"'=1+1", "'@mug"}
    pictures = folder_pictures(tmp_path / 'out', print)
    assert {picture.label for picture in pictures} == {'=1+1', '@mug'}
    assert all(picture.path.is_file() and picture.stamp_ns for picture in pictures)


@pytest.mark.parametrize('words', [
    ['from-images', '--raw', '--topic', '/label'],
    ['synth', '--recordings', '1', '--quality', '0', '--topic', '/label'],
    ['from-images', '--topic', '/a b'], ['from-images', '--topic', ''],
    ['synth', '--recordings', '1', '--topic', '~/x'],
    ['from-images', '--topic', '/a\x1b[31m'], ['from-images', '--raw', '--topic', '/a/'],
])
def test_topics_that_cannot_be_written(words, tmp_path, capsys):
    folder = write_folders(tmp_path / 'pictures', {'cup': 2, 'mug': 2})
    assert main(['bag', words[0], str(folder), '--out', str(tmp_path / 'bag'), *words[1:]]) == 2
    error = capsys.readouterr().err
    assert '--topic: ' in error and error.count('\n') == 1 and '\x1b' not in error
    assert not (tmp_path / 'bag').exists()


def test_compressed_pictures_may_have_the_topic_label(tmp_path):
    folder = write_folders(tmp_path / 'pictures', {'cup': 2, 'mug': 2})
    assert main(['bag', 'from-images', str(folder), '--out', str(tmp_path / 'bag'), '--topic', '/label']) == 0
    with BagReader(tmp_path / 'bag') as reader:
        assert {name: topic.count for name, topic in reader.topics.items()} == {'/label': 2, '/label/compressed': 4}


def test_two_types_do_not_go_to_one_topic(tmp_path):
    from robot_vision_dl.core.errors import BagError
    from robot_vision_dl.data.labels.messages import STRING, encode_label
    with pytest.raises(BagError, match='a topic has one type'), ImageBagWriter(tmp_path / 'bag') as writer:
        writer.write_cdr('/x', STRING, S, encode_label(STRING, S, '', 'cup'))
        writer.write_raw('/x', 2 * S, np.zeros((8, 8, 3), np.uint8))
    assert not (tmp_path / 'bag').exists()


@pytest.mark.parametrize('options, code', [
    (['--rate', '1e-300'], 2), (['--rate', '1e-9'], 2), (['--rate', '0.001'], 0), (['--rate', '1000'], 0),
    (['--epoch', '2147483647', '--label-type', 'classification'], 2), (['--epoch', '2147483640', '--rate', '1'], 0),
    (['--epoch', '2147483644', '--rate', '1', '--raw'], 2), (['--epoch', '0'], 0),
    (['--seed', '4294967295', '--shuffle'], 0),
    (['--seed=-1'], 2), (['--width', '1'], 0), (['--quality', '1e300'], 2),
])
def test_the_ends_of_every_range_work(options, code, tmp_path, capsys):
    folder = write_folders(tmp_path / 'pictures', {'cup': 2, 'mug': 2})
    assert main(['bag', 'from-images', str(folder), '--out', str(tmp_path / 'bag'), *options]) == code
    assert capsys.readouterr().err.count('\n') == (code == 2)
    assert (tmp_path / 'bag').exists() == (code == 0)


def test_labels_that_cannot_have_a_folder_and_names_that_are_too_long(tmp_path, capsys):
    bag = write_bag(tmp_path / 'run', 4, labels=[(0.0, 'index.csv')])
    assert main(['bag', 'extract', str(bag), '--out', str(tmp_path / 'out')]) == 2
    said = capsys.readouterr().err
    assert "the class 'index.csv' cannot have a folder: it is the name of a file" in said and said.count('\n') == 1
    assert not (tmp_path / 'out').exists()
    bag = write_bag(tmp_path / ('\u4e2d' * 80), 4, labels=[(0.0, 'cup')])
    assert main(['bag', 'extract', str(bag), '--out', str(tmp_path / 'out')]) == 0
    assert counts(tmp_path / 'out') == {'cup': 4} and len(index_of(tmp_path / 'out')) == 4
