"""What paths on a command line mean, and what the recordings that they lead to are called."""
from collections import Counter
from glob import glob, has_magic
from pathlib import Path
from typing import List, Sequence, Union

from ..core.errors import BagError
from ..core.files.user_path import user_path


def expand(paths: Sequence[Union[str, Path]]) -> List[Path]:
    """Paths with ``~`` and globs (``**`` too) carried out, in natural order, each once.

    Raises:
        BagError: nothing matches a pattern, or no path is given.
    """
    if not paths:
        raise BagError('no bags given; name bags, folders of bags or folders of pictures')
    found: List[Path] = []
    for path in paths:
        text = str(user_path(path))
        matches = sorted(glob(text, recursive=True)) if has_magic(text) and not Path(text).exists() else [text]
        if not matches:
            raise BagError(f'{path}: nothing matches this pattern')
        found += [Path(match) for match in matches]
    return list(dict.fromkeys(found))


def recording_names(paths: Sequence[Path]) -> List[str]:
    """A name for each path: its last part, with as many of those before it as make all names differ."""
    parts = [[*path.absolute().parts[1:-1], path.name if path.is_dir() else path.stem] for path in paths]
    names = [path[-1] for path in parts]
    for depth in range(2, max(map(len, parts), default=0) + 1):
        repeated = {name for name, count in Counter(names).items() if count > 1}
        if not repeated:
            break
        names = ['/'.join(path[-depth:]) if name in repeated else name for path, name in zip(parts, names)]
    # A bag.mcap beside a bag.bag
    counts = Counter(names)
    return [path.name if counts[name] > 1 else name for path, name in zip(paths, names)]
