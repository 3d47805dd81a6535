"""Folders of pictures, ``<class>/*.jpg``: found, read, and told apart from folders of bags. The one rule for all uses.

A folder beside others is a class, with all pictures at whatever depth below it. What is no picture, cannot be read, has
no label or was put there by another program is left out and told; a class of which nothing is left is an error.
"""
import re
from errno import EACCES, EPERM
from pathlib import Path
from typing import Collection, Dict, Iterator, List, NamedTuple, Sequence, Tuple, Union

import cv2

from ..core.errors import BagError, ImageError, raise_about_machine
from ..core.files.user_path import user_path
from ..core.files.whole_files import check_finished
from .folders import SYSTEM, LeftOut, Tell, is_of_the_system, natural, shown, walk
from .labels.labels import UNLABELLED_NAMES, alike, check_label
from .picture_index import INDEX, FolderPicture, PictureIndex
from .pictures import listed, read_picture

SUFFIXES = ('.jpg', '.jpeg', '.jpe', '.jfif', '.png', '.bmp', '.dib', '.webp', '.tif', '.tiff', '.ppm', '.pgm', '.pbm',
            '.pnm')
"""Of files that are taken for pictures by their names; of others the first bytes decide."""
# Where OpenCV can read one of these it is read: that depends on how it was built.
_OTHER_PICTURES = set("""
    .heic .heif .hif .avif .avifs .jxl .jp2 .j2k .jpx .jxr .gif .apng .svg .psd .xcf .tga .ico .exr .hdr .pfm .pcx
    .dcm .npy .raw .dng .cr2 .cr3 .crw .nef .nrw .arw .sr2 .orf .rw2 .raf .pef .srw .eps""".split())
_NOT_READ = 'of a format that OpenCV does not read here (convert them to JPEG or PNG)'
_NO_PICTURE = 'no pictures'
_NO_LABEL = 'pictures without a label (sort them into folders of classes)'
_NO_FOLDER = 'pictures that lie beside the folders of the classes, not in one'
_SPLIT = re.compile(r'(train|training|val|valid|validation|test|testing|holdout|fold[_-]?\d+)'
                    r'([_-]?(set|data|split|images|pictures))?[_-]?\d*', re.IGNORECASE)


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


def folder_pictures(folder: Union[str, Path], tell: Tell, in_use: Collection[Path] = ()) -> List[FolderPicture]:
    """All pictures below ``folder``, by class and in natural order.

    Args:
        tell: takes a sentence about each kind of thing that is left out.
        in_use: resolved paths of files beside the pictures that are read for something else: they are not told.

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
    classes = _classes(folder, left_out, in_use)
    index = PictureIndex(folder / INDEX)
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


def _classes(folder: Path, left_out: LeftOut, in_use: Collection[Path] = ()) -> List[_Class]:
    found, seen = [], {}
    status = folder.stat()
    seen[(status.st_dev, status.st_ino)] = folder
    for sub in _class_folders(folder, left_out):
        pictures, others = _pictures(sub, folder, left_out, seen, in_use)
        found.append(_Class(sub, tuple(pictures), any(path.parent == sub for path in pictures), others))
    return found


def _pictures(folder: Path, root: Path, left_out: LeftOut, seen: Dict[Tuple[int, int], Path],
              in_use: Collection[Path] = ()) -> Tuple[List[Path], bool]:
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
                if not in_use or path.resolve() not in in_use:
                    left_out.add(_NO_PICTURE, path, root)
    return sorted(pictures, key=natural), bool(others and not foreign)


def _is_picture(path: Path) -> bool:
    if path.suffix.lower() in SUFFIXES:
        return True
    try:
        # What OpenCV cannot open is no picture to it, whatever the reason.
        with open(path, 'rb') as file:
            file.read(1)
            return cv2.haveImageReader(str(path) if _is_utf_8(path) else f'/dev/fd/{file.fileno()}')
    except OSError as error:
        if error.errno not in (EACCES, EPERM):
            raise_about_machine(error, shown(path))
        return False
    except cv2.error:
        return False


def _is_utf_8(path: Path) -> bool:
    """Whether OpenCV may be given the name: OpenCV 5.0 crashes on others."""
    try:
        str(path).encode('utf-8')
    except UnicodeEncodeError:
        return False
    return True


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
        found.insert(0, f'{listed([shown(path) for path in empty], ", ")}: {what} without a picture that can be '
                        f'read{_because(folder, left_out)}')
    if found:
        raise BagError(f'{listed(found, "; ")}; put some in, or remove the folder')


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


def each_class(pictures: List[FolderPicture]) -> Iterator[Tuple[str, List[FolderPicture]]]:
    """Pictures of one class after another, in alphabetical order."""
    by_label: Dict[str, List[FolderPicture]] = {}
    for picture in pictures:
        by_label.setdefault(picture.label, []).append(picture)
    yield from sorted(by_label.items())
