"""``labels.sqlite``: stored once, on the disk when it is called saved, only appended, read while it is written."""
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from robot_vision_dl.core.errors import ConfigError, OutputError
from robot_vision_dl.labelling.events import LABELS, Action, BusyError, EventStore, Stretch, read_events

STRETCH = Stretch('hall', '/bags/hall', '/camera', 2**61, 2**61 + 5)


def label(number: int, name: str = 'glass') -> Action:
    return Action(f'event-{number:04}', 'label', (STRETCH,), name)


def test_what_is_stored_is_read(tmp_path):
    actions = [label(1, 'größe <b>'), Action('event-cut', 'cut', (STRETCH,), at_ns=2**61 + 2),
               Action('event-undo', 'undo', undoes='event-0001'), Action('event-class', 'class', label='paper'),
               Action('event-blind', 'label', (STRETCH, STRETCH), 'metal', blind=True)]
    with EventStore(tmp_path) as store:
        stored = store.append('tab', 'Ann', actions)
        assert [one.is_new for one in stored] == [True] * 5
        assert [one.event.action for one in stored] == actions
        assert list(store.events()) == [one.event for one in stored] == read_events(tmp_path)
        assert [one.seq for one in store.events(after=3)] == [4, 5] and store.last == 5
    assert {(one.tab, one.who) for one in read_events(tmp_path)} == {('tab', 'Ann')}


def test_an_id_is_stored_once_whoever_sends_it_again(tmp_path):
    with EventStore(tmp_path) as store:
        [first] = store.append('tab', 'Ann', [label(1)])
        again = store.append('other', 'Bob', [label(1, 'metal'), label(2), label(2)])
        assert [one.is_new for one in again] == [False, True, False]
        assert again[0].event == first.event and len(list(store.events())) == 2


def test_all_of_an_append_or_nothing(tmp_path):
    with EventStore(tmp_path) as store:
        with pytest.raises(RuntimeError):
            with store.writing() as put:
                put('tab', 'Ann', label(1))
                assert store.last == 1
                raise RuntimeError('in the middle')
        assert list(store.events()) == []
        store.append('tab', 'Ann', [label(1)])
        assert store.last == 1


def test_events_are_only_appended(tmp_path):
    with EventStore(tmp_path) as store:
        store.append('tab', 'Ann', [label(1)])
    with closing(sqlite3.connect(tmp_path / LABELS)) as connection:
        for statement in ("UPDATE event SET who = 'Bob'", 'DELETE FROM event'):
            with pytest.raises(sqlite3.IntegrityError, match='only appended'):
                connection.execute(statement)


def test_every_commit_waits_for_the_disk(tmp_path):
    with EventStore(tmp_path) as store:
        assert store._connection.execute('PRAGMA journal_mode').fetchone() == ('wal',)
        assert store._connection.execute('PRAGMA synchronous').fetchone() == (2,)  # FULL


def test_one_reads_while_another_process_writes(tmp_path):
    writer = subprocess.Popen(
        [sys.executable, '-c', 'import sys; from pathlib import Path\n'
         'from robot_vision_dl.labelling.events import Action, EventStore\n'
         'store = EventStore(Path(sys.argv[1]))\n'
         'for number in range(10**6):\n'
         '    store.append("tab", "Ann", [Action(f"event-{number:06}", "class", label="x")])\n'
         '    print(number, flush=True)\n', tmp_path], stdout=subprocess.PIPE, text=True, env={
             **os.environ, 'PYTHONPATH': os.pathsep.join(filter(None, sys.path))})
    try:
        for _ in range(20):
            told = int(writer.stdout.readline())
            seen = read_events(tmp_path)
            assert len(seen) > told and [one.seq for one in seen] == list(range(1, len(seen) + 1))
    finally:
        writer.send_signal(signal.SIGKILL)
        rest = writer.communicate()[0].split()
    last = int(rest[-1]) if rest else told
    assert [one.action.id for one in read_events(tmp_path)][:last + 1] == [
        f'event-{number:06}' for number in range(last + 1)]


def test_writers_take_turns(tmp_path):
    def write(name):
        with EventStore(tmp_path) as store:
            for number in range(20):
                store.append(name, name, [label(number), Action(f'{name}-{number:04}', 'class', label='x')])
    threads = [threading.Thread(target=write, args=(name,)) for name in ('writer-a', 'writer-b', 'writer-c')]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ids = [one.action.id for one in read_events(tmp_path)]
    assert len(ids) == len(set(ids)) == 20 + 3 * 20


def test_many_who_open_a_new_store_at_once_all_get_it(tmp_path):
    def opened(folder):
        with EventStore(folder) as store:
            return store.last
    with ThreadPoolExecutor(6) as pool:
        for number in range(40):
            folder = tmp_path / str(number)
            folder.mkdir()
            assert list(pool.map(opened, [folder] * 6)) == [0] * 6


def test_a_queue_without_labels_is_read_and_nothing_is_made(tmp_path):
    assert read_events(tmp_path) == [] and list(tmp_path.iterdir()) == []
    (tmp_path / LABELS).touch()  # whoever made it was killed
    assert read_events(tmp_path) == []
    with EventStore(tmp_path) as store:
        store.append('tab', 'Ann', [label(1)])
    assert len(read_events(tmp_path)) == 1


def test_what_is_no_store_is_refused_and_kept(tmp_path):
    (tmp_path / LABELS).write_bytes(b'no database at all' * 100)
    with pytest.raises(ConfigError, match='move it away'):
        EventStore(tmp_path)
    (tmp_path / LABELS).unlink()
    with closing(sqlite3.connect(tmp_path / LABELS)) as connection:
        connection.execute('CREATE TABLE event (mine TEXT)')
    with pytest.raises(ConfigError, match='something else'):
        EventStore(tmp_path)
    with closing(sqlite3.connect(tmp_path / LABELS)) as connection:
        assert connection.execute('SELECT COUNT(*) FROM event').fetchone() == (0,)


@pytest.mark.parametrize('column, value', [
    ('body', '{'), ('body', '[]'), ('body', 'null'), ('body', '{"stretches":[{}]}'), ('body', '{"stretches":5}'),
    ('body', '{"more":1}'), ('body', '{"label":5}'), ('body', '{"at_ns":"5"}'), ('body', '{"at_ns":1.5}'),
    ('body', '{"blind":1}'), ('body', '[' * 100_000), ('kind', 'destroy'), ('id', '../x'), ('time_ms', 'today'),
    ('who', b'\xff'), ('body', b'\xff\xfe'),
    ('body', '{"stretches":[{"recording":"a","path":"","topic":"t","start_ns":"1","end_ns":2}]}'),
    ('body', '{"stretches":[{"recording":"a","path":"","topic":"t","start_ns":3,"end_ns":2}]}'),
    ('body', '{"stretches":[{"recording":["a"],"path":"","topic":"t","start_ns":1,"end_ns":2}]}')])
def test_a_row_that_somebody_else_wrote_is_told_of(tmp_path, column, value):
    with EventStore(tmp_path) as store:
        store.append('tab', 'Ann', [label(1)])
    row = {'id': 'event-0002', 'kind': 'label', 'tab': 'tab', 'who': 'Ann', 'time_ms': 5, 'body': '{}', column: value}
    with closing(sqlite3.connect(tmp_path / LABELS)) as connection, connection:
        connection.execute(f'INSERT INTO event ({", ".join(row)}) VALUES (?, ?, ?, ?, ?, ?)', tuple(row.values()))
    with pytest.raises(ConfigError, match='event 2 cannot be read.*keep it'):
        read_events(tmp_path)


def test_a_newer_version_is_refused(tmp_path):
    EventStore(tmp_path).close()
    with closing(sqlite3.connect(tmp_path / LABELS)) as connection:
        connection.execute('PRAGMA user_version=2')
    for read_only in (False, True):
        with pytest.raises(ConfigError, match='version 2.*reads up to 1; update'):
            EventStore(tmp_path, read_only)


def test_a_folder_that_is_not_there_is_said(tmp_path):
    with pytest.raises(OutputError, match='cannot be written.*nothing that was saved is lost'):
        EventStore(tmp_path / 'missing')


@pytest.mark.parametrize('arguments, words', [
    (('short', 'label'), 'id of an event'),
    (('../../etc/passwd', 'label'), 'id of an event'),
    (('event-0001', 'delete'), 'there are label, clear'),
    (('event-0001', 'label', (Stretch('hall', '', '/camera', 5, 5),)), 'end after its start'),
    (('event-0001', 'label', (Stretch('hall', '', '/camera', 5, 2**63),)), 'end after its start'),
])
def test_what_is_no_action_is_refused(arguments, words):
    with pytest.raises(ConfigError, match=words):
        Action(*arguments)


def test_whoever_holds_the_file_is_told_of(tmp_path, monkeypatch):
    monkeypatch.setattr('robot_vision_dl.labelling.events._BUSY_S', .05)
    with EventStore(tmp_path) as store, EventStore(tmp_path) as other:
        with store.writing():
            with pytest.raises(BusyError, match='another process has been writing.*try again'):
                other.append('tab', 'Ann', [label(1)])
        assert other.append('tab', 'Ann', [label(1)])[0].is_new
