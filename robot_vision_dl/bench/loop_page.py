"""Whoever labels for ``bench loop --through-page``: true labels, given by key on the real page, read back as written.

For each batch a queue of exactly its intervals is made, with pictures from the bags; ``robot-vision label`` serves it,
a headless browser shows it, and each interval that is read off the page is labelled by the key of its true class. What
is learned from is what the queue's events then say, not what was asked for; ``robot-vision labels write`` must agree.
"""
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List, Sequence, Set, Tuple

import cv2
import numpy as np

from ..core.errors import DataError, ImageError, MachineError
from ..core.images.image import decode
from ..core.text.printable import printable
from ..data.bags.reader import BagReader
from ..data.labels.labels import LabelConfig, LabelInterval, LabelledFrame
from ..data.labels.sources import labels_of_bag
from ..data.pictures import as_bgr
from ..data.recording_paths import recording_names
from ..labelling.mining.intervals import STRIP, STRIP_WIDTH
from ..labelling.outcome import LABELS_FILE, queue_labels
from ..labelling.queue_file import QueueFrame, QueueInterval, QueueRecording, write_queue
from .label_process import LabelServer, command, environment
from .loop_material import Interval, Label
from .page_driver import label_by_key, open_page

if TYPE_CHECKING:
    from playwright.sync_api import Browser

WHO = 'bench loop'
_FEATURE = (4, 4)  # pixels, whose colours are what look-alikes on the page are found by
_QUALITY = 85
_PATIENCE_S = 120.0
_WINDOW = {'width': 1280, 'height': 800}

Key = Tuple[str, int]
"""Image topic and stamp of a frame."""


class PageLabeller:
    """A :data:`~.loop_material.Label`.

    Args:
        browser: in which the page is opened.
        frames: what intervals are of; they tell where the bags are.
        class_names: of the model, in the order of their keys.
        truth: what intervals are labelled.
    """

    def __init__(self, browser: 'Browser', frames: Sequence[LabelledFrame], class_names: Sequence[str], truth: Label
                 ) -> None:
        self._browser = browser
        self._bags = {frame.recording: frame.path for frame in frames}
        self._stamps: Dict[Tuple[str, str], List[int]] = {}
        for frame in frames:
            self._stamps.setdefault((frame.recording, frame.topic), []).append(frame.stamp_ns)
        self._class_names, self._truth = list(class_names), truth
        self._asked = self._keys = self._again = self._read_back = self._different = 0
        self._keying_s = self._seconds = 0.0

    @property
    def figures(self) -> Dict[str, Any]:
        """What was done so far.

        ``intervals`` were asked for, ``keys`` pressed, of which ``again`` for intervals shown a second time, blind;
        ``read_back`` have a label in the queue and in the labels that were written, and of all that were asked for
        ``different`` have not the true one in both.
        """
        return {'browser': f'Chromium {self._browser.version}', 'intervals': self._asked, 'keys': self._keys,
                'again': self._again, 'read_back': self._read_back, 'different': self._different,
                'labels_a_minute': round(60 * self._keys / self._keying_s, 1) if self._keying_s else 0.0,
                'seconds': round(self._seconds, 1)}

    def __call__(self, intervals: Sequence[Interval]) -> List[str]:
        """Label them on the page."""
        began = time.perf_counter()
        wanted = list(self._truth(intervals))
        with tempfile.TemporaryDirectory(prefix='bench_loop_') as folder:
            queue = Path(folder) / 'queue'
            queue.mkdir()
            recordings = self._write(queue, intervals)
            self._label(queue, wanted)
            said, written = _said(queue), _written(queue, recordings)
        names = [_label_at(said, one) for one in intervals]
        in_files = [_label_at(written, one) for one in intervals]
        self._asked += len(intervals)
        self._read_back += sum(bool(name) and name == other for name, other in zip(names, in_files))
        self._different += sum(not name == other == true for name, other, true in zip(names, in_files, wanted))
        self._seconds += time.perf_counter() - began
        return names

    def _write(self, queue: Path, intervals: Sequence[Interval]) -> List[QueueRecording]:
        names = sorted({one.recording for one in intervals})
        recordings = [QueueRecording(number, name, self._bags[name], self._start(name))
                      for number, name in enumerate(names, 1)]
        strips: Dict[str, Dict[Key, bytes]] = {}
        for name in names:
            keys = {(one.topic, stamp) for one in intervals if one.recording == name for stamp in self._strip(one)}
            strips[name] = _pictures(self._bags[name], keys)
        rows = []
        for number, one in enumerate(intervals, 1):
            pictures = [(stamp, strips[one.recording][one.topic, stamp]) for stamp in self._strip(one)]
            rows.append((QueueInterval(
                number, names.index(one.recording) + 1, one.topic, one.start_ns, one.end_ns, len(pictures), 'uncertain',
                0.5, False, True, (), feature=_colours(pictures[len(pictures) // 2][1])),
                [QueueFrame(stamp, 'uncertain', 0.0, jpeg) for stamp, jpeg in pictures]))
        write_queue(queue, {'class_names': self._class_names, 'model': '', 'model_hash': ''}, recordings, rows)
        return recordings

    def _start(self, recording: str) -> int:
        return min(stamp for (name, _), stamps in self._stamps.items() if name == recording for stamp in stamps)

    def _strip(self, interval: Interval) -> List[int]:
        """Stamps of the pictures that are shown of an interval."""
        inside = [stamp for stamp in self._stamps[interval.recording, interval.topic]
                  if interval.start_ns <= stamp < interval.end_ns]
        return [inside[place] for place in
                np.unique(np.linspace(0, len(inside) - 1, min(STRIP, len(inside))).round().astype(int)).tolist()]

    def _label(self, queue: Path, labels: Sequence[str]) -> None:
        with LabelServer(queue, who=WHO) as server:
            context = self._browser.new_context(viewport=_WINDOW)  # type: ignore[arg-type]
            try:
                keyed = label_by_key(open_page(context, server.link), lambda number: labels[number - 1], _PATIENCE_S)
            finally:
                context.close()
        self._keys += len(keyed.intervals)
        self._again += len(keyed.intervals) - len(set(keyed.intervals))
        self._keying_s += keyed.seconds


def _pictures(bag: str, wanted: Set[Key]) -> Dict[Key, bytes]:
    """Small JPEG pictures of frames of a bag."""
    found: Dict[Key, bytes] = {}
    with BagReader(bag) as reader:
        for message in reader.image_messages(sorted({topic for topic, _ in wanted})):
            try:
                image = message.decode()
                key = message.topic, image.header.stamp_ns or message.receive_ns
                if key in wanted and key not in found:
                    found[key] = _small(as_bgr(decode(image)))
            except ImageError:
                continue
            if len(found) == len(wanted):
                break
    if len(found) < len(wanted):
        topic, stamp = min(wanted - set(found))
        raise DataError(f'{printable(bag)}: {len(wanted) - len(found)} frames that were read before are not there any '
                        f'more, the first on {printable(topic)} at {stamp} ns; leave the bags alone while this runs')
    return found


def _small(bgr: np.ndarray) -> bytes:
    scale = STRIP_WIDTH / bgr.shape[1]
    if scale < 1:
        bgr = cv2.resize(bgr, (STRIP_WIDTH, max(1, round(bgr.shape[0] * scale))), interpolation=cv2.INTER_AREA)
    data: np.ndarray = cv2.imencode('.jpg', bgr, (cv2.IMWRITE_JPEG_QUALITY, _QUALITY))[1]
    return data.tobytes()


def _colours(jpeg: bytes) -> np.ndarray:
    """Of a picture, coarsely: float32, of length 1."""
    pixels = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert pixels is not None, 'it was encoded here'
    coarse = cv2.resize(pixels, _FEATURE, interpolation=cv2.INTER_AREA).reshape(-1).astype(np.float32) + 1
    return coarse / np.linalg.norm(coarse)


Labels = Dict[str, List[LabelInterval]]
"""By name of the recording in the queue."""


def _said(queue: Path) -> Labels:
    """By the events of the queue."""
    return {one.recording: list(one.intervals) for one in queue_labels(queue)}


def _written(queue: Path, recordings: Sequence[QueueRecording]) -> Labels:
    """By ``robot-vision labels write``, to a file of its own: those beside the bags are what is true."""
    out = queue / 'labels'
    done = subprocess.run(command('labels', 'write', str(queue), '--out', str(out)), env=environment(),
                          stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode:
        raise MachineError(f'`robot-vision labels write` ended with {done.returncode}: {done.stdout}{done.stderr}')
    found: Labels = {}
    names = recording_names([Path(one.path) for one in recordings])
    for one, name in zip(recordings, names):
        with BagReader(one.path) as reader:
            labels = labels_of_bag(reader, name, LabelConfig((str(out / LABELS_FILE),))).labels
        found[one.name] = list(labels.intervals)
    return found


def _label_at(labels: Labels, interval: Interval) -> str:
    """What holds for all of an interval; empty: nothing does. Parts of one label are one: tracks may end in it."""
    parts = sorted((one.start_ns, one.end_ns, one.label) for one in labels.get(interval.recording, ())
                   if one.topic in (None, interval.topic) and one.start_ns < interval.end_ns
                   and one.end_ns > interval.start_ns)
    reached = interval.start_ns
    for start, end, _ in parts:
        if start <= reached:
            reached = max(reached, end)
    names = {name for _, _, name in parts}
    return names.pop() if len(names) == 1 and reached >= interval.end_ns else ''
