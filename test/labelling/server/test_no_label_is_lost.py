"""What was called saved is there, once: while the server is killed, while the disk is full."""
import http.client
import os
import random
import resource
import subprocess
import threading
import time
import uuid

import pytest
from label_server import Client, LabelServer
from queue_samples import CLASSES, make_queue

from robot_vision_dl.labelling.events import LABELS, read_events
from robot_vision_dl.labelling.queue_file import QueueFile
from robot_vision_dl.labelling.state import fold


class Browser(threading.Thread):
    """Labels without a break; what was not answered is sent again, as it was, until it is."""

    def __init__(self, items, seed):
        super().__init__(daemon=True)
        self.items, self.draws = items, random.Random(seed)
        self.client = None
        self.saved, self.last = [], {}
        self.replays = self.duplicates = 0
        self.failure = None
        self.stopping = threading.Event()

    def run(self):
        try:
            while not self.stopping.is_set():
                self.send([{'id': str(uuid.UUID(int=self.draws.getrandbits(128))), 'kind': 'label',
                            'item': self.draws.choice(self.items), 'label': self.draws.choice(CLASSES)}
                           for _ in range(self.draws.randint(1, 5))])
        except BaseException as error:  # shown by the test, which waits for this thread
            self.failure = error

    def send(self, batch):
        while True:
            client = self.client
            try:
                status, answer = client.post(batch)
            except (OSError, http.client.HTTPException, ValueError):
                status, answer = 0, None
            if status == 200:
                assert [one['id'] for one in answer['answers']] == [one['id'] for one in batch]
                for event, one in zip(batch, answer['answers']):
                    assert one['status'] in ('saved', 'duplicate'), one
                    self.duplicates += one['status'] == 'duplicate'
                    self.saved.append(event['id'])
                    self.last[event['item']] = event['label']
                return
            assert status in (0, 403), answer  # 403: started again, and the new link is not used yet
            self.replays += 1
            time.sleep(.02)


def killed(folder, rounds, seed):
    """Kill the server ``rounds`` times at random moments while a tab writes; what happened."""
    make_queue(folder, 40).close()
    draws = random.Random(seed)
    server = LabelServer(folder)
    client = server.client()
    browser = Browser([one['id'] for one in client.get('/api/items?view=all&limit=200')['items']], seed)
    browser.client = client
    browser.start()
    for number in range(rounds):
        time.sleep(draws.uniform(0, .3))
        server.kill()
        known = list(browser.saved)  # whatever the tab was told before or while the server died
        stored = [one.action.id for one in read_events(folder)]
        assert len(stored) == len(set(stored)), f'round {number}: doubled'
        assert set(known) <= set(stored), f'round {number}: lost'
        server.__exit__()
        server = LabelServer(folder)
        assert server.port == client.port
        fresh = server.client()
        fresh.tab = client.tab
        browser.client = client = fresh
    time.sleep(.2)
    browser.stopping.set()
    browser.join(60)
    assert browser.failure is None and not browser.is_alive(), browser.failure
    server.__exit__()
    events = read_events(folder)
    ids = [one.action.id for one in events]
    assert len(ids) == len(set(ids)) and set(ids) == set(browser.saved)
    with QueueFile(folder) as queue:
        state = fold(queue, events)
        assert {f'{piece.interval}-{piece.start_ns}': label.name for piece, label in state.all_pieces()
                if label is not None} == browser.last
    return browser


def test_no_saved_label_is_lost_or_doubled_when_the_server_is_killed(tmp_path):
    browser = killed(tmp_path, 2, 0)
    assert browser.replays >= 2 and browser.saved


@pytest.mark.slow
def test_no_saved_label_is_lost_or_doubled_at_fifty_kills(tmp_path):
    browser = killed(tmp_path, 50, 1)
    print(f'50 kills: {len(browser.saved)} labels saved, {browser.replays} requests sent again, '
          f'{browser.duplicates} of them had been stored already')
    assert browser.duplicates > 0  # at least once it died between commit and answer


def limit_files_to(size):
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def fill(client, items):
    """Label until it is refused; the ids that were saved, the refused event, and what was said of it."""
    saved = []
    for number in range(3000):
        event = {'id': f'event-{number:06}', 'kind': 'label', 'item': items[number % len(items)],
                 'label': CLASSES[number // len(items) % 3]}
        status, answer = client.post([event])
        if status != 200:
            return saved, event, (status, answer)
        assert answer['answers'][0]['status'] == 'saved'
        saved.append(event['id'])
    raise AssertionError('it was never full')


def check_full(client, folder, items, make_room):
    saved, event, (status, answer) = fill(client, items)
    assert status == 507 and answer['code'] == 'disk' and 'make room' in answer['remedy'] and saved
    assert client.post([event])[0] == 507  # and again, without harm
    # It lives, shows what there is, and nothing of the refused one.
    assert client.get('/api/queue')['seq'] == len(saved)
    item = client.get(f'/api/items/{event["item"]}')
    assert item['label'] is None or item['label']['event'] in saved
    assert client.get('/api/progress')['labelled']
    assert [one.action.id for one in read_events(folder)] == saved
    make_room()
    assert client.post([event])[1]['answers'][0]['status'] == 'saved'
    assert [one.action.id for one in read_events(folder)] == [*saved, event['id']]
    return saved


def test_a_file_that_may_not_grow_is_told_and_the_server_lives(tmp_path):
    make_queue(tmp_path, 20).close()
    with LabelServer(tmp_path, preexec_fn=limit_files_to(300_000)) as server:
        client = server.client()
        items = [one['id'] for one in client.get('/api/items?view=all')['items']]
        check_full(client, tmp_path, items, lambda: resource.prlimit(
            server.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY)))
    assert (tmp_path / LABELS).stat().st_size


def test_a_full_disk_is_told_and_the_server_lives(tmp_path):
    disk = tmp_path / 'disk'
    disk.mkdir()
    if os.geteuid() or subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', disk],
                                      capture_output=True).returncode:
        pytest.skip('a small disk cannot be mounted here')
    try:
        make_queue(disk, 20).close()
        (disk / 'ballast').write_bytes(bytes(300_000))
        with LabelServer(disk) as server:
            client = server.client()
            items = [one['id'] for one in client.get('/api/items?view=all')['items']]
            check_full(client, disk, items, (disk / 'ballast').unlink)
    finally:
        subprocess.run(['umount', disk], check=True)


@pytest.mark.parametrize('how', ['removed', 'replaced', 'folder moved'])
def test_nothing_is_called_saved_that_goes_into_a_file_that_is_gone(tmp_path, how):
    folder = tmp_path / 'queue'
    make_queue(folder, 20).close()
    with LabelServer(folder) as server:
        client = server.client()
        item = client.get('/api/items?view=all')['items'][0]['id']
        assert client.do('label', item=item, label='glass')['status'] == 'saved'
        if how == 'folder moved':
            folder.rename(tmp_path / 'elsewhere')
        else:
            (folder / LABELS).rename(folder / 'kept.sqlite')
            if how == 'replaced':
                (folder / LABELS).write_bytes(b'')
        event = {'id': str(uuid.uuid4()), 'kind': 'label', 'item': item, 'label': 'metal', 'base': 10**6}
        for _ in range(2):  # asked again, it is no duplicate of something that is saved
            status, answer = client.post([event])
            assert status == 507 and answer['code'] == 'moved' and 'start it again' in answer['remedy']
        if how == 'folder moved':
            (tmp_path / 'elsewhere').rename(folder)
        else:
            (folder / 'kept.sqlite').replace(folder / LABELS)
        status, answer = client.post([event])
        assert status == 200 and answer['answers'][0]['status'] == 'saved'
    assert [one.action.label for one in read_events(folder)] == ['glass', 'metal']


def test_a_browser_that_goes_away_in_the_middle_leaves_all_or_nothing(tmp_path):
    """A tab that is closed while it sends: its events are there as a whole, or not."""
    make_queue(tmp_path, 20).close()
    with LabelServer(tmp_path) as server:
        client = server.client()
        items = [one['id'] for one in client.get('/api/items?view=all')['items']]
        for number in range(20):
            tab = Client(client.port)
            tab.cookie, tab.queue_id = client.cookie, client.queue_id
            events = [{'id': f'event-{number:04}-{place}', 'kind': 'label', 'item': items[place], 'label': 'glass'}
                      for place in range(5)]
            threading.Thread(target=lambda tab=tab, events=events: _hang_up(tab, events)).start()
        time.sleep(.5)
        assert client.do('label', item=items[0], label='metal', base=10**6)['status'] == 'saved'
        stored = [one.action.id for one in read_events(tmp_path)][:-1]
    assert len(stored) == len(set(stored))
    for number in range(20):
        assert sum(one.startswith(f'event-{number:04}') for one in stored) in (0, 5)


def _hang_up(tab, events):
    try:
        import json
        body = json.dumps({'queue': tab.queue_id, 'tab': tab.tab, 'events': events}).encode()
        tab.request('POST', '/api/events', body, timeout=random.uniform(.0001, .02))
    except (OSError, http.client.HTTPException):
        pass
