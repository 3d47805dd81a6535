"""Decisions and uncertainty as a ROS 2 bag (mcap), under the topics of the live node, with the input's stamps."""
import re
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Collection, Dict, Iterable, Iterator, List, Optional, Sequence, Tuple

import cv2

from ..core.errors import ConfigError
from ..core.files.user_path import user_path
from ..core.files.whole_files import is_free, whole_folder
from ..core.images.cdr import encode_compressed_image
from ..core.runtime.overlay import JPEG_QUALITY, draw
from ..core.runtime.result_values import best_classes, uncertainty_values, value_text
from ..core.text.printable import printable
from ..core.text.topic_name import is_topic_name
from ..core.types import CompressedImage, Header, Outcome, Result
from ..data.bags.message_types import COMPRESSED_IMAGE
from ..data.bags.reader import BagMessage, BagReader
from ..data.bags.writer import ImageBagWriter
from ..data.labels.messages import CLASSIFICATION, message_store
from .recordings import Recording

if TYPE_CHECKING:
    from rosbags.typesys.store import Msg, Typestore

DIAGNOSTICS = 'diagnostic_msgs/msg/DiagnosticArray'
LEVEL_OF_OUTCOME = {Outcome.ACCEPTED: 0, Outcome.UNCERTAIN: 1, Outcome.UNKNOWN: 2}
"""Levels of ``diagnostic_msgs/DiagnosticStatus``: OK, WARN, ERROR."""
NODE = '/classifier'
REMEDY = 'make room, or choose another name with --write-bag'
_NS_PER_S = 1_000_000_000


def camera_names(topics: Sequence[str]) -> Dict[str, str]:
    """What each image topic's camera is called in topic names: ``camera`` for the only one, as the live node has it."""
    if len(topics) == 1:
        return {topics[0]: 'camera'}
    return {topic: topic.strip('/').replace('/', '_') if is_topic_name(topic) else _name(topic) for topic in topics}


@contextmanager
def whole_decisions(write_bag: str, recordings: Sequence[Recording]) -> Iterator[List[Optional[str]]]:
    """Where the decisions about each recording are to be written; all take their place when the block has ended.

    Args:
        write_bag: ``X.mcap`` or a bag's folder for one recording, else a folder with a bag for each; empty: nothing is
            written, and each place is None.

    Raises:
        ConfigError: one of them is there already, or several recordings are to go into one file.
        OutputError: they cannot be written.
    """
    if not write_bag:
        yield [None] * len(recordings)
        return
    path = user_path(write_bag)
    names = [recording.name.replace('/', '_') for recording in recordings] if len(recordings) > 1 else None
    if names and path.suffix == '.mcap':
        raise ConfigError(f'--write-bag {write_bag}: {len(names)} recordings do not go into one file; name a folder')
    if not is_free(path, names):
        there = path if names is None else path / next(name for name in names if not is_free(path, [name]))
        raise ConfigError(f'--write-bag {there}: exists already and is not overwritten; choose another name')
    with whole_folder(path, create=names is not None, entries=names, remedy=REMEDY) as place:
        yield [str(place)] if names is None else [str(place / name) for name in names]


class DecisionBag:
    """Writes one recording's results; the file is there after :meth:`close` and not before.

    Args:
        path: ``X.mcap`` for a single file, anything else for the folder of a bag.
        recording: what is evaluated.
        models: names; with several, each has a namespace of its own.
        top_k: classes in a classification.
        copy_topics: put the recording's own messages beside the decisions.
        overlay: put each picture with its decision drawn in beside them, as JPEG.
    """

    def __init__(self, path: str, recording: Recording, models: Sequence[str], top_k: int,
                 copy_topics: bool = False, overlay: bool = False) -> None:
        self._overlay = overlay
        self._path = user_path(path)
        self._is_file = self._path.suffix == '.mcap'
        self._store = message_store()
        self._top_k = top_k
        cameras = camera_names(recording.topics)
        self._bases = {(model, topic): ('' if len(models) == 1 else '/' + _name(model)) + f'{NODE}/{camera}'
                       for model in models for topic, camera in cameras.items()}
        names = (*RESULTS, OVERLAY) if overlay else RESULTS
        results = {f'{base}/{name}' for base in self._bases.values() for name in names}
        self._copy: Optional[_Copy] = _Copy(recording, self._store, results) if copy_topics else None
        with ExitStack() as opened:
            if self._copy is not None:
                opened.callback(self._copy.close)
            # The folder's name goes into the file, so it is the file's.
            self._place = opened.enter_context(whole_folder(
                self._path, create=False, remedy=REMEDY))
            folder = self._place
            if self._is_file:
                folder = self._place.parent / 'bag' / self._path.stem
                opened.enter_context(_only_storage(folder, self._place))
            self._writer = opened.enter_context(ImageBagWriter(folder))
            self._open = opened.pop_all()

    def write(self, model: str, result: Result) -> None:
        """Add what the live node would publish about a frame."""
        time_ns = result.frame.received_ns
        if self._copy is not None:
            self._copy.until(time_ns, self._writer)
        header = self._header(result.frame.header)
        base = self._bases[model, result.frame.camera]
        decision = result.decision
        self._add(f'{base}/decision', CLASSIFICATION, time_ns, header=header,
                  results=self._hypotheses([(decision.label, decision.confidence)]))
        best = best_classes(result.assessment.probabilities, self._top_k)
        self._add(f'{base}/classification', CLASSIFICATION, time_ns, header=header,
                  results=self._hypotheses([(result.class_names[index], p) for index, p in best]))
        types = self._store.types
        values = [types['diagnostic_msgs/msg/KeyValue'](key=key, value=value_text(value))
                  for key, value in uncertainty_values(result).items()]
        status = types['diagnostic_msgs/msg/DiagnosticStatus'](
            level=LEVEL_OF_OUTCOME[decision.outcome], name=f'{base.rpartition("/")[0]}: {base.rpartition("/")[2]}',
            message=f'{decision.outcome.value}: {decision.reason}', hardware_id=base.rpartition('/')[2], values=values)
        self._add(f'{base}/uncertainty', DIAGNOSTICS, time_ns, header=header, status=[status])
        if self._overlay:
            jpeg = cv2.imencode('.jpg', draw(result), (cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY))[1].reshape(-1)
            message = CompressedImage(result.frame.header, 'bgr8; jpeg compressed bgr8', jpeg)
            self._writer.write_cdr(f'{base}/{OVERLAY}', COMPRESSED_IMAGE, time_ns, encode_compressed_image(message))

    def close(self) -> Tuple[str, ...]:
        """Finish the file; sentences about topics that could not be copied."""
        skipped: Tuple[str, ...] = ()
        with self._open:
            if self._copy is not None:
                self._copy.until(None, self._writer)
                skipped = self._copy.skipped
        return skipped

    def discard(self, error: BaseException) -> None:
        """Leave nothing behind."""
        self._open.__exit__(type(error), error, error.__traceback__)

    def _add(self, topic: str, msgtype: str, time_ns: int, **fields: Any) -> None:
        self._writer.write_cdr(topic, msgtype, time_ns,
                               self._store.serialize_cdr(self._store.types[msgtype](**fields), msgtype))

    def _hypotheses(self, pairs: Iterable[Tuple[str, float]]) -> List['Msg']:
        kind = self._store.types['vision_msgs/msg/ObjectHypothesis']
        return [kind(class_id=name, score=float(score)) for name, score in pairs]

    def _header(self, header: Header) -> 'Msg':
        seconds, nanoseconds = divmod(header.stamp_ns, _NS_PER_S)
        return self._store.types['std_msgs/msg/Header'](
            stamp=self._store.types['builtin_interfaces/msg/Time'](sec=seconds, nanosec=nanoseconds),
            frame_id=header.frame_id)


RESULTS = ('decision', 'classification', 'uncertainty')
"""Topics of a camera."""
OVERLAY = 'overlay/compressed'
"""The one with pictures."""


class _Copy:
    """The recording's own messages, of types that are known here, in between the decisions."""

    def __init__(self, recording: Recording, store: 'Typestore', results: Collection[str]) -> None:
        self._reader = BagReader(recording.files)
        why = {name: 'the results go there' if name in results else 'ROS 2 has no such names of topics'
               if not is_topic_name(name) else f'{topic.msgtype} is none of the standard types'
               if topic.unreadable or topic.msgtype not in store.fielddefs else ''
               for name, topic in self._reader.topics.items()}
        known = [name for name, reason in why.items() if not reason]
        self.skipped = tuple(f'{recording.name}: {printable(name)} is not copied: {reason}'
                             for name, reason in why.items() if reason)
        self._messages = self._reader.messages(known) if known else iter(())
        self._next: Optional[BagMessage] = next(self._messages, None)

    def until(self, time_ns: Optional[int], writer: ImageBagWriter) -> None:
        """Write what was recorded up to a time; None: all."""
        while self._next is not None and (time_ns is None or self._next.receive_ns <= time_ns):
            writer.write_cdr(self._next.topic, self._next.msgtype, self._next.receive_ns, self._next.cdr)
            self._next = next(self._messages, None)

    def close(self) -> None:
        self._reader.close()


@contextmanager
def _only_storage(folder: Path, place: Path) -> Iterator[None]:
    """When the block is done, move the one file of the bag ``folder`` to ``place``."""
    yield
    storage, = folder.glob('*.mcap')
    storage.replace(place)


def _name(model: str) -> str:
    """Anything as one part of a topic's name."""
    text = re.sub('[^A-Za-z0-9]+', '_', model)
    return f'm{text}' if text[:1].isdigit() else text
