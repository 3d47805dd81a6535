"""Events that cannot be: each is refused with a reason, and nothing is stored."""
import pytest
from label_server import ServerThread
from queue_samples import make_queue

from robot_vision_dl.labelling.events import read_events


@pytest.fixture(scope='module')
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp('queue')
    make_queue(folder, 5).close()
    with ServerThread(folder) as server:
        yield server


@pytest.fixture(scope='module')
def client(server):
    return server.client()


@pytest.mark.parametrize('kind, more, words', [
    ('label', {'item': '1-1', 'label': 'glass'}, None),
    ('label', {'item': '999-1', 'label': 'glass'}, 'no item'), ('label', {'item': 7, 'label': 'glass'}, 'no item'),
    ('label', {'item': '../1', 'label': 'glass'}, 'no item'), ('label', {'label': 'glass'}, 'no item'),
    ('label', {'items': [], 'label': 'glass'}, '1 to 1000'), ('label', {'items': ['x'] * 1001, 'label': 'a'}, '1 to'),
    ('label', {'items': {'a': 1}, 'label': 'glass'}, '1 to'), ('label', {'item': '{1}', 'label': 'brass'}, 'no class'),
    ('label', {'item': '{1}', 'label': 5}, 'no class'), ('label', {'item': '{1}'}, 'no class'),
    ('label', {'item': '{1}', 'label': 'glass', 'base': 'x'}, 'base'),
    ('label', {'item': '{1}', 'label': 'glass', 'base': -1}, 'base'),
    ('label', {'item': '{1}', 'label': 'glass', 'base': {'{1}': True}}, 'base'),
    ('label', {'items': ['{1}', '{1}-again'], 'label': 'glass'}, 'shown again'),
    ('clear', {'item': '{1}-again'}, 'shown again'), ('cut', {'item': '{1}', 'at_ns': '5'}, 'not within'),
    ('cut', {'item': '{1}', 'at_ns': 5}, 'digits'), ('cut', {'item': '{1}', 'at_ns': '9' * 19}, 'at_ns'),
    ('cut', {'item': '{1}'}, 'at_ns'), ('cut', {'items': ['{1}', '{1}x'], 'at_ns': '5'}, 'cut and span one'),
    ('span', {'item': '{1}', 'from_ns': '5', 'to_ns': '5', 'label': 'glass'}, 'end after'),
    ('span', {'item': '{1}', 'from_ns': '5', 'to_ns': '6', 'label': 'glass'}, 'nothing of this camera'),
    ('undo', {'event': 'no-such-event'}, 'no such event'), ('undo', {}, 'no such event'),
    ('class', {'name': ''}, 'needs a name'), ('class', {'name': '  '}, 'needs a name'), ('class', {}, 'needs a name'),
    ('class', {'name': 'Glass'}, 'glass is there already'), ('class', {'name': 'UNKNOWN'}, 'unknown is there'),
    ('class', {'name': 'uncertain'}, 'there already'), ('class', {'name': 'a\nb'}, 'control character'),
    ('class', {'name': 'cup\u200b'}, 'U+200B in it, which cannot be seen'), ('class', {'name': '\u202epuc'}, 'U+202E'),
    ('class', {'name': '\u2066cup'}, 'turns the direction of writing'), ('class', {'name': '\u3164'}, 'U+3164'),
    ('class', {'name': '\u200d\ufe0f'}, 'no character that can be seen'),
    ('class', {'name': 'x' * 201}, '200'), ('class', {'name': '\ud800'}, 'UTF-8'),
    ('destroy', {}, 'no kind'), (None, {}, 'no kind'), (['label'], {}, 'no kind'),
    ('label', {'id': 'short'}, 'an event needs an id'), ('label', {'id': 7}, 'an event needs an id'),
    ('label', {'id': '../../etc/passwd'}, 'an event needs an id')])
def test_it_is_refused_with_a_reason_and_nothing_is_stored(server, client, kind, more, words):
    first = client.get('/api/items?view=all&limit=1')['items'][0]['id']

    def filled(value):
        return (value.replace('{1}', first) if isinstance(value, str) else [filled(one) for one in value]
                if isinstance(value, list) else {filled(key): one for key, one in value.items()}
                if isinstance(value, dict) else value)
    answer = client.do(kind, **{key: filled(value) for key, value in more.items()})
    assert answer['status'] == ('conflict' if words is None else 'refused') and (words or 'cut') in answer['reason']
    assert read_events(server.folder) == []
