"""What reaches a terminal, a pipe, and one that knows few characters."""
import io
import os
import pty
import subprocess
import sys

import pytest

from robot_vision_dl.cli.main import main
from robot_vision_dl.core.text.terminal import MOST_ERROR, PrintableStream, message

EVIL = '\x1b]0;owned\x07\x1b[2J\r\x9b31m\u202ecup\x08'
SHOWN = r'\x1b]0;owned\x07\x1b[2J\r\x9b31m\u202ecup\x08'


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_pipe_gets_lines_and_nothing_else():
    stream = io.StringIO()
    print(EVIL, 'a\tb', 'Maß 杯', file=PrintableStream(stream))
    PrintableStream(stream).writelines(['\x1b[K', '\rx\n'])
    assert stream.getvalue() == f'{SHOWN} a\tb Maß 杯\n' + r'\x1b[K' + r'\rx' + '\n'


def test_a_terminal_gets_colours_too():
    stream = Terminal()
    own = PrintableStream(stream)
    own.write(EVIL)
    own.write('\r\x1b[K')
    own.write('\x1b[32mcup\x1b[0m\n')
    assert stream.getvalue() == SHOWN + r'\r\x1b[K' + '\x1b[32mcup\x1b[0m\n'


def test_messages_have_an_end():
    assert message('two\nlines\x1b') == 'two\nlines' + r'\x1b'
    assert len(message(ValueError('x' * 50_000))) < MOST_ERROR + 10
    assert len(message('\x1b' * 50_000)) < 5 * MOST_ERROR


@pytest.mark.parametrize('arguments', (
    [EVIL], ['bag', 'info', EVIL], ['bag', 'extract', f'{EVIL}/x', '--out', 'y'], ['evaluate', EVIL, '--out', 'x'],
    ['train', EVIL], ['train', 'x', '--set', f'run.{EVIL}=1'], ['models', 'show', EVIL], ['compare', EVIL, EVIL],
    ['calibrate', EVIL, EVIL], ['models', 'import', EVIL, '--architecture', EVIL, '--classes', EVIL, '--name', EVIL],
    ['models', 'verify', EVIL], ['decide', EVIL, EVIL], ['tune', EVIL], ['export', EVIL], ['bag', EVIL],
    ['bag', 'from-images', EVIL, '--out', 'x'], ['evaluate', 'x', '--out', 'y', '--params-file', EVIL],
    ['evaluate', 'x', '--out', 'y', '--set', EVIL], ['run', '--camera', EVIL], ['bag', 'info', 'x' * 50_000],
    ['evaluate', 'x', '--batch', EVIL], ['evaluate', 'x', '--batch', 'y' * 50_000], ['y' * 50_000]))
def test_names_on_the_command_line_come_back_printable_and_short(arguments, capfd, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = [text.replace('\x00', '') for text in arguments]
    try:
        assert main(arguments) != 0
    except SystemExit as error:
        assert error.code == 2
    out, err = capfd.readouterr()
    assert 'Traceback' not in err
    assert all(c.isprintable() or c in '\n\t' for c in out + err), repr(out + err)
    assert 0 < len(out + err) < 2 * MOST_ERROR + 3000
    assert max(map(len, (out + err).splitlines())) < MOST_ERROR + 200


@pytest.mark.parametrize('encoding', ('latin-1', 'ascii', 'utf-8'))
def test_a_terminal_that_knows_few_characters(encoding, tmp_path):
    environment = {**os.environ, 'PYTHONIOENCODING': encoding}
    done = subprocess.run([sys.executable, '-m', 'robot_vision_dl.cli.main', 'bag', 'info', 'Maß-杯-\udcff'.encode(
        'utf-8', 'surrogateescape')], capture_output=True, env=environment, cwd=tmp_path, timeout=60)
    assert done.returncode == 2 and b'Traceback' not in done.stderr
    text = done.stderr.decode(encoding)
    assert ('Maß' in text or r'Ma\xdf' in text) and ('杯' in text or r'\u676f' in text) and r'\udcff' in text


def test_a_real_terminal(tmp_path):
    ours, theirs = pty.openpty()
    process = subprocess.Popen([sys.executable, '-m', 'robot_vision_dl.cli.main', 'bag', 'info', EVIL], stdout=theirs,
                               stderr=theirs, cwd=tmp_path)
    process.wait(60)
    os.close(theirs)
    text = os.read(ours, 100_000)
    os.close(ours)
    assert b'owned' in text and b'\x1b' not in text and b'\x9b' not in text and b'\x07' not in text


@pytest.mark.parametrize('closed', ['>&-', '2>&-', '>&- 2>&-', '<&- >&- 2>&-'])
def test_streams_that_the_shell_closed_are_no_error(closed, tmp_path):
    """What is written then gets no number of theirs: a file that is opened next would be printed into."""
    command = f'{sys.executable} -m robot_vision_dl.cli.main models list {closed}; echo $? > code'
    done = subprocess.run(['sh', '-c', command], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert (tmp_path / 'code').read_text() == '0\n' and 'Traceback' not in done.stderr
