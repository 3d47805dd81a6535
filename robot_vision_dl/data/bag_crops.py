"""What a detector found in recordings, as pictures of their own, one folder a class: real false alarms among them.

They are written as those of :mod:`.crops`, cut out by the same function, and labelled as an evaluation labels them (see
:mod:`.object_labels`): by the labelled box that each overlaps most, and ``unknown`` where there is none.
"""
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Dict, Iterator, List, Optional, Tuple, Union

from ..core.config import ClassifierConfig, ImageConfig
from ..core.errors import BagError, ImageError
from ..core.files.user_path import user_path
from ..core.files.whole_files import is_free, whole_folder
from ..core.networks.preprocess import Preprocessing
from ..core.regions.association import TrackingConfig
from ..core.runtime.frame_reader import read_frame
from ..core.types import UNKNOWN
from .bag_objects import BagObjects
from .bags.files import BagFiles, find_bags
from .bags.reader import BagReader
from .crops import CropConfig, CropCounts, CropWriter, Origin, unusable
from .folders import LeftOut, shown
from .labels.labels import Finding
from .labels.objects.labelled_picture import UNREADABLE, LabelledObject
from .object_topics import object_topics
from .recording_paths import recording_names

DETECTOR = 'detector'
"""In ``crops.json``: where the boxes are from."""
_NOT_LABELLED = 'detections in images without labels'
_IGNORED = 'detections of objects that are labelled ignore'
_NO_DETECTIONS = 'images without detections'
_OTHER_CLASSES = 'detections of objects of classes that are not named'


@dataclass(frozen=True)
class BagCropOptions:
    """Where boxes and labels are.

    Attributes:
        detections, labels, images: see :func:`.object_topics.object_topics`.
        every_s: at most an image of a camera in so many seconds; 0: all.
        tolerance_s: how far apart the stamps of an image and its detections may be.
    """

    detections: Tuple[str, ...]
    labels: Tuple[str, ...] = ('auto',)
    images: Tuple[str, ...] = ()
    every_s: float = 0.0
    tolerance_s: float = ClassifierConfig().detections.tolerance_s


def cut_out_of_bags(source: Union[str, Path], out: Union[str, Path], spec: Preprocessing, config: CropConfig,
                    options: BagCropOptions, progress: Optional[Callable[[int], None]] = None) -> CropCounts:
    """Write each labelled detection to ``<out>/<class>/<recording>__<topic>_<stamp>__<number>.png``.

    Args:
        source: a bag, or a folder of bags, each a recording.
        spec: of the network that is to see them; the shape of its input counts.
        progress: is called with the number of images that are done.

    Raises:
        BagError: ``out`` has files in it; a bag or a topic is not there; or nothing is left to cut out.
        ConfigError: a topic is of another type, or a label cannot be one or have no folder.
        OutputError: it cannot be written.
    """
    source, out = user_path(source), user_path(out)
    if not is_free(out):
        raise BagError(f'{shown(out)}: is not empty, and nothing in it is replaced; choose another folder')
    bags = find_bags(source)
    left_out, done = LeftOut(), 0
    problems: List[str] = []
    with whole_folder(out) as work:
        writer = CropWriter(work, source, spec, config, left_out)
        for files, name in zip(bags, recording_names([files.path for files in bags])):
            for number in _cut_out(files, name, writer, left_out, config, options, problems):
                done += number
                if progress is not None:
                    progress(done)
        notes = (*dict.fromkeys(problems), *left_out.notes(source))
        if not writer.rows:
            raise BagError(f'{shown(source)}: nothing is left to cut out: {"; ".join(notes) or "nothing was detected"}')
        writer.finish({'source': source.resolve().name, 'labels': DETECTOR, 'left_out': list(notes)})
    return CropCounts(dict(sorted(writer.counts.items())), done, notes)


def _cut_out(files: BagFiles, name: str, writer: CropWriter, left_out: LeftOut, config: CropConfig,
             options: BagCropOptions, problems: List[str]) -> Iterator[int]:
    defaults = ClassifierConfig()
    with BagReader(files) as reader:
        found = object_topics(reader, options.detections, options.labels, options.images)
        problems += found.notes
        if not found.topics:
            return
        objects = BagObjects(reader, found.topics, options.tolerance_s, defaults.fusion.most_back_s, TrackingConfig())
        problems += objects.problems
        seen: Dict[str, int] = {}
        due_ns: Dict[str, int] = {}
        for message in reader.image_messages([each.images for each in found.topics]):
            index = seen.get(message.topic, 0)
            seen[message.topic] = index + 1
            there = objects.of(message.topic, index)
            where = files.path.with_name(f'{files.path.name} image {index}')
            if isinstance(there, str):
                left_out.add(f'{_NO_DETECTIONS} ({there})', where, where.parent)
                continue
            if not due_ns.get(message.topic, 0) <= message.receive_ns:
                continue
            try:
                frame = read_frame(message.topic, message.decode(), message.receive_ns, ImageConfig())
            except ImageError:
                left_out.add(UNREADABLE, where, where.parent)
                continue
            due_ns[message.topic] = message.receive_ns + round(options.every_s * 1e9)
            place = f'{message.topic.strip("/")}_{frame.time_ns}'
            origin = Origin(name, f'{message.topic} {frame.time_ns}', place, where, message.topic, frame.time_ns,
                            message.receive_ns, index)
            not_written: 'Counter[str]' = Counter()
            for number, each in enumerate(there):
                label, finding = each.label.label, each.label.finding
                label = UNKNOWN if label in config.unknown_classes else label
                if finding is not Finding.LABELLED:
                    reason = unusable(each.box) or (_IGNORED if finding is Finding.IGNORED else _NOT_LABELLED)
                elif label != UNKNOWN and config.classes and label not in config.classes:
                    reason = _OTHER_CLASSES
                else:
                    item = LabelledObject(each.box, label, each.label.track or each.name)
                    writer.one(frame.picture, item, origin, f'{number:02d}')
                    continue
                not_written[reason] += 1
            for reason, count in not_written.items():
                left_out.add(reason, where, where.parent, count)
            yield 1
        problems += reader.problems
