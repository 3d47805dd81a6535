"""A DDS domain that no other test run or fuzzing campaign on this machine has."""
import contextlib
import fcntl
import os
import tempfile
from typing import Iterator


@contextlib.contextmanager
def locked_domain() -> Iterator[int]:
    """A domain from 1 to 100, which are free everywhere, locked until the end of the context."""
    lock = None
    for offset in range(100):
        domain = 1 + (os.getpid() + offset) % 100
        try:
            lock = open(os.path.join(tempfile.gettempdir(), f'robot_vision_dl_test_domain_{domain}'), 'w')
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except OSError:  # another run has it, or the file is another user's
            if lock is not None:
                lock.close()
    try:
        yield domain
    finally:
        if lock is not None:
            lock.close()
