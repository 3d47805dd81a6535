"""Labelling on the page as people do it: a real a real server, and what lies on the disk afterwards."""
import re

import pytest
from page_driver import events_of, labels_of, next_shown, open_page, served_queue, state_of
from queue_samples import CLASSES, TOPIC

from robot_vision_dl.bench.page_driver import all_saved, shown, wait_for


@pytest.fixture(scope='module')
def server(tmp_path_factory):
    """One server and one queue for all: each test labels what the ones before have left."""
    with served_queue(tmp_path_factory, intervals=200, frames=5) as server:
        yield server


@pytest.fixture(scope='module')
def context(chromium, server):
    context = chromium.new_context(viewport={'width': 1280, 'height': 800})
    open_page(context, server).close()
    yield context
    context.close()


@pytest.fixture
def folder(server):
    return server.folder


@pytest.fixture
def page(context, server):
    problems = []
    page = open_page(context, server, server.address, problems)
    yield page
    page.close()
    assert problems == []


@pytest.fixture
def new_events(folder):
    """Events that came in this test."""
    before = len(events_of(folder))
    return lambda: events_of(folder)[before:]


def labelled(folder):
    return {interval: names for interval, names in labels_of(folder).items() if any(names)}


def proposal(page):
    return page.inner_text('#proposal .accept bdi')


def test_twenty_pieces_are_labelled_by_keyboard_alone(page, folder, new_events):
    expected = {}
    for turn in range(20):
        interval = int(shown(page))
        key = ('1', '2', '3', 'Enter', '0', '-', 'x')[turn % 7]
        expected[interval] = [{'0': 'unknown', '-': 'unsure', 'x': 'ignore', 'Enter': proposal(page)}.get(key)
                              or CLASSES[int(key) - 1]]
        page.keyboard.press(key)
        next_shown(page, interval)
    all_saved(page)
    labels = labels_of(folder)
    assert {interval: labels[interval] for interval in expected} == expected
    assert len(new_events()) == len(expected) == 20
    count = len(labelled(folder))
    wait_for(lambda: page.inner_text('#meter-text').startswith(f'{count} of'), 15)


def test_a_mistake_is_undone_and_a_label_taken_away(page, folder, new_events):
    before, first = labels_of(folder), shown(page)
    page.keyboard.press('1')
    page.keyboard.press('2')
    page.keyboard.press('u')
    page.keyboard.press('u')
    assert shown(page) == first
    page.keyboard.press('3')
    page.keyboard.press('k')
    page.keyboard.press('Delete')
    all_saved(page)
    assert labels_of(folder) == before
    assert [kind for kind, _ in new_events()] == ['label', 'label', 'undo', 'undo', 'label', 'clear']


def test_look_alikes_are_labelled_together(page, folder, new_events):
    before = labels_of(folder)
    page.keyboard.press('g')
    page.wait_for_selector('.tile')
    page.keyboard.press('ArrowRight')
    page.keyboard.press('Space')
    page.keyboard.press('ArrowRight')
    page.keyboard.press('Control+Space')
    page.locator('.tile').nth(4).click(modifiers=['Shift'])
    assert [tile.get_attribute('aria-selected') for tile in page.locator('.tile').all()[:6]] == [
        'false', 'false', 'true', 'true', 'true', 'false']
    page.locator('.tile').nth(0).click(modifiers=['Control'])
    chosen = [int(re.search(r'pictures/(\d+)/', page.locator('.tile').nth(k).locator('img').get_attribute('src'))[1])
              for k in (0, 2, 3, 4)]
    page.keyboard.press('3')
    all_saved(page)
    assert labels_of(folder) == {**before, **{interval: [CLASSES[2]] for interval in chosen}}
    assert new_events() == [('label', CLASSES[2])]
    page.keyboard.press('u')
    all_saved(page)
    assert labels_of(folder) == before
    page.keyboard.press('Escape')
    page.wait_for_selector('.tile', state='detached')
    page.keyboard.press('1')
    all_saved(page)
    assert new_events()[-1] == ('label', CLASSES[0])


def test_a_piece_is_cut_and_its_parts_are_labelled(page, folder, new_events):
    interval = int(shown(page))
    page.keyboard.press('ArrowRight')
    page.keyboard.press('b')
    assert page.locator('#strip .thumb').count() == 3
    page.keyboard.press('1')
    assert page.locator('#strip .thumb').count() == 2 and int(shown(page)) == interval
    page.keyboard.press('2')
    all_saved(page)
    assert labels_of(folder)[interval] == [CLASSES[0], CLASSES[1]]
    # Undone in turn: both labels, then the cut.
    for _ in range(3):
        page.keyboard.press('u')
    all_saved(page)
    assert page.locator('#strip .thumb').count() == 5
    assert labels_of(folder)[interval] == [None]


def test_a_key_that_is_held_while_the_film_plays_labels_a_part(page, folder, new_events):
    interval = int(shown(page))
    frames = page.locator('#strip .thumb')
    page.keyboard.press('Space')
    wait_for(lambda: frames.nth(1).get_attribute('aria-current') == 'true')
    page.keyboard.down('2')
    page.wait_for_selector('.held:not([hidden])')
    wait_for(lambda: frames.nth(3).get_attribute('aria-current') == 'true')
    page.keyboard.up('2')
    all_saved(page)
    names = labels_of(folder)[interval]
    assert names.count(CLASSES[1]) == 1 and names.count(None) == len(names) - 1 and len(names) in (2, 3)
    piece, _ = state_of(folder).pieces(interval)[names.index(CLASSES[1])]
    assert piece.end_ns - piece.start_ns in (400_000_000 * n for n in (2, 3, 4))
    assert new_events() == [('span', CLASSES[1])]


def test_a_class_is_added_and_found_by_its_name(page, folder, new_events):
    first, names = int(shown(page)), [f'kind {number}' for number in range(8)]
    for name in names:
        page.keyboard.press('n')
        page.keyboard.type(name)
        page.keyboard.press('Enter')
        page.wait_for_selector('dialog', state='detached')
    # The ninth class is the last with a digit; what comes after is found by typing, or on the next page of digits.
    page.keyboard.press('9')
    page.keyboard.press('/')
    page.keyboard.type('d 7')
    page.keyboard.press('Enter')
    page.keyboard.press(';')
    page.keyboard.press('2')
    page.keyboard.press('n')
    page.keyboard.type('GLASS')
    page.keyboard.press('Enter')
    assert 'There is one of that name' in page.inner_text('dialog .wrong')
    page.keyboard.press('Escape')
    all_saved(page)
    labels = labels_of(folder)
    assert [label for kind, label in new_events() if kind == 'label'] == [*names, names[5], names[7], names[7]]
    assert names[0] in labels[first] and state_of(folder).class_names == (*CLASSES, *names)


def test_views_and_the_way_back_after_a_reload(page, folder):
    wrong = {}
    for _ in range(3):
        wrong[int(shown(page))] = 'unsure'
        page.keyboard.press('-')
    all_saved(page)
    page.reload()
    page.wait_for_selector('#strip .thumb')
    assert int(shown(page)) not in wrong, 'a page that is loaded again goes on where nothing is labelled'
    page.keyboard.press('k')
    page.wait_for_selector('#proposal .yours')
    assert int(shown(page)) in wrong and 'unsure' in page.inner_text('#proposal .yours')
    page.get_by_role('button', name=re.compile('^Unsure')).click()
    unsure = [interval for interval, names in labelled(folder).items() if names == ['unsure']]
    wait_for(lambda: int(shown(page)) == min(unsure))
    for _ in unsure:
        page.keyboard.press('1')
    page.wait_for_selector('text=Unsure: done')
    all_saved(page)
    assert set(wrong) <= set(unsure) and all(labels_of(folder)[interval] == [CLASSES[0]] for interval in unsure)


def test_a_piece_is_reached_by_the_time_bar(page):
    page.wait_for_selector('#time .segment.here')
    before = page.inner_text('#time .times')
    page.keyboard.press(']')
    wait_for(lambda: page.inner_text('#time .times') != before)
    assert TOPIC in page.inner_text('#time')
    page.keyboard.press('1')
    page.keyboard.press('k')
    page.wait_for_selector('#time .segment.here.labelled')


QUEUE_LENGTH = 20
"""So many pieces have one that is shown again, put in behind the last."""


def test_the_queue_is_done_when_nothing_is_left_and_what_comes_again_says_so(chromium, tmp_path_factory):
    with served_queue(tmp_path_factory, intervals=QUEUE_LENGTH) as server:
        page = open_page(chromium.new_context(), server)
        first = int(shown(page))
        # One is passed over, and another view looked at: the queue goes on where nothing is labelled.
        page.keyboard.press('j')
        second = int(shown(page))
        page.keyboard.press('1')
        next_shown(page, second)
        page.locator('nav').get_by_role('button', name=re.compile('^All')).click()
        page.wait_for_selector('body[data-view=all]')
        page.get_by_role('button', name=re.compile('^Queue')).click()
        page.wait_for_selector('body[data-view=queue]')
        assert page.inner_text('nav button[aria-current]').startswith('Queue') and int(shown(page)) == first
        page.keyboard.press('1')
        next_shown(page, first)
        page.keyboard.press('k')
        page.keyboard.press('o')
        wait_for(lambda: page.locator('#proposal .yours').count() == 0)
        for _ in range(2 * QUEUE_LENGTH):
            if page.locator('text=Shown again on purpose').count():
                break
            page.keyboard.press('1')
            page.wait_for_selector('#proposal .question strong')
            wait_for(lambda: not page.inner_text('#proposal').startswith('Looking'))
        page.wait_for_selector('text=Shown again on purpose')
        page.keyboard.press('g')
        wait_for(lambda: 'No look-alikes here: this piece is shown again on purpose' in page.inner_text('#toast'))
        page.keyboard.press('1')
        page.wait_for_selector('text=Queue: done')
        all_saved(page)
        assert page.evaluate("fetch('/api/queue').then((one) => one.json()).then((one) => one.counts.open)") == 0
        page.context.close()


def test_what_is_shown_of_a_piece_is_its_own_also_without_a_server(chromium, tmp_path_factory):
    with served_queue(tmp_path_factory, intervals=20, seconds=0.04) as server:
        page = open_page(chromium.new_context(), server)
        page.wait_for_selector('#time .segment.here')
        times = page.inner_text('#time .times')
        assert re.fullmatch(r'\d+:\d\d\.\d', times), 'the start is the end in tenths of a second'
        # As sure in the bar as in words.
        width = page.evaluate("parseFloat(document.querySelector('#proposal .sureness .bar span').style.width)")
        words = page.inner_text('#proposal .sureness')
        assert (width, words) == (5, 'It is in great doubt'), 'doubt .95'
        page.route('**/api/time*', lambda route: route.abort())
        page.route('**/neighbours', lambda route: route.abort())
        page.keyboard.press('j')
        page.wait_for_selector('#neighbours :text("Not known")')
        assert page.locator('#time .segment').count() == page.locator('#time canvas').count() == 0
        assert page.locator('#neighbours img').count() == 0
        page.context.close()
