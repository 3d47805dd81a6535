"""Frames of sources -> a store of decoded pictures, or the one in the cache where that has been done before."""
from typing import Any, Callable, Optional, Sequence

from ..core.errors import DataError
from ..core.files.user_path import user_path
from ..core.networks.preprocess import Preprocessing
from .cache import CacheConfig, FrameStore, StoreWriter, cache_key, open_store
from .frame_sources import Source
from .frame_stream import FrameStream
from .selection import SelectionConfig


def stored_frames(sources: Sequence[Source], selection: SelectionConfig, preprocessing: Preprocessing,
                  cache: CacheConfig, settings: Sequence[Any], nothing: Callable[[FrameStream], str],
                  class_names: Sequence[str] = (), progress: Optional[Callable[[int], None]] = None,
                  beside: Sequence[FrameStore] = ()) -> FrameStore:
    """The decoded frames of ``sources``.

    Args:
        settings: what the frames depend on beside the files, the preprocessing and the form of the cache.
        nothing: what to say where no frame is left.
        class_names: as :class:`~.frame_stream.FrameStream` has them.
        progress: is called with the number of frames so far.
        beside: stores that are needed together with this one, and stay in the cache.

    Raises:
        DataError: no frame is left, or there is no room for the cache.
    """
    key = cache_key([file for source in sources for file in source.files], [
        *settings, preprocessing.resize or preprocessing.crop, preprocessing.interpolation, cache.format])
    root = user_path(cache.folder)
    store = open_store(root, key)
    if store is not None:
        return store
    stream = FrameStream(sources, selection, class_names)
    with StoreWriter(root, key, preprocessing, cache, beside) as writer:
        count = 0
        for count, sample in enumerate(stream, 1):
            writer.add(sample)
            if progress is not None:
                progress(count)
        if not count:
            raise DataError(nothing(stream))
        return writer.finish(stream.label_report, stream.selection_report)
