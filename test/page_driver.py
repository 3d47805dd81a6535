"""A real server of a queue, and a real browser in front of it."""
import os
import re
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Callable, Dict, Iterator, List, Optional, Tuple

import psutil
import pytest
from label_server import LabelServer
from queue_samples import make_queue

from robot_vision_dl.labelling.events import EventStore
from robot_vision_dl.labelling.queue_file import QueueFile
from robot_vision_dl.labelling.state import State, fold

CHROMIUM = Path(os.environ.get('RVD_CHROMIUM', '/usr/bin/chromium'))
"""The system's browser: nothing is downloaded."""


@contextmanager
def browser(*arguments: str) -> Iterator[object]:
    """A headless Chromium of its own; skips where there is none."""
    if not CHROMIUM.exists():
        pytest.skip(f'there is no browser: {CHROMIUM} is missing (RVD_CHROMIUM names another one)')
    driver = pytest.importorskip('playwright.sync_api', reason='playwright drives the browser: pip install playwright')
    with driver.sync_playwright() as playwright:
        # --no-sandbox: containers, and root, have no user namespaces.
        chromium = playwright.chromium.launch(executable_path=str(CHROMIUM), args=['--no-sandbox', *arguments])
        yield chromium
        chromium.close()


@contextmanager
def profile_browser(chromium: object, folder: Path) -> Iterator[Tuple[object, Callable[[], None]]]:
    """A browser with what it keeps in ``folder``, and what kills it as if it had crashed."""
    context = chromium.browser_type.launch_persistent_context(
        str(folder), executable_path=str(CHROMIUM), args=['--no-sandbox'])
    killed = []

    def kill() -> None:
        killed.append(True)
        processes = [process for process in psutil.Process().children(recursive=True)
                     if f'--user-data-dir={folder}' in _command(process)]
        assert processes
        for process in processes:
            process.kill()
    yield context, kill
    if not killed:
        context.close()


def _command(process: psutil.Process) -> List[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


class QueueServer:
    """``robot-vision label`` of a queue, started as often as wanted, always on the same port."""

    def __init__(self, folder: Path) -> None:
        """Start it."""
        self.folder = folder
        self.port = 0
        self.start()

    def start(self) -> None:
        """Start it; its link is a new one."""
        self._running = LabelServer(self.folder, *(['--port', str(self.port)] if self.port else []))
        self.process, self.link, self.port = self._running.process, self._running.link, self._running.port

    @property
    def address(self) -> str:
        """Of the page, for a browser that has used a link."""
        return f'http://127.0.0.1:{self.port}/'

    def kill(self) -> None:
        """End it as a power cut does."""
        self._running.kill()

    def stop(self) -> None:
        """End it as Ctrl+C does, or close what is left of it."""
        self._running.__exit__()


@contextmanager
def served(folder: Path) -> Iterator[QueueServer]:
    """A server of a queue, stopped at the end."""
    server = QueueServer(folder)
    try:
        yield server
    finally:
        server.stop()


@contextmanager
def served_queue(folders: pytest.TempPathFactory, **queue: object) -> Iterator[QueueServer]:
    """A server of a queue of its own, made as :func:`queue_samples.make_queue` is told."""
    folder = folders.mktemp('queue')
    make_queue(folder, **queue).close()
    with served(folder) as server:
        yield server


def wait_for(condition: object, seconds: float) -> None:
    """Wait until ``condition()`` holds."""
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            raise AssertionError(f'not within {seconds} s')
        time.sleep(.02)


def open_page(context: object, server: QueueServer, link: Optional[str] = None,
              problems: Optional[List[str]] = None, deaf: bool = False) -> object:
    """A tab that shows the first piece.

    Args:
        problems: what it complains of is put there.
        deaf: it hears nothing of other tabs.
    """
    page = context.new_page()
    if deaf:
        page.route('**/api/changes*', lambda route: route.abort())
    if problems is not None:
        page.on('pageerror', lambda error: problems.append(str(error)))
        page.on('console', lambda message: problems.append(message.text) if message.type == 'error' else None)
    page.goto(link or server.link)
    page.wait_for_selector('#strip .thumb')
    all_saved(page)
    return page


def all_saved(page: object, seconds: float = 15) -> None:
    """Wait until the page says that everything is saved."""
    page.wait_for_selector('#saved[data-pending="0"]', timeout=1000 * seconds)


def state_of(folder: Path) -> State:
    """What is on the disk."""
    with QueueFile(folder) as queue, EventStore(folder, read_only=True) as store:
        return fold(queue, store.events())


def labels_of(folder: Path) -> Dict[int, List[Optional[str]]]:
    """Labels of the pieces of each interval, from the disk."""
    state = state_of(folder)
    return {interval: [label and label.name for _, label in state.pieces(interval)] for interval in state.intervals}


def events_of(folder: Path) -> List[Tuple[str, str]]:
    """Kind and label of all events, from the disk."""
    with EventStore(folder, read_only=True) as store:
        return [(event.action.kind, event.action.label) for event in store.events()]


def shown(page: object) -> str:
    """Id of the interval that is shown, told from the address of its picture."""
    return re.search(r'/api/pictures/(\d+)/', page.get_attribute('#stage img.large', 'src'))[1]


def next_shown(page: object, before: int) -> None:
    """Wait until another interval than ``before`` is shown."""
    wait_for(lambda: int(shown(page)) != before, 5)
