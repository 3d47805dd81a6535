"""A real server of a queue, and a real browser in front of it."""
from contextlib import contextmanager
from pathlib import Path
from typing import Callable, Dict, Iterator, List, Optional, Tuple

import psutil
import pytest
from label_server import LabelServer
from queue_samples import make_queue

from robot_vision_dl.bench import page_driver
from robot_vision_dl.bench.page_driver import FLAGS, chromium_program, shown, wait_for
from robot_vision_dl.core.errors import RequirementError
from robot_vision_dl.labelling.events import EventStore
from robot_vision_dl.labelling.queue_file import QueueFile
from robot_vision_dl.labelling.state import State, fold


@contextmanager
def browser(*arguments: str) -> Iterator[object]:
    """A headless Chromium of its own; skips where there is none."""
    running = page_driver.browser(*arguments)
    try:
        chromium = running.__enter__()
    except RequirementError as missing:
        pytest.skip(str(missing))
    try:
        yield chromium
    finally:
        running.__exit__(None, None, None)


@contextmanager
def profile_browser(chromium: object, folder: Path) -> Iterator[Tuple[object, Callable[[], None]]]:
    """A browser with what it keeps in ``folder``, and what kills it as if it had crashed."""
    context = chromium.browser_type.launch_persistent_context(
        str(folder), executable_path=chromium_program(), args=list(FLAGS))
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


def open_page(context: object, server: QueueServer, link: Optional[str] = None, *more: object, **named: object
              ) -> object:
    """A tab that shows the first piece; see :func:`robot_vision_dl.bench.page_driver.open_page`."""
    return page_driver.open_page(context, link or server.link, *more, **named)


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


def next_shown(page: object, before: int) -> None:
    """Wait until another interval than ``before`` is shown."""
    wait_for(lambda: int(shown(page)) != before)
