"""``robot-vision label`` as a process: how it begins and ends."""
import os
import pty
import subprocess
import sys
import threading
import time

import pytest
from label_server import Client, LabelServer
from queue_samples import make_queue

from robot_vision_dl.cli.main import main


@pytest.fixture
def folder(tmp_path):
    make_queue(tmp_path, 10).close()
    return tmp_path


def test_the_same_queue_has_the_same_port_and_another_secret(folder):
    with LabelServer(folder) as first:
        client = first.client()
        first.kill()
    with LabelServer(folder) as second:
        assert second.port == first.port
        status, _, body = client.request('GET', '/api/queue')
        assert status == 403 and b'"code": "session"' in body
        client.enter(second.token)
        assert client.do('class', name='bottle')['status'] == 'saved'


def test_it_says_what_to_do_and_ends_at_once_while_a_tab_waits(folder):
    with LabelServer(folder) as server:
        assert f'9 of 9 are to be labelled, in {folder}, by Ann. Open' in server.words
        client = server.client()
        waiting = threading.Thread(target=lambda: client.request('GET', '/api/changes?after=0&wait=25'))
        waiting.start()
        time.sleep(.3)
        begin = time.monotonic()
    assert server.process.returncode == 0 and time.monotonic() - begin < 10
    waiting.join()


def test_a_port_that_is_taken_is_told(folder, capsys):
    with LabelServer(folder) as server:
        assert main(['label', str(folder), '--port', str(server.port), '--no-browser']) == 1
    assert f'port {server.port} of this machine cannot be used' in capsys.readouterr().err


@pytest.mark.parametrize('options, words', [
    ((), 'is no queue, mined.sqlite is missing; `robot-vision mine'), (('--who', ' '), '--who: is empty'),
    (('--who', 'a\nb'), '--who: has the control character')])
def test_what_it_cannot_serve_is_told(tmp_path, capsys, options, words):
    assert main(['label', str(tmp_path), '--no-browser', *options]) == 2
    assert words in capsys.readouterr().err


def test_without_starlette_the_command_says_how_to_install_it(folder):
    done = subprocess.run([sys.executable, '-c', 'import sys\nsys.modules["starlette"] = None\n'
                           f'sys.path[:0] = {list(filter(None, sys.path))!r}\n'
                           'from robot_vision_dl.cli.main import main\nsys.exit(main(sys.argv[1:]))',
                           'label', str(folder)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and "pip install 'robot_vision_dl[label]'" in done.stderr.replace(
        '--break-system-packages ', '')


def test_enter_makes_another_link_and_the_one_before_is_good_no_longer(folder):
    controller, terminal = pty.openpty()
    try:
        with LabelServer(folder, stdin=terminal) as server:
            first = server.token
            os.write(controller, b'\n')
            server.read_link()
            assert server.token != first
            assert Client(server.port).request('GET', f'/?token={first}')[0] == 403
            assert server.client().get('/api/queue')
    finally:
        os.close(controller)
        os.close(terminal)
