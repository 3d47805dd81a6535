"""Bags that unpack to gigabytes, run for ever, or are no files: refused or told, in little memory and time."""
import os
import sqlite3
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from bag_samples import write_ros2

from robot_vision_dl.core.errors import BagError, ConfigError, MachineError
from robot_vision_dl.data.bags.limits import TEMPORARY_VARIABLE, UNPACKED_VARIABLE, unpacked
from robot_vision_dl.data.bags.reader import BagReader

MB = 1 << 20
# Reads a bag in a process of its own: how much more memory it took, in kB, and what was said.
READ = """
import resource, sys
from robot_vision_dl.data.bags.reader import BagReader
from robot_vision_dl.core.errors import RobotVisionError
import numpy, cv2
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
before, said = peak(), []
try:
    with BagReader(sys.argv[1]) as reader:
        said = [str(sum(1 for _ in reader.messages()))]
        said += reader.problems
except RobotVisionError as error:
    said = [type(error).__name__, str(error)]
print(peak() - before)
print('\\n'.join(said))
"""


def memory_and_words(path, **environment):
    """(MB that reading took, what it says) in a process that may have 6 GB at most and a minute."""
    limit = 'import resource; resource.setrlimit(resource.RLIMIT_AS, (6 << 30, 6 << 30))\n'
    done = subprocess.run([sys.executable, '-c', limit + READ, str(path)], capture_output=True, text=True, timeout=60,
                          env={**os.environ, **environment})
    assert done.returncode == 0, done.stderr[-2000:]
    kilobytes, words = done.stdout.split('\n', 1)
    return int(kilobytes) / 1024, words


def packed(compression: str, size: int) -> bytes:
    """``size`` zeros, compressed."""
    if compression == 'lz4':
        import lz4.frame
        return lz4.frame.compress(bytes(size))
    if compression == 'bz2':
        import bz2
        return bz2.compress(bytes(size))
    try:
        from compression import zstd
    except ImportError:
        from backports import zstd
    return zstd.compress(bytes(size))


def record(operation: int, body: bytes) -> bytes:
    """An mcap record."""
    return struct.pack('<BQ', operation, len(body)) + body


def text(value: str) -> bytes:
    """A text within an mcap record."""
    return struct.pack('<I', len(value)) + value.encode()


def mcap_of_chunks(path: Path, compression: str, claimed: int, data: bytes, count: int = 1) -> Path:
    """A file of one small message, and chunks that claim ``claimed`` bytes."""
    topic = (record(3, struct.pack('<H', 1) + text('std_msgs/msg/String') + text('ros2msg') + text('string data'))
             + record(4, struct.pack('<HH', 1, 1) + text('/a') + text('cdr') + text('')))
    message = record(5, struct.pack('<HIQQ', 1, 0, 5, 5) + b'\0\1\0\0\2\0\0\0a\0')
    chunk = record(6, struct.pack('<QQQI', 1, 9, claimed, 0) + text(compression) + struct.pack('<Q', len(data)) + data)
    path.write_bytes(b'\x89MCAP0\r\n' + record(1, text('ros2') + text('')) + topic + message + count * chunk
                     + record(15, bytes(4)) + record(2, bytes(20)) + b'\x89MCAP0\r\n')
    return path


@pytest.mark.parametrize('compression', ('zstd', 'lz4'))
def test_chunks_that_unpack_to_gigabytes(compression, tmp_path):
    data = packed(compression, 1024 * MB)
    honest = mcap_of_chunks(tmp_path / 'honest.mcap', compression, 1024 * MB, data)
    took, words = memory_and_words(honest)
    assert took < 50 and '1024 MB unpacked' in words and UNPACKED_VARIABLE in words and words.startswith('1\n')
    lying = mcap_of_chunks(tmp_path / 'lying.mcap', compression, 1000, data)
    took, words = memory_and_words(lying)
    assert took < 50 and 'unpacks to more than the 1000 bytes that it claims' in words


def test_chunks_of_tiny_messages(tmp_path):
    """Two million messages of no bytes, 50 kB packed: what is remembered of each is more than itself."""
    try:
        from compression import zstd
    except ImportError:
        from backports import zstd
    messages = record(5, struct.pack('<HIQQ', 1, 0, 5, 5)) * 2_000_000
    path = mcap_of_chunks(tmp_path / 'a.mcap', 'zstd', len(messages), zstd.compress(messages), count=3)
    assert path.stat().st_size < 60_000
    took, words = memory_and_words(path)
    assert took < 200 and 'has more messages than a recorder writes into so few bytes' in words


def test_a_message_that_unpacks_to_gigabytes(tmp_path):
    path = write_ros2(tmp_path / 'bag', 3, 'sqlite3', 'message')
    database = sqlite3.connect(path)
    with database:
        database.execute('UPDATE messages SET data = ? WHERE id = 2', (packed('zstd', 1024 * MB),))
    database.close()
    took, words = memory_and_words(path.parent)
    assert took < 350 and words.startswith('2\n') and UNPACKED_VARIABLE in words


def test_a_file_that_unpacks_to_gigabytes(tmp_path):
    path = tmp_path / 'a.mcap.zstd'
    path.write_bytes(packed('zstd', 2048 * MB))
    (tmp_path / 'tmp').mkdir()
    took, words = memory_and_words(path, TMPDIR=str(tmp_path / 'tmp'), **{TEMPORARY_VARIABLE: '100'})
    assert took < 50 and 'BagError' in words and TEMPORARY_VARIABLE in words
    assert not list((tmp_path / 'tmp').iterdir())


def test_a_ros1_chunk_that_unpacks_to_gigabytes(tmp_path):
    def header(**fields):
        body = b''.join(struct.pack('<I', len(k) + 1 + len(v)) + k.encode() + b'=' + v for k, v in fields.items())
        return struct.pack('<I', len(body)) + body
    data = packed('bz2', 1024 * MB)
    path = tmp_path / 'a.bag'
    path.write_bytes(b'#ROSBAG V2.0\n' + header(op=b'\3', index_pos=bytes(8), conn_count=bytes(4), chunk_count=bytes(4))
                     + struct.pack('<I', 0) + header(op=b'\5', compression=b'bz2', size=struct.pack('<I', 1024 * MB))
                     + struct.pack('<I', len(data)) + data)
    took, words = memory_and_words(path)
    assert took < 50 and 'BagError' in words and UNPACKED_VARIABLE in words


def test_the_variable_raises_the_bound(monkeypatch):
    data = packed('zstd', 3 * MB)
    monkeypatch.setenv(UNPACKED_VARIABLE, '2')
    content, complaint = unpacked(data, 'zstd', 3 * MB, 'it')
    assert content == b'' and UNPACKED_VARIABLE in complaint
    assert len(unpacked(data, 'zstd', None, 'it')[0]) == 2 * MB
    monkeypatch.setenv(UNPACKED_VARIABLE, '3')
    assert unpacked(data, 'zstd', 3 * MB, 'it') == (bytes(3 * MB), '')
    monkeypatch.setenv(UNPACKED_VARIABLE, 'much')
    with pytest.raises(ConfigError, match=f'{UNPACKED_VARIABLE}: must be a whole number of megabytes'):
        unpacked(data, 'zstd', 3 * MB, 'it')


@pytest.mark.parametrize('compression', ('zstd', 'lz4', 'bz2'))
def test_what_is_cut_off_or_has_more_after_its_end_is_unpacked_as_far_as_it_goes(compression):
    data = packed(compression, 5 * MB)
    assert unpacked(data, compression, 5 * MB, 'it') == (bytes(5 * MB), '')
    assert unpacked(data + data, compression, 10 * MB, 'it') == (bytes(10 * MB), '')
    content, complaint = unpacked(data[:-20], compression, 5 * MB, 'it')
    assert content == bytes(len(content)) and complaint


def test_what_is_in_a_bags_place_and_is_none(tmp_path):
    pointer = tmp_path / 'a.mcap'
    pointer.write_text('version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n')
    with pytest.raises(BagError, match='is a Git LFS pointer and not the file itself'):
        BagReader(pointer)
    os.mkfifo(tmp_path / 'b.mcap')
    (tmp_path / 'c.mcap').symlink_to(tmp_path / 'c.mcap')
    (tmp_path / 'd.mcap').symlink_to('/dev/zero')
    for name, words in (('b', 'is a named pipe'), ('c', 'no such file'), ('d', 'd.mcap')):
        with pytest.raises(BagError, match=words):
            BagReader(tmp_path / f'{name}.mcap')


def test_a_full_temporary_folder_is_no_damage(tmp_path, monkeypatch):
    path = write_ros2(tmp_path / 'bag', 3, compression='file')
    monkeypatch.setattr(tempfile, 'tempdir', str(tmp_path / 'not there'))
    with pytest.raises(MachineError, match='TMPDIR'):
        BagReader(path.parent)


def test_nothing_is_left_in_the_temporary_folder(tmp_path, monkeypatch):
    folder = tmp_path / 'tmp'
    folder.mkdir()
    monkeypatch.setattr(tempfile, 'tempdir', str(folder))
    path = write_ros2(tmp_path / 'bag', 3, compression='file')
    with BagReader(path.parent) as reader:
        assert list(folder.iterdir()) and sum(1 for _ in reader.messages()) == 3
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(BagError):
        BagReader(path.parent)
    assert not list(folder.iterdir())
