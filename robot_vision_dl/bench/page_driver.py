"""A real browser in front of the page of ``robot-vision label``: what is shown, which key labels it, what is saved."""
import os
import re
import shutil
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Callable, Iterator, List, NamedTuple, Optional

from ..core.errors import MachineError, RequirementError
from ..core.requirements import pip_install
from ..core.text.printable import printable

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

CHROMIUM_VARIABLE = 'RVD_CHROMIUM'
"""Environment variable that names the browser's program."""
_NAMES = ('chromium', 'chromium-browser', 'google-chrome')
# --no-sandbox: containers, and root, have no user namespaces.
FLAGS = ('--no-sandbox',)
_PICTURE = re.compile(r'/api/pictures/(\d+)/')
_POLL_S = 0.02
_LOOK = """async ([before, patience]) => {
  const until = performance.now() + 1000 * patience;
  for (;;) {
    const question = document.querySelector('#proposal .question')?.textContent ?? '';
    const picture = document.querySelector('#stage img.large');
    if (document.body.classList.contains('at-end')) {
      if (question.endsWith(': done') || question.endsWith(': nothing here')) return 'done';
    } else if (picture?.complete && picture.naturalWidth > 0) {
      const now = `${picture.src.match(/\\/api\\/pictures\\/(\\d+)\\//)?.[1]} ${question.match(/\\d+/)?.[0] ?? ''}`;
      if (now !== before) return now;
    }
    if (performance.now() > until) return null;
    await new Promise(requestAnimationFrame);
  }
}"""
_KEY = """(label) => [...document.querySelectorAll('#classes button.choice')].find(
  (button) => button.querySelector('bdi').textContent === label)?.getAttribute('aria-keyshortcuts') ?? null"""


def chromium_program() -> Optional[Path]:
    """The browser of this machine; None: that which playwright has brought.

    Raises:
        RequirementError: the one that is named is not there.
    """
    named = os.environ.get(CHROMIUM_VARIABLE)
    if named:
        if not Path(named).is_file():
            raise RequirementError(f'{CHROMIUM_VARIABLE}: there is no browser {printable(named)}; name the program of '
                                   'a Chromium, or none')
        return Path(named)
    return next((Path(found) for found in map(shutil.which, _NAMES) if found), None)


@contextmanager
def browser(*arguments: str) -> Iterator['Browser']:
    """A headless Chromium of its own, closed at the end.

    Raises:
        RequirementError: playwright or a browser is missing; the message has the remedy.
    """
    try:
        from playwright.sync_api import sync_playwright
    except ImportError as error:
        raise RequirementError(f'playwright drives the browser, and is missing ({error}): '
                               f'`{pip_install(["playwright"])}`') from error
    program = chromium_program()
    with sync_playwright() as playwright:
        if program is None and not Path(playwright.chromium.executable_path).is_file():
            raise RequirementError(
                'there is no Chromium to drive: `sudo apt install chromium`, or `python3 -m playwright install '
                f'chromium`; {CHROMIUM_VARIABLE} names one that lies elsewhere')
        running = playwright.chromium.launch(executable_path=program, args=[*FLAGS, *arguments])
        try:
            yield running
        finally:
            running.close()


def wait_for(condition: Callable[[], object], seconds: float = 30) -> None:
    """Wait until ``condition()`` holds.

    Raises:
        MachineError: it does not within so long.
    """
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            raise MachineError(f'not within {seconds} s')
        time.sleep(_POLL_S)


def open_page(context: 'BrowserContext', link: str, problems: Optional[List[str]] = None, deaf: bool = False) -> 'Page':
    """A tab that shows the first piece.

    Args:
        link: of the page; its address alone, where one was used already.
        problems: what it complains of is put there.
        deaf: it hears nothing of other tabs.
    """
    page = context.new_page()
    if deaf:
        page.route('**/api/changes*', lambda route: route.abort())
    if problems is not None:
        page.on('pageerror', lambda error: problems.append(str(error)))
        page.on('console', lambda message: problems.append(message.text) if message.type == 'error' else None)
    page.goto(link)
    page.wait_for_selector('#strip .thumb')
    all_saved(page)
    return page


def all_saved(page: 'Page', seconds: float = 30) -> None:
    """Wait until the page says that everything is saved."""
    page.wait_for_selector('#saved[data-pending="0"]', timeout=1000 * seconds)


def shown(page: 'Page') -> str:
    """Id of the interval that is shown, told from the address of its picture."""
    found = _PICTURE.search(page.get_attribute('#stage img.large', 'src') or '')
    assert found is not None, 'every piece has a picture'
    return found[1]


class Keyed(NamedTuple):
    """What was labelled by key.

    Attributes:
        intervals: ids of those that were shown, in order; those shown again, blind, are in it twice.
        seconds: from the first picture until the page said that all was saved.
    """

    intervals: List[int]
    seconds: float


def label_by_key(page: 'Page', label_of: Callable[[int], str], patience_s: float = 60.0) -> Keyed:
    """Label all that the page shows until it says that the queue is done, one key for each.

    Args:
        label_of: what the interval of an id is.
        patience_s: for the next picture.

    Raises:
        MachineError: nothing new is shown, or there is no key for a label.
    """
    began = time.perf_counter()
    keyed: List[int] = []
    before = ''
    while True:
        now = page.evaluate(_LOOK, [before, patience_s])
        if now is None:
            raise MachineError(f'the page has shown nothing new for {patience_s:.0f} s, after {len(keyed)} labels: '
                               f'{printable(page.inner_text("#saved"))}; {printable(page.inner_text("#proposal"))}')
        if now == 'done':
            break
        interval = int(now.split()[0])
        press_label(page, label_of(interval))
        keyed.append(interval)
        before = now
    all_saved(page, patience_s)
    return Keyed(keyed, time.perf_counter() - began)


def press_label(page: 'Page', label: str) -> None:
    """Press the key that stands on a label's button; before it the one for the next nine classes, as often as needed.

    Raises:
        MachineError: no button has that label.
    """
    pages: List[Optional[str]] = []
    while True:
        key = page.evaluate(_KEY, label)
        if key is not None:
            page.keyboard.press(key)
            return
        turn = page.query_selector('#classes button[aria-keyshortcuts=";"]')
        standing = None if turn is None else turn.inner_text()
        if standing is None or standing in pages:
            raise MachineError(f'the page has no key for the label {printable(label)}')
        pages.append(standing)
        page.keyboard.press(';')
