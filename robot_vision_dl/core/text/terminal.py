"""What the package prints passes here: no control characters of others, no text that the terminal cannot show."""
import contextlib
import os
import re
import sys
from typing import Any, Iterator, TextIO

from .printable import escaped, printable
from .progress import above_progress

MOST_ERROR = 2000
"""Longest error message in characters."""
_LINES = '\n\t'
# What this package itself does on a terminal: colour a word.
_OWN = re.compile(r'(\x1b\[(?:0m|[39][0-7]m|1m))')


def message(error: Any) -> str:
    """An error as it is shown: of several lines at most as many as were meant, and not longer than a screen."""
    text = str(error)
    if len(text) <= MOST_ERROR:
        return escaped(text, _LINES)
    return escaped(text[:MOST_ERROR // 2], _LINES) + ' ... ' + printable(text[MOST_ERROR // 2:], MOST_ERROR // 2)


class PrintableStream:
    """A text stream on which everything but lines and tabs is made visible before it is written.

    On a terminal, the package's own colours go through as well, and lines go above a line of progress.

    Attributes:
        unchecked: the stream itself.
    """

    def __init__(self, stream: TextIO) -> None:
        self.unchecked = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self.unchecked, name)

    def write(self, text: str) -> int:
        """As of the stream itself."""
        if not text.isprintable():
            if self.unchecked.isatty():
                text = ''.join(part if _OWN.fullmatch(part) else escaped(part, _LINES) for part in _OWN.split(text))
            else:
                text = escaped(text, _LINES)
        with above_progress(self.unchecked, text):
            return self.unchecked.write(text)

    def writelines(self, lines: Any) -> None:
        """As of the stream itself."""
        for line in lines:
            self.write(line)


def any_text_goes() -> None:
    r"""Let characters that the terminal's encoding does not have be written as ``\xe4`` instead of raising."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, 'reconfigure'):
            stream.reconfigure(errors='backslashreplace')


@contextlib.contextmanager
def printable_output() -> Iterator[None]:
    """While this lasts, standard output and error are :class:`PrintableStream`, in whatever encoding."""
    any_text_goes()
    before = sys.stdout, sys.stderr
    with contextlib.ExitStack() as opened:
        # Python has None for a stream that was closed by the shell (`>&-`). This one takes its number, too, so that
        # no file that is written gets it.
        sys.stdout, sys.stderr = (PrintableStream(stream or opened.enter_context(open(os.devnull, 'w')))
                                  for stream in before)
        try:
            yield
        finally:
            sys.stdout, sys.stderr = before
