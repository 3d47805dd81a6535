"""Who may use the page, against a real server: what another site, another name, another port or a crafted path gets."""
import json
import socket

import pytest
from label_server import Client, LabelServer
from queue_samples import make_queue

from robot_vision_dl.labelling.events import read_events

EVIL = '</script><script>alert(1)</script><img src=x onerror=alert(2)>"\'&\u2028'


@pytest.fixture(scope='module')
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp('queue')
    make_queue(folder, 20, recordings=(EVIL, 'yard'), topics=(f'/{EVIL}',)).close()
    (folder / 'secret.txt').write_text('secret')
    with LabelServer(folder) as server:
        server.folder = folder
        server.tab = server.client()
        yield server


@pytest.fixture
def client(server):
    client = Client(server.port)
    client.cookie, client.queue_id = server.tab.cookie, server.tab.queue_id
    return client


def short_json(answer, status):
    """An answer that refuses, in a short sentence of JSON that has nothing of what is inside."""
    got, headers, body = answer
    assert got == status, (got, body)
    assert headers['content-type'] == 'application/json' and len(body) < 300
    found = json.loads(body)
    assert set(found) <= {'error', 'remedy', 'code'} and found['error']
    assert 'Traceback' not in found['error'] and 'queue0' not in body.decode()
    return found


def post(client, headers=None, events=(), body=None, **more):
    body = json.dumps({'queue': client.queue_id, 'tab': client.tab, 'events': [
        {'id': 'an-event-of-evil', 'kind': 'class', 'name': 'evil'}], **more}).encode() if body is None else body
    return client.request('POST', '/api/events', body, headers)


def test_it_listens_on_this_machine_alone(server):
    with open('/proc/net/tcp') as file:
        listening = [line.split()[1] for line in file if line.split()[3] == '0A']
    assert [one for one in listening if one.endswith(f':{server.port:04X}')] == [f'0100007F:{server.port:04X}']


@pytest.mark.parametrize('host', [
    'evil.example', 'evil.example:{port}', '127.0.0.1', '127.0.0.1:80', '127.0.0.1:{port}.evil.example',
    'localhost.evil.example:{port}', '0.0.0.0:{port}', '[::1]:{port}', '127.1:{port}', '2130706433:{port}',
    'LOCALHOST:{port}', 'user@127.0.0.1:{port}', '127.0.0.1:0{port}', '', None,
    ['127.0.0.1:{port}', 'evil.example'], ['127.0.0.1:{port}', '127.0.0.1:{port}']])
def test_another_host_is_not_served_whatever_else_is_right(client, host):
    """DNS rebinding: a name of the attacker's that points here, with the attacker's page as the same origin."""
    def filled(value):
        return [filled(one) for one in value] if isinstance(value, list) else value and value.format(port=client.port)
    for path in ('/', '/api/queue', '/page.js', f'/?token={"x" * 43}'):
        status, headers, body = client.request('GET', path, headers={'Host': filled(host)})
        assert status in (400, 421) and 'set-cookie' not in headers and b'secret' not in body, path
    assert post(client, {'Host': filled(host), 'Origin': f'http://{filled(host)}'})[0] in (400, 421)
    assert read_events_of(client) == []


def read_events_of(client):
    return [one for one in client.get('/api/changes?after=0')['events'] if one['id'] == 'an-event-of-evil']


def test_localhost_is_served_too(server):
    client = Client(server.port, f'localhost:{server.port}')
    client.cookie = server.tab.cookie
    assert client.start()['queue_id'] and client.do('class', name='by localhost')['status'] == 'saved'


@pytest.mark.parametrize('headers', [
    {'Origin': None}, {'Origin': 'null'}, {'Origin': 'http://evil.example'}, {'Origin': 'https://127.0.0.1:{port}'},
    {'Origin': 'http://127.0.0.1'}, {'Origin': 'http://127.0.0.1:1'}, {'Origin': 'http://localhost:{port}'},
    {'Origin': 'http://127.0.0.1:{port}/'}, {'Origin': 'http://127.0.0.1:{port}.evil.example'},
    {'Origin': ['http://127.0.0.1:{port}', 'http://evil.example']}, {'Sec-Fetch-Site': 'cross-site'},
    {'Sec-Fetch-Site': 'same-site'}, {'Sec-Fetch-Site': 'none'}, {'Sec-Fetch-Site': None},
    {'Sec-Fetch-Site': ['same-origin', 'cross-site']}])
def test_another_origin_changes_nothing(client, headers):
    filled = {name: [one.format(port=client.port) for one in value] if isinstance(value, list)
              else value and value.format(port=client.port) for name, value in headers.items()}
    assert post(client, filled)[0] in (400, 403)
    assert read_events_of(client) == []


@pytest.mark.parametrize('site', ['cross-site', 'same-site'])
def test_another_site_reads_nothing(client, site):
    """A page of another port of this machine is the same site: its requests carry the cookie."""
    for path in ('/api/queue', '/api/pictures/1/0.jpg', '/api/items?view=all', '/page.js'):
        short_json(client.request('GET', path, headers={'Sec-Fetch-Site': site}), 403)


@pytest.mark.parametrize('cookie', [
    None, '', 'robot_vision_label_{port}=', 'robot_vision_label_{port}=wrong', 'robot_vision_label_1={secret}',
    '{secret}', ['robot_vision_label_{port}={secret}', 'a=b'], 'robot_vision_label_{port}={secret}x', 'ä=ö; \x01'])
def test_without_the_cookie_nothing_is_given(client, cookie):
    secret = client.cookie.split('=')[1]
    fill = lambda text: text and text.format(port=client.port, secret=secret)  # noqa: E731
    value = [fill(one) for one in cookie] if isinstance(cookie, list) else fill(cookie)
    paths = ['/', '/page.js', '/api/queue', '/api/items?view=queue', '/api/items/1-2', '/api/items/1-2/neighbours',
             '/api/pictures/1/0.jpg', '/api/time?recording=1&topic=x', '/api/changes?after=0', '/api/progress']
    for path in paths:
        status, headers, body = client.request('GET', path, headers={'Cookie': value})
        assert status in (400, 403) and len(body) < 600 and 'set-cookie' not in headers, path
        assert headers['content-type'] == ('text/html; charset=utf-8' if path == '/' and status == 403
                                           else 'application/json')
    assert post(client, {'Cookie': value})[0] in (400, 403)
    assert read_events_of(client) == []


@pytest.mark.parametrize('before', ['{"theme": "dark"}', 'a=[1, 2]; b@c=d', 'x=ä', 'robot_vision_label_{port}=old'])
def test_cookies_of_other_programs_of_this_machine_do_not_lock_it(client, before):
    """Browsers send those of all ports, and not all of them are as RFC 6265 would have it."""
    for header in (f'{before.replace("{port}", str(client.port))}; {client.cookie}', f'{client.cookie}; {before}'):
        assert client.request('GET', '/api/queue', headers={'Cookie': header})[0] == 200


def test_a_token_is_good_once_and_gives_a_cookie_that_no_script_and_no_other_site_has(server):
    with LabelServer(server.folder) as other:
        fresh = Client(other.port)
        for wrong in ('', 'wrong', other.token[:-1], other.token + 'x', '%00', f'{other.token}&token=x', '%F0%9F'):
            status, headers, body = fresh.request('GET', f'/?token={wrong}')
            assert (status, 'set-cookie' in headers) == (403, False) and b'Press Enter' in body, wrong
        status, headers, body = fresh.request('GET', f'/?token={other.token}')
        name, *attributes = headers['set-cookie'].split('; ')
        assert status == 200 and sorted(attributes) == ['HttpOnly', 'Path=/', 'SameSite=Strict']
        assert name.startswith(f'robot_vision_label_{other.port}=') and other.token not in name
        assert headers['referrer-policy'] == 'no-referrer' and headers['cache-control'] == 'no-store'
        assert b'content="0;url=/"' in body and other.token.encode() not in body
        status, headers, _ = fresh.request('GET', f'/?token={other.token}')
        assert (status, 'set-cookie' in headers) == (403, False)
        # Each server has a secret of its own.
        assert short_json(fresh.request('GET', '/api/queue', headers={'Cookie': server.tab.cookie}), 403)['code'] == (
            'session')
        # A cookie does not save a token that is used up.
        assert fresh.request('GET', f'/?token={other.token}', headers={'Cookie': name})[0] == 403


@pytest.mark.parametrize('path', [
    '/../secret.txt', '/..%2fsecret.txt', '/%2e%2e/secret.txt', '/%2E%2E%2Fsecret.txt', '/....//secret.txt',
    '//etc/passwd', '/page/../../secret.txt', '/secret.txt', '/mined.sqlite', '/labels.sqlite', '/__init__.py',
    '/page.js%00.html', '/page.js%00', '/\\..\\secret.txt', '/page.js;x', '/%c0%ae%c0%ae/secret.txt', '/./page.js',
    '/page/page.js', '/api/pictures/1/..%2f..%2fsecret.txt', '/api/pictures/../../secret.txt',
    '/api/pictures/1/0.jpg/..', '/api/pictures/%31/0.jpg', '/api/pictures/1e3/0.jpg', '/api/pictures/-1/0.jpg',
    '/api/pictures/99999999999999999999999/0.jpg', '/api/pictures/1/9223372036854775808.jpg',
    '/api/pictures/1/0.png', '/api/pictures/1/', '/api/items/1-2%00', "/api/items/1'--", '/api/items/1-2-3',
    '/api/items/' + '9' * 40 + '-1', '/api/', '/api', '/docs', '/openapi.json', '/' + 'a' * 3000])
def test_no_path_leads_anywhere_else(client, path):
    short_json(client.request('GET', path), 404)


@pytest.mark.parametrize('query', [
    'view=../../etc/passwd', 'view=_queue', 'view=__class__', 'view=alike', 'view=alike:', 'view=alike:1',
    'view=alike:99-1', 'after=x', 'after=1_2_3_4_5', 'after=%00', 'after=' + '9' * 30, 'limit=0', 'limit=-1',
    'limit=1000', 'limit=1e2', 'limit=', 'limit=' + '9' * 50, 'limit=%D9%A1'])
def test_no_query_is_believed(client, query):
    assert client.request('GET', f'/api/items?{query}')[0] in (400, 404)


def test_a_long_address_is_refused(client):
    short_json(client.request('GET', '/api/items?view=' + 'x' * 3000), 414)


@pytest.mark.parametrize('method', ['HEAD', 'PUT', 'DELETE', 'OPTIONS', 'PATCH', 'TRACE', 'CONNECT', 'BREW'])
def test_other_methods_are_refused(client, method):
    status, headers, body = client.request(method, '/api/queue')
    assert status == 405 and 'access-control-allow-origin' not in headers


def test_get_and_post_are_not_the_same(client):
    assert client.request('GET', '/api/events')[0] == 405
    assert client.request('POST', '/api/queue', b'{}')[0] == 405


@pytest.mark.parametrize('kind', [
    None, 'text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data', 'text/plain;application/json',
    'application/json; charset=utf-7', 'application/jsonp', ['application/json', 'text/plain']])
def test_only_json_is_taken(client, kind):
    """What a form of another site can send without asking first is never this type."""
    assert post(client, {'Content-Type': kind})[0] in (400, 415)
    assert read_events_of(client) == []


@pytest.mark.parametrize('body, status', [
    (b'', 400), (b'[]', 400), (b'{', 400), (b'\xff\xfe', 400), (b'null', 400), (b'[' * 100_000, 400),
    (b'{"a": NaN}', 400), (b'{}', 409), (b'x' * (512 * 1024 + 1), 413)])
def test_no_body_ends_the_server(client, body, status):
    got, headers, answer = post(client, body=body)
    assert got == status and json.loads(answer)['error']
    assert client.get('/api/queue')['queue_id']


def test_a_body_that_lies_about_its_length_is_cut_off(client):
    chunk = b'10000\r\n' + b'x' * 65536 + b'\r\n'
    with socket.create_connection(('127.0.0.1', client.port), 10) as link:
        link.sendall((
            f'POST /api/events HTTP/1.1\r\nHost: {client.host}\r\nOrigin: http://{client.host}\r\nSec-Fetch-Site: '
            f'same-origin\r\nContent-Type: application/json\r\nCookie: {client.cookie}\r\n'
            'Transfer-Encoding: chunked\r\n\r\n').encode())
        try:
            for _ in range(40):
                link.sendall(chunk)
        except OSError:
            pass
        link.settimeout(10)
        try:
            answer = link.recv(100)
        except ConnectionResetError:
            answer = b'HTTP/1.1 413'
    assert answer.startswith(b'HTTP/1.1 413')
    assert client.get('/api/queue')


def test_two_requests_in_one_are_not_smuggled(client):
    """Length and chunks told at once: h11 refuses."""
    body = b'0\r\n\r\nGET /api/queue HTTP/1.1\r\nHost: x\r\n\r\n'
    assert post(client, {'Transfer-Encoding': 'chunked', 'Content-Length': str(len(body))}, body=body)[0] == 400


def test_what_comes_of_a_bag_is_text_alone(client):
    """Scripts in names of recordings, topics and classes: in JSON, told as such, never in a page."""
    assert client.do('class', name=EVIL.replace('\u2028', ''))['status'] == 'saved'
    for path in ('/api/queue', '/api/items?view=all', '/api/changes?after=0'):
        status, headers, body = client.request('GET', path)
        assert headers['content-type'] == 'application/json' and headers['x-content-type-options'] == 'nosniff'
        assert 'onerror=alert' in json.dumps(json.loads(body)) and '\u2028' not in body.decode('ascii')
    status, headers, body = client.request('GET', '/api/items/<script>alert(1)</script>')
    assert status == 404 and b'alert' not in body and headers['content-type'] == 'application/json'
    status, headers, body = client.request('GET', '/?token=<script>alert(1)</script>')
    assert status == 403 and b'alert' not in body


def test_every_answer_carries_the_policies(client):
    answers = [client.request('GET', path, headers=headers) for path, headers in (
        ('/', {}), ('/api/queue', {}), ('/api/pictures/1/0.jpg', {}), ('/nothing', {}), ('/%2e', {}),
        ('/api/queue', {'Host': 'evil.example'}), ('/', {'Cookie': None}), ('/?token=x', {}))]
    answers += [post(client, {'Origin': 'null'}), client.request('PUT', '/')]
    for _, headers, _ in answers:
        policy = dict(one.strip().split(' ', 1) for one in headers['content-security-policy'].split(';'))
        assert policy['default-src'] == "'none'" and policy['script-src'] == "'self'" == policy['connect-src']
        assert policy['frame-ancestors'] == policy['base-uri'] == policy['form-action'] == "'none'"
        assert 'unsafe' not in headers['content-security-policy'] and 'http' not in headers['content-security-policy']
        assert headers['x-content-type-options'] == 'nosniff' and headers['x-frame-options'] == 'DENY'
        assert headers['cross-origin-resource-policy'] == 'same-origin' and 'server' not in headers
        assert headers['referrer-policy'] == 'no-referrer'
        assert not [name for name in headers if name.startswith('access-control')]


def test_a_web_socket_is_refused(client):
    assert client.request('GET', '/api/changes', headers={
        'Connection': 'Upgrade', 'Upgrade': 'websocket', 'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
        'Sec-WebSocket-Version': '13'})[0] != 101


def test_nothing_of_all_this_was_stored(server):
    assert {one.action.label for one in read_events(server.folder)} <= {'by localhost', EVIL.replace('\u2028', '')}
