"""Pictures of nothing that is a class, for training alone: folders at any depth, whatever their folders are called."""
from pathlib import Path
from typing import Callable, List, Optional, Sequence

import numpy as np

from ..core.networks.preprocess import Preprocessing
from ..core.types import UNKNOWN
from .cache import CacheConfig, FrameStore
from .folders import Tell
from .frame_sources import FolderSource
from .labels.labels import LabelConfig
from .picture_folder import all_pictures
from .picture_index import FolderPicture
from .recording_paths import expand, recording_names
from .selection import SAME_PICTURE, SelectionConfig, near_pairs
from .stored_frames import stored_frames


class OutlierSource(FolderSource):
    """All pictures below a folder, each labelled ``unknown``."""

    def _found(self, folder: Path, tell: Tell) -> List[FolderPicture]:
        return [FolderPicture(path, UNKNOWN) for path in all_pictures(folder, tell)]

    def _tracks(self) -> List[str]:
        """Nothing is divided, so that near-duplicates need not be found."""
        return [f'picture_{number:05d}' for number in range(len(self._pictures))]


def outlier_store(folders: Sequence[str], preprocessing: Preprocessing, cache: CacheConfig,
                  progress: Optional[Callable[[int], None]] = None, beside: Sequence[FrameStore] = ()) -> FrameStore:
    """The decoded pictures of ``folders``; from the cache where they are in it.

    Args:
        progress: is called with the number of pictures so far.
        beside: the frames that they are learned from with, which stay in the cache.

    Raises:
        BagError: there is no such folder.
        DataError: no picture in them can be read, or there is no room for the cache.
    """
    paths = expand(folders)
    sources = [OutlierSource(path, name, LabelConfig()) for path, name in zip(paths, recording_names(paths))]
    selection = SelectionConfig(every_s=0.0, duplicate_distance=-1, least=0)
    return stored_frames(
        sources, selection, preprocessing, cache, ['outliers', [source.recording for source in sources]],
        lambda stream: f'data.outliers: no picture that can be read in {", ".join(folders)}: '
                       f'{stream.selection_report}', progress=progress, beside=beside)


def unlike(hashes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Indices of the pictures that are no near-duplicates of others.

    Args:
        hashes, others: perceptual hashes, uint64 (n,) and (m,).
    """
    alike = np.zeros(len(hashes), bool)
    for found, _ in near_pairs(hashes, others, SAME_PICTURE):
        alike[found] = True
    return np.flatnonzero(~alike)
