"""The page without a mouse, with a screen reader, on a phone, for those who want no motion."""
import re

import pytest
from page_driver import labels_of, open_page, served_queue
from queue_samples import CLASSES

from robot_vision_dl.bench.page_driver import all_saved, shown, wait_for

LANDMARKS = {'banner': None, 'navigation': 'Views', 'main': None, 'complementary': 'Nearest labelled pieces',
             'contentinfo': None, 'toolbar': 'Actions'}
FOCUS = """() => {
  const at = document.activeElement;
  const style = getComputedStyle(at);
  return {tag: at.tagName, name: at.getAttribute('aria-label') || at.textContent.trim().slice(0, 40), id: at.id,
          visible: style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2,
          box: at.getBoundingClientRect().toJSON()};
}"""


@pytest.fixture(scope='module')
def server(tmp_path_factory):
    with served_queue(tmp_path_factory, intervals=60, frames=4) as server:
        yield server


@pytest.fixture(scope='module')
def cookies(chromium, server):
    """Of a browser that has opened the link."""
    context = chromium.new_context()
    open_page(context, server).close()
    yield context.storage_state()
    context.close()


@pytest.fixture
def visit(chromium, server, cookies):
    """Open the page in a browser with these properties."""
    opened = []

    def visit(**properties):
        context = chromium.new_context(storage_state=cookies, **properties)
        opened.append(context)
        return open_page(context, server, server.address)
    yield visit
    for context in opened:
        context.close()


def test_landmarks_and_what_is_said_aloud(visit):
    page = visit()
    page.wait_for_selector('#neighbours h2')
    for role, name in LANDMARKS.items():
        assert page.get_by_role(role, **({'name': name} if name else {})).count() == 1, role
    tree = page.locator('body').aria_snapshot()
    assert '- heading "Label" [level=1]' in tree and re.search(r'button "(The model says )?\w+ .*70 %', tree), tree
    assert page.locator('html').get_attribute('lang') == 'en'
    live = page.locator('#live')
    wait_for(lambda: 'The model says' in live.inner_text())
    before = live.inner_text()
    page.keyboard.press('1')
    wait_for(lambda: live.inner_text() != before)
    wait_for(lambda: page.inner_text('#live-saved') == 'saved')
    assert {page.get_attribute(f'#{name}', 'aria-live') for name in ('live', 'live-saved')} == {'polite'}
    # Every picture has words, or is marked as decoration; every button has a name.
    assert page.locator('img:not([alt])').count() == 0
    unnamed = page.evaluate("""() => [...document.querySelectorAll('button')].filter((one) => one.offsetParent
      && !(one.getAttribute('aria-label') || one.title || one.textContent.trim())).length""")
    assert unnamed == 0


def test_everything_is_reached_by_tab_and_its_focus_is_seen(visit):
    page = visit()
    seen = []
    for _ in range(60):
        page.keyboard.press('Tab')
        focus = page.evaluate(FOCUS)
        if focus['tag'] == 'BODY':
            break
        assert focus['visible'] and focus['box']['width'] > 0, focus
        seen.append(focus['name'])
    words = ' | '.join(seen)
    for wanted in ('To the picture', 'Queue', 'All', 'All keys', 'Picture', 'The model says', *CLASSES, 'unsure',
                   'unknown', 'ignore', 'New class', 'Back', 'Next', 'Play', 'Cut', 'Undo'):
        assert wanted in words, (wanted, words)


def test_buttons_work_by_keyboard_without_acting_twice(visit, server):
    page = visit()
    interval = int(shown(page))
    page.get_by_role('button', name=re.compile(CLASSES[1])).last.focus()
    page.keyboard.press('Enter')
    all_saved(page)
    assert labels_of(server.folder)[interval] == [CLASSES[1]]
    following = int(shown(page))
    assert labels_of(server.folder)[following] == [None], 'Enter on a button is not also "accept"'
    # A click leaves the keys to the page: Enter accepts then.
    page.get_by_role('button', name=re.compile(CLASSES[2])).last.click()
    accepted, name = int(shown(page)), page.inner_text('#proposal .accept bdi')
    page.keyboard.press('Enter')
    all_saved(page)
    labels = labels_of(server.folder)
    assert labels[following] == [CLASSES[2]] and labels[accepted] == [name]


def test_dialogues_keep_the_focus_and_give_it_back(visit):
    page = visit()
    page.get_by_role('button', name='All keys').focus()
    for key in ('?', 'n', '/', 'm'):
        page.keyboard.press(key)
        page.wait_for_selector('dialog[open]')
        interval = shown(page)
        for _ in range(5):
            page.keyboard.press('Tab')
            assert page.evaluate('document.activeElement.matches("body, dialog *")')
        page.keyboard.press('1') if key in '?m' else None
        assert shown(page) == interval, 'no label through a dialogue'
        page.keyboard.press('Escape')
        page.wait_for_selector('dialog', state='detached')
        assert page.evaluate('document.activeElement.id') == 'help'


@pytest.mark.parametrize('width, scheme', ((390, 'dark'), (1280, 'light')))
def test_both_widths_show_all_of_it(visit, width, scheme):
    page = visit(viewport={'width': width, 'height': 844 if width == 390 else 800}, color_scheme=scheme,
                 has_touch=width == 390)
    page.wait_for_selector('#neighbours h2')
    for key in (None, 'g'):
        if key:
            page.keyboard.press(key)
            page.wait_for_selector('.tile')
        assert page.evaluate('document.documentElement.scrollWidth') <= width
        assert page.evaluate("(views => views.scrollWidth <= views.clientWidth)(document.querySelector('nav'))")
    page.keyboard.press('Escape')
    if width == 1280:
        assert page.evaluate('document.documentElement.scrollHeight') <= 800, 'all on one screen'
    light, dark = page.evaluate("""() => ['body', '#proposal'].map((name) => {
      const style = getComputedStyle(document.querySelector(name));
      return style.color.match(/\\d+/g).slice(0, 3).reduce((sum, part) => sum + Number(part), 0);
    })""")
    assert (light > 380 and dark > 380) == (scheme == 'dark')


def test_a_phone_labels_by_touch(visit, server):
    page = visit(viewport={'width': 390, 'height': 844}, has_touch=True, is_mobile=True)
    interval = int(shown(page))
    small = page.evaluate("""() => [...document.querySelectorAll('.choice, #actions button, .accept')]
      .filter((one) => one.getBoundingClientRect().height < 44).length""")
    assert small == 0, 'buttons are large enough for fingers'
    page.get_by_role('button', name=re.compile(CLASSES[0])).last.tap()
    all_saved(page)
    assert labels_of(server.folder)[interval] == [CLASSES[0]]
    page.get_by_role('button', name=re.compile('^Undo')).tap()
    all_saved(page)
    assert labels_of(server.folder)[interval] == [None] and int(shown(page)) == interval


def test_no_motion_for_those_who_want_none(visit):
    page = visit(reduced_motion='reduce')
    assert page.evaluate("""() => [...document.querySelectorAll('*')].every((one) => {
      const style = getComputedStyle(one);
      return parseFloat(style.transitionDuration) === 0 && style.animationName === 'none';
    })""")
