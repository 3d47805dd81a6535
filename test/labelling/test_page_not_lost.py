"""No label is lost or doubled: the server killed, the browser closed, two tabs, a server that does not answer."""
import os
import random
import signal
from collections import Counter

import pytest
from page_driver import events_of, labels_of, next_shown, open_page, profile_browser, served_queue
from queue_samples import CLASSES

from robot_vision_dl.bench.page_driver import all_saved, shown, wait_for
from robot_vision_dl.labelling.events import EventStore

LOCAL_STORAGE_MS = 6000
"""Chromium writes what a page puts into its storage to the disk within 5 s (kDefaultCommitDelay)."""
KILLS = 2
"""Of the server in the quick test; `RVD_KILLS` gives another number."""


@pytest.fixture(scope='module')
def server(tmp_path_factory):
    with served_queue(tmp_path_factory, intervals=2000, frames=3) as server:
        yield server


@pytest.fixture
def context(chromium, server):
    """A browser with nothing in its storage, and a link that is good again: the program is started anew."""
    server.stop()
    server.start()
    context = chromium.new_context()
    yield context
    context.close()


def ids_of(folder):
    with EventStore(folder, read_only=True) as store:
        return [event.action.id for event in store.events()]


def saved_word(page):
    return page.inner_text('#saved-text')


def test_a_server_that_is_killed_while_labels_come_loses_and_doubles_none(context, server):
    folder, draws = server.folder, random.Random(5)
    page = open_page(context, server)
    expected, pressed, before = {}, 0, len(ids_of(folder))
    for kill in range(int(os.environ.get('RVD_KILLS', KILLS))):
        for press in range(8):
            interval, digit = int(shown(page)), draws.randrange(3)
            # What is shown again blind keeps the label that it had.
            expected.setdefault(interval, [CLASSES[digit]])
            pressed += 1
            page.keyboard.press(str(digit + 1))
            if press == draws.randrange(4):
                page.wait_for_timeout(draws.randrange(40))
                server.kill()
            next_shown(page, interval)
        if server.process.poll() is None:
            server.kill()
        said_saved = saved_word(page) == 'saved' or saved_word(page).startswith('saved;')
        stored = len(ids_of(folder)) - before
        assert not said_saved or stored == pressed, (kill, stored, pressed)
        server.start()
        # The program that was started anew does not know the browser: the link in any tab of it mends this one.
        helper = context.new_page()
        helper.goto(server.link)
        helper.close()
        all_saved(page)
        labels = labels_of(folder)
        assert {interval: labels[interval] for interval in expected} == expected
        assert len(ids_of(folder)) == before + pressed
    assert max(Counter(ids_of(folder)).values()) == 1


def test_what_is_not_saved_is_said_and_survives_a_reload(context, server):
    folder = server.folder
    page = open_page(context, server)
    os.kill(server.process.pid, signal.SIGSTOP)
    try:
        interval = int(shown(page))
        for _ in range(3):
            page.keyboard.press('2')
        assert saved_word(page) == 'saving 3' and int(shown(page)) != interval
        # Its tab is closed before anything could be sent: the browser asks first.
        asked = []
        page.on('dialog', lambda dialog: (asked.append(dialog.type), dialog.accept()))
        with page.expect_event('close'):
            page.close(run_before_unload=True)
    finally:
        os.kill(server.process.pid, signal.SIGCONT)
    assert asked == ['beforeunload']
    before = ids_of(folder)
    again = open_page(context, server, server.address)
    all_saved(again)
    assert labels_of(folder)[interval] == [CLASSES[1]]
    after = ids_of(folder)
    # Three labels, whether the server had read the request that it was sent while it stood still or not.
    assert len(set(after)) == len(after) and len(after) - len(before) in (0, 1, 2, 3)


@pytest.mark.slow
def test_a_browser_that_is_killed_takes_nothing_along_that_was_saved(chromium, server, tmp_path):
    """What it had not yet sent is sent by the next one that has the same profile."""
    server.stop()
    server.start()
    folder, before = server.folder, ids_of(server.folder)
    with profile_browser(chromium, tmp_path) as (context, kill):
        page = open_page(context, server)
        saved = int(shown(page))
        page.keyboard.press('1')
        all_saved(page)
        next_shown(page, saved)
        kept = int(shown(page))
        page.route('**/api/events', lambda route: route.abort())
        page.keyboard.press('2')
        page.wait_for_selector('#saved[data-state=failing]')
        page.wait_for_timeout(LOCAL_STORAGE_MS)
        kill()
    labels = labels_of(folder)
    assert labels[saved] == [CLASSES[0]] and labels[kept] == [None] and len(ids_of(folder)) == len(before) + 1
    server.stop()
    server.start()
    with profile_browser(chromium, tmp_path) as (context, _):
        page = open_page(context, server)
        wait_for(lambda: labels_of(folder)[kept] == [CLASSES[1]], 10)
        assert '1 label of a page that was closed too early is saved now' in page.inner_text('#toast')
    assert len(ids_of(folder)) == len(before) + 2


def test_two_tabs_agree_and_a_conflict_is_shown_with_both_labels(context, server):
    folder = server.folder
    first = open_page(context, server)
    second = open_page(context, server, server.address)
    interval = shown(first)
    assert shown(second) == interval
    first.keyboard.press('1')
    all_saved(first)
    # The other tab learns of it, still at that piece.
    second.wait_for_selector('#proposal .yours')
    assert CLASSES[0] in second.inner_text('#proposal .yours')

    second.close()

    # Both label the next one, the second without having heard of the first.
    second = open_page(context, server, server.address, deaf=True)
    contested = int(shown(first))
    assert int(shown(second)) == contested
    first.keyboard.press('2')
    all_saved(first)
    second.keyboard.press('3')
    second.wait_for_selector('dialog')
    words = second.inner_text('dialog')
    assert CLASSES[1] in words and CLASSES[2] in words and 'Nothing was overwritten' in words
    assert labels_of(folder)[contested] == [CLASSES[1]]
    second.keyboard.press('m')
    all_saved(second)
    assert labels_of(folder)[contested] == [CLASSES[2]]

    # And once more, with the other choice.
    wait_for(lambda: shown(second) == shown(first))
    contested = int(shown(first))
    first.keyboard.press('1')
    all_saved(first)
    second.keyboard.press('3')
    second.wait_for_selector('dialog')
    second.keyboard.press('t')
    all_saved(second)
    assert labels_of(folder)[contested] == [CLASSES[0]]


def test_a_server_that_refuses_for_a_while_gets_everything_in_the_end(context, server):
    """As with a full disk: the page says so, goes on, and tries again."""
    page = open_page(context, server)
    before = len(events_of(server.folder))
    page.route('**/api/events', lambda route: route.fulfill(
        status=507, content_type='application/json', body='{"error": "the labels cannot be written to the disk"}'))
    for _ in range(3):
        page.keyboard.press('1')
    page.wait_for_selector('#saved[data-state=failing]')
    assert saved_word(page) == '3 not saved yet, trying again'
    assert 'cannot be written to the disk' in page.get_attribute('#saved', 'title')
    page.unroute('**/api/events')
    all_saved(page)
    assert len(events_of(server.folder)) == before + 3


def test_what_was_not_saved_before_a_new_mining_is_told_until_it_is_forgotten(context, server):
    page = open_page(context, server)
    page.evaluate("""() => ['a', 'b'].forEach((n) => localStorage.setItem(
      `robot-vision-label:queue-before:tab-gone:0000000${n}`, JSON.stringify({kind: 'label', label: 'cup'})))""")
    page.reload()
    page.wait_for_selector('dialog .lost')
    assert 'These 2 did not reach the server' in page.inner_text('dialog') and '2 × cup' in page.inner_text('.lost')
    page.keyboard.press('Escape')
    page.wait_for_selector('#strip .thumb')
    page.reload()
    page.wait_for_selector('dialog .lost')
    page.get_by_role('button', name='Forget').click()
    page.wait_for_selector('#strip .thumb')
    assert not page.evaluate("Object.keys(localStorage).filter((key) => key.includes('queue-before')).length")
