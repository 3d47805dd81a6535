"""One finding of the doctor, and how findings are printed."""
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from enum import Enum
from typing import Iterable, Sequence

LABEL_WIDTH = 17
TEXT_WIDTH = 118


class Level(str, Enum):
    """How bad it is."""

    OK = 'OK'
    WARN = 'WARN'
    FAIL = 'FAIL'


@dataclass(frozen=True)
class Check:
    """One finding.

    Attributes:
        name: what was looked at, a word or two.
        level: OK, WARN (works, but look at it) or FAIL (will not work).
        text: what was found.
        remedy: what to do about it; empty where nothing has to be done.
        command: the end of the remedy, in one line, to be pasted into a shell.
    """

    name: str
    level: Level
    text: str
    remedy: str = ''
    command: str = ''


def ok(name: str, text: str) -> Check:
    """All is well."""
    return Check(name, Level.OK, text)


def warn(name: str, text: str, remedy: str, command: str = '') -> Check:
    """It works, but not as well as it could, or not always."""
    return Check(name, Level.WARN, text, remedy, command)


def fail(name: str, text: str, remedy: str) -> Check:
    """It will not work."""
    return Check(name, Level.FAIL, text, remedy)


def print_check(check: Check) -> None:
    """``OK    name   text``, and the remedy in lines of its own, wrapped but never inside a word or path."""
    indent = ' ' * (6 + LABEL_WIDTH)
    for lead, text in ((f'{check.level.value:<5} {check.name:<{LABEL_WIDTH}}', check.text),
                       (f'{indent}-> ', check.remedy)):
        if text:
            print(textwrap.fill(text, TEXT_WIDTH, initial_indent=lead, subsequent_indent=' ' * len(lead),
                                break_long_words=False, break_on_hyphens=False))
    if check.command:
        print(indent + '   ' + check.command)
    sys.stdout.flush()


def worst(checks: Iterable[Check]) -> Level:
    """The worst level of all; OK of none."""
    order = list(Level)
    return max((check.level for check in checks), key=order.index, default=Level.OK)


def run_python(code: str, arguments: Sequence[str], timeout_s: float = 120.0) -> 'subprocess.CompletedProcess[str]':
    """Run ``code`` in a Python of its own: what is broken here may end the process that touches it."""
    return subprocess.run([sys.executable, '-c', code, *arguments], capture_output=True, text=True, timeout=timeout_s)


def last_line(text: str) -> str:
    """Where Python says what the error is."""
    lines = [line for line in text.strip().splitlines() if line.strip()]
    return lines[-1].strip() if lines else 'it said nothing'
