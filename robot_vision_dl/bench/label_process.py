"""``robot-vision label`` as a process of its own, whose link is read off what it prints."""
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from ..core.errors import MachineError
from ..core.processes import module_command

LINK = re.compile(r'http://127\.0\.0\.1:(\d+)/\?token=([\w-]+)')
_GRACE_S = 20


class LabelServer:
    """The command, started; a context that ends it.

    Args:
        queue: folder of the queue.
        options: of the command, besides.
        who: labels.
        popen: what ``subprocess.Popen`` is told.

    Attributes:
        link: that was printed last; ``token`` and ``port`` are its.
        words: all that was read of what it printed.
    """

    def __init__(self, queue: Path, *options: str, who: str = 'Ann', **popen: Any) -> None:
        """Raises :class:`MachineError` where it does not start."""
        self.process = subprocess.Popen(
            command('label', str(queue), '--no-browser', '--who', who, *options), stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, env=environment(), **{'stdin': subprocess.DEVNULL, **popen})
        self.words = ''
        self.link = self.token = ''
        self.port = 0
        self.read_link()

    def read_link(self) -> None:
        """Wait for the next link that it prints."""
        assert self.process.stdout is not None and self.process.stderr is not None
        for line in self.process.stdout:
            self.words += line
            match = LINK.search(line)
            if match:
                self.link, self.port, self.token = match[0], int(match[1]), match[2]
                return
        raise MachineError(f'`robot-vision label` did not start: {self.words}{self.process.stderr.read()}')

    def __enter__(self) -> 'LabelServer':
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(_GRACE_S)
            except subprocess.TimeoutExpired:
                self.kill()
        for stream in (self.process.stdout, self.process.stderr):
            assert stream is not None
            stream.close()

    def kill(self) -> None:
        """End it as a power cut does."""
        self.process.kill()
        self.process.wait()


def command(*arguments: str) -> 'list[str]':
    """A ``robot-vision`` command of this installation."""
    return module_command('robot_vision_dl.cli.main', *arguments)


def environment() -> 'dict[str, str]':
    """That of a command which finds what this process does, prints at once, and opens no window."""
    found = {key: value for key, value in os.environ.items() if key not in ('DISPLAY', 'WAYLAND_DISPLAY')}
    return {**found, 'PYTHONPATH': os.pathsep.join(filter(None, sys.path)), 'PYTHONUNBUFFERED': '1'}
