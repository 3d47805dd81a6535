"""The server as a process: one address of this machine, until it is interrupted."""
import hashlib
import logging
import os
import socket
import sys
import threading
from pathlib import Path
from typing import Callable, Optional, Tuple

import uvicorn

from ...core.errors import MachineError
from .access import Access
from .app import make_app
from .desk import Desk

HOST = '127.0.0.1'
_FIRST_PORT, _PORTS = 20_000, 10_000
_TRIES = 50
_GRACE_S = 2


def usual_port(folder: Path) -> int:
    """The port of a queue: always the same, so that a browser finds again what it has kept for it."""
    digest = hashlib.sha256(os.fsencode(folder.resolve())).digest()
    return _FIRST_PORT + int.from_bytes(digest[:8], 'big') % _PORTS


def listen(folder: Path, port: Optional[int]) -> socket.socket:
    """A socket that listens on this machine alone.

    Args:
        folder: of the queue.
        port: None: the usual one of the queue, or the next that is free.

    Raises:
        MachineError: the port is taken.
    """
    first = usual_port(folder) if port is None else port
    for number in range(first, first + (_TRIES if port is None else 1)):
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, number))
            listener.listen(128)
            return listener
        except OSError as error:
            listener.close()
            fault = error
    raise MachineError(f'port {first} of this machine cannot be used ({fault.strerror}); stop what has it, or choose '
                       'another by --port') from fault


def make_server(desk: Desk, listener: socket.socket) -> Tuple[uvicorn.Server, Callable[[], str]]:
    """A server of a queue on a socket that listens, and a function that makes a new link."""
    number = listener.getsockname()[1]
    access = Access(number)
    config = uvicorn.Config(
        make_app(desk, access, number, lambda: server.should_exit), log_config=None, access_log=False, http='h11',
        ws='none', lifespan='off', proxy_headers=False, server_header=False, timeout_graceful_shutdown=_GRACE_S)
    server = uvicorn.Server(config)
    return server, lambda: f'http://{HOST}:{number}/?token={access.token()}'


def serve(folder: Path, who: str, port: Optional[int], ready: Callable[[Desk, Callable[[], str]], None]) -> None:
    """Serve a queue until SIGINT or SIGTERM.

    Args:
        folder: of the queue.
        who: the person that labels.
        port: as of :func:`listen`.
        ready: called once it listens, with a function that makes a new link.

    Raises:
        ConfigError: it is no queue.
        OutputError: its labels cannot be written.
        MachineError: the port is taken.
    """
    desk = Desk(folder, who)
    try:
        with listen(folder, port) as listener:
            server, link = make_server(desk, listener)
            logging.getLogger('uvicorn').addHandler(logging.StreamHandler(sys.stderr))
            logging.getLogger('uvicorn').setLevel(logging.ERROR)
            ready(desk, link)
            server.run(sockets=[listener])
    finally:
        desk.close()


def on_enter(say: Callable[[], None]) -> None:
    """Call ``say`` whenever Enter is pressed in the terminal, if there is one."""
    def read() -> None:
        # Not by sys.stdin: a thread that waits in it keeps Python from ending.
        while os.read(sys.stdin.fileno(), 1024):
            say()
    if sys.stdin is not None and sys.stdin.isatty():
        threading.Thread(target=read, name='terminal', daemon=True).start()
