"""What the page gets and what it may say, over HTTP, against a real server."""
import time
import uuid

import pytest
from label_server import ServerThread
from queue_samples import CLASSES, SECOND, TOPIC, make_queue, true_class

from robot_vision_dl.labelling.events import Action, EventStore, read_events
from robot_vision_dl.labelling.queue_file import QueueFile
from robot_vision_dl.labelling.state import fold


@pytest.fixture
def server(tmp_path):
    make_queue(tmp_path, 120, frames=4).close()
    with ServerThread(tmp_path) as server:
        yield server


@pytest.fixture
def client(server):
    return server.client()


def all_items(client, view, limit=50):
    found, after = [], ''
    while True:
        page = client.get(f'/api/items?view={view}&limit={limit}&after={after}')
        found += page['items']
        if page['next'] is None:
            assert len(found) == page['total']
            return found
        after = page['next']


def another_tab(client):
    tab = type(client)(client.port)
    tab.cookie, tab.queue_id = client.cookie, client.queue_id
    return tab


def test_the_queue_is_told(client):
    queue = client.start()
    assert [(one['name'], one['key']) for one in queue['classes']] == [('glass', 1), ('metal', 2), ('paper', 3)]
    assert [one['name'] for one in queue['reserved']] == ['unknown', 'ignore', 'unsure']
    assert [(one['name'], one['topics']) for one in queue['recordings']] == [('hall', [TOPIC]), ('yard', [TOPIC])]
    assert queue['counts']['all'] == 120 and queue['counts']['queue'] == queue['counts']['open'] == 99
    assert queue['who'] == 'Ann' and queue['first_open'] is None and queue['seq'] == 0


def test_an_item_has_all_that_the_page_shows(client):
    item = client.get('/api/items?view=queue&limit=1')['items'][0]
    assert client.get(f'/api/items/{item["id"]}') == {
        **{key: value for key, value in item.items() if key != 'cursor'}, 'seq': 0}
    assert (item['recording'], item['topic'], item['start_s'], item['end_s']) == ('yard', TOPIC, 0.0, 2.0)
    assert int(item['start_ns']) > 2**53 and int(item['end_ns']) - int(item['start_ns']) == 2 * SECOND
    assert item['proposals'] == [['metal', .7], ['paper', .3]] and item['label'] is None and item['version'] == 0
    assert [frame['t_s'] for frame in item['frames']] == [0.0, .5, 1.0, 1.5]
    status, headers, body = client.request('GET', item['frames'][1]['picture'])
    assert (status, headers['content-type'], body[:2]) == (200, 'image/jpeg', b'\xff\xd8')
    assert 'immutable' in headers['cache-control']
    # Without the mark it may be of another queue that was at this address.
    assert client.request('GET', '/api/pictures/1/1.jpg')[1]['cache-control'] == 'no-store'


def test_pages_go_on_and_back_and_none_is_shown_twice(client):
    whole = all_items(client, 'all', 200)
    assert [one['interval'] for one in whole] == list(range(1, 121)) and all_items(client, 'all', 7) == whole
    middle = client.get(f'/api/items?view=all&limit=10&after={whole[49]["cursor"]}')
    assert [one['interval'] for one in middle['items']] == list(range(51, 61))
    back = client.get(f'/api/items?view=all&limit=10&before={middle["previous"]}')
    assert [one['interval'] for one in back['items']] == list(range(41, 51))
    assert client.get('/api/items?view=all&limit=10')['previous'] is None
    # What is labelled meanwhile leaves the view, and the next one is not skipped.
    for one in whole[:10]:
        client.do('label', item=one['id'], label='unsure')
    first = client.get('/api/items?view=unsure&limit=4')
    for one in first['items']:
        client.do('clear', item=one['id'], base=200)
    rest = client.get(f'/api/items?view=unsure&limit=10&after={first["next"]}')
    assert [one['interval'] for one in first['items'] + rest['items']] == list(range(1, 11))


def test_a_label_is_on_the_disk_when_it_is_called_saved(server, client):
    item = client.get('/api/items?limit=1')['items'][0]['id']
    event = str(uuid.uuid4())
    answer = client.do('label', id=event, item=item, label='glass')
    [stored] = read_events(server.folder)
    assert (answer['status'], answer['seq']) == ('saved', 1) == ('saved', stored.seq)
    assert (stored.action.id, stored.who, stored.tab) == (event, 'Ann', client.tab)
    assert answer['items'][0]['label'] == {'name': 'glass', 'who': 'Ann', 'event': event, 'seq': 1}
    assert answer['items'][0]['version'] == 1
    again = client.do('label', id=event, item=item, label='glass')
    assert (again['status'], again['seq'], len(read_events(server.folder))) == ('duplicate', 1, 1)


def test_two_spellings_of_the_same_letters_are_one_class(client):
    assert client.do('class', name='caf\u00e9')['status'] == 'saved'
    again = client.do('class', name='Cafe\u0301')
    assert again['status'] == 'refused' and again['reason'] == 'caf\u00e9 is there already'


def test_labels_cuts_spans_classes_and_undo(client):
    a, b = (one for one in client.get('/api/items?view=all&limit=3')['items'] if one['interval'] != 2)
    bottle = client.do('class', name=' bottle ')
    assert bottle['status'] == 'saved'
    assert [one['name'] for one in client.start()['classes']] == [*CLASSES, 'bottle']
    cut = client.do('cut', item=a['id'], at_ns=str(int(a['start_ns']) + SECOND))
    left, right = cut['items']
    assert left['id'] == a['id'] and int(right['start_ns']) == int(a['start_ns']) + SECOND
    assert [len(one['frames']) for one in (left, right)] == [2, 2]
    labelled = client.do('label', items=[left['id'], right['id']], label='bottle')
    assert [one['label']['name'] for one in labelled['items']] == ['bottle', 'bottle']
    span = client.do('span', item=a['id'], from_ns=str(int(a['start_ns']) + 3 * SECOND // 2),
                     to_ns=str(int(b['start_ns']) + SECOND), label='unknown', base=4)
    assert [(one['interval'], one['label'] and one['label']['name']) for one in span['items']] == [
        (1, 'bottle'), (1, 'bottle'), (1, 'unknown'), (3, 'unknown'), (3, None)]
    undone = client.do('undo', event=span['id'])
    assert [(one['interval'], one['label'] and one['label']['name']) for one in undone['items']] == [
        (1, 'bottle'), (1, 'bottle'), (3, None)]
    assert client.do('undo', event=span['id'])['status'] == 'refused'
    again = client.do('undo', event=undone['id'])
    assert [one['label'] and one['label']['name'] for one in again['items']] == [
        'bottle', 'bottle', 'unknown', 'unknown', None]
    # A class stays as long as something is labelled so.
    refused = client.do('undo', event=bottle['id'])
    assert (refused['status'], refused['reason'].split(',')[0]) == ('refused', '2 pieces are labelled bottle')
    client.do('label', items=[left['id'], right['id']], label='glass', base=again['seq'])
    assert client.do('undo', event=bottle['id'])['status'] == 'saved'
    assert [one['name'] for one in client.start()['classes']] == list(CLASSES)


def test_one_refused_event_does_not_hold_up_the_others(client):
    first = client.get('/api/items?view=all&limit=1')['items'][0]['id']
    status, answer = client.post([None, {'id': 'event-0001', 'kind': 'label', 'item': first, 'label': 'brass'},
                                  {'id': 'event-0002', 'kind': 'class', 'name': 'brass'},
                                  {'id': 'event-0003', 'kind': 'label', 'item': first, 'label': 'brass'}])
    assert status == 200
    assert [one['status'] for one in answer['answers']] == ['refused', 'refused', 'saved', 'saved']
    assert client.post([{}] * 201)[0] == 400 and client.post('x')[0] == 400


def test_two_tabs_do_not_fight(client):
    other = another_tab(client)
    item = client.get('/api/items?view=all&limit=1')['items'][0]
    assert client.do('label', item=item['id'], label='glass', base=item['version'])['status'] == 'saved'
    assert client.do('label', item=item['id'], label='metal', base=item['version'])['status'] == 'saved'  # its own
    late = other.do('label', item=item['id'], label='paper', base=item['version'])
    assert late['status'] == 'conflict' and 'Ann has called it metal' in late['reason']
    assert late['items'][0]['label']['name'] == 'metal'
    for kind, more in (('clear', {}), ('label', {'label': 'paper', 'base': None}), ('span', {
            'label': 'paper', 'from_ns': item['start_ns'], 'to_ns': item['end_ns']})):
        assert other.do(kind, item=item['id'], **more)['status'] == 'conflict'
    assert other.do('label', item=item['id'], label='metal', base=0)['status'] == 'saved'  # the same: no quarrel
    # Whoever has seen it may say otherwise.
    seen = other.get(f'/api/items/{item["id"]}')
    assert other.do('label', item=item['id'], label='paper', base=seen['version'])['status'] == 'saved'


def test_a_cut_of_another_tab_is_a_conflict(client):
    other = another_tab(client)
    item = client.get('/api/items?view=all&limit=1')['items'][0]
    half = str(int(item['start_ns']) + SECOND)
    cut = client.do('cut', item=item['id'], at_ns=half)
    late = other.do('label', item=item['id'], label='paper', base=0)
    assert late['status'] == 'conflict' and 'cut otherwise' in late['reason'] and len(late['items']) == 2
    assert client.do('label', item=cut['items'][1]['id'], label='glass', base=0)['status'] == 'saved'
    client.do('undo', event=cut['id'])
    gone = other.do('label', item=cut['items'][1]['id'], label='glass', base=cut['seq'])
    assert gone['status'] == 'conflict'
    # What was labelled stays a piece of its own.
    assert [one['id'] for one in gone['items']] == [item['id'], cut['items'][1]['id']]


def test_a_conflict_of_many_tells_all_of_them_and_stores_none(server, client):
    other = another_tab(client)
    ids = [one['id'] for one in client.get('/api/items?view=all&limit=6')['items']]
    for item in ids[1:3]:
        client.do('label', item=item, label='glass')
    late = other.do('label', items=ids, label='paper', base=dict.fromkeys(ids, 0))
    assert late['status'] == 'conflict' and [one['id'] for one in late['items']] == ids[1:3]
    assert len(read_events(server.folder)) == 2
    versions = {one['id']: one['version'] for one in other.get('/api/items?view=all&limit=6')['items']}
    assert other.do('label', items=ids, label='paper', base=versions)['status'] == 'saved'


def test_a_tab_hears_of_the_others(client):
    other = another_tab(client)
    item = client.get('/api/items?view=all&limit=1')['items'][0]['id']
    assert other.get(f'/api/changes?after=0&tab={other.tab}') == {'seq': 0, 'events': [], 'items': [], 'more': False}
    done = client.do('label', item=item, label='glass')
    heard = other.get(f'/api/changes?after=0&tab={other.tab}&wait=20')
    assert [one['id'] for one in heard['events']] == [done['id']] and heard['items'][0]['label']['name'] == 'glass'
    assert client.get(f'/api/changes?after=0&tab={client.tab}')['events'] == [] and heard['seq'] == 1
    begin = time.monotonic()
    assert other.get(f'/api/changes?after=1&tab={other.tab}&wait=1')['events'] == []
    assert .9 < time.monotonic() - begin < 10


def test_two_servers_and_other_programs_work_on_one_queue(server, client):
    """The second takes another port; each sees what the other stores, and what a program does meanwhile."""
    with ServerThread(server.folder, who='Bob') as second:
        assert second.port != server.port
        other = second.client()
        item = client.get('/api/items?view=all&limit=1')['items'][0]['id']
        client.do('label', item=item, label='glass')
        late = other.do('label', item=item, label='metal', base=0)
        assert late['status'] == 'conflict' and 'Ann has called it glass' in late['reason']
        assert other.get('/api/items?view=labelled')['total'] == 1
        with QueueFile(server.folder) as queue, EventStore(server.folder) as store:
            state = fold(queue, store.events())
            store.append('import', 'Eve', [Action('imported-0001', 'label', (
                state.stretch(state.pieces(2)[0][0]),), 'paper')])
        for one in (client, other):
            assert {item['label']['who'] for item in all_items(one, 'labelled')} == {'Ann', 'Eve'}
        assert other.do('label', item=item, label='metal', base=2)['status'] == 'saved'
        assert client.get('/api/changes?after=2&wait=20')['events'][0]['who'] == 'Bob'


def test_views(client):
    for number, item in enumerate(all_items(client, 'all')[:20]):
        client.do('label', item=item['id'], label='unsure' if number == 4 else true_class(item['interval']))
    assert [one['interval'] for one in all_items(client, 'disagreement')] == [7, 14]  # are proposed wrongly
    assert [one['interval'] for one in all_items(client, 'unsure')] == [5]
    assert [one['interval'] for one in all_items(client, 'labelled')] == list(range(20, 0, -1))
    assert [one['interval'] for one in all_items(client, 'camera_faults')] == [13, 26, 39, 52, 65, 78, 91, 104, 117]
    alike = all_items(client, f'alike:{all_items(client, "all")[2]["id"]}')
    assert alike[0]['interval'] == 3 and len(alike) == 120
    assert all(one['interval'] % 3 == 0 for one in alike[:30])
    neighbours = client.get(f'/api/items/{alike[0]["id"]}/neighbours')['neighbours']
    assert [one['label'] for one in neighbours] == ['glass'] * 5
    assert sorted((one['similarity'] for one in neighbours), reverse=True) == [
        one['similarity'] for one in neighbours]
    bar = client.get(f'/api/time?recording=2&topic={TOPIC}')['pieces']
    assert [int(one['start_ns']) for one in bar] == sorted(int(one['start_ns']) for one in bar) and len(bar) == 60
    assert client.request('GET', '/api/time?recording=2&topic=/other')[0] == 404


def test_a_twentieth_is_shown_again_blind(server, client):
    before = all_items(client, 'queue')
    for one in before:
        client.do('label', item=one['id'], label=true_class(one['interval']))
    after = all_items(client, 'queue')
    again = [one for one in after if one['blind']]
    assert 1 <= len(again) <= 15 and len(after) == len(before) + len(again)
    places = {one['id']: place for place, one in enumerate(after)}
    for one in again:
        assert one['label'] is None and one['proposals'] == [] and one['doubt'] is None and not one['explanation']
        assert all(frame['decision'] is None for frame in one['frames']) and len(one['frames']) == 4
        assert places[one['id']] - places[one['id'].removesuffix('-again')] >= 5
        assert client.get(f'/api/items/{one["id"]}/neighbours')['neighbours'] == []
    assert client.start()['counts']['open'] == len(again)
    assert places[again[0]['id']] == 1 + [one['cursor'] for one in after].index(client.start()['first_open'])
    told = client.do('label', item=again[0]['id'], label='unknown')
    assert told['items'][0]['label']['name'] == 'unknown' and told['items'][0]['blind']
    first = client.get(f'/api/items/{again[0]["id"].removesuffix("-again")}')
    assert first['label']['name'] == true_class(first['interval'])  # the first label holds
    for one in again[1:]:
        client.do('label', item=one['id'], label=true_class(one['interval']))
    progress = client.get('/api/progress')
    assert progress['self_agreement']['n'] == len(again) and progress['self_agreement']['agree'] == len(again) - 1
    assert client.start()['counts']['open'] == 0
    assert first['id'] in [one['id'] for one in all_items(client, 'disagreement')]
    undone = client.do('undo', event=told['id'])
    assert [(one['id'], one['label'] and one['label']['name']) for one in undone['items']] == [
        (first['id'], true_class(first['interval'])), (again[0]['id'], None)]


def test_the_meter_tells_whether_more_labels_help(client):
    assert 'Too few' in client.get('/api/progress')['enough']
    for one in all_items(client, 'queue'):
        client.do('label', item=one['id'], label=true_class(one['interval']))
    until = time.monotonic() + 30
    while not client.get('/api/progress')['curve']:
        assert time.monotonic() < until
        time.sleep(.1)
    progress = client.get('/api/progress')
    assert progress['random']['n'] == 12 and progress['random']['accuracy'] == 11 / 12  # 70 is proposed wrongly
    assert progress['random']['interval'][0] < 11 / 12 < progress['random']['interval'][1]
    assert progress['model_agreement']['n'] == 99 and sum(progress['classes'].values()) == 99
    assert progress['curve'][-1]['accuracy'] > .95 and 'labels' in progress['enough']
    assert progress['per_minute'] > 60


def test_labels_of_another_mining_are_not_taken_for_these(server, client):
    """A tab that was open when the queue was mined anew has ids that mean something else now."""
    item = client.get('/api/items?limit=1')['items'][0]
    client.do('label', item=item['id'], label='glass')
    server.__exit__()
    make_queue(server.folder, 90, seconds=3.0, frames=1).close()
    with ServerThread(server.folder) as second:
        tab = second.client()
        assert tab.queue_id != client.queue_id
        [label] = all_items(tab, 'labelled')
        assert (label['recording'], label['topic'], label['start_ns']) == (
            item['recording'], item['topic'], item['start_ns'])
        status, answer = tab.post([{'id': 'event-0001', 'kind': 'label', 'item': item['id'], 'label': 'metal'}],
                                  queue=client.queue_id)
        assert status == 409 and answer['code'] == 'queue' and len(read_events(server.folder)) == 1
