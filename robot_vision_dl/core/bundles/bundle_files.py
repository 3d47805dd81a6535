"""Files of a model bundle as they lie on a disk: only regular ones of a sound size are ever read.

Where a file should be there may be a FIFO, which never ends, a device, which never ends either, or a link to one. What
is opened is looked at before it is read. Links to regular files are followed: ``colcon build --symlink-install`` makes
such bundles.
"""
import hashlib
import os
import stat
from pathlib import Path
from typing import BinaryIO

from ..errors import BundleError
from ..text.printable import printable

MIB = 1 << 20
COPY_AGAIN = 'the file was changed or damaged; copy the bundle again'
"""The remedy where what a bundle's file says cannot be."""


def open_regular(path: Path, most_bytes: int) -> BinaryIO:
    """A regular file, open for reading, that is not larger than ``most_bytes``.

    Raises:
        BundleError: there is none, it cannot be read, it is something else than a file, or it is larger.
    """
    shown = printable(path)
    try:
        # Without O_NONBLOCK opening a FIFO waits for a writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = getattr(error, 'strerror', None) or error
        raise BundleError(f'{shown}: cannot be read ({reason}); copy the bundle again') from error
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise BundleError(f'{shown}: is no regular file but {_kind(status.st_mode)}; copy the bundle again')
        if status.st_size > most_bytes:
            raise BundleError(f'{shown}: has {status.st_size} bytes, more than the {most_bytes} that such a file of a '
                              'bundle may have')
        return os.fdopen(descriptor, 'rb')
    except BaseException:
        os.close(descriptor)
        raise


def read_regular(path: Path, most_bytes: int) -> bytes:
    """The content of such a file; raises as :func:`open_regular`."""
    with open_regular(path, most_bytes) as file:
        try:
            return file.read(most_bytes)
        except OSError as error:
            raise BundleError(f'{printable(path)}: cannot be read ({error.strerror})') from error


def hash_regular(path: Path, most_bytes: int) -> str:
    """SHA-256 of such a file in hexadecimal; raises as :func:`open_regular`."""
    with open_regular(path, most_bytes) as file:
        try:
            return _hash(file)
        except OSError as error:
            raise BundleError(f'{printable(path)}: cannot be read ({error.strerror})') from error


def hash_file(path: Path) -> str:
    """SHA-256 of any file in hexadecimal."""
    with open(path, 'rb') as file:
        return _hash(file)


def _hash(file: BinaryIO) -> str:
    digest = hashlib.sha256()
    for block in iter(lambda: file.read(MIB), b''):
        digest.update(block)
    return digest.hexdigest()


def _kind(mode: int) -> str:
    kinds = ((stat.S_ISDIR, 'a folder'), (stat.S_ISFIFO, 'a pipe'), (stat.S_ISSOCK, 'a socket'),
             (stat.S_ISCHR, 'a device'), (stat.S_ISBLK, 'a device'))
    return next((name for is_kind, name in kinds if is_kind(mode)), 'something else')
