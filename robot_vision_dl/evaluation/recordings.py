"""The recordings that are to be judged, with their labels."""
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Collection, List, Mapping, Optional, Sequence, Tuple, Union

from ..core.config import ClassifierConfig
from ..core.errors import BagError, ConfigError
from ..core.regions.association import TrackingConfig
from ..core.suggestions import did_you_mean
from ..core.types import UNKNOWN
from ..data.bag_objects import BagObjects, ObjectTopics
from ..data.bags.files import BagFiles
from ..data.bags.reader import BagReader
from ..data.cameras import check_wanted, choose_topics
from ..data.folders import Tell, shown
from ..data.frame_sources import find_sources
from ..data.labels.labels import IGNORE, Finding, FrameLabel, FrameTimes, LabelConfig, Labels
from ..data.labels.objects.find import files_of_labels
from ..data.labels.sources import label_files_beside, label_topics, labels_of_bag
from ..data.object_topics import named_images, object_topics
from ..data.picture_folder import folder_pictures
from ..data.picture_index import FolderPicture
from ..data.recording_paths import recording_names
from .options import EvaluationOptions
from .picture_messages import ALONE, NS_PER_S, TOPIC, PictureReader, intervals_of
from .table import NO_LABEL, UNKNOWN_TARGET, FrameTable


@dataclass(frozen=True)
class Recording:
    """One bag, or one folder of pictures.

    Attributes:
        name: unique among those evaluated together.
        path: file or folder.
        files: what makes it up.
        topics: image topics that are evaluated.
        images: all that there are.
        frames: image messages in them, as the bag's index has it.
        duration_ns: from the first message to the last.
        labels: what holds when; None where there are no labels.
        label_sources: what was read for them.
        problems: sentences about what is not read and why, and about labels that could not be read.
        pictures: of a folder of pictures, all that are in it; empty for a bag.
        period_s: seconds from one picture to the next, more than what makes the fusion start afresh.
        objects: topics of the objects that are judged, one for each of ``topics``; empty: whole pictures are judged.
        ignore: labels whose objects are left out.
        start_ns: of a bag, when its first message was received.
    """

    name: str
    path: Path
    files: BagFiles
    topics: Tuple[str, ...]
    images: Tuple[str, ...]
    frames: int
    duration_ns: int
    labels: Optional[Labels]
    label_sources: Tuple[str, ...] = ()
    problems: Tuple[str, ...] = ()
    pictures: Tuple[FolderPicture, ...] = ()
    period_s: float = 0.0
    objects: Tuple[ObjectTopics, ...] = ()
    ignore: Tuple[str, ...] = ()
    start_ns: int = 0

    def find_objects(self, config: ClassifierConfig) -> Optional[BagObjects]:
        """The objects that a detector found; None where whole pictures are judged. Reads the bag."""
        if not self.objects:
            return None
        wish = config.detections
        with BagReader(self.files) as reader:
            return BagObjects(reader, self.objects, wish.tolerance_s, config.fusion.most_back_s,
                              TrackingConfig(wish.least_overlap, wish.forget_after_s, wish.trust_ids), self.ignore)

    def reader(self) -> Union[BagReader, PictureReader]:
        """What gives its image messages."""
        return PictureReader(self.pictures, self.period_s) if self.pictures else BagReader(self.files)

    def file(self, index: int) -> str:
        """The file of a frame, relative to the folder of pictures; empty for a bag."""
        if not self.pictures:
            return ''
        path = self.pictures[index].path
        return str(path.relative_to(self.path) if path.is_relative_to(self.path) else path)

    def verdict(self, topic: str, stamp_ns: int, receive_ns: int) -> FrameLabel:
        """What the labels say about a frame; a gap where there are none."""
        return FrameLabel(Finding.GAP) if self.labels is None else self.labels.at(topic, stamp_ns, receive_ns)

    def without_frames(self, table: FrameTable) -> Tuple[str, ...]:
        """A sentence about labels that cover none of the frames that were decided, if there are such."""
        if self.labels is None or self.pictures:  # of pictures those that are not decided are named
            return ()
        rows = table.rows
        times = {name: FrameTimes(*(rows[column][rows['topic'] == number] for column in ('stamp_ns', 'receive_ns')))
                 for number, name in enumerate(table.topics)}
        empty = FrameTimes((), ())
        return self.labels.without_frames({**dict.fromkeys(self.topics, empty), **times}, self.images)


def open_recordings(bags: Sequence[Union[str, Path]], options: EvaluationOptions,
                    leave_out: Optional[Tell] = None) -> List[Recording]:
    """All bags in ``bags`` (files, folders, globs) and folders of pictures, in natural order, their labels read.

    Args:
        leave_out: takes a sentence about each bag of several that cannot be read or has no images, which is then left
            out; None: it is an error.

    Raises:
        BagError: there is no bag, one cannot be read, has no images, or not the topics asked for.
        ConfigError: labels cannot be used.
    """
    found, notes = find_sources(bags)
    names = recording_names([item if isinstance(item, Path) else item.path for item in found])
    recordings: List[Recording] = []
    errors: List[BagError] = []
    for item, name in zip(found, names):
        try:
            recordings.append(_of_folder(item, name, options, notes.get(item)) if isinstance(item, Path)
                              else _of_bag(item, name, options))
        except BagError as error:
            if leave_out is None:
                raise
            errors.append(error)
            if len(found) > 1:
                leave_out(f'left out: {error}')
    if errors and not recordings:
        raise errors[0]
    of_bags = [recording for recording in recordings if not recording.pictures]
    if of_bags:
        wanted = options.topics or named_images(options.detections)
        check_wanted(wanted, {topic for recording in of_bags for topic in recording.topics},
                     {topic for recording in of_bags for topic in recording.images})
    read = [recording for recording in recordings if recording.topics]
    not_read = tuple(text for recording in recordings if not recording.topics for text in recording.problems)
    return [replace(read[0], problems=(*read[0].problems, *not_read)), *read[1:]] if read else []


def check_are_bags(recordings: Sequence[Recording], option: str) -> None:
    """Raise :class:`ConfigError` where there are folders of pictures, for what needs messages with times."""
    folders = [recording for recording in recordings if recording.pictures]
    if folders:
        raise ConfigError(f'{option}: {shown(folders[0].path)} is a folder of pictures, which have no times; make a '
                          f'recording of it first: robot-vision bag from-images {shown(folders[0].path)} --out BAG')


def _of_bag(files: BagFiles, name: str, options: EvaluationOptions) -> Recording:
    with BagReader(files) as reader:
        images = {topic.name: topic for topic in reader.topics.values() if topic.is_image and not topic.unreadable}
        if not images:
            raise BagError(f'{files.path}: no image topic to evaluate; {_what_there_is(reader)}')
        if options.detections:
            return _objects_of_bag(reader, name, options, tuple(images))
        labels, used, problems = _labels(reader, name, options.labels)
        topics, notes = choose_topics(reader, options.topics, labels.topics if labels else frozenset())
        start_ns = reader.start_ns or 0
        duration_ns = (reader.end_ns or 0) - start_ns
    return Recording(name, files.path, files, topics, tuple(images), sum(images[topic].count for topic in topics),
                     duration_ns, labels, used, (*files.notes, *notes, *problems), start_ns=start_ns)


def _objects_of_bag(reader: BagReader, name: str, options: EvaluationOptions, images: Tuple[str, ...]) -> Recording:
    files = reader.files
    found = object_topics(reader, options.detections, options.labels.sources, options.topics)
    topics = tuple(each.images for each in found.topics)
    labels = tuple(f'topic:{each.labels}' for each in found.topics if each.labels)
    return Recording(name, files.path, files, topics, images, sum(reader.topics[topic].count for topic in topics),
                     (reader.end_ns or 0) - (reader.start_ns or 0), None, labels, (*files.notes, *found.notes),
                     objects=found.topics, ignore=options.labels.ignore)


def _of_folder(folder: Path, name: str, options: EvaluationOptions, note: Optional[str]) -> Recording:
    notes = [f'{shown(folder)}: {ALONE}', *([note] if note else [])]
    pictures = tuple(folder_pictures(folder, notes.append,
                                     files_of_labels(folder, options.boxes) if options.boxes else ()))
    period_s = 2 * options.deployment.fusion.reset_gap_s + 1
    labels = None if options.labels.sources == ('none',) else Labels(intervals_of(pictures, period_s),
                                                                     options.labels.ignore)
    return Recording(name, folder, BagFiles(folder, ()), (TOPIC,), (TOPIC,), len(pictures),
                     round(len(pictures) * period_s * NS_PER_S), labels, () if labels is None else (str(folder),),
                     tuple(notes), pictures, period_s)


def _what_there_is(reader: BagReader) -> str:
    topics = [f'{topic.name} ({topic.msgtype})' for topic in reader.topics.values()]
    if not topics:
        return 'the bag is empty'
    more = f' and {len(topics) - 8} more' if len(topics) > 8 else ''
    return f'there are {", ".join(topics[:8])}{more}'


def _labels(reader: BagReader, name: str, config: LabelConfig
            ) -> Tuple[Optional[Labels], Tuple[str, ...], Tuple[str, ...]]:
    if config.sources == ('none',):
        return None, (), ()
    if config.sources == ('auto',) and not label_files_beside(reader.files) and not label_topics(reader):
        return None, (), ()
    found = labels_of_bag(reader, name, config)
    return found.labels, found.used, (*found.problems, *found.notes)


class Targets:
    """Labels -> class indices of one model.

    Args:
        class_names: of the model.
        label_map: names in the labels -> names here.
        model: its name, for errors.
        foreign: labels beside ``unknown`` that are none of its classes, and no mistake.
    """

    def __init__(self, class_names: Sequence[str], label_map: Mapping[str, str], model: str,
                 foreign: Collection[str] = ()) -> None:
        self._numbers = {name: number for number, name in enumerate(class_names)}
        self._map, self._model, self._foreign = label_map, model, set(foreign) - set(class_names)

    def of(self, verdict: FrameLabel, where: str) -> int:
        """Index of the class, :data:`UNKNOWN_TARGET` or :data:`NO_LABEL`.

        Raises:
            ConfigError: the label is no class of the model.
        """
        if verdict.finding is not Finding.LABELLED:
            return NO_LABEL
        label = self._map.get(verdict.label, verdict.label)
        if label == UNKNOWN or label in self._foreign:
            return UNKNOWN_TARGET
        if label == IGNORE:
            return NO_LABEL
        number = self._numbers.get(label)
        if number is None:
            hint = did_you_mean(label, self._numbers if len(self._numbers) <= 20 else _close(label, self._numbers))
            end = '' if hint.endswith('?') else '.'
            raise ConfigError(f'{where}: the label {label!r} is no class of {self._model}; {hint}{end} Use --map '
                              f'"{label}=CLASS" to translate it, {label}=unknown if it is none of the classes, or '
                              '--ignore to leave its frames out')
        return number


def _close(label: str, names: Mapping[str, int]) -> List[str]:
    """A few names to suggest out of many: those that share a word, else the first ones."""
    words = set(label.lower().replace('_', ' ').split())
    sharing = [name for name in names if words & set(name.lower().replace('_', ' ').split())]
    return sharing[:5] or [*list(names)[:5], '...']
