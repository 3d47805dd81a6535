"""Which files make up a recording: a file given directly, a folder with metadata.yaml, or what is left of one."""
from pathlib import Path
from typing import Dict, List, NamedTuple, Sequence, Tuple, Union

from ...core.errors import BagError, ConfigError
from ...core.files.user_path import user_path
from ...core.text.yaml_text import read_yaml
from ..folders import Folder, LeftOut, shown, walk
from .counts import MOST_METADATA_BYTES
from .parts import part_of, recordings_of, unpacked_name, without_copies

STORAGE_SUFFIXES = ('.mcap', '.db3', '.bag')
METADATA = 'metadata.yaml'


class BagFiles(NamedTuple):
    """The storage files of one recording.

    Attributes:
        path: what a person would call the bag: the folder, or the file.
        files: storage files in the order of the recording.
        problems: sentences about what is missing or odd.
        notes: sentences about what was decided: what makes up the recording, and what is not read.
    """

    path: Path
    files: Tuple[Path, ...]
    problems: Tuple[str, ...] = ()
    notes: Tuple[str, ...] = ()


def storage_suffix(path: Path) -> str:
    """``.mcap``, ``.db3`` or ``.bag`` of a storage file, compressed or still being recorded too; else empty."""
    name = unpacked_name(path)
    if name.endswith('.active'):
        name = name[:-len('.active')]
    suffix = Path(name).suffix
    return suffix if suffix in STORAGE_SUFFIXES else ''


def find_bags(path: Union[str, Path]) -> List[BagFiles]:
    """All recordings in ``path``: one for a file or a folder of one recording, several for a folder of bags.

    Raises:
        BagError: there is no such file or folder, or no bag in it.
    """
    path = user_path(path)
    if not path.exists():
        raise BagError(f'{shown(path)}: no such file or folder; give a .bag, .mcap or .db3 file or the folder of a bag')
    if path.name == METADATA and path.is_file():
        path = path.parent
    if not path.is_dir():  # a pipe that is called a bag, too: whoever opens it says what it is
        if not storage_suffix(path):
            raise BagError(f'{shown(path)}: not a bag; bags are .bag, .mcap or .db3 files, or folders of them')
        return [BagFiles(path, (path,))]
    left_out = LeftOut()
    bags = [bag for folder in walk(path, left_out) for bag in _bags_of_folder(folder)]
    notes = left_out.notes(path)
    if not bags:
        why = f' ({"; ".join(notes)})' if notes else ''
        raise BagError(f'{shown(path)}: no bag in this folder; bags are .bag, .mcap or .db3 files, or folders of them'
                       f'{why}')
    return [bags[0]._replace(notes=(*bags[0].notes, *notes)), *bags[1:]]


def each_once(bags: Sequence[BagFiles]) -> List[BagFiles]:
    """The recordings without those that are there already: a folder and a bag in it, or two ways to one file."""
    seen: Dict[Tuple[Path, ...], int] = {}
    kept: List[BagFiles] = []
    for bag in bags:
        key = tuple(sorted(file.resolve() for file in bag.files))
        place = seen.setdefault(key, len(kept))
        if place == len(kept):
            kept.append(bag)
        else:
            first = kept[place]
            note = f'{shown(bag.path)}: not read a second time, it is {shown(first.path)}'
            kept[place] = first._replace(notes=(*first.notes, note))
    return kept


def _bags_of_folder(folder: Folder) -> List[BagFiles]:
    found = [file for file in folder.files if storage_suffix(file)]
    if any(file.name == METADATA for file in folder.files):
        return _with_metadata(folder.path, found)
    return _without_metadata(folder.path, found)


def _without_metadata(folder: Path, found: Sequence[Path]) -> List[BagFiles]:
    files, notes = without_copies(found)
    bags = [BagFiles(file, (file,)) for file in files if storage_suffix(file) == '.bag']
    groups = recordings_of([file for file in files if storage_suffix(file) != '.bag'])
    for group in groups:
        # A folder with one recording is called by its folder's name, as rosbag2 does.
        name = folder if len(groups) == 1 and not bags else group.files[0]
        problems = (f'{shown(folder)}: metadata.yaml is missing', *group.problems)
        bags.append(BagFiles(name, group.files, problems, group.notes))
    if bags:
        bags[0] = bags[0]._replace(notes=(*bags[0].notes, *notes))
    return bags


def _with_metadata(folder: Path, found: Sequence[Path]) -> List[BagFiles]:
    """The parts that metadata.yaml lists, and later ones (its writer stopped before the end); others by themselves."""
    try:
        listed = _listed(folder / METADATA)
    except ConfigError as error:
        bags = _without_metadata(folder, found)
        problem = f'{shown(folder / METADATA)}: damaged, so it is not used ({error})'
        return [bag._replace(problems=(problem, *(each for each in bag.problems if 'metadata.yaml is' not in each)))
                for bag in bags]
    by_name = {file.name: file for file in found}
    packed = {unpacked_name(file): file for file in found}
    # A part may have been packed or unpacked since.
    files = [by_name.get(name) or packed.get(unpacked_name(Path(name))) for name in listed]
    there = [file for file in files if file is not None]
    if not there:
        bags = _without_metadata(folder, found)
        problem = f'{shown(folder)}: none of the {len(listed)} files that metadata.yaml lists is there: ' \
                  f'{", ".join(map(shown, listed[:5]))}{", ..." if len(listed) > 5 else ""}'
        return [bag._replace(problems=(problem, *bag.problems)) for bag in bags] or [BagFiles(folder, (), (problem,))]
    problems, notes = [], []
    missing = [name for name, file in zip(listed, files) if file is None]
    if missing:
        problems.append(f'{shown(folder)}: {len(missing)} of {len(listed)} parts of the recording are missing: '
                        f'{", ".join(map(shown, missing[:20]))}{", ..." if len(missing) > 20 else ""}')
    others, copies = without_copies([*there, *(file for file in found if file not in there)], keep=there)
    notes += copies
    others = [file for file in others if file not in there]
    later = [file for file in others if any(part_of(file, one) for one in there)]
    if later:
        problems.append(f'{shown(folder)}: read although metadata.yaml does not list them: '
                        f'{", ".join(shown(file.name) for file in later)}')
    strangers = [file for file in others if file not in later]
    if strangers:
        names = ', '.join(shown(file.name) for file in strangers[:5])
        notes.append(f'{shown(folder)}: metadata.yaml does not list {names}{", ..." if len(strangers) > 5 else ""}; no '
                     'later part by its name, so read as a recording of its own')
    return [BagFiles(folder, (*there, *later), tuple(problems), tuple(notes)),
            *(BagFiles(group.files[0], group.files, group.problems, group.notes) for group in recordings_of(strangers))]


def _listed(path: Path) -> List[str]:
    """Names of the files that metadata.yaml lists, in order."""
    content = read_yaml(path, as_text=True, most_bytes=MOST_METADATA_BYTES)
    information = content.get('rosbag2_bagfile_information') if isinstance(content, dict) else None
    names = information.get('relative_file_paths') if isinstance(information, dict) else None
    if not isinstance(names, list) or not all(isinstance(name, str) and name for name in names):
        raise ConfigError('it does not list the files of the recording')
    return list(dict.fromkeys(name.replace('\\', '/').rsplit('/', 1)[-1] for name in names))


