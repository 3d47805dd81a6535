"""Pictures with labelled objects as a recording: images, a detector's boxes, and the labels, with equal stamps."""
from dataclasses import replace
from pathlib import Path
from typing import Callable, List, NamedTuple, Optional, Sequence, Union

from ..core.errors import ConfigError, ImageError
from ..core.regions.detection_cdr import encode_detections
from ..core.regions.detections import Box, Detection, DetectionArray, Hypothesis
from ..core.text.topic_name import check_topic_name
from ..core.types import Header
from .bags.writer import NS_PER_S, ImageBagWriter
from .from_images import check_times, write_picture
from .imitated_detector import DetectorErrors, imitate_detector
from .labels.messages import DETECTIONS
from .labels.objects.labelled_picture import LabelledObject, LabelledPicture
from .pictures import refuse_unreadable

DETECTIONS_TOPIC, GROUND_TRUTH_TOPIC = '/detections', '/ground_truth'
NO_ERRORS = DetectorErrors()


class WrittenObjects(NamedTuple):
    """How many pictures are in the bag unchanged, objects are labelled, and boxes the detector gives."""

    unchanged: int
    objects: int
    detections: int


def write_object_pictures(folder: Union[str, Path], pictures: Sequence[LabelledPicture],
                          topic: str = '/camera/image_raw', detections_topic: str = DETECTIONS_TOPIC,
                          rate_hz: float = 2.0, width: Optional[int] = None, quality: int = 90,
                          epoch_s: int = 1_700_000_000, errors: DetectorErrors = NO_ERRORS,
                          classes: Sequence[str] = (), progress: Optional[Callable[[int], None]] = None,
                          overwrite: bool = False) -> WrittenObjects:
    """Write the bag ``folder``: one frame a picture, and with its stamp an array of detections and one of labels.

    Both are ``vision_msgs/Detection2DArray`` whose objects have their class as the only hypothesis, and their track as
    ``id``. ``/ground_truth`` has what is labelled; ``detections_topic`` what a detector with ``errors`` would find,
    whose false alarms have no ``id``.

    Args:
        classes: that false alarms are taken for.
        topic, rate_hz, width, quality, epoch_s, overwrite: as of :func:`.from_images.write_pictures`; boxes are scaled
            with their pictures.

    Raises:
        BagError: the bag exists, or pictures cannot be read.
        ConfigError: topics are none or the same, or the times do not fit a header.
        OutputError: the bag cannot be written.
    """
    topic = check_topic_name(topic, '--topic')
    detections_topic = check_topic_name(detections_topic, '--detections')
    images = f'{topic}/compressed' if quality else topic
    if len({images, detections_topic, GROUND_TRUTH_TOPIC}) < 3:
        raise ConfigError(f'--topic, --detections: pictures ({images}), detections ({detections_topic}) and labels '
                          f'({GROUND_TRUTH_TOPIC}) must be on topics of their own')
    check_times(len(pictures), rate_hz, epoch_s)
    unchanged = objects = detected = 0
    with ImageBagWriter(folder, overwrite=overwrite) as writer:
        for number, picture in enumerate(pictures):
            stamp_ns = epoch_s * NS_PER_S + round(number * NS_PER_S / rate_hz)
            try:
                written = write_picture(writer, topic, stamp_ns, picture.path, width, quality)
            except ImageError as error:
                refuse_unreadable((later.path for later in pictures[number + 1:]), error)
            unchanged += written.unchanged
            labelled = [replace(each, box=_scaled(each.box, written.scale)) for each in picture.objects]
            found = imitate_detector(labelled, (written.width, written.height), classes, errors, number)
            header = Header(stamp_ns, writer.frame_id)
            for name, content in ((detections_topic, found), (GROUND_TRUTH_TOPIC, labelled)):
                writer.write_cdr(name, DETECTIONS, stamp_ns, encode_detections(_array(header, content)))
            objects, detected = objects + len(labelled), detected + len(found)
            if progress is not None:
                progress(number + 1)
    return WrittenObjects(unchanged, objects, detected)


def _array(header: Header, objects: Sequence[LabelledObject]) -> DetectionArray:
    found: List[Detection] = [Detection(header, (Hypothesis(each.label, 1.0),), each.box, each.track or '')
                              for each in objects]
    return DetectionArray(header, tuple(found))


def _scaled(box: Box, scale: float) -> Box:
    return box if scale == 1 else Box(box.x * scale, box.y * scale, box.width * scale, box.height * scale, box.theta)
