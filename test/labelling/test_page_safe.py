"""What names in a bag, and pages of others, can do to the page: nothing. In a real browser."""
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from page_driver import browser, events_of, labels_of, open_page, served_queue

from robot_vision_dl.bench.page_driver import all_saved, shown

NAMES = ('<img src=x onerror="window.hit=1;alert(1)">', '"><script>window.hit=2;alert(2)</script>',
         "javascript:alert(3)//'\"`${alert(4)}")
RECORDINGS = ('<svg/onload=window.hit=5>', '</p><iframe srcdoc="<script>parent.hit=6</script>">\u202etxt')
TOPIC = '/camera/<b onmouseover=alert(7)>image</b>'
EVIL = 'evil.test'

ATTACK = """<!doctype html><title>other</title><h1>other</h1>
<form id="plain" method="post" enctype="text/plain" action="%(target)sapi/events"
target="sink"><input name='%(head)s' value='"}'></form>
<iframe name="sink"></iframe><iframe id="framed" src="%(target)s"></iframe>"""

WRITES = """async ([target, body]) => {
  const post = {method: 'POST', credentials: 'include'};
  const tries = {
    cors: () => fetch(target, {...post, headers: {'Content-Type': 'application/json'}, body}),
    simple: () => fetch(target, {...post, mode: 'no-cors', headers: {'Content-Type': 'text/plain'}, body}),
    blob: () => fetch(target, {...post, mode: 'no-cors', body: new Blob([body], {type: 'text/plain'})}),
    beacon: async () => navigator.sendBeacon(target, new Blob([body], {type: 'text/plain'})),
    read: async () => (await fetch(target.replace('events', 'queue'), {credentials: 'include'})).json(),
  };
  const found = {};
  for (const [name, go] of Object.entries(tries)) {
    try { const answer = await go(); found[name] = answer === true ? 'sent' : answer.type ?? answer; }
    catch (error) { found[name] = error.name; }
  }
  return found;
}"""


@pytest.fixture(scope='module')
def chromium():
    with browser(f'--host-resolver-rules=MAP {EVIL} 127.0.0.1') as chromium:
        yield chromium


@pytest.fixture(scope='module')
def server(tmp_path_factory):
    with served_queue(tmp_path_factory, intervals=30, recordings=RECORDINGS, topics=(TOPIC,),
                      class_names=NAMES) as server:
        yield server


@pytest.fixture(scope='module')
def context(chromium, server):
    """A browser that may use the page."""
    context = chromium.new_context()
    open_page(context, server).close()
    yield context
    context.close()


@pytest.fixture(scope='module')
def other_site(server):
    """A page of somebody else, on another port of this machine: to the browser the same site, another origin."""
    text = (ATTACK % {'target': server.address, 'head': '{"queue": "x", "events": [], "tab": "'}).encode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header('Content-Type', 'text/html')
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_):
            pass

    site = ThreadingHTTPServer(('127.0.0.1', 0), Handler)
    threading.Thread(target=site.serve_forever, daemon=True).start()
    yield site.server_address[1]
    site.shutdown()
    site.server_close()


def test_scripts_in_names_are_text(context, server):
    dialogs, problems = [], []
    page = open_page(context, server, server.address, problems)
    page.on('dialog', lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    elements = ('script:not([src="/page.js"]), iframe, b:not(.figure b), svg:not(.curve), img[src="x"], [onerror], '
                '[onload], [onmouseover]')
    for press in ('1', '2', '3', 'k', 'g', 'Escape', 'm', 'Escape', '/', 'Escape', 'n'):
        page.keyboard.press(press)
        page.wait_for_timeout(60)
        assert page.locator(elements).count() == 0, press
    page.keyboard.type('<img src=y onerror=alert(8)>')
    page.keyboard.press('Enter')
    all_saved(page)
    page.wait_for_selector('#time .segment')
    assert page.locator(elements).count() == 0 and page.locator('img[src="y"]').count() == 0
    assert dialogs == [] and problems == [] and page.evaluate('window.hit') is None
    assert page.inner_text('#time .where strong') in RECORDINGS and TOPIC in page.inner_text('#time')
    assert all(page.get_by_role('button', name=name).count() > 0 for name in NAMES)
    assert '<img src=y onerror=alert(8)>' in page.inner_text('#classes')
    page.close()


@pytest.mark.parametrize('host', ('127.0.0.1', 'localhost'))
def test_a_page_of_somebody_else_can_neither_write_nor_read(context, server, other_site, host):
    """Also where the browser sends the cookie along, as it does to another port of the same machine."""
    ours = open_page(context, server, server.address)
    item = ours.evaluate('async () => (await (await fetch("/api/items?limit=1")).json()).items[0].id')
    queue = ours.evaluate('async () => (await (await fetch("/api/queue")).json()).queue_id')
    ours.close()
    before, labels = events_of(server.folder), labels_of(server.folder)
    statuses = []
    page = context.new_page()
    page.on('response', lambda answer: statuses.append(answer.status) if answer.url.endswith('/api/events') else None)
    page.goto(f'http://{host}:{other_site}/')
    event = '{"id": "stolen-00000001", "kind": "label", "item": "%s", "label": "ignore", "base": 9999}' % item
    body = '{"queue": "%s", "tab": "evil", "events": [%s]}' % (queue, event)
    found = page.evaluate(WRITES, [f'{server.address}api/events', body])
    assert found['cors'] == found['read'] == 'TypeError' and found['simple'] in ('opaque', 'TypeError')
    page.evaluate('document.getElementById("plain").submit()')
    page.wait_for_timeout(300)
    assert 200 not in statuses, statuses
    framed = page.frames[2]
    assert framed.query_selector('#strip') is None
    page.close()
    assert events_of(server.folder) == before and labels_of(server.folder) == labels


def test_a_name_that_is_made_to_point_here_is_refused(context, server):
    """DNS rebinding: the address is ours, the name is not."""
    page = context.new_page()
    for path in ('', 'api/queue', 'page.js', server.link.rpartition('/')[2]):
        answer = page.goto(f'http://{EVIL}:{server.port}/{path}')
        assert answer.status == 421 and 'Label' not in page.title()
    page.close()


def test_without_the_link_there_is_nothing_to_see(chromium, server):
    context = chromium.new_context()
    page = context.new_page()
    for path in ('', server.link.rpartition('/')[2], '?token=guess', 'api/queue', 'page.js', 'api/pictures/1/0.jpg',
                 'api/pictures/..%2f..%2fmined.sqlite/0.jpg', '%2e%2e/mined.sqlite'):
        answer = page.goto(f'{server.address}{path}')
        assert answer.status in (403, 404), path
    assert page.locator('#strip').count() == 0
    context.close()


def test_the_page_runs_no_script_but_its_own_and_asks_nobody_else(context, server):
    asked = []
    page = context.new_page()
    page.on('request', lambda request: asked.append(request.url))
    page.goto(server.address)
    page.wait_for_selector('#strip .thumb')
    assert all(url.startswith(server.address) for url in asked)
    blocked = page.evaluate("""async () => {
      const script = document.createElement('script');
      let told = '';
      try { script.textContent = 'window.hit = 9'; document.body.append(script); } catch (error) { told = error.name; }
      try { document.body.innerHTML += '<img src=x onerror="window.hit = 10">'; } catch (error) { told += error.name; }
      await new Promise((done) => setTimeout(done, 50));
      return [window.hit ?? null, told];
    }""")
    assert blocked == [None, 'TypeErrorTypeError']  # Trusted Types
    assert shown(page)
    page.close()
