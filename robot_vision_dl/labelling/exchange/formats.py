"""The formats, by name, and which of them a folder or file is."""
from pathlib import Path
from typing import Callable, Dict, Iterator, List, NamedTuple, Sequence

from ...core.errors import ConfigError
from ...core.files.user_path import user_path
from ...core.suggestions import did_you_mean
from ...data.folders import shown
from ..queue_file import MINED
from . import cvat, fiftyone, hugging_face, image_folder, label_studio
from .pictures import ExportPicture
from .said import Said

AUTO = 'auto'
FOXGLOVE = 'foxglove'
"""Is written and not read."""


class Format(NamedTuple):
    """How pictures and labels are written and read.

    Attributes:
        places: where each picture's file is in the export, without its suffix.
        write: write the labels of pictures whose files are there: folder, pictures, files, all labels.
        read: what a folder or file says of its pictures.
        file: that it is known by.
    """

    places: Callable[[Sequence[ExportPicture]], List[str]]
    write: Callable[[Path, Sequence[ExportPicture], Sequence[str], Sequence[str]], None]
    read: Callable[[Path], Iterator[Said]]
    file: str = ''


FORMATS: Dict[str, Format] = {
    'folders': Format(image_folder.places, image_folder.write, image_folder.read),
    'cvat': Format(cvat.places, cvat.write, cvat.read, cvat.FILE),
    'label-studio': Format(label_studio.places, label_studio.write, label_studio.read, label_studio.FILE),
    'fiftyone': Format(fiftyone.places, fiftyone.write, fiftyone.read, fiftyone.FILE),
    'hugging-face': Format(hugging_face.places, hugging_face.write, hugging_face.read, hugging_face.FILE),
}
_SOUGHT = {
    'folders': 'folders of pictures in it, one a label (cup/a.jpg)', 'cvat': '<image> elements in it',
    'label-studio': 'tasks in it', 'fiftyone': 'entries of "labels" in it', 'hugging-face': 'lines in it'}
_BY_SUFFIX = {'.xml': 'cvat', '.jsonl': 'hugging-face'}


def why_nothing(path: Path, form: str) -> str:
    """What users are told of a folder or file in which there is not one picture.

    Args:
        form: one of :data:`FORMATS`.
    """
    if (user_path(path) / MINED).is_file():
        return (f'{shown(path)}: is a queue, and no export of one; give the folder that `robot-vision labels export` '
                'wrote')
    return (f'{shown(path)}: there is no picture to take a label from; looked for {_SOUGHT[form]} (--format {form}); '
            'give the folder that `robot-vision labels export` wrote, or what another program exported of it')


def format_of(path: Path, name: str) -> str:
    """The format of a folder or file; ``name`` is what the user said, or ``auto``.

    Raises:
        ConfigError: there is nothing, or nothing that tells which it is.
    """
    path = user_path(path)
    if not path.exists():
        raise ConfigError(f'{shown(path)}: no such file or folder')
    if name in FORMATS:
        return name
    if name != AUTO:
        raise ConfigError(f'--format: no format {name!r} can be read; {did_you_mean(name, FORMATS)}')
    if path.is_dir():
        for each, form in FORMATS.items():
            if form.file and (path / form.file).is_file():
                return each
        return 'folders'
    if path.suffix.lower() in _BY_SUFFIX:
        return _BY_SUFFIX[path.suffix.lower()]
    if path.suffix.lower() == '.json':
        with open(path, 'rb') as file:
            return 'label-studio' if file.read(64).lstrip(b'\xef\xbb\xbf \t\r\n')[:1] == b'[' else 'fiftyone'
    raise ConfigError(f'{shown(path)}: is no file of labels; give the unpacked folder, an .xml (CVAT), .json (Label '
                      'Studio, FiftyOne) or .jsonl (Hugging Face) file')
