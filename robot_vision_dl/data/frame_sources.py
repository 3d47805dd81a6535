"""Bags and folders of pictures as one kind of thing: a source of labelled frames."""
from array import array
from collections import Counter
from contextlib import nullcontext
from pathlib import Path
from typing import (
    Callable,
    ContextManager,
    Dict,
    Iterator,
    List,
    Mapping,
    NamedTuple,
    NoReturn,
    Optional,
    Sequence,
    Tuple,
    Union,
)

import numpy as np

from ..core.errors import BagError, ImageError, RobotVisionError
from ..core.files.user_path import user_path
from ..core.images.image import decode
from ..core.text.printable import printable
from ..core.types import ImageMessage, Picture
from .bags.files import BagFiles, each_once, find_bags
from .bags.reader import BagImage, BagReader
from .cameras import check_wanted, choose_topics
from .folders import shown
from .labels.labels import Clock, Finding, FrameLabel, FrameTimes, LabelConfig, LabelledFrame, Labels, camera_topic
from .labels.report import LabelCounter, LabelReport
from .labels.sources import BagLabels, label_files_beside, label_topics, labels_of_bag
from .labels.times import bag_times
from .objects import ALIKE
from .picture_folder import folder_pictures, is_picture_folder
from .picture_index import INDEX, FolderPicture
from .picture_list import SUFFIX, listed_pictures
from .pictures import read_picture
from .recording_paths import expand, recording_names
from .selection import SAME_PICTURE, duplicate_groups, perceptual_hash

_PICTURE_PERIOD_NS = 1_000_000_000


_Load = Callable[[], Tuple[Picture, Optional[ImageMessage]]]


class _Candidate(NamedTuple):
    frame: LabelledFrame  # its label is empty unless the verdict gives one
    verdict: FrameLabel
    load: _Load


class BagSource:
    """One bag and its labels.

    Attributes:
        expected: about how many frames have each label, as the bag's index and the times of the labels have it.

    Args:
        reader: of the bag, where one is open already; it is left open.
    """

    def __init__(self, files: BagFiles, recording: str, labels: LabelConfig, topics: Sequence[str] = (),
                 reader: Optional[BagReader] = None) -> None:
        self.recording = recording
        self.path = files.path
        self._files, self._reader = files, reader
        with self._open() as opened:
            self.labels: BagLabels = labels_of_bag(opened, recording, labels)
            chosen = choose_topics(opened, topics, self.labels.labels.topics)
            self.expected = _expected(opened, chosen.topics, self.labels.labels)
        self.topics = list(chosen.topics)
        self.problems: Tuple[str, ...] = self.labels.problems
        self.notes: Tuple[str, ...] = (*files.notes, *self.labels.notes, *chosen.notes)

    def _open(self) -> ContextManager[BagReader]:
        return BagReader(self._files) if self._reader is None else nullcontext(self._reader)

    @property
    def files(self) -> Tuple[Path, ...]:
        """Everything the frames and their labels depend on."""
        return (*self._files.files, *self.labels.files)

    @property
    def recordings(self) -> Tuple[str, ...]:
        """Names of the recordings that its frames are of."""
        return (self.recording,)

    def candidates(self, counter: LabelCounter) -> Iterator[_Candidate]:
        """Every image message of the chosen topics, in the order it was recorded."""
        seen: Counter[str] = Counter()
        labels = self.labels.labels
        stamps, receives = ({topic: array('q') for topic in self.topics} for _ in range(2))
        times = {topic: FrameTimes(stamps[topic], receives[topic]) for topic in self.topics}
        with self._open() as reader:
            for message in reader.image_messages(self.topics):
                index = seen[message.topic]
                seen[message.topic] += 1
                try:
                    image = message.decode()
                    stamp_ns = image.header.stamp_ns or message.receive_ns
                    load = _bag_loader(image)
                except ImageError as error:
                    stamp_ns, load = message.receive_ns, _raiser(error)
                if index == 0:
                    self._add_hint(counter, message, stamp_ns)
                stamps[message.topic].append(stamp_ns)
                receives[message.topic].append(message.receive_ns)
                verdict = labels.at(message.topic, stamp_ns, message.receive_ns)
                label = verdict.label if verdict.finding is Finding.LABELLED else ''
                yield _Candidate(
                    LabelledFrame(self.recording, message.topic, stamp_ns, label, verdict.track, index,
                                  message.receive_ns, str(self.path)), verdict, load)
            self.problems = tuple(dict.fromkeys((*self.labels.problems, *reader.problems)))
            images = [name for name, topic in reader.topics.items() if topic.is_image]
            self.notes = tuple(dict.fromkeys((*self.notes, *labels.without_frames(times, images))))

    def _add_hint(self, counter: LabelCounter, message: BagImage, stamp_ns: int) -> None:
        labels = self.labels.labels
        if labels.intervals and all(labels.span(clock, message.topic) is None for clock in Clock):
            topics = ', '.join(sorted(labels.topics))
            counter.hint(self.recording, message.topic, 'no label is about this topic; they are of '
                         f'{printable(topics)}')
        for clock, first_ns in ((Clock.HEADER, stamp_ns), (Clock.RECEIVE, message.receive_ns)):
            span = labels.span(clock, message.topic)
            if span is not None:
                counter.hint(self.recording, message.topic, f'by the {clock.value} clock the labels begin at '
                             f'{span[0] / 1e9:.3f} s, the pictures at {first_ns / 1e9:.3f} s')


class FolderSource:
    """Folders of pictures, one a class.

    A picture counts as a moment of a recording that is named after the folder, one a second, and near-duplicates are a
    track, so that they stay together when the pictures are split. Folders that ``bag extract`` wrote have an
    ``index.csv``, which says what recording, time and track a picture is of.
    """

    def __init__(self, folder: Path, recording: str, labels: LabelConfig) -> None:
        self.recording = recording
        self.path = folder
        self.problems: Tuple[str, ...] = ()
        self._ignore = set(labels.ignore)
        notes: List[str] = []
        self._pictures = self._found(folder, notes.append)
        self.notes = tuple(notes)
        self.expected: Mapping[str, float] = Counter(picture.label for picture in self._pictures)

    def _found(self, folder: Path, tell: Callable[[str], None]) -> List[FolderPicture]:
        return folder_pictures(folder, tell)

    @property
    def files(self) -> Tuple[Path, ...]:
        """Everything the frames and their labels depend on."""
        index = self.path / INDEX
        return (*(picture.path for picture in self._pictures), *([index] if index.is_file() else []))

    @property
    def recordings(self) -> Tuple[str, ...]:
        """Names of the recordings that its pictures are of."""
        return tuple(dict.fromkeys(picture.recording or self.recording for picture in self._pictures))

    def candidates(self, counter: LabelCounter) -> Iterator[_Candidate]:
        """Every picture, by class."""
        tracks = self._tracks()
        for index, picture in enumerate(self._pictures):
            finding = Finding.IGNORED if picture.label in self._ignore | {'ignore'} else Finding.LABELLED
            track = picture.track if picture.recording else tracks[index]
            stamp_ns = (index + 1) * _PICTURE_PERIOD_NS if picture.stamp_ns is None else picture.stamp_ns
            yield _Candidate(
                LabelledFrame(picture.recording or self.recording, picture.topic, stamp_ns, picture.label, track, index,
                              stamp_ns, str(picture.path), picture.picture if picture.recording else None),
                FrameLabel(finding, picture.label, track), _file_loader(picture))

    def _tracks(self) -> List[str]:
        """Pictures without an index are read once beforehand, to see which are near-duplicates."""
        if all(picture.recording for picture in self._pictures):
            return []
        hashes = np.zeros(len(self._pictures), np.uint64)
        for place, picture in enumerate(self._pictures):
            try:
                hashes[place] = perceptual_hash(read_picture(picture.path))
            except ImageError:
                hashes[place] = place  # left out later, with a reason
        return [f'{ALIKE}{group:05d}' for group in duplicate_groups(hashes, SAME_PICTURE)]


class ListSource(FolderSource):
    """The pictures of a list, see :func:`.picture_list.listed_pictures`; they count as those of a folder do."""

    def __init__(self, path: Path, recording: str, labels: LabelConfig, class_names: Sequence[str] = (),
                 root: Optional[Path] = None) -> None:
        self._class_names, self._root = class_names, root
        super().__init__(path, recording, labels)

    def _found(self, folder: Path, tell: Callable[[str], None]) -> List[FolderPicture]:
        return listed_pictures(folder, self._class_names, self._root)

    @property
    def files(self) -> Tuple[Path, ...]:
        """Everything the frames and their labels depend on."""
        return (self.path, *(picture.path for picture in self._pictures))


Source = Union[BagSource, FolderSource]


def find_sources(paths: Sequence[Union[str, Path]], lists: bool = False
                 ) -> Tuple[List[Union[BagFiles, Path]], Dict[Path, str]]:
    """Bags, and folders of pictures as their paths, each once and in the order given; and sentences about folders.

    Args:
        lists: CSV files are lists of pictures, and given as their paths, too.

    Raises:
        BagError: a path holds neither.
    """
    found: List[Union[BagFiles, Path]] = []
    folders: Dict[Path, Path] = {}
    notes: Dict[Path, str] = {}
    for path in expand(paths):
        if lists and path.suffix.lower() == SUFFIX and path.is_file():
            if path.resolve() not in folders:
                folders[path.resolve()] = path
                found.append(path)
        elif not is_picture_folder(path):
            try:
                found += find_bags(path)
            except BagError as error:
                raise BagError(_neither(path, error)) from error
        elif bags_beside := _bags_in(path):
            first, *others = bags_beside
            note = (f'{shown(path)}: holds bags and folders of pictures; the bags are read, the pictures are not: name '
                    'their folder itself to use them')
            found += [first._replace(notes=(*first.notes, note)), *others]
        elif path.resolve() in folders:
            before = folders[path.resolve()]
            notes[before] = f'{shown(path)}: not read a second time, it is {shown(before)}'
        else:
            folders[path.resolve()] = path
            found.append(path)
    once = {bag.files: bag for bag in each_once([item for item in found if not isinstance(item, Path)])}
    return [item if isinstance(item, Path) else once.pop(item.files) for item in found
            if isinstance(item, Path) or item.files in once], notes


def open_sources(paths: Sequence[Union[str, Path]], labels: LabelConfig, topics: Sequence[str] = (),
                 class_names: Sequence[str] = (), pictures: Optional[str] = None) -> List[Source]:
    """Bags (files, folders, folders of several, globs), folders and lists of pictures, with their labels read.

    Args:
        topics: as :func:`choose_topics` has it. One that is named must be in one of the bags at least.
        class_names, pictures: for lists, see :func:`.picture_list.listed_pictures`.

    Raises:
        BagError: a path holds neither, a bag cannot be read, or a topic is in no bag.
        ConfigError: labels are missing or cannot be used.
    """
    found, notes = find_sources(paths, lists=True)
    names = recording_names([item if isinstance(item, Path) else item.path for item in found])
    root = user_path(pictures) if pictures else None
    sources: List[Source] = [
        BagSource(item, name, labels, topics) if not isinstance(item, Path)
        else ListSource(item, name, labels, class_names, root) if item.is_file() else FolderSource(item, name, labels)
        for item, name in zip(found, names)]
    bags = [source for source in sources if isinstance(source, BagSource)]
    for source in sources:
        if source.path in notes:
            source.notes += (notes[source.path],)
    there = {name for bag in bags for name in bag.topics}
    if bags:
        check_wanted(topics, there)
    return sources


def label_coverage(reader: BagReader, labels: LabelConfig) -> Optional[LabelReport]:
    """How many frames of a bag have which label; pictures are not decoded. None where no labels are beside it.

    Raises:
        ConfigError: labels are there and cannot be used.
    """
    if labels.sources == ('auto',) and not label_files_beside(reader.files) and not label_topics(reader):
        return None
    counter = LabelCounter()
    source = BagSource(reader.files, recording_names([reader.files.path])[0], labels, reader=reader)
    for frame, verdict, _ in source.candidates(counter):
        counter.add(frame.recording, frame.topic, frame.stamp_ns, verdict)
    return counter.report(source.labels.problems, source.notes)


def _neither(path: Path, no_bag: BagError) -> str:
    """Why a path is no bag, and for a folder why it is none of pictures either."""
    if not path.is_dir():
        return str(no_bag)
    try:
        folder_pictures(path, lambda note: None)
    except RobotVisionError as error:
        return f'{no_bag}; and as a folder of pictures: {error}'
    return str(no_bag)


def _bags_in(folder: Path) -> List[BagFiles]:
    try:
        return find_bags(folder)
    except BagError:
        return []


def _expected(reader: BagReader, topics: Sequence[str], labels: Labels) -> Dict[str, float]:
    """About how many frames of ``topics`` have each label, at a steady rate."""
    times = bag_times(reader)
    length_ns = times.end_ns - times.start_ns
    starts = {Clock.RECEIVE: times.start_ns,
              Clock.HEADER: times.start_ns if times.first_stamp_ns is None else times.offset_ns}
    found: Dict[str, float] = {}
    for interval in labels.intervals:
        start_ns = starts[interval.clock]
        covered_ns = min(interval.end_ns, start_ns + length_ns) - max(interval.start_ns, start_ns)
        share = min(1.0, covered_ns / length_ns) if length_ns > 0 else 1.0
        frames = sum(reader.topics[topic].count for topic in topics
                     if interval.topic is None or camera_topic(interval.topic) == camera_topic(topic))
        if share > 0:
            found[interval.label] = found.get(interval.label, 0.0) + share * frames
    return found


def _bag_loader(image: ImageMessage) -> _Load:
    return lambda: (decode(image), image)


def _file_loader(picture: FolderPicture) -> _Load:
    return lambda: (read_picture(picture.path), None)


def _raiser(error: ImageError) -> _Load:
    def load() -> NoReturn:
        raise error
    return load
