"""The mcap writer against the reference library, and cut off wherever its process could have ended."""
import os
import struct
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mcap.exceptions import EndOfFile
from mcap.reader import NonSeekingReader, make_reader

from robot_vision_dl.core.recording.mcap_writer import McapWriter, RecordedMessage
from robot_vision_dl.core.recording.message_definitions import (
    CLASSIFICATION,
    COMPRESSED_IMAGE,
    DETECTIONS,
    DIAGNOSTICS,
    IMAGE,
    definition,
)
from robot_vision_dl.data.bags.reader import BagReader

TYPES = (IMAGE, COMPRESSED_IMAGE, CLASSIFICATION, DETECTIONS, DIAGNOSTICS)
MESSAGES = st.builds(RecordedMessage, st.sampled_from(['/a', '/b/c', '/classifier/camera/decision']),
                     st.sampled_from([IMAGE, CLASSIFICATION]), st.integers(0, (1 << 63) - 1),
                     st.binary(max_size=200).map(lambda data: b'\0\1\0\0' + data))


def message(number, size=500, topic='/cam', time_ns=None):
    return RecordedMessage(topic, IMAGE, 1_000_000_000 * (number + 1) if time_ns is None else time_ns,
                           b'\0\1\0\0' + bytes([number % 256]) * size)


def written(path, chunks, close=True):
    writer = McapWriter(path)
    ends = []
    for chunk in chunks:
        writer.append(writer.prepare(chunk))
        ends.append(writer.size)
    if close:
        writer.close()
    return writer, ends


def plain(found):
    return [(one.topic, one.time_ns, one.data) for one in found]


def read_by_library(path):
    with path.open('rb') as file:
        return [(channel.topic, each.log_time, each.data)
                for _, channel, each in make_reader(file, validate_crcs=True).iter_messages(log_time_order=False)]


def read_as_stream(path):
    """What the library reads of a file without an end, which it need not have."""
    found = []
    with path.open('rb') as file:
        try:
            for _, channel, each in NonSeekingReader(file, validate_crcs=True).iter_messages(log_time_order=False):
                found.append((channel.topic, each.log_time, each.data))
        except (EndOfFile, struct.error):
            pass
    return found


def read_by_us(path):
    with BagReader(path) as reader:
        return [(one.topic, one.receive_ns, bytes(one.cdr)) for one in reader.messages(list(reader.topics))], \
            list(reader.problems)


@pytest.mark.parametrize('msgtype', TYPES)
def test_definitions_are_those_of_rosbags(msgtype):
    from robot_vision_dl.data.labels.messages import message_store
    assert definition(msgtype) == message_store().generate_msgdef(msgtype, ros_version=2)[0]


@settings(max_examples=60, deadline=None)
@given(chunks=st.lists(st.lists(MESSAGES, min_size=1, max_size=4), min_size=1, max_size=5))
def test_the_reference_library_reads_what_was_written(chunks, tmp_path_factory):
    path = tmp_path_factory.mktemp('mcap') / 'a.mcap'
    writer, _ = written(path, chunks)
    given_messages = [each for chunk in chunks for each in chunk]
    assert sorted(read_by_library(path)) == sorted(plain(given_messages))
    with path.open('rb') as file:
        reader = make_reader(file, validate_crcs=True)
        summary = reader.get_summary()
    statistics = summary.statistics
    assert (statistics.message_count, statistics.chunk_count) == (len(given_messages), len(chunks))
    assert statistics.message_start_time == min(each.time_ns for each in given_messages) == writer.start_ns
    assert statistics.message_end_time == max(each.time_ns for each in given_messages) == writer.end_ns
    assert sum(statistics.channel_message_counts.values()) == len(given_messages)
    for channel in summary.channels.values():
        assert summary.schemas[channel.schema_id].data.decode() == definition(summary.schemas[channel.schema_id].name)
    for index in summary.chunk_indexes:  # readers that take one topic go by these
        assert sum(1 for key in index.message_index_offsets) >= 1
    assert writer.size == path.stat().st_size


def test_one_topic_is_read_by_the_index_alone(tmp_path):
    chunks = [[message(number), message(number, topic='/other')] for number in range(5)]
    written(tmp_path / 'a.mcap', chunks)
    with (tmp_path / 'a.mcap').open('rb') as file:
        found = [each.log_time for _, _, each in make_reader(file).iter_messages(
            topics=['/other'])]
    assert found == [1_000_000_000 * number for number in range(1, 6)]


def test_our_reader_has_no_objection(tmp_path):
    chunks = [[message(number), message(number, 30, '/other')] for number in range(4)]
    written(tmp_path / 'a.mcap', chunks)
    found, problems = read_by_us(tmp_path / 'a.mcap')
    assert sorted(found) == sorted(plain(each for chunk in chunks for each in chunk))
    assert problems == []


@pytest.mark.parametrize('close', [True, False])
def test_cut_off_anywhere_all_earlier_chunks_are_read(tmp_path, close):
    """By our reader and by the library, whatever the last bytes are: missing, or zeros that a power cut left."""
    chunks = [[message(number, 60), message(number, 20, '/other')] for number in range(3)]
    writer, ends = written(tmp_path / 'whole.mcap', chunks, close)
    content = (tmp_path / 'whole.mcap').read_bytes()
    path = tmp_path / 'cut.mcap'
    for cut in range(ends[0], len(content), 13):
        whole = plain(each for chunk, end in zip(chunks, ends) if end <= cut for each in chunk)
        for tail in (b'', bytes(300)):
            path.write_bytes(content[:cut] + tail)
            found, problems = read_by_us(path)
            assert sorted(found)[:0] == [] and set(whole) <= set(found), cut
            assert problems, 'that it is not whole is told'
        path.write_bytes(content[:cut])
        assert set(whole) <= set(read_as_stream(path)), cut


@pytest.mark.parametrize('close', [True, False])
def test_a_file_that_was_cut_off_anywhere_is_finished(tmp_path, close):
    """With all whole chunks, as if it had been closed after them; also where what follows is not what was written."""
    chunks = [[message(number, 60), message(number, 20, f'/other{number % 2}')] for number in range(3)]
    writer, ends = written(tmp_path / 'whole.mcap', chunks, close)
    content = (tmp_path / 'whole.mcap').read_bytes()
    lists = [2 * (9 + 6 + 16)] * 3
    for cut in range(ends[0] - 100, len(content), 41):
        path = tmp_path / f'{cut}.mcap'
        for number, tail in enumerate((b'', bytes(300), content[:200])):
            path.write_bytes(content[:cut] + tail)
            # Zeros may be just what is missing, and lists of messages are made anew.
            needed = [end - length for end, length in zip(ends, lists)]
            count = sum(end <= cut or path.read_bytes()[:end] == content[:end] for end in needed)
            expected = tmp_path / f'{cut}.expected{number}.mcap'
            written(expected, chunks[:count])
            again = McapWriter.reopen(path)
            again.close()
            if count:
                assert path.read_bytes() == expected.read_bytes()
                assert (again.start_ns, again.end_ns) == (10**9, count * 10**9)
            else:
                assert again.start_ns is None and not read_by_library(path)


def test_a_file_of_another_writer_is_not_touched(tmp_path):
    for number, content in enumerate((b'', b'\x89MCAP0\r\n' + bytes(100), bytes(1000))):
        path = tmp_path / f'{number}.mcap'
        path.write_bytes(content)
        with pytest.raises(ValueError, match='was not written by robot_vision_dl'):
            McapWriter.reopen(path)
        assert path.read_bytes() == content


def test_the_size_is_known_beforehand(tmp_path):
    writer = McapWriter(tmp_path / 'a.mcap')
    for number in range(5):
        chunk = writer.prepare([message(number, 100 * number, f'/topic{number % 3}')])
        expected = writer.closed_size(chunk)
        writer.append(chunk)
    writer.close()
    assert (tmp_path / 'a.mcap').stat().st_size == expected


def test_nothing_is_there_before_the_first_message(tmp_path):
    writer = McapWriter(tmp_path / 'a.mcap')
    writer.prepare([message(0)])
    assert not (tmp_path / 'a.mcap').exists()
    writer.close()
    assert not (tmp_path / 'a.mcap').exists()


def test_times_that_no_bag_knows_are_brought_to_the_next_one(tmp_path):
    written(tmp_path / 'a.mcap', [[message(0, time_ns=-5), message(1, time_ns=1 << 64)]])
    assert [time_ns for _, time_ns, _ in read_by_library(tmp_path / 'a.mcap')] == [0, (1 << 63) - 1]


def test_what_there_was_no_room_for_leaves_no_trace(tmp_path):
    """The kernel refuses the rest of a chunk; what was there before stays, and the file can be closed."""
    code = (
        'import resource, signal, sys\n'
        'from pathlib import Path\n'
        'from robot_vision_dl.core.recording.mcap_writer import McapWriter, RecordedMessage\n'
        'signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n'
        'writer = McapWriter(Path(sys.argv[1]))\n'
        'make = lambda size, n: writer.prepare([RecordedMessage("/cam", "sensor_msgs/msg/Image", n, bytes(size))])\n'
        'writer.append(make(1000, 1))\n'
        'resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))\n'
        'for size in (50_000, 100_000):\n'
        '    before = Path(sys.argv[1]).read_bytes()\n'
        '    try:\n'
        '        writer.append(make(size, 2))\n'
        '    except OSError as error:\n'
        '        print(error.strerror)\n'
        '    assert Path(sys.argv[1]).read_bytes() == before\n'
        'writer.append(make(2000, 3))\n'
        'writer.close()\n')
    path = tmp_path / 'a.mcap'
    done = subprocess.run([sys.executable, '-c', code, str(path)], capture_output=True, text=True, env=dict(os.environ))
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ['File too large'] * 2
    assert [len(data) for _, _, data in read_by_library(path)] == [1000, 2000]
