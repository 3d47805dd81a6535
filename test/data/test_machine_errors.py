"""A machine that fails is never taken for damaged data: a full disk, no permission, no file handles."""
import errno
import os
import resource
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from dataclasses import replace

import pytest
from evaluation_samples import labelled_bag, small_model
from labelled_samples import write_folders

from robot_vision_dl.cli.main import main
from robot_vision_dl.core.errors import BagError, MachineError, RobotVisionError, is_about_machine, raise_about_machine
from robot_vision_dl.core.networks.preprocess import Preprocessing
from robot_vision_dl.data.bags.limits import zstd_module
from robot_vision_dl.data.bags.reader import BagReader
from robot_vision_dl.data.cache import CacheConfig, open_store
from robot_vision_dl.data.picture_folder import folder_pictures
from robot_vision_dl.data.pictures import read_picture
from robot_vision_dl.data.prepare import DataConfig, prepare

SPEC = Preprocessing(0, (32, 32), (0.5,), (0.5,))


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 96 kB."""
    place = tmp_path / 'disk'
    place.mkdir()
    if shutil.which('mount') is None or subprocess.run(
            ['mount', '-t', 'tmpfs', '-o', 'size=96k', 'tmpfs', str(place)], capture_output=True).returncode:
        pytest.skip('this user may not mount a small disk')
    yield place
    subprocess.run(['umount', '-l', str(place)], check=True)


@pytest.fixture
def full_tmp(small_disk, monkeypatch):
    """That disk as the place for temporary files."""
    monkeypatch.setenv('TMPDIR', str(small_disk))
    monkeypatch.setattr(tempfile, 'tempdir', None)
    yield small_disk
    tempfile.tempdir = None


def packed(bag):
    """Its storage file as rosbag2's file compression leaves it."""
    storage, = bag.glob('*.mcap')
    (bag / f'{storage.name}.zstd').write_bytes(zstd_module().compress(storage.read_bytes()))
    storage.unlink()
    metadata = bag / 'metadata.yaml'
    metadata.write_text(metadata.read_text().replace(storage.name, f'{storage.name}.zstd').replace(
        "compression_format: ''", 'compression_format: zstd').replace("compression_mode: ''", 'compression_mode: FILE'))
    return bag


def split(bag, parts):
    """One folder with the storage files of several bags."""
    bag.mkdir()
    for number, part in enumerate(parts):
        storage, = part.glob('*.mcap*')
        storage.rename(bag / f'part_{number}{"".join(storage.suffixes)}')
    return bag


@pytest.fixture
def packed_bag(tmp_path):
    return packed(labelled_bag(tmp_path / 'bag', 60))


def test_evaluate_stops_where_the_place_for_temporary_files_is_full(packed_bag, tmp_path, full_tmp, capsys):
    arguments = ['evaluate', str(packed_bag), '--model', str(small_model(tmp_path / 'model')), '--out',
                 str(tmp_path / 'out'), '--device', 'cpu']
    assert main(arguments) == 1
    error = capsys.readouterr().err
    assert 'no space left on device' in error and 'about the machine' in error and 'TMPDIR' in error
    assert len(error.splitlines()) == 1 and not (tmp_path / 'out').exists()
    assert list(full_tmp.iterdir()) == []  # nothing is left there
    tempfile.tempdir = str(tmp_path)
    assert main(arguments) == 0


def test_nothing_partial_is_cached(packed_bag, tmp_path, full_tmp):
    config = DataConfig(bags=(str(packed_bag),), cache=CacheConfig(folder=str(tmp_path / 'cache')))
    with pytest.raises(MachineError, match='no space left on device'):
        prepare(config, SPEC)
    assert [path for path in (tmp_path / 'cache').glob('*/*') if path.is_file()] == []
    tempfile.tempdir = str(tmp_path)
    fresh = prepare(replace(config, cache=CacheConfig(folder=str(tmp_path / 'fresh'))), SPEC)
    assert prepare(config, SPEC).frames == fresh.frames and len(fresh.label_report.topics) == 1


def test_of_a_bag_in_parts_none_is_left_out(tmp_path, full_tmp):
    parts = [packed(labelled_bag(tmp_path / f'part_{n}', 20, n, start_ns=10**18 + n * 10**10)) for n in range(2)]
    bag = split(tmp_path / 'both', parts)
    with pytest.raises(MachineError, match='no space left on device'):
        BagReader(bag)
    tempfile.tempdir = str(tmp_path)
    with BagReader(bag) as reader:
        assert len(list(reader.image_messages())) == 40 and not [p for p in reader.problems if 'damaged' in p]


def test_no_place_for_temporary_files_at_all(packed_bag, monkeypatch):
    def none(*_, **__):
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp']")
    monkeypatch.setattr(tempfile, 'TemporaryDirectory', none)
    with pytest.raises(MachineError, match='No usable temporary directory .* TMPDIR chooses another place'):
        BagReader(packed_bag)


def test_a_full_cache_is_no_damaged_one(tmp_path, small_disk):
    bag = labelled_bag(tmp_path / 'bag', 60)
    (small_disk / 'filler').write_bytes(bytes(90_000))
    with pytest.raises(RobotVisionError, match='cannot be written .No space left on device'):
        prepare(DataConfig(bags=(str(bag),), cache=CacheConfig(folder=str(small_disk))), SPEC)
    assert list(small_disk.glob('*/*')) == []


@contextmanager
def few_handles(spare):
    """So many more files may be opened, and then none."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    blocks = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(before[0], 256), before[1]))
    try:
        while True:
            try:
                blocks.append(os.open('/dev/null', os.O_RDONLY))
            except OSError:
                break
        for _ in range(min(spare, len(blocks))):
            os.close(blocks.pop())
        yield
    finally:
        for block in blocks:
            os.close(block)
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_a_cache_is_not_thrown_away_for_want_of_file_handles(tmp_path):
    bag = labelled_bag(tmp_path / 'bag', 12)
    store = prepare(DataConfig(bags=(str(bag),), cache=CacheConfig(folder=str(tmp_path / 'cache'))), SPEC)
    with few_handles(0), pytest.raises(MachineError, match='too many open files'):
        open_store(tmp_path / 'cache', store.key)
    assert open_store(tmp_path / 'cache', store.key).frames == store.frames


@pytest.mark.parametrize('kind', ['mcap', 'picture'])
def test_a_file_that_cannot_be_opened_now_is_not_damaged(tmp_path, kind):
    if kind == 'picture':
        path = next((write_folders(tmp_path / 'pictures', {'cup': 1}) / 'cup').iterdir())
        with few_handles(0), pytest.raises(MachineError, match='too many open files'):
            read_picture(path)
        read_picture(path)
        return
    bag = labelled_bag(tmp_path / 'bag', 12)
    with BagReader(bag):
        pass  # what is imported only when it is needed is there now
    for spare in range(4):
        with few_handles(spare):
            try:
                with BagReader(bag) as reader:
                    found = len(list(reader.image_messages()))
                    assert found == 12 and not reader.problems
            except (MachineError, OSError) as error:
                assert isinstance(error, MachineError) or is_about_machine(error)
            except BagError as error:
                pytest.fail(f'taken for damage: {error}')


@pytest.mark.parametrize('number', [errno.EMFILE, errno.EIO, errno.ENOMEM])
@pytest.mark.parametrize('what', ['folder', 'class', 'file'])
def test_nothing_of_a_folder_is_left_out_since_the_machine_fails(what, number, tmp_path, monkeypatch):
    folder = write_folders(tmp_path / 'pictures', {'cup': 2, 'mug': 2})
    (folder / 'cup' / '0.jpg').rename(folder / 'cup' / 'without_suffix')
    assert len(folder_pictures(folder, print)) == 4

    def failing(function, at):
        def call(path, *more, **options):
            if str(path) == str(at):
                raise OSError(number, os.strerror(number), str(path))
            return function(path, *more, **options)
        return call
    if what == 'file':
        monkeypatch.setattr('builtins.open', failing(open, folder / 'cup' / 'without_suffix'))
    else:
        place = folder if what == 'folder' else folder / 'cup'
        for name in ('scandir', 'listdir'):
            monkeypatch.setattr(os, name, failing(getattr(os, name), place))
        if what == 'folder':
            monkeypatch.setattr(type(folder), 'iterdir', failing(type(folder).iterdir, folder))
    with pytest.raises(MachineError, match='this is about the machine'):
        folder_pictures(folder, print)


def test_pictures_are_not_left_out_for_want_of_file_handles(tmp_path):
    folder = write_folders(tmp_path / 'pictures', {'cup': 2, 'mug': 2})
    (folder / 'cup' / '0.jpg').rename(folder / 'cup' / 'without_suffix')
    for spare in range(3):
        with few_handles(spare):
            try:
                assert len(folder_pictures(folder, print)) == 4
            except MachineError as error:
                assert 'too many open files' in str(error)


def test_an_error_that_a_library_wrapped_is_found():
    with pytest.raises(MachineError, match='a bag: disk quota exceeded at /tmp/x; this is about the machine'):
        try:
            try:
                raise OSError(errno.EDQUOT, 'x', '/tmp/x')
            except OSError as inner:
                raise ValueError('cannot open') from inner
        except ValueError as outer:
            raise_about_machine(outer, 'a bag')


@pytest.mark.parametrize('error', [OSError('Invalid data stream'), FileNotFoundError(2, 'x'), ValueError('x'),
                                   EOFError(), OSError(errno.EINVAL, 'x')])
def test_an_error_about_the_data_is_none_about_the_machine(error):
    assert raise_about_machine(error, 'x') is None


def test_the_command_line_says_it_in_one_line(tmp_path, monkeypatch, capsys):
    from robot_vision_dl.cli import bag_info

    def full(_args):
        raise OSError(errno.ENOSPC, 'No space left on device', '/data/x')
    monkeypatch.setattr(bag_info, 'run', full)
    assert main(['bag', 'info', str(tmp_path)]) == 1
    assert capsys.readouterr().err == ('robot-vision bag: No space left on device: /data/x; this is about the machine: '
                                       'mend it and start again\n')
