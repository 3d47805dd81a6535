"""Which image the detections of an array were found in.

A detector answers some time after the image, for some of the images only, and neither comes in order for certain. So
images wait in a bounded buffer for their detections, and detections for their image: one of exactly their stamp, or
else, once it is clear that there is none, the nearest within a tolerance. Everything that arrives is paired, or counted
under a reason; no pair goes back in time.
"""
import threading
from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Dict, Generic, List, Optional, Sequence, Tuple, TypeVar

from ..types import Header
from .detections import DetectionArray

NO_STAMP = 'no_stamp'
DUPLICATE = 'duplicate'
BACKWARDS = 'stamp_backwards'
NO_DETECTIONS = 'no_detections'
NO_IMAGE = 'no_image'
IMAGE_REPLACED = 'image_replaced'
LATE = 'late'
REPLACED = 'replaced_by_newer'
STOPPED = 'stopped'
IMAGE_REASONS = (NO_STAMP, DUPLICATE, BACKWARDS, NO_DETECTIONS, IMAGE_REPLACED, REPLACED, STOPPED)
"""Why an image is not paired: its stamp is zero, that of another one, or before the last pair's; no detections came for
it in time; the buffer was full; a newer pair was there before anybody took it; the node stopped."""
ARRAY_REASONS = (NO_STAMP, DUPLICATE, BACKWARDS, NO_IMAGE, LATE, IMAGE_REPLACED, REPLACED, STOPPED)
"""Why an array is not paired: as for images; ``no_image``: none of its stamp came in time; ``late``,
``image_replaced``: its image had come and waited in vain, or had to make room in the buffer."""
_LATEST_GONE = 1024
_MOST_ARRAYS, _MOST_BOXES = 256, 50_000  # of a camera that wait for their image; a box takes about 1 kB

ImageT = TypeVar('ImageT')


@dataclass(frozen=True)
class PairingConfig:
    """How long and how much may wait.

    Attributes:
        tolerance_s: detections that no image has the stamp of go to the nearest image within this; 0: to none.
        deadline_s: so long an image waits for its detections, and they for it, from when they arrived.
        most_bytes: of the images of a camera that wait.
        most_back_s: a stamp further back than this is a recording that began anew, and not one out of order.
    """

    tolerance_s: float = 0.01
    deadline_s: float = 1.0
    most_bytes: int = 64_000_000
    most_back_s: float = 1.0


@dataclass(frozen=True)
class Pair(Generic[ImageT]):
    """An image and what was found in it.

    Attributes:
        image: as it was given to :meth:`Pairing.add_image`.
        apart_ns: stamp of the detections minus that of the image.
        arrived_s: when the later of the two came, by the caller's steady clock.
    """

    camera: str
    image: ImageT
    detections: DetectionArray
    apart_ns: int
    arrived_s: float


@dataclass(frozen=True)
class _Waiting(Generic[ImageT]):
    """An image or an array that waits."""

    stamp_ns: int
    value: ImageT
    size: int
    arrived_s: float


@dataclass
class _Side:
    """What happened to the images, or the arrays, of a camera."""

    received: int = 0
    paired: int = 0
    dropped: Counter[str] = field(default_factory=Counter)


@dataclass
class _Camera(Generic[ImageT]):
    images: List[_Waiting[ImageT]] = field(default_factory=list)  # by stamp
    arrays: List[_Waiting[DetectionArray]] = field(default_factory=list)  # by stamp
    image_side: _Side = field(default_factory=_Side)
    array_side: _Side = field(default_factory=_Side)
    bytes: int = 0
    boxes: int = 0
    last_ns: int = -1  # stamp of the image of the last pair
    last_array_ns: int = -1
    ready: Optional[Pair[ImageT]] = None
    gone: Dict[int, str] = field(default_factory=dict)  # by stamp, why images did not wait for their detections


class Pairing(Generic[ImageT]):
    """Pairs the images and the detections of some cameras; all methods may be called from any thread.

    Received = paired + dropped + waiting, for images and for arrays. A pair that nobody has taken is replaced by the
    next one of its camera.

    Args:
        cameras: their names.
        config: may be replaced at any time.
    """

    def __init__(self, cameras: Sequence[str], config: PairingConfig) -> None:
        self.config = config
        self._cameras: Dict[str, _Camera[ImageT]] = {camera: _Camera() for camera in cameras}
        self._turns = list(cameras)
        self._changed = threading.Condition()
        self._closed = False

    def add_image(self, camera: str, header: Header, image: ImageT, size: int, now_s: float) -> None:
        """Take in an image of ``size`` bytes that arrived at ``now_s`` of a steady clock."""
        with self._changed:
            state = self._cameras[camera]
            state.image_side.received += 1
            stamp_ns = header.stamp_ns
            if stamp_ns == 0:
                state.image_side.dropped[NO_STAMP] += 1
                return
            if self._began_anew(state, stamp_ns):
                self._clear(state, NO_DETECTIONS, NO_IMAGE)
            place = bisect_left([one.stamp_ns for one in state.images], stamp_ns)
            if stamp_ns == state.last_ns or (place < len(state.images) and state.images[place].stamp_ns == stamp_ns):
                state.image_side.dropped[DUPLICATE] += 1
                return
            if stamp_ns < state.last_ns:
                state.image_side.dropped[BACKWARDS] += 1
                return
            state.images.insert(place, _Waiting(stamp_ns, image, size, now_s))
            state.bytes += size
            self._make_room(state)
            self._pair(camera, state, now_s)

    def add_detections(self, camera: str, detections: DetectionArray, now_s: float) -> None:
        """Take in an array that arrived at ``now_s`` of a steady clock."""
        with self._changed:
            state = self._cameras[camera]
            state.array_side.received += 1
            stamp_ns = detections.header.stamp_ns
            if stamp_ns == 0:
                state.array_side.dropped[NO_STAMP] += 1
                return
            place = bisect_left([one.stamp_ns for one in state.arrays], stamp_ns)
            if stamp_ns == state.last_array_ns or (place < len(state.arrays)
                                                   and state.arrays[place].stamp_ns == stamp_ns):
                state.array_side.dropped[DUPLICATE] += 1
                return
            if stamp_ns < state.last_array_ns or stamp_ns < state.last_ns - self._tolerance_ns:
                state.array_side.dropped[BACKWARDS] += 1
                return
            state.arrays.insert(place, _Waiting(stamp_ns, detections, 0, now_s))
            state.boxes += len(detections.detections)
            while len(state.arrays) > 1 and (len(state.arrays) > _MOST_ARRAYS or state.boxes > _MOST_BOXES):
                self._give_up(state, self._take_array(state, 0))
            self._pair(camera, state, now_s)

    def count_image(self, camera: str, reason: str, count: int = 1) -> None:
        """Count images that cannot be given to :meth:`add_image`: unreadable, or replaced before they were taken."""
        with self._changed:
            side = self._cameras[camera].image_side
            side.received += count
            side.dropped[reason] += count

    def count_array(self, camera: str, reason: str) -> None:
        """Count an array that cannot be read."""
        with self._changed:
            side = self._cameras[camera].array_side
            side.received += 1
            side.dropped[reason] += 1

    def expire(self, now_s: float) -> Optional[float]:
        """Give up what has waited for too long; to be called now and then.

        Returns:
            When the next one will have waited for too long, by the same clock; None: nothing waits.
        """
        with self._changed:
            due: List[float] = []
            for camera, state in self._cameras.items():
                self._pair(camera, state, now_s)
                due += [one.arrived_s + self.config.deadline_s for one in state.images]
                due += [one.arrived_s + self.config.deadline_s for one in state.arrays]
            return min(due) if due else None

    def take(self, limit: int, wait: bool = True) -> Optional[List[Pair[ImageT]]]:
        """At most ``limit`` pairs, one a camera, cameras in turn; None once this is closed.

        With ``wait`` at least one; without, none where there is none now.
        """
        with self._changed:
            while True:
                if self._closed:
                    return None
                taken: List[Pair[ImageT]] = []
                for camera in self._turns:
                    state = self._cameras[camera]
                    if state.ready is not None and len(taken) < limit:
                        taken.append(state.ready)
                        state.ready = None
                        state.image_side.paired += 1
                        state.array_side.paired += 1
                if taken or not wait:
                    served = [pair.camera for pair in taken]
                    self._turns = [camera for camera in self._turns if camera not in served] + served
                    return taken
                self._changed.wait()

    def close(self) -> None:
        """Make whoever takes get None, now and later; what waits is counted as ``stopped``."""
        with self._changed:
            self._closed = True
            for state in self._cameras.values():
                self._clear(state, STOPPED, STOPPED)
                self._drop_ready(state, STOPPED)
            self._changed.notify_all()

    def images(self, camera: str) -> Tuple[int, int, Counter[str]]:
        """(received, paired, dropped by reason) of the images of a camera."""
        with self._changed:
            side = self._cameras[camera].image_side
            return side.received, side.paired, Counter(side.dropped)

    def arrays(self, camera: str) -> Tuple[int, int, Counter[str]]:
        """(received, paired, dropped by reason) of the arrays of a camera."""
        with self._changed:
            side = self._cameras[camera].array_side
            return side.received, side.paired, Counter(side.dropped)

    def waiting(self, camera: str) -> Tuple[int, int]:
        """How many images and arrays of a camera are neither paired and taken nor dropped."""
        with self._changed:
            state = self._cameras[camera]
            ready = state.ready is not None
            return len(state.images) + ready, len(state.arrays) + ready

    @property
    def _tolerance_ns(self) -> int:
        return round(self.config.tolerance_s * 1e9)

    def _began_anew(self, state: '_Camera[Any]', stamp_ns: int) -> bool:
        """Whether an image is of a recording that is played again, told by images alone: detectors may be late."""
        newest_ns = max(state.last_ns, state.images[-1].stamp_ns if state.images else -1)
        return newest_ns - stamp_ns > self.config.most_back_s * 1e9

    def _clear(self, state: '_Camera[Any]', image_reason: str, array_reason: str) -> None:
        """Drop what waits, and begin anew."""
        if state.images:
            state.image_side.dropped[image_reason] += len(state.images)
        if state.arrays:
            state.array_side.dropped[array_reason] += len(state.arrays)
        state.images, state.arrays, state.bytes, state.boxes = [], [], 0, 0
        state.last_ns = state.last_array_ns = -1
        state.gone.clear()

    def _drop_ready(self, state: '_Camera[Any]', reason: str) -> None:
        if state.ready is not None:
            state.ready = None
            state.image_side.dropped[reason] += 1
            state.array_side.dropped[reason] += 1

    def _make_room(self, state: '_Camera[Any]') -> None:
        while state.bytes > self.config.most_bytes and len(state.images) > 1:
            oldest = state.images.pop(0)
            state.bytes -= oldest.size
            state.image_side.dropped[IMAGE_REPLACED] += 1
            self._remember_gone(state, oldest.stamp_ns, IMAGE_REPLACED)

    @staticmethod
    def _remember_gone(state: '_Camera[Any]', stamp_ns: int, reason: str) -> None:
        state.gone[stamp_ns] = reason
        if len(state.gone) > _LATEST_GONE:
            del state.gone[next(iter(state.gone))]

    def _pair(self, camera: str, state: '_Camera[Any]', now_s: float) -> None:
        """Pair what can be, in the order of stamps, and give up what has waited for too long."""
        late_s = now_s - self.config.deadline_s
        while state.arrays:
            first = state.arrays[0]
            index = self._image_for(state, first, late_s)
            if index is None:
                # Later detections do not wait for earlier ones whose image may yet come, unless theirs is there.
                later = next((place for place, one in enumerate(state.arrays)
                              if self._exact(state, one.stamp_ns) is not None), None)
                if later is None:
                    break
                for _ in range(later):  # they would go back in time afterwards
                    self._give_up(state, self._take_array(state, 0))
                continue
            if index < 0:
                self._give_up(state, self._take_array(state, 0))
                continue
            self._take_array(state, 0)
            image = state.images[index]
            for _ in range(index):
                earlier = state.images.pop(0)
                state.bytes -= earlier.size
                state.image_side.dropped[NO_DETECTIONS] += 1
            state.images.pop(0)
            state.bytes -= image.size
            state.last_ns, state.last_array_ns = image.stamp_ns, first.stamp_ns
            self._drop_ready(state, REPLACED)
            state.ready = Pair(camera, image.value, first.value, first.stamp_ns - image.stamp_ns,
                               max(image.arrived_s, first.arrived_s))
            self._changed.notify_all()
        while state.images and state.images[0].arrived_s <= late_s:
            oldest = state.images.pop(0)
            state.bytes -= oldest.size
            state.image_side.dropped[NO_DETECTIONS] += 1
            self._remember_gone(state, oldest.stamp_ns, LATE)

    @staticmethod
    def _take_array(state: '_Camera[Any]', place: int) -> '_Waiting[DetectionArray]':
        array: '_Waiting[DetectionArray]' = state.arrays.pop(place)
        state.boxes -= len(array.value.detections)
        return array

    def _give_up(self, state: '_Camera[Any]', array: _Waiting[DetectionArray]) -> None:
        near = min(state.gone, key=lambda stamp: abs(stamp - array.stamp_ns), default=None)
        had_come = near is not None and abs(near - array.stamp_ns) <= self._tolerance_ns
        state.array_side.dropped[state.gone[near] if near is not None and had_come else NO_IMAGE] += 1

    @staticmethod
    def _exact(state: '_Camera[Any]', stamp_ns: int) -> Optional[int]:
        place = bisect_left([one.stamp_ns for one in state.images], stamp_ns)
        return place if place < len(state.images) and state.images[place].stamp_ns == stamp_ns else None

    def _image_for(self, state: '_Camera[Any]', array: _Waiting[DetectionArray], late_s: float) -> Optional[int]:
        """Place of the image that an array belongs to; -1: there is none, None: it may yet come."""
        exact = self._exact(state, array.stamp_ns)
        if exact is not None:
            return exact
        stamp_ns = array.stamp_ns
        has_later = bool(state.images) and state.images[-1].stamp_ns > stamp_ns
        is_late = array.arrived_s <= late_s
        near = min(range(len(state.images)), default=None,
                   key=lambda place: abs(state.images[place].stamp_ns - stamp_ns))
        fits = near is not None and abs(state.images[near].stamp_ns - stamp_ns) <= self._tolerance_ns
        if fits and (is_late or (has_later and self._settled(state, stamp_ns))):
            return near
        return -1 if is_late or stamp_ns in state.gone else None

    def _settled(self, state: '_Camera[Any]', stamp_ns: int) -> bool:
        """Whether the image of exactly this stamp would have come: one that is later by the tolerance has."""
        return bool(state.images[-1].stamp_ns - stamp_ns >= self._tolerance_ns)
