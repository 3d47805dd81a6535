"""From bags and folders to decoded, labelled, selected frames on disk: the first stage of training and evaluation."""
from dataclasses import asdict, dataclass, field
from typing import Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple

from ..core.bundles.bundle_format import check_class_names
from ..core.config import check_values, option
from ..core.errors import BundleError, ConfigError, DataError
from ..core.networks.preprocess import Preprocessing
from ..core.types import UNKNOWN
from .cache import CacheConfig, FrameStore
from .division import Part, SplitConfig
from .frame_sources import BagSource, open_sources
from .frozen import without_frozen
from .labels.labels import LabelConfig, alike
from .named_parts import named_recordings, paths_beside
from .selection import SelectionConfig
from .stored_frames import stored_frames


@dataclass(frozen=True)
class DataConfig:
    """What is learned from."""

    bags: Tuple[str, ...] = option(
        (), 'bags (files, folders, globs), folders of pictures (<class>/*.jpg) and lists of them (CSV: file,label); '
        'relative to this file')
    early_stop: Tuple[str, ...] = option(
        (), 'recordings that tell when to stop (validation), instead of drawn ones: names of recordings (* and ? stand '
        'for anything), or paths, which need not be among data.bags; they are in no other part')
    calibration: Tuple[str, ...] = option((), 'recordings to calibrate on, instead of drawn ones; as early_stop')
    test: Tuple[str, ...] = option((), 'recordings to test on once, instead of drawn ones; as early_stop')
    outliers: Tuple[str, ...] = option(
        (), 'folders of pictures, at any depth, that show none of the classes: training learns from them that they are '
        'none (loss.outlier_exposure); they choose no OOD score and are not reported on')
    frozen: Tuple[str, ...] = option(
        (), 'bags and folders of pictures that models are compared on: they are never learned from, nor is any frame '
        'that looks like one of theirs, wherever it lies')
    image_topics: Tuple[str, ...] = option(
        (), 'image topics of the bags; empty: each camera once, without depth and infrared; all: '
        'every one')
    class_names: Tuple[str, ...] = option(
        (), "classes in the order of the network's outputs; empty: all labels, sorted")
    labels: LabelConfig = field(default_factory=LabelConfig)
    selection: SelectionConfig = field(default_factory=SelectionConfig)
    split: SplitConfig = field(default_factory=SplitConfig)
    cache: CacheConfig = field(default_factory=CacheConfig)

    def __post_init__(self) -> None:
        check_values(self, 'data.')
        if self.class_names:
            try:
                check_class_names(list(self.class_names))
            except BundleError as error:
                raise ConfigError(f'data.{error}') from error


    @property
    def named(self) -> Dict[Part, Tuple[str, ...]]:
        """Parts whose recordings are named, with what names them."""
        lists = {Part.EARLY_STOP: self.early_stop, Part.CALIBRATION: self.calibration, Part.TEST: self.test}
        return {part: names for part, names in lists.items() if names}


class PreparedData(NamedTuple):
    """Decoded frames, and the part of each recording that the settings name for one.

    ``left_out`` has the names of the recordings that lie where frozen ones do, of which no frame is here.
    """

    store: FrameStore
    named: Dict[str, Part]
    left_out: Tuple[str, ...] = ()


def prepare(config: DataConfig, preprocessing: Preprocessing,
            progress: Optional[Callable[[int], None]] = None, pictures: Optional[str] = None) -> FrameStore:
    """The decoded frames that ``config`` describes; as :func:`prepare_parts`, where no part is asked for."""
    return prepare_parts(config, preprocessing, progress, pictures).store


def prepare_parts(config: DataConfig, preprocessing: Preprocessing,
                  progress: Optional[Callable[[int], None]] = None, pictures: Optional[str] = None) -> PreparedData:
    """The decoded frames that ``config`` describes; from the cache where they are in it.

    Bags are read once, a frame at a time.

    Args:
        progress: is called with the number of frames so far.
        pictures: folder that the files of lists are relative to; None: that of each list.

    Raises:
        BagError: a bag cannot be read at all (damaged ones give what is readable; see the store's label_report).
        ConfigError: labels are missing, cannot be used, or are not among the classes; or what is named for a part of
            the split is no recording, or in two parts.
        DataError: no frame has a label, or there is no room for the cache.
    """
    sources = open_sources([*config.bags, *paths_beside(config.bags, config.named)], config.labels,
                           config.image_topics, config.class_names, pictures)
    sources, left_out = without_frozen(sources, config.frozen)
    named = named_recordings(config.named, sources)
    if 'none' in config.labels.sources and any(isinstance(source, BagSource) for source in sources):
        raise ConfigError('labels.sources: none gives no frame of a bag a class, so nothing can be learned from it; '
                          'name where the labels are, or auto')
    settings = [asdict(config.labels), asdict(config.selection), config.image_topics, config.class_names,
                [(source.recording, source.labels.used) if isinstance(source, BagSource) else source.recording
                 for source in sources], [source.notes for source in sources]]
    return PreparedData(stored_frames(
        sources, config.selection, preprocessing, config.cache, settings,
        lambda stream: f'no frame is labelled and readable:\n{stream.label_report}\n{stream.selection_report}',
        config.class_names, progress), named, tuple(left_out))


def class_names_of(store: FrameStore, chosen: Sequence[str] = ()) -> Tuple[str, ...]:
    """The classes: those chosen, or all labels but ``unknown``, sorted.

    Raises:
        DataError: there are fewer than two, or a chosen one has no frame.
    """
    found: List[str] = sorted({frame.label for frame in store.frames} - {UNKNOWN})
    names = tuple(chosen) or tuple(found)
    for before, name in () if chosen else alike(names):
        raise DataError(f'the labels {before!r} and {name!r} differ in case or spelling of the same letters only, '
                        'and would be two classes; name them alike, or '
                        'name both in data.class_names if they are meant')
    missing = [name for name in names if name not in found]
    if missing:
        raise DataError(f'class_names: no frame is labelled {", ".join(missing)}; labels with frames: '
                        f'{", ".join(found)}')
    if len(names) < 2:
        raise DataError(f'at least two classes are needed, got {", ".join(names) or "none"}; label frames of another '
                        'class too')
    return names
