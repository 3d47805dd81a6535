"""What lies in a folder of pictures with labels: pictures by name, and all other files."""
from pathlib import Path, PurePosixPath
from typing import Dict, List, Optional, Set, Tuple

from ....core.errors import BagError, ConfigError, ImageError
from ....core.files.user_path import user_path
from ...folders import LeftOut, natural, shown, walk
from ...picture_folder import SUFFIXES
from ...pictures import upright_size
from .labelled_picture import NO_LABELS, UNREADABLE


class SourceFiles:
    """The files of a source.

    Links are followed, those of labels as those of pictures: data sets are often folders of links. Where one leads may
    be secret, so errors quote little of what stands there.

    Attributes:
        root: the folder.
        pictures: path of each picture by its name relative to ``root`` (with ``/``), in natural order.
        others: everything else, in natural order.
        left_out: what is not used.

    Raises:
        BagError: there is no such folder, or no picture in it.
    """

    def __init__(self, root: Path) -> None:
        self.root = user_path(root)
        if not self.root.is_dir():
            raise BagError(f'{shown(self.root)}: no such folder; give one of pictures with their labels beside them')
        self.left_out = LeftOut()
        self.pictures: Dict[str, Path] = {}
        self.others: List[Path] = []
        for folder in walk(self.root, self.left_out):
            for path in folder.files:
                if path.suffix.lower() in SUFFIXES:
                    self.pictures[path.relative_to(self.root).as_posix()] = path
                else:
                    self.others.append(path)
        if not self.pictures:
            raise BagError(f'{shown(self.root)}: no pictures ({", ".join(SUFFIXES)}) in this folder or below; give the '
                           'folder of the pictures, not that of the labels')
        self.pictures = dict(sorted(self.pictures.items(), key=lambda item: natural(item[0])))
        self._listed: Set[str] = set()
        self._by_name: Dict[str, List[str]] = {}
        for name in self.pictures:
            self._by_name.setdefault(PurePosixPath(name).name, []).append(name)

    def named(self, text: str, where: str) -> Optional[str]:
        """Name of the picture that a file of labels means, which may have been written in another folder; None: none.

        Only what was found in the source is ever given, so that ``../`` leads nowhere.

        Raises:
            ConfigError: several fit equally well.
        """
        parts = tuple(part for part in PurePosixPath(text.replace('\\', '/')).parts if part not in ('/', '.'))
        if not parts:
            return None
        fits: List[Tuple[int, str]] = []
        for name in self._by_name.get(parts[-1], ()):
            own = PurePosixPath(name).parts
            common = min(len(own), len(parts))
            if own[-common:] == parts[-common:]:
                fits.append((common, name))
        most = max(fits)[0] if fits else 0
        best = [name for common, name in fits if common == most]
        if len(best) > 1:
            raise ConfigError(f'{where}: {shown(text)!r} may be {" or ".join(map(shown, best[:3]))}; name the folder '
                              'in the labels, too, or give the folders one by one')
        self._listed.update(best)
        return best[0] if best else None

    def note_unlisted(self) -> None:
        """Leave out the pictures that :meth:`named` never gave."""
        for name, path in self.pictures.items():
            if name not in self._listed:
                self.left_out.add(NO_LABELS, path, self.root)

    def size(self, name: str) -> Optional[Tuple[int, int]]:
        """(width, height) of a picture as it is seen; None for one that cannot be decoded, which is noted."""
        try:
            return upright_size(self.pictures[name])
        except ImageError:
            self.left_out.add(UNREADABLE, self.pictures[name], self.root)
            return None
