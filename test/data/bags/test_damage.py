"""Damaged bags of every format: read as they were written, or it is said what is missing; nothing else is raised."""
import os
import sqlite3
import struct
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / 'fuzz'))

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import corpus_bags  # noqa: E402
from bag_samples import write_old_db3, write_ros2  # noqa: E402
from corpus_bags import FRAMES, T0_NS, TOPICS, good_bags, mutated_bag, storage_files  # noqa: E402

from robot_vision_dl.core.errors import BagError  # noqa: E402
from robot_vision_dl.data.bags.reader import BagReader  # noqa: E402
from robot_vision_dl.data.bags.writer import ImageBagWriter  # noqa: E402

# All of what they hold has a checksum: nothing in them can change without being noticed.
WITH_CHECKSUMS = ('own', 'chunked.mcap', 'chunked_lz4.mcap', 'chunked_zstd.mcap', 'unchunked.mcap')


def read(path):
    """(topic, type, time, bytes) of all messages, and what is said to be wrong."""
    with BagReader(path) as reader:
        return [(m.topic, m.msgtype, m.receive_ns, bytes(m.cdr)) for m in reader.messages()], reader.problems


@pytest.fixture(scope='module')
def bags(tmp_path_factory):
    """Small sound bags by name, with what is in them."""
    found = {path.name: path for path in good_bags(tmp_path_factory.mktemp('bags')) if 'shared' not in path.name}
    return {name: (path, read(path)) for name, path in found.items()}


def test_sound_bags_hold_the_same(bags):
    for name, (_, (messages, problems)) in bags.items():
        assert problems == (), name
        assert Counter(message[0] for message in messages) == dict(zip(TOPICS, (FRAMES, FRAMES, 3))), name
        assert [message[2] for message in messages] == sorted(message[2] for message in messages), name


def campaign(bags, count, seed, folder):
    """What became of ``count`` damaged bags: outcomes by name of the bag."""
    rng = np.random.default_rng(seed)
    names = sorted(bags)
    outcomes = {name: Counter() for name in names}
    for _ in range(count):
        name = names[int(rng.integers(len(names)))]
        path, (sound, _) = bags[name]
        kind, damaged = mutated_bag(path, folder, rng)
        try:
            messages, problems = read(damaged)
        except BagError as error:
            assert len(str(error)) < 3000
            outcomes[name]['refused'] += 1
            continue
        if problems:
            assert all(len(problem) < 1500 for problem in problems)
            outcomes[name]['told'] += 1
        elif messages == sound:
            outcomes[name]['same'] += 1
        else:
            # Without a checksum a stamp or a picture's bytes can change unseen; messages cannot go.
            outcomes[name]['changed' if len(messages) == len(sound) else f'lost, {kind}'] += 1
    return outcomes


def check_campaign(outcomes):
    for name, counts in outcomes.items():
        allowed = {'refused', 'told', 'same'} | (set() if name in WITH_CHECKSUMS else {'changed'})
        # One without statistics, index and checksums does not say how many messages there are.
        if name == 'unchunked_plain.mcap':
            continue
        # rosbag2 does not play what is not cdr either; `bag info` shows the topic as not readable.
        assert {kind for kind in counts if kind != 'lost, format is other'} <= allowed, (name, counts)


def test_damage_is_told_or_changes_nothing(bags, tmp_path):
    outcomes = campaign(bags, 300, 14, tmp_path / 'damaged')
    check_campaign(outcomes)
    assert sum(counts['told'] for counts in outcomes.values()) > 100


@pytest.mark.slow
def test_damage_is_told_or_changes_nothing_in_many(bags, tmp_path):
    check_campaign(campaign(bags, 3000, 15, tmp_path / 'damaged'))


@pytest.mark.parametrize('name', [*WITH_CHECKSUMS, 'chunked_plain.mcap', 'rosbags_mcap_none'])
def test_a_zeroed_sector_is_told_wherever_it_is(name, bags, tmp_path):
    path, (sound, _) = bags[name]
    content = storage_files(path)[0].read_bytes()
    silent = []
    for at in range(0, len(content), 512 * 3):
        damaged = tmp_path / 'a.mcap'
        damaged.write_bytes(content[:at] + bytes(len(content[at:at + 512])) + content[at + 512:])
        messages, problems = read(damaged)
        assert len(messages) > len(sound) // 2 or problems
        if not problems and messages != sound:
            silent.append(at)
            assert len(messages) == len(sound)
    assert not silent or name not in WITH_CHECKSUMS


def test_how_many_are_missing_is_told_by_topic(bags, tmp_path):
    path, (sound, _) = bags['unchunked.mcap']
    content = bytearray(path.read_bytes())
    at = [at for at, operation, _ in corpus_bags.mcap_records(bytes(content)) if operation == 5]
    content[at[6]:at[9]] = bytes(at[9] - at[6])
    damaged = tmp_path / 'a.mcap'
    damaged.write_bytes(content)
    messages, problems = read(damaged)
    assert messages == sound[:6] + sound[9:]
    assert f'24 of {len(sound)} messages could be read' in problems[0]
    lost = Counter(message[0] for message in sound[6:9])
    for topic, count in lost.items():
        assert any(f'{topic}: {count} of the 12 messages that it claims are missing' in text for text in problems)


def test_metadata_yaml_that_claims_more(bags, tmp_path):
    path, _ = bags['rosbags_sqlite3_none']
    copy = corpus_bags._copied(path, tmp_path / 'bag')
    database = sqlite3.connect(storage_files(copy)[0])
    with database:
        database.execute('DELETE FROM messages WHERE id > 20')
        database.execute('DELETE FROM metadata')
    database.close()
    messages, problems = read(copy)
    assert len(messages) == 20
    assert any('that metadata.yaml claims are missing' in text and '/camera/image_raw:' in text for text in problems)


def test_metadata_of_very_many_topics_is_metadata(bags, tmp_path):
    path, _ = bags['rosbags_sqlite3_none']
    copy = corpus_bags._copied(path, tmp_path / 'bag')
    text = (copy / 'metadata.yaml').read_text()
    (copy / 'metadata.yaml').write_text(text + '# ' + 'x' * (2 << 20) + '\n')
    database = sqlite3.connect(storage_files(copy)[0])
    with database:
        database.execute('UPDATE metadata SET metadata = metadata || ? ', ('\n# ' + 'x' * (2 << 20),))
    database.close()
    assert not read(copy)[1]
    database = sqlite3.connect(storage_files(copy)[0])
    with database:
        database.execute('DELETE FROM messages WHERE id > 20')
    database.close()
    assert any('claims are missing' in text for text in read(copy)[1])


def test_own_checksums_hold_by_the_mcap_library(bags):
    from mcap.stream_reader import StreamReader
    path, _ = bags['own']
    with storage_files(path)[0].open('rb') as file:
        records = list(StreamReader(file, validate_crcs=True).records)
    by_kind = {type(record).__name__: record for record in records}
    assert by_kind['DataEnd'].data_section_crc and by_kind['Footer'].summary_crc


@pytest.mark.parametrize('numbered', ['id - 1', 'id - 50', '-id', 'id * 3', 'id + (1 << 31)', '(1 << 62) - 1 + id',
                                      'id * 100000000000 - 1000000000000'])
def test_sqlite_rows_are_read_however_they_are_numbered(numbered, bags, tmp_path):
    path, (sound, _) = bags['rosbags_sqlite3_none']
    copy = corpus_bags._copied(path, tmp_path / 'bag')
    database = sqlite3.connect(storage_files(copy)[0])
    with database:
        database.execute('CREATE TABLE other AS SELECT * FROM messages')
        database.execute('DELETE FROM messages')
        database.execute(f'INSERT INTO messages SELECT {numbered}, topic_id, timestamp, data FROM other')
    database.close()
    messages, problems = read(copy)
    assert sorted(messages) == sorted(sound)
    assert not problems or all('rows are missing between' in text for text in problems)


@pytest.mark.parametrize('numbered', ['id', 'id - 300', 'id * 100000000000'])
def test_sqlite_rows_before_and_behind_a_damaged_page_are_read(numbered, tmp_path):
    path = write_old_db3(tmp_path / 'a.db3', 60)
    database = sqlite3.connect(path)
    with database:
        database.execute('CREATE TABLE other AS SELECT * FROM messages')
        database.execute('DELETE FROM messages')
        database.execute(f'INSERT INTO messages SELECT {numbered}, topic_id, timestamp, substr(data, 1, 500) '
                         'FROM other')
        database.execute('DROP TABLE other')
    database.execute('VACUUM')
    database.close()
    content = bytearray(path.read_bytes())
    pages = [at for at in range(0, len(content), 4096) if content[at] == 13 and at]
    assert len(pages) >= 6
    content[pages[3]:pages[3] + 4096] = bytes(4096)
    path.write_bytes(content)
    messages, problems = read(path)
    assert 60 - 10 <= len(messages) < 60 and any('damaged' in text for text in problems)


@pytest.mark.parametrize('name', sorted(corpus_bags._SQL))
def test_sqlite_that_lies_gives_what_is_sound_and_says_what_is_not(name, bags, tmp_path):
    path, (sound, _) = bags['rosbags_sqlite3_none']
    copy = corpus_bags._copied(path, tmp_path / 'bag')
    corpus_bags._change_database(storage_files(copy)[0], corpus_bags._SQL[name], np.random.default_rng(1))
    try:
        messages, problems = read(copy)
    except BagError as error:
        assert 'no message in it can be read' in str(error)
        return
    silent = ('format is other', 'qos is other', 'no definitions', 'no schema', 'schema version', 'definition',
              'data bytes', 'data is empty')
    assert problems or name in silent
    # All topics with one name and several types cannot be told apart.
    assert len(messages) >= len(sound) - 1 or name == 'format is other' or 'topic name' in name


@pytest.mark.parametrize('name, definition', {
    'infinite': 'float64 X=1e999\nint32 a',
    'hundred thousand fields': '\n'.join(f'int32 a{number}' for number in range(100_000)),
    'contains itself': 'Odd b',
    'doubles': 'T0 a\n' + ''.join(f'{"=" * 80}\nMSG: a/T{n}\nT{n + 1} a\nT{n + 1} b\n' for n in range(38)),
    'no definition': '\x1b[31m}{',
    'long': 'x' * 10_000_000,
}.items())
def test_definitions_that_cannot_be_used(name, definition):
    from robot_vision_dl.data.bags.message_types import Definitions
    definitions = Definitions([('a/msg/Odd', 'ros1msg', definition)])
    with pytest.raises(BagError) as error:
        definitions.ros1_to_cdr(bytes(100), 'a/msg/Odd')
    assert definitions.wire_format('a/msg/Odd') is None
    for text in (str(error.value), *definitions.problems):
        assert len(text) < 600 and text.isprintable()


def test_type_names_that_are_none():
    from robot_vision_dl.data.bags.message_types import Definitions
    for name in ('9x/msg/1', '', '/', 'a' * 50_000, 'a/msg/\x1b[2J', 'é/msg/Ü'):
        with pytest.raises(BagError):
            Definitions([(name, 'ros1msg', 'int32 a')]).ros1_to_cdr(b'', name)


def test_a_connection_that_is_missing_in_ros1(bags, tmp_path):
    path, (sound, _) = bags['ros1_none.bag']
    damaged = tmp_path / 'a.bag'
    # The topic of each connection record becomes another field: there is no topic any more.
    damaged.write_bytes(path.read_bytes().replace(b'topic=/label', b'tropf=/label'))
    messages, problems = read(damaged)
    assert messages == [message for message in sound if message[0] != '/label']
    assert any('the description of a topic is damaged' in text for text in problems)
    assert any('3 messages are left out' in text for text in problems)


def test_times_that_no_bag_knows_are_refused_when_writing(tmp_path):
    pixels = np.zeros((4, 4, 3), np.uint8)
    for stamp in (-1, 1 << 63, (1 << 31) * 10**9):
        with pytest.raises(BagError, match='cannot be written'), ImageBagWriter(tmp_path / 'bag') as bag:
            bag.write_raw('/camera', stamp, pixels)
        assert not (tmp_path / 'bag').exists()


def test_a_time_after_2262_is_left_out_and_told(bags, tmp_path):
    path, (sound, _) = bags['unchunked_plain.mcap']
    content = bytearray(path.read_bytes())
    at = next(at for at, operation, _ in corpus_bags.mcap_records(bytes(content)) if operation == 5)
    content[at + 15:at + 23] = struct.pack('<Q', 1 << 63)
    (tmp_path / 'a.mcap').write_bytes(content)
    messages, problems = read(tmp_path / 'a.mcap')
    assert messages == sound[1:]
    assert any('beyond the year 2262' in text for text in problems)
    assert T0_NS < messages[0][2]


def test_names_do_not_reach_the_terminal_as_they_are(bags, tmp_path):
    path, _ = bags['unchunked.mcap']
    content = path.read_bytes().replace(b'/camera/image_raw', b'/cam\x1b[31m/image_r')
    (tmp_path / 'a.mcap').write_bytes(content)
    with BagReader(tmp_path / 'a.mcap') as reader:
        list(reader.messages())
        assert reader.problems and all(text.isprintable() for text in reader.problems)
        with pytest.raises(BagError) as error:
            list(reader.messages(['/not there']))
        assert str(error.value).isprintable()


@pytest.mark.parametrize('name', ['chunked.mcap', 'unchunked.mcap', 'ros1_none.bag'])
def test_holes_of_a_file_are_not_searched_through(name, bags, tmp_path):
    path, (sound, _) = bags[name]
    end = tmp_path / f'end{path.suffix}'
    end.write_bytes(storage_files(path)[0].read_bytes())
    begin, nothing = tmp_path / f'begin{path.suffix}', tmp_path / f'nothing{path.suffix}'
    nothing.touch()
    with begin.open('wb') as file:
        file.seek(1 << 36)
        file.write(end.read_bytes())
    for file in (end, nothing):
        os.truncate(file, 1 << 36)
    started = time.monotonic()
    for file in (end, begin):
        messages, problems = read(file)
        assert len(messages) > len(sound) // 2 and problems
    with pytest.raises(BagError, match='no message in it can be read'):
        read(nothing)
    assert time.monotonic() - started < 20  # a minute for each 10 GB, where they are read


@pytest.mark.parametrize('storage', ['chunked.mcap', 'unchunked.mcap'])
def test_messages_of_a_bag_that_was_appended_are_not_taken_for_those_of_another_topic(storage, bags, tmp_path):
    path, (sound, _) = bags[storage]
    first = write_ros2(tmp_path / 'first', 3, topic='/other/image_raw')
    own = read(first)[0]
    (tmp_path / 'both.mcap').write_bytes(first.read_bytes() + storage_files(path)[0].read_bytes())
    messages, problems = read(tmp_path / 'both.mcap')
    assert problems and set(own) <= set(messages) <= set(own) | set(sound)
    assert any('another bag begins before them' in text for text in problems)
