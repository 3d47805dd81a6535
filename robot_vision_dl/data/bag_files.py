"""Which files make up a recording: a file given directly, a folder with metadata.yaml, or what is left of one."""
import re
from pathlib import Path
from typing import Dict, List, NamedTuple, Tuple, Union

from ..core.errors import BagError

STORAGE_SUFFIXES = ('.mcap', '.db3', '.bag', '.active')
_SPLIT_NUMBER = re.compile(r'_\d+$')


class BagFiles(NamedTuple):
    """The storage files of one recording.

    Attributes:
        path: what a person would call the bag: the folder, or the file.
        files: storage files in the order of the recording.
        problems: sentences about what is missing or odd.
    """

    path: Path
    files: Tuple[Path, ...]
    problems: Tuple[str, ...] = ()


def storage_suffix(path: Path) -> str:
    """``.mcap``, ``.db3`` or ``.bag`` of a storage file, compressed or still being recorded too; else empty."""
    name = path.name
    for ending in ('.zstd', '.zst', '.active'):
        if name.endswith(ending):
            name = name[:-len(ending)]
    suffix = Path(name).suffix
    return suffix if suffix in STORAGE_SUFFIXES else ''


def find_bags(path: Union[str, Path]) -> List[BagFiles]:
    """All recordings in ``path``: one for a file or a folder of one recording, several for a folder of bags.

    Raises:
        BagError: there is no such file or folder, or no bag in it.
    """
    path = Path(path)
    if not path.exists():
        raise BagError(f'{path}: no such file or folder; give a .bag, .mcap or .db3 file or the folder of a bag')
    if path.name == 'metadata.yaml' and path.is_file():
        path = path.parent
    if path.is_file():
        if not storage_suffix(path):
            raise BagError(f'{path}: not a bag; bags are .bag, .mcap or .db3 files, or folders of them')
        return [BagFiles(path, (path,))]
    bags = _bags_of_folder(path)
    if not bags:
        raise BagError(f'{path}: no bag in this folder; bags are .bag, .mcap or .db3 files, or folders of them')
    return bags


def _bags_of_folder(folder: Path) -> List[BagFiles]:
    entries = sorted(folder.iterdir(), key=_natural)
    files = [entry for entry in entries if entry.is_file() and storage_suffix(entry)]
    if (folder / 'metadata.yaml').is_file():
        return [_with_metadata(folder, files)]
    bags = [BagFiles(file, (file,)) for file in files if storage_suffix(file) == '.bag']
    recordings: Dict[str, List[Path]] = {}
    for file in files:
        if storage_suffix(file) != '.bag':
            recordings.setdefault(_recording_name(file), []).append(file)
    for parts in recordings.values():
        # A folder with one recording is called by its folder's name, as rosbag2 does.
        name = folder if len(recordings) == 1 and not bags else parts[0]
        bags.append(BagFiles(name, tuple(parts), (f'{folder}: metadata.yaml is missing', *_gaps(parts))))
    for entry in entries:
        if entry.is_dir() and not entry.is_symlink():
            bags += _bags_of_folder(entry)
    return bags


def _with_metadata(folder: Path, found: List[Path]) -> BagFiles:
    """The parts that metadata.yaml lists, then those that it does not know (its writer stopped before the end)."""
    import yaml
    problems: List[str] = []
    listed: List[str] = []
    try:
        content = yaml.safe_load((folder / 'metadata.yaml').read_text(encoding='utf-8', errors='replace'))
        listed = [Path(name).name for name in content['rosbag2_bagfile_information']['relative_file_paths']]
    except (yaml.YAMLError, KeyError, TypeError):
        problems.append(f'{folder / "metadata.yaml"}: damaged, so it is not used')
        problems += _gaps(found)
    by_name = {file.name: file for file in found}
    files = [by_name.pop(name) for name in listed if name in by_name]
    missing = [name for name in listed if name not in {file.name for file in files}]
    if missing:
        problems.append(f'{folder}: {len(missing)} of {len(listed)} parts of the recording are missing: '
                        f'{", ".join(missing)}')
    if listed and by_name:
        problems.append(f'{folder}: read although metadata.yaml does not list them: {", ".join(by_name)}')
    return BagFiles(folder, (*files, *by_name.values()), tuple(problems))


def _recording_name(file: Path) -> str:
    """``run_3.mcap`` and ``run_12.mcap`` are parts of ``run``."""
    return _SPLIT_NUMBER.sub('', file.name.split(storage_suffix(file))[0])


def _gaps(parts: List[Path]) -> List[str]:
    """A sentence for the numbers that are missing in a split recording (rosbag2 counts parts from 0)."""
    numbers = []
    for part in parts:
        match = _SPLIT_NUMBER.search(part.name.split(storage_suffix(part))[0])
        if match:
            numbers.append(int(match.group()[1:]))
    # A lone part may simply carry a date in its name.
    if len(numbers) < 2:
        return []
    missing = sorted(set(range(max(numbers) + 1)) - set(numbers))
    if not missing or len(missing) > max(numbers) / 2 + 1:
        return []
    return [f'{parts[0].parent}: parts of the recording are missing: number {", ".join(map(str, missing))}']


def _natural(path: Path) -> List[Tuple[int, str]]:
    """Sort key under which part 10 comes after part 9."""
    return [(int(piece), '') if piece.isdigit() else (-1, piece) for piece in re.split(r'(\d+)', path.name)]
