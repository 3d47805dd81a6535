"""``mined.sqlite``: what is written is read again, and equal content is equal bytes."""
import sqlite3
from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest

from robot_vision_dl.core.errors import ConfigError
from robot_vision_dl.labelling.queue_file import (
    MINED,
    QueueFile,
    QueueFrame,
    QueueInterval,
    QueueRecording,
    write_queue,
)

RECORDINGS = [QueueRecording(1, 'hall', '/bags/hall', 10), QueueRecording(2, 'yard', '/bags/<b>yard', 20)]
FEATURE = np.linspace(0, 1, 8).astype(np.float16).astype(np.float32)
INTERVALS = [
    (QueueInterval(1, 2, '/camera/image_raw', 100, 200, 7, 'unknown', .9, False, True,
                   (('unknown', .9), ('glass', .1)), 'none of the classes', 'metal', None, FEATURE),
     [QueueFrame(100, 'unknown', .3, b'\xff\xd8one'), QueueFrame(150, 'glass', .6, b'\xff\xd8two')]),
    (QueueInterval(2, 1, '/camera/image_raw', 2**62, 2**62 + 5, 1, 'random', .0, True, True, (('glass', 1.0),), '', '',
                   1, FEATURE[::-1]), []),
]


def test_what_is_written_is_read(tmp_path):
    write_queue(tmp_path, {'class_names': ['glass', 'metal'], 'model': 'm'}, RECORDINGS, INTERVALS)
    with QueueFile(tmp_path) as queue:
        assert queue.class_names == ('glass', 'metal') and queue.meta['model'] == 'm'
        assert queue.recordings == RECORDINGS and len(queue) == 2
        for read, (written, frames) in zip(queue.intervals(), INTERVALS):
            assert np.array_equal(read.feature, written.feature)
            assert replace(read, feature=written.feature) == written
            assert queue.frames(read.id) == [(one.stamp_ns, one.confidence, one.decision) for one in frames]
        assert queue.features().shape == (2, 8)
        assert [one.feature.size for one in queue.intervals(features=False)] == [0, 0]
        assert queue.picture(1, 1) == b'\xff\xd8two' and queue.picture(1, 2) is None


def test_equal_content_is_equal_bytes(tmp_path):
    meta = {'class_names': ['glass', 'metal'], 'model': 'm'}
    first = write_queue(tmp_path / 'a', meta, RECORDINGS, iter(INTERVALS)).read_bytes()
    assert write_queue(tmp_path / 'b', dict(reversed(meta.items())), RECORDINGS, INTERVALS).read_bytes() == first


def test_whoever_fails_leaves_the_old_one(tmp_path):
    before = write_queue(tmp_path, {'class_names': []}, RECORDINGS, INTERVALS).read_bytes()

    def broken():
        yield INTERVALS[0]
        raise RuntimeError('killed')

    with pytest.raises(RuntimeError):
        write_queue(tmp_path, {'class_names': []}, RECORDINGS, broken())
    assert (tmp_path / MINED).read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == [MINED]


@pytest.mark.parametrize('content', [None, b'', b'no database at all' * 100])
def test_what_is_no_queue_is_refused(tmp_path, content):
    if content is not None:
        (tmp_path / MINED).write_bytes(content)
    with pytest.raises(ConfigError, match='mine'):
        QueueFile(tmp_path)


@pytest.mark.parametrize('statement, words', [
    ("UPDATE meta SET value = '[1]' WHERE key = 'class_names'", 'names no classes; mine again'),
    ("DELETE FROM meta WHERE key = 'class_names'", 'names no classes'),
    ("UPDATE meta SET value = '[' WHERE key = 'model'", 'cannot be read as a queue'),
    ("UPDATE interval SET proposals = '[[1]]'", 'interval 1 cannot be read'),
    ("UPDATE interval SET proposals = '5'", 'interval 1 cannot be read'),
    ("UPDATE interval SET feature = x'00'", 'interval 1 cannot be read')])
def test_what_somebody_else_wrote_into_it_is_told_of(tmp_path, statement, words):
    write_queue(tmp_path, {'class_names': ['glass', 'metal'], 'model': 'm'}, RECORDINGS, INTERVALS)
    with closing(sqlite3.connect(tmp_path / MINED)) as connection, connection:
        connection.execute(statement)
    with pytest.raises(ConfigError, match=words):
        with QueueFile(tmp_path) as queue:
            list(queue.intervals())
