"""Folders of pictures, ``<class>/*.jpg``: found, read, and told apart from folders of bags. The one rule for all uses.

A folder beside others is a class, with all pictures at whatever depth below it. What is no picture, cannot be read, has
no label or was put there by another program is left out and told; a class of which nothing is left is an error.
"""
import re
from collections import Counter
from errno import EACCES, EPERM
from pathlib import Path
from typing import Dict, Iterable, Iterator, List, NamedTuple, NoReturn, Optional, Sequence, Tuple, Union

import cv2
import numpy as np

from ..core.errors import BagError, ImageError, raise_about_machine
from ..core.files.user_path import user_path
from ..core.files.whole_files import check_finished
from ..core.images.picture_file import decode_picture
from ..core.text.csv_cells import plain_cell
from ..core.text.number_text import plain_int
from ..core.text.printable import printable
from ..core.text.text_file import read_text, table_rows
from ..core.types import ColorOrder, Picture
from .folders import SYSTEM, LeftOut, Tell, is_of_the_system, natural, shown, walk
from .labels.labels import UNLABELLED_NAMES, alike, check_label

SUFFIXES = ('.jpg', '.jpeg', '.jpe', '.jfif', '.png', '.bmp', '.dib', '.webp', '.tif', '.tiff', '.ppm', '.pgm', '.pbm',
            '.pnm')
"""Of files that are taken for pictures by their names; of others the first bytes decide."""
INDEX = 'index.csv'
INDEX_COLUMNS = ('file', 'label', 'recording', 'topic', 'stamp_ns', 'receive_ns', 'track', 'index')
# Where OpenCV can read one of these it is read: that depends on how it was built.
_OTHER_PICTURES = set("""
    .heic .heif .hif .avif .avifs .jxl .jp2 .j2k .jpx .jxr .gif .apng .svg .psd .xcf .tga .ico .exr .hdr .pfm .pcx
    .dcm .npy .raw .dng .cr2 .cr3 .crw .nef .nrw .arw .sr2 .orf .rw2 .raf .pef .srw .eps""".split())
_NOT_READ = 'of a format that OpenCV does not read here (convert them to JPEG or PNG)'
_NO_PICTURE = 'no pictures'
_MOST_TOLD = 10
_NO_LABEL = 'pictures without a label (sort them into folders of classes)'
_NO_FOLDER = 'pictures that lie beside the folders of the classes, not in one'
_SPLIT = re.compile(r'(train|training|val|valid|validation|test|testing|holdout|fold[_-]?\d+)'
                    r'([_-]?(set|data|split|images|pictures))?[_-]?\d*', re.IGNORECASE)

_TO_BGR = {ColorOrder.RGB: cv2.COLOR_RGB2BGR, ColorOrder.RGBA: cv2.COLOR_RGBA2BGR,
           ColorOrder.BGRA: cv2.COLOR_BGRA2BGR}


class FolderPicture(NamedTuple):
    """A picture and its label; the rest is known only where ``index.csv`` says so (see ``bag extract``)."""

    path: Path
    label: str
    recording: Optional[str] = None
    topic: str = ''
    stamp_ns: Optional[int] = None
    track: Optional[str] = None


class _Class(NamedTuple):
    folder: Path
    pictures: Tuple[Path, ...]
    is_flat: bool  # pictures lie in the folder itself, not only in folders of it
    has_others: bool  # there are files, though no pictures that can be read


def is_picture_folder(folder: Path) -> bool:
    """Whether a folder has folders with pictures in them."""
    if not folder.is_dir():
        return False
    return any(_is_picture(path) for sub in _class_folders(folder, LeftOut())
               for found in walk(sub, LeftOut()) for path in found.files)


def folder_pictures(folder: Union[str, Path], tell: Tell) -> List[FolderPicture]:
    """All pictures below ``folder``, by class and in natural order.

    Args:
        tell: takes a sentence about each kind of thing that is left out.

    Raises:
        BagError: there is no such folder, no folders with pictures in it, none that can be read in one of them, or
            they are the parts of a split.
        ConfigError: a folder's name cannot be a label, or two differ in case only.
    """
    folder = user_path(folder)
    if not folder.is_dir():
        raise BagError(f'{shown(folder)}: no such folder; give a folder with one folder of pictures a class')
    check_finished(folder)
    left_out = LeftOut()
    classes = _classes(folder, left_out)
    index = _Index(folder / INDEX)
    labels = {one.folder: check_label(one.folder.name, shown(one.folder)) for one in classes if one.pictures}
    for first, second in alike(one.folder.name for one in classes if one.pictures):
        raise BagError(f'{shown(folder)}: the folders {first!r} and {second!r} differ in case or spelling of the same '
                       'letters only; they would be two classes. Merge them, or rename one')
    _check_no_split(folder, classes)
    found: List[FolderPicture] = []
    empty: List[Path] = []
    broken: List[str] = []
    for one in classes:
        if one.folder.name.casefold() in UNLABELLED_NAMES:
            if one.pictures:
                left_out.add(_NO_LABEL, one.folder, folder, len(one.pictures))
        elif one.pictures:
            broken += _unreadable(one)
            found += [index.picture(path, labels[one.folder]) for path in one.pictures]
        elif one.has_others:
            left_out.add('folders without pictures', one.folder, folder)
        else:
            empty.append(one.folder)
    _check_classes(folder, empty, broken, left_out)
    notes = (*left_out.notes(folder), *index.notes(found))
    if not found:
        raise BagError(f'{shown(folder)}: no pictures; it must hold one folder a class with {", ".join(SUFFIXES)} '
                       f'files in it{_because(folder, left_out)}')
    for note in notes:
        tell(note)
    return found


def all_pictures(folder: Union[str, Path], tell: Tell) -> List[Path]:
    """All pictures at any depth below ``folder``, whatever they show; empty where there are none.

    Raises:
        BagError: there is no such folder.
    """
    folder = user_path(folder)
    if not folder.is_dir():
        raise BagError(f'{shown(folder)}: no such folder; give one of pictures')
    left_out = LeftOut()
    found = _pictures(folder, folder, left_out, {})[0]
    for note in left_out.notes(folder):
        tell(note)
    return found


def _class_folders(folder: Path, left_out: LeftOut) -> List[Path]:
    """The folders in ``folder`` that could be classes; pictures beside them and what the system put there is noted."""
    found = []
    try:
        entries = sorted(folder.iterdir(), key=natural)
    except OSError as error:
        raise_about_machine(error, shown(folder))
        raise BagError(f'{shown(folder)}: cannot be read ({error.strerror})') from error
    for path in entries:
        if is_of_the_system(path.name):
            left_out.add(SYSTEM, path, folder)
        elif path.is_dir():
            found.append(path)
        elif path.is_symlink() and not path.exists():
            left_out.add('links to what is not there', path, folder)
        elif path.is_file() and _is_picture(path):
            left_out.add(_NO_FOLDER, path, folder)
    return found


def _classes(folder: Path, left_out: LeftOut) -> List[_Class]:
    found, seen = [], {}
    status = folder.stat()
    seen[(status.st_dev, status.st_ino)] = folder
    for sub in _class_folders(folder, left_out):
        pictures, others = _pictures(sub, folder, left_out, seen)
        found.append(_Class(sub, tuple(pictures), any(path.parent == sub for path in pictures), others))
    return found


def _pictures(folder: Path, root: Path, left_out: LeftOut, seen: dict) -> Tuple[List[Path], bool]:
    """Pictures at any depth below ``folder``, and whether there are other files, none meant as a picture."""
    pictures, others, foreign = [], 0, 0
    for found in walk(folder, left_out, seen, root):
        for path in found.files:
            if _is_picture(path):
                pictures.append(path)
            elif path.suffix.lower() in _OTHER_PICTURES:
                foreign += 1
                left_out.add(_NOT_READ, path, root)
            else:
                others += 1
                left_out.add(_NO_PICTURE, path, root)
    return sorted(pictures, key=natural), bool(others and not foreign)


def _is_picture(path: Path) -> bool:
    if path.suffix.lower() in SUFFIXES:
        return True
    try:
        # What OpenCV cannot open is no picture to it, whatever the reason.
        with open(path, 'rb') as file:
            file.read(1)
    except OSError as error:
        if error.errno not in (EACCES, EPERM):
            raise_about_machine(error, shown(path))
        return False
    try:
        return cv2.haveImageReader(str(path))
    except (cv2.error, UnicodeError):
        return False


def _because(folder: Path, left_out: LeftOut) -> str:
    notes = [note.split(': ', 1)[1] for note in left_out.notes(folder)]
    return f' ({"; ".join(notes)})' if notes else ''


def _unreadable(one: _Class) -> List[str]:
    """A sentence where not one picture of a class can be decoded, so that such a class is no surprise later."""
    first = None
    for path in one.pictures:
        try:
            read_picture(path)
            return []
        except ImageError as error:
            first = first or error
    return [f'{shown(one.folder)}: a class without a picture that can be read: of {len(one.pictures)} none, the first '
            f'because: {first}']


def _check_classes(folder: Path, empty: Sequence[Path], broken: Sequence[str], left_out: LeftOut) -> None:
    """Raise for all classes of which nothing is left, at once."""
    found = list(broken)
    if empty:
        what = 'a class' if len(empty) == 1 else f'{len(empty)} classes'
        found.insert(0, f'{_listed([shown(path) for path in empty], ", ")}: {what} without a picture that can be '
                        f'read{_because(folder, left_out)}')
    if found:
        raise BagError(f'{_listed(found, "; ")}; put some in, or remove the folder')


def _listed(texts: Sequence[str], between: str) -> str:
    more = f' and {len(texts) - _MOST_TOLD} more' if len(texts) > _MOST_TOLD else ''
    return between.join(texts[:_MOST_TOLD]) + more


def _check_no_split(folder: Path, classes: Sequence[_Class]) -> None:
    """Raise for ``train/`` and ``val/``, which hold the classes and are none."""
    used = [one for one in classes if one.pictures]
    parts = [one for one in used if _SPLIT.fullmatch(one.folder.name)]
    nested = [one for one in parts if not one.is_flat]
    if len(nested) > 1 or (parts and len(parts) == len(used) and (len(parts) > 1 or nested)):
        names = [shown(one.folder) for one in parts]
        how = 'name them one by one' if nested else 'give the pictures in them folders of classes'
        raise BagError(f'{shown(folder)}: {", ".join(shown(one.folder.name) + "/" for one in parts)} look like parts '
                       f'of a split, not like classes; {how}: {" ".join(names)} (what trains divides what it is given '
                       'anew). If they are classes, rename the folders')


class _Index:
    """What ``index.csv`` knows of the pictures; also of those that were moved to another class since."""

    def __init__(self, path: Path) -> None:
        self._root = path.parent
        self._rows: Dict[str, FolderPicture] = {}
        if path.is_file():
            self._read(path)
        names = Counter(Path(name).name for name in self._rows)
        self._by_name = {Path(name).name: row for name, row in self._rows.items() if names[Path(name).name] == 1}

    def _read(self, path: Path) -> None:
        rows = table_rows(read_text(path, BagError), str(path), BagError)
        head = next(rows, None)
        for row in rows:
            try:
                item = dict(zip(head.cells, map(plain_cell, row.cells), strict=True))
                self._rows[item['file']] = FolderPicture(
                    self._root / item['file'], check_label(item['label'], str(path)), item['recording'], item['topic'],
                    _stamp_ns(item['stamp_ns']), item['track'] or None)
            except (KeyError, ValueError) as error:
                raise BagError(f'{path}, line {row.line}: not as `robot-vision bag extract` writes it ({error!r}); '
                               'remove the file to read the folders alone') from error

    def picture(self, path: Path, label: str) -> FolderPicture:
        """What is known of a picture in the folder of ``label``."""
        row = self._rows.get(str(path.relative_to(self._root)))
        if row is not None:
            return row
        row = self._by_name.get(path.name)
        return FolderPicture(path, label) if row is None else row._replace(path=path, label=label)

    def notes(self, found: Sequence[FolderPicture]) -> Tuple[str, ...]:
        """A sentence about rows without a picture."""
        there = {picture.path.name for picture in found}
        missing = [name for name, row in self._rows.items() if Path(name).name not in there
                   and not row.path.exists()]
        more = ', ...' if len(missing) > 3 else ''
        return (f'{self._root / INDEX}: {len(missing)} of {len(self._rows)} pictures that it lists are not there: '
                f'{", ".join(map(shown, missing[:3]))}{more}',) if missing else ()


def read_picture(path: Union[str, Path]) -> Picture:
    """A picture file as 8 bit grey or BGR, upright as its EXIF data says.

    Raises:
        ImageError: it cannot be decoded, is cut off or too large.
        MachineError: it may not be read, or the disk fails.
    """
    # Not cv2.imread: it prints warnings of its own, and cannot open every name on every system.
    try:
        data = np.fromfile(path, np.uint8)
    except OSError as error:
        raise_about_machine(error, shown(path))
        raise ImageError('compressed', f'{shown(path)}: cannot be read ({error.strerror})') from error
    pixels = decode_picture(data, shown(path))
    return Picture(pixels, ColorOrder.MONO if pixels.ndim == 2 else ColorOrder.BGR)


def refuse_unreadable(paths: Iterable[Path], first: ImageError) -> NoReturn:
    """Raise :class:`BagError` that names the first picture that cannot be decoded and all others of ``paths``."""
    found = []
    for path in paths:
        try:
            read_picture(path)
        except ImageError:
            found.append(shown(path))
    if not found:
        raise BagError(f'{first}; remove it from the folder') from first
    raise BagError(f'{len(found) + 1} pictures cannot be read; remove them from the folder: {first}; '
                   f'{_listed(found, ", ")}') from first


def readable_pictures(paths: Iterable[Path], tell: Tell) -> Iterator[Tuple[int, Picture]]:
    """Place in ``paths`` and pixels of each picture that can be decoded; after the last the others are told."""
    failed, first = 0, ''
    for place, path in enumerate(paths):
        try:
            yield place, read_picture(path)
        except ImageError as error:
            failed, first = failed + 1, first or str(error)
    if failed:
        tell(f'left out {failed}, pictures that cannot be decoded, the first because: {first}')


def as_bgr(picture: Picture) -> np.ndarray:
    """What ``cv2.imwrite`` takes: uint8, shape (H, W, 3) BGR, or (H, W)."""
    if picture.order in _TO_BGR:
        return cv2.cvtColor(np.ascontiguousarray(picture.pixels), _TO_BGR[picture.order])
    return picture.pixels


def each_class(pictures: List[FolderPicture]) -> Iterator[Tuple[str, List[FolderPicture]]]:
    """Pictures of one class after another, in alphabetical order."""
    by_label: Dict[str, List[FolderPicture]] = {}
    for picture in pictures:
        by_label.setdefault(picture.label, []).append(picture)
    yield from sorted(by_label.items())


def _stamp_ns(text: str) -> int:
    value = plain_int(text)
    if value is None:
        raise ValueError(f'{printable(text, 60)!r} is no time in nanoseconds')
    return value
