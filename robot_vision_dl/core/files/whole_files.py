"""Files and folders that are whole whenever they are there.

What is written lies beside its place as ``.robot-vision-<random>.part`` until it is done, goes to the disk, and is then
renamed. Whoever is killed leaves the old one or the new one, and a part that the next writer in that folder removes:
each part is locked by its writer (``flock``), and the lock ends with the process. Several writers of one place do not
meet: the last one to finish is what stays, or is refused where nothing may be replaced.
"""
import errno
import fcntl
import os
import re
import secrets
import shutil
import stat
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, ContextManager, Iterator, List, Literal, Optional, Sequence, Set, Tuple, Union, overload

from ..errors import OutputError
from .folder_swap import fill, swap
from .unfinished import UNFINISHED, left_by_writer
from .user_path import user_path

REMEDY = 'make room, or choose another place'
_PART = re.compile(r'\.robot-vision-[0-9a-f]{16}\.part')
_held: Set[Tuple[int, int]] = set()  # folders that this process has locked, by device and number
REPLACED = 'replaced'
"""Where a part keeps what it is about to take the place of, on file systems that cannot exchange two names."""


@overload
def whole_file(path: Union[str, Path], mode: Literal['wb'] = ..., *, remedy: str = ...) -> ContextManager[IO[bytes]]:
    ...


@overload
def whole_file(path: Union[str, Path], mode: Literal['w'], *, remedy: str = ..., encoding: Optional[str] = ...,
               newline: Optional[str] = ...) -> ContextManager[IO[str]]:
    ...


@contextmanager
def whole_file(path: Union[str, Path], mode: str = 'wb', *, remedy: str = REMEDY, **options: Any) -> Iterator[IO[Any]]:
    """Open a file for writing that takes its place at the end of the ``with`` block, and not if the block raises.

    Folders that are missing are made. The umask holds. A link is followed; what is no regular file (``/dev/stdout``,
    a FIFO) is written directly.

    Args:
        mode: ``wb`` or ``w``.
        remedy: what the message of an error ends with.
        options: of :func:`open`.

    Raises:
        OutputError: it cannot be written; what was there before is still there.
    """
    path = user_path(path)
    with _told(path, remedy):
        if path.exists() and not path.is_file():
            if path.is_dir():
                raise OutputError(f'{path}: is a folder, and a file is to be written; choose another name')
            with open(path, mode, **options) as file:
                yield file
            return
        path = Path(os.path.realpath(path))
        path.parent.mkdir(parents=True, exist_ok=True)
        sweep(path.parent)
        part = _Part(path.parent, is_folder=False)
        try:
            with open(part.path, mode, **options) as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(part.path, path)
            to_disk(path.parent)
        finally:
            part.remove()


def write_whole(path: Union[str, Path], data: Union[bytes, str], remedy: str = REMEDY) -> None:
    """Write ``data`` (text as UTF-8) by :func:`whole_file`."""
    with whole_file(path, remedy=remedy) as file:
        file.write(data.encode() if isinstance(data, str) else data)


def write_own(path: Path, data: Union[bytes, str], remedy: str = REMEDY) -> None:
    """As :func:`write_whole`, a file that is nobody's but ours: into what is no file nothing is written.

    A pipe in a cache would be waited for.
    """
    if path.exists() and not path.is_file():
        raise OutputError(f'{path}: is no file, and a file is to be written; remove it')
    write_whole(path, data, remedy)


@contextmanager
def whole_folder(path: Union[str, Path], *, overwrite: bool = False, create: bool = True,
                 entries: Optional[Sequence[str]] = None, remedy: str = REMEDY) -> Iterator[Path]:
    """A new folder of the same name to write into, which takes its place at the end of the ``with`` block.

    Where ``path`` is an empty folder, a mount point or the working directory, its content is moved into it; a marker
    (:func:`is_unfinished`) says so meanwhile.

    Args:
        overwrite: an earlier folder is replaced as a whole; else one that has anything in it is an error.
        create: False: the folder that is given does not exist yet, and the block makes it (or a file).
        entries: names of what the block makes in the folder; whatever else is in ``path`` already stays there.
        remedy: what the message of an error ends with.

    Raises:
        OutputError: it cannot be written, or is there already; nothing was changed.
    """
    path = user_path(path)
    with _told(path, remedy):
        path = Path(os.path.realpath(path))
        if not is_free(path, entries) and not (overwrite and path.is_dir()):
            raise OutputError(f'{path}: is there already, and nothing in it is replaced; choose another name')
        path.parent.mkdir(parents=True, exist_ok=True)
        inside = path.is_dir() and (not overwrite or entries is not None or is_free(path) or _is_bound(path))
        for folder in (path.parent, path) if inside else (path.parent,):
            sweep(folder)
        part = _Part(path if inside else path.parent, is_folder=True)
        try:
            work = part.path / path.name
            if create:
                work.mkdir()
            yield work
            flush(work)
            if inside:
                _fill(work, path, overwrite, entries)
            elif overwrite:
                _replace(work, path, part.path / REPLACED)
            else:
                _rename(work, path)
            to_disk(path.parent)
        finally:
            part.remove()


def check_writable(folder: Path, remedy: str = REMEDY) -> None:
    """Raise :class:`OutputError` unless files can be made in ``folder``, which is made if it is missing."""
    with _told(folder, remedy):
        folder.mkdir(parents=True, exist_ok=True)
        sweep(folder)
        _Part(folder, is_folder=False).remove()


def is_free(path: Path, entries: Optional[Sequence[str]] = None) -> bool:
    """Whether nothing is at ``path``, or an empty folder; parts and what a killed writer left do not count.

    Args:
        entries: only these names in the folder count.
    """
    if not path.exists() and not path.is_symlink():
        return True
    return path.is_dir() and not [name for name in _content(path) if entries is None or name in entries]


def is_unfinished(folder: Path) -> bool:
    """Whether the writer of a folder was killed, or is at it, while it filled the folder: not to be read."""
    return (folder / UNFINISHED).is_file()


def check_finished(folder: Path) -> None:
    """Raise :class:`OutputError` for a folder whose writer was killed while it was filled, or is at it."""
    if is_unfinished(folder):
        raise OutputError(f'{folder}: is not whole: what wrote it was killed, or is at it; give the command '
                          'that wrote it again')


def is_part(name: str) -> bool:
    """Whether a file's or folder's name is that of something unfinished: readers leave it out."""
    return _PART.fullmatch(name) is not None


def sweep(folder: Path) -> None:
    """Remove the parts in ``folder`` whose writers are gone; says nothing where it may not."""
    try:
        names = [name for name in os.listdir(folder) if is_part(name)]
    except OSError:
        return
    for name in names:
        try:
            handle = os.open(folder / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if stat.S_ISDIR(os.fstat(handle).st_mode):
                _put_back(folder / name)
                shutil.rmtree(folder / name, ignore_errors=True)
            else:
                os.unlink(folder / name)
        except OSError:
            pass  # its writer lives; or the file system has no locks, and then it stays
        finally:
            os.close(handle)


@contextmanager
def locked_folder(path: Path, what: str) -> Iterator[None]:
    """Keep a folder to this process while the block runs; ``.lock`` in it stays.

    A lock of the kind that forked processes do not share: those of a data loader live on for seconds.

    Raises:
        OutputError: another process has it, or it cannot be written.
    """
    with _told(path, REMEDY):
        path.mkdir(parents=True, exist_ok=True)
        taken = OutputError(f'{path}: another process is writing {what}; wait for it, or choose another folder')
        place = (path.stat().st_dev, path.stat().st_ino)
        if place in _held:
            raise taken
        handle = os.open(path / '.lock', os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            try:
                fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                if error.errno in (errno.EACCES, errno.EAGAIN):
                    raise taken from None
                # Else a file system without locks: as careful as can be.
            _held.add(place)
            yield
        finally:
            _held.discard(place)
            os.close(handle)


def flush(folder: Path) -> None:
    """Have a folder and all in it on the disk."""
    if folder.is_file():
        to_disk(folder)
    for place, _, names in os.walk(folder):
        for name in names:
            if not (Path(place) / name).is_symlink():
                to_disk(Path(place) / name)
        to_disk(Path(place))


def output_error(path: Union[str, Path], error: OSError, remedy: str = REMEDY) -> OutputError:
    """What users are told of an :class:`OSError` while ``path`` was written."""
    return OutputError(f'{path}: cannot be written ({error.strerror or error}); {remedy}')


class _Part:
    """An unfinished file or folder, locked until it is removed or renamed."""

    def __init__(self, folder: Path, is_folder: bool) -> None:
        while True:
            self.path = folder / f'.robot-vision-{secrets.token_hex(8)}.part'
            if is_folder:
                self.path.mkdir()
            else:
                os.close(os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666))
            self._handle: Optional[int] = self._lock()
            if self._handle is not None:
                return

    def _lock(self) -> Optional[int]:
        """None: one that removes what is not locked was quicker."""
        try:
            handle = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            return None
        except OSError:
            return handle  # no locks here: nobody will remove it either
        if os.fstat(handle).st_nlink and self.path.exists():
            return handle
        os.close(handle)
        return None

    def remove(self) -> None:
        if self.path.is_dir():
            _put_back(self.path)
            shutil.rmtree(self.path, ignore_errors=True)
        else:
            self.path.unlink(missing_ok=True)
        if self._handle is not None:
            os.close(self._handle)


@contextmanager
def _told(path: Path, remedy: str) -> Iterator[None]:
    """Turn errors of the file system about what is written into :class:`OutputError`."""
    try:
        yield
    except OSError as error:
        # A file that the block reads, and not writes, has another name in its error.
        name = None if error.filename is None else os.path.realpath(os.fsdecode(error.filename))
        foreign = not (name is None or _PART.search(name) or f'{os.path.realpath(path)}/'.startswith(f'{name}/'))
        if foreign or isinstance(error, BrokenPipeError):
            raise
        raise output_error(path, error, remedy) from error


def _replace(work: Path, path: Path, replaced: Path) -> None:
    for last in (False,) * 9 + (True,):
        try:
            if path.exists():
                os.chmod(work, stat.S_IMODE(path.stat().st_mode))
                swap(work, path, replaced)
            else:
                os.rename(work, path)
            return
        except OSError as error:
            # Another writer came, or is just exchanging it.
            if last or error.errno not in (errno.ENOENT, errno.EEXIST, errno.ENOTEMPTY):
                raise


def _rename(work: Path, path: Path) -> None:
    try:
        if path.is_symlink() or path.is_file():
            raise FileExistsError(errno.EEXIST, 'File exists')
        os.rename(work, path)
    except OSError as error:
        if path.exists():
            raise OutputError(f'{path}: another process has written it meanwhile; that one is kept') from error
        raise


def _fill(work: Path, path: Path, overwrite: bool, entries: Optional[Sequence[str]]) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
        except OSError:
            pass
        if not overwrite and not is_free(path, entries):
            raise OutputError(f'{path}: another process has written it meanwhile; that one is kept')
        counted = _content(path)
        fill(work, path, old=[
            name for name in os.listdir(path) if not is_part(name) and name != UNFINISHED and (
                entries is None or name in entries or name not in counted)])
    finally:
        os.close(handle)


def _content(folder: Path) -> List[str]:
    """Names in a folder, but for parts and for what a killed writer had moved into it."""
    left = left_by_writer(folder)
    return [name for name in os.listdir(folder) if not is_part(name) and name not in left]


def _is_bound(path: Path) -> bool:
    """Whether a folder cannot be exchanged for another one."""
    return os.path.ismount(path) or not os.access(path.parent, os.W_OK) or path == Path(os.path.realpath(os.getcwd()))


def _put_back(part: Path) -> None:
    """Give what was about to be replaced its place again if the new one never got there."""
    replaced = part / REPLACED
    for old in replaced.iterdir() if replaced.is_dir() else ():
        if not (part.parent / old.name).exists():
            os.rename(old, part.parent / old.name)


def to_disk(path: Path) -> None:
    """Have a file, or what a folder lists, on the disk."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno != errno.EINVAL:  # folders of some network drives know no fsync
            raise
    finally:
        os.close(handle)
