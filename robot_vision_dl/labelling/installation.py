"""A new bundle takes the place of an installed one, whole; the old one is kept beside it and can be had back."""
import os
import shutil
from pathlib import Path

from ..core.bundles.bundle import Bundle, load_bundle
from ..core.bundles.bundle_format import DESCRIPTION
from ..core.errors import BundleError, OutputError
from ..core.files.folder_swap import exchange
from ..core.files.whole_files import check_writable, whole_folder, write_whole
from ..core.machine import utc_now
from .model_history import HISTORY, ROLLED_BACK, Entry, read_history, text_of

PREVIOUS = '.previous'


def previous_of(installed: Path) -> Path:
    """Where the bundle is kept that the installed one took the place of."""
    place = Path(os.path.realpath(installed))
    return place.with_name(place.name + PREVIOUS)


def install(candidate: Path, installed: Path, entry: Entry) -> Bundle:
    """Put a copy of ``candidate`` in the place of ``installed``, with the history of both.

    Whoever reads the place finds the old bundle or the new one, whenever this is killed; see :mod:`..core.files`. The
    old one is then at :func:`previous_of`.

    Args:
        entry: what is added to the history; its ``before`` is the identity that must be installed still.

    Raises:
        BundleError: another bundle is installed by now, or one of them is not sound.
        OutputError: it cannot be written; what was installed is as it was.
    """
    found = load_bundle(installed.absolute())
    if found.identity != entry.before:
        raise BundleError(f'{installed}: {entry.before} was installed when it was compared with, and now it is '
                          f'{found.identity}; somebody has replaced it meanwhile. Give the same command again')
    history = [*read_history(installed), entry]
    check_place(installed)
    with whole_folder(previous_of(installed), overwrite=True) as work:
        _copy(installed, work)
    with whole_folder(installed, overwrite=True) as work:
        _copy(candidate, work)
        (work / HISTORY).write_text(text_of(history), encoding='utf-8')
        copied = load_bundle(work)
        if copied.identity != entry.model:
            raise BundleError(f'{candidate}: is {copied.identity}, and {entry.model} is what was compared; give the '
                              'same command again')
    return load_bundle(installed.absolute())


def check_place(installed: Path) -> None:
    """Raise :class:`OutputError` unless a bundle can take the place of ``installed``, and that stay beside it."""
    previous = previous_of(installed)
    check_writable(previous.parent, 'copy the bundle to a folder of yours and improve it there')
    if previous.exists() and not (previous / DESCRIPTION).is_file():
        raise OutputError(f'{previous}: is there already and is no bundle, so the one that is installed cannot be kept '
                          'there; move it away')


def roll_back(installed: Path) -> Bundle:
    """Exchange the installed bundle and the one before it; done twice, all is as it was but for the history.

    Raises:
        BundleError: there is none before it, or it is not sound.
        OutputError: it cannot be written.
    """
    previous = previous_of(installed)
    if not previous.is_dir():
        raise BundleError(f'{installed}: there is no bundle before it ({previous} is missing)')
    now_installed, back = load_bundle(installed.absolute()), load_bundle(previous)
    entry = Entry(ROLLED_BACK, back.identity, now_installed.identity, utc_now(), classes=back.class_names)
    # Before the exchange: that moves both at once.
    write_whole(previous / HISTORY, text_of([*read_history(installed), entry]))
    if not exchange(previous, Path(os.path.realpath(installed))):
        raise BundleError(f'{installed}: this file system cannot exchange two folders at once; stop what reads the '
                          f'model, and rename {previous} by hand')
    return load_bundle(installed.absolute())


def _copy(bundle: Path, work: Path) -> None:
    shutil.copytree(bundle, work, dirs_exist_ok=True)
