"""A line of progress: what a terminal shows of it, and that nothing else ever gets any of it."""
import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios

import pytest

from robot_vision_dl.core.text.progress import Progress

LINES = """
import sys
from robot_vision_dl.core.text.progress import Progress
from robot_vision_dl.core.text.terminal import printable_output

with printable_output():
    with Progress('counting\\x1b[2J', 'things', TOTAL) as done, Progress('an inner one', 'others') as inner:
        for count in range(1, 5):
            done(count, f'{count} done')
            inner(1000)
            done._bar is None or done._bar.refresh()
            print('note:', count, file=sys.stderr)
            print('row', count)
    print('end')
"""


class Screen:
    """Enough of a terminal: carriage return, line feed, and text that overwrites; of 100 columns."""

    def __init__(self):
        self.lines, self.column, self.seen = [''], 0, []

    def feed(self, text: str) -> 'Screen':
        for part in re.split('([\r\n])', text):
            if part == '\r':
                self.seen.append(self.lines[-1].rstrip())
                self.column = 0
            elif part == '\n':
                self.lines.append('')
            else:
                line = self.lines[-1].ljust(self.column)
                self.lines[-1] = line[:self.column] + part + line[self.column + len(part):]
                self.column += len(part)
        return self

    def text(self) -> list:
        return [line.rstrip() for line in self.lines]


def run(code: str, stdout_too: bool, columns: int = 100):
    """What a process leaves on a terminal, and in the pipe of its output if that is another."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack('HHHH', 24, columns, 0, 0))
    process = subprocess.Popen([sys.executable, '-c', code], stderr=theirs, stdin=subprocess.DEVNULL,
                               stdout=theirs if stdout_too else subprocess.PIPE,
                               env={**os.environ, 'PYTHONIOENCODING': 'utf-8'})
    piped = b'' if stdout_too else process.stdout.read()
    assert process.wait(60) == 0
    os.close(theirs)
    shown = b''
    try:
        while True:
            part = os.read(ours, 65536)
            if not part:
                break
            shown += part
    except OSError:  # so a terminal that nobody has open any more ends
        pass
    os.close(ours)
    return Screen().feed(shown.decode()), piped.decode()


@pytest.mark.parametrize('total', (4, None))
def test_lines_go_above_it_and_it_leaves_nothing_behind(total):
    screen, _ = run(LINES.replace('TOTAL', str(total)), stdout_too=True)
    assert screen.text() == [line for n in range(1, 5) for line in (f'note: {n}', f'row {n}')] + ['end', '']
    share = r' +50%\|[^|]+\| 2/4 things \[00:0\d<00:0\d' if total else r' 2 things \[00:0\d'
    wanted = re.compile(r'counting\\x1b\[2J:' + share + r', +[\d.]+ things/s, 2 done\]')
    assert any(wanted.fullmatch(line) for line in screen.seen), screen.seen
    assert not any('inner' in line for line in screen.seen)


def test_what_is_piped_has_only_the_lines():
    screen, piped = run(LINES.replace('TOTAL', '4'), stdout_too=False)
    assert piped == 'row 1\nrow 2\nrow 3\nrow 4\nend\n'
    assert screen.text() == ['note: 1', 'note: 2', 'note: 3', 'note: 4', '']


def test_without_a_terminal_there_is_nothing(capfd):
    with Progress('counting', 'things', 3) as done:
        done(2, 'more')
    assert capfd.readouterr() == ('', '')


def test_more_than_there_should_be_and_less_than_before():
    code = LINES.replace('TOTAL', '2').replace('range(1, 5)', '(1, 3, 2)')
    screen, _ = run(code, stdout_too=True)
    assert [line for line in screen.text() if line.startswith('row')] == ['row 1', 'row 3', 'row 2']
    assert any('2/2 things' in line for line in screen.seen)


def test_an_error_takes_it_away():
    code = LINES.replace('TOTAL', '4').replace("print('row', count)", "raise SystemExit(print('stopped') or 0)")
    screen, _ = run(code, stdout_too=True)
    assert screen.text() == ['note: 1', 'stopped', '']
