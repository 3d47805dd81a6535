"""A detector for measurements: boxes of plausible sizes that move a little, sent some time after their picture.

The first detection of each array carries in its own header when the array was sent. A node that leaves headers as they
are gives it back, so that whoever listens knows how long an answer took from there.
"""
import time
from collections import deque
from math import pi, sin
from typing import TYPE_CHECKING, Any, Deque, List, NamedTuple, Sequence

import cv2
import numpy as np

from ..core.images.cdr_primitives import Reader
from ..core.regions.detection_cdr import encode_detections
from ..core.regions.detections import Box, Detection, DetectionArray, Hypothesis
from ..core.types import Header

if TYPE_CHECKING:
    from rclpy.publisher import Publisher

BOXES = '/boxes'
"""What the topic of a camera's detections has behind that of its pictures."""
PERIOD = 40
"""Pictures after which all boxes are where they were."""
SIDES = (1 / 12, 1 / 3)
"""Shorter and longer bound of a box's sides, as shares of the picture's height."""
_MOVES = 0.2  # of its side a box moves to and fro
STAMP_OFFSET = 4  # behind the encapsulation header: int32 seconds, uint32 nanoseconds


def moving_boxes(count: int, width: int, height: int, index: int) -> List[Box]:
    """Boxes within a picture of ``width`` x ``height`` pixels, the picture with this index."""
    random = np.random.default_rng(0)
    boxes = []
    for _ in range(count):
        across, down = (height * SIDES[0] * (SIDES[1] / SIDES[0]) ** random.random(2)).tolist()
        x, y, phase = random.random(3).tolist()
        way = _MOVES * min(across, down) * sin(2 * pi * (index / PERIOD + phase))
        room_x, room_y = width - across - 2 * _MOVES * across, height - down - 2 * _MOVES * down
        boxes.append(Box(across / 2 + _MOVES * across + x * max(room_x, 0.0) + way,
                         down / 2 + _MOVES * down + y * max(room_y, 0.0) + way, across, down))
    return boxes


def draw_objects(scene: np.ndarray, count: int) -> None:
    """Draw something with edges where the boxes are, uint8 (height, width, 3), so that none is blurred."""
    height, width = scene.shape[:2]
    for number, box in enumerate(moving_boxes(count, width, height, 0)):
        left, top, right, bottom = box.corners
        across, down = np.linspace(left, right, 4).round().astype(int), np.linspace(top, bottom, 4).round().astype(int)
        for place in range(9):
            row, column = divmod(place, 3)
            colour = [(37 * number + 90 * channel + 120 * (place % 2)) % 256 for channel in range(3)]
            cv2.rectangle(scene, (int(across[column]), int(down[row])), (int(across[column + 1]), int(down[row + 1])),
                          colour, -1)


def serialized_boxes(count: int, width: int, height: int, frame_id: str) -> List[bytearray]:
    """``Detection2DArray`` messages of :data:`PERIOD` pictures, without stamps; ids stay with the boxes."""
    return [bytearray(encode_detections(DetectionArray(Header(0, frame_id), tuple(
        Detection(Header(0, frame_id), (Hypothesis('thing', 0.9),), box, str(100 + number))
        for number, box in enumerate(moving_boxes(count, width, height, index))))))
        for index in range(PERIOD)]


def sent_ns(array: bytes) -> int:
    """When the detector sent the array that this one, with a detection at least, is the answer to."""
    reader = Reader(array)
    reader.header()
    reader.uint32('detections')
    return reader.stamp_ns()


class _Due(NamedTuple):
    """An array to be sent at ``at_s`` of ``time.perf_counter``."""

    at_s: float
    camera: int
    picture: int
    stamp: bytes


class LateDetector:
    """Answers each picture of some cameras after a delay, on the caller's thread.

    Args:
        publishers: of the arrays, one a camera.
        messages: of each camera, of :func:`serialized_boxes`.
        delay_s: between a picture and its array.
    """

    def __init__(self, publishers: Sequence['Publisher[Any]'], messages: Sequence[Sequence[bytearray]], delay_s: float
                 ) -> None:
        self._publishers, self._messages, self._delay_s = publishers, messages, delay_s
        self._due: Deque[_Due] = deque()
        self._second = [_second_stamp(of_camera[0]) for of_camera in messages]
        self.sent = 0

    def saw(self, camera: int, picture: int, stamp: bytes) -> None:
        """Note a picture that was just sent with this stamp of eight bytes."""
        self._due.append(_Due(time.perf_counter() + self._delay_s, camera, picture, stamp))

    def send_until(self, moment_s: float) -> None:
        """Send what is due before a moment of ``time.perf_counter``, each at its time."""
        while self._due and self._due[0].at_s <= moment_s:
            due = self._due.popleft()
            time.sleep(max(0.0, due.at_s - time.perf_counter()))
            message = self._messages[due.camera][due.picture % PERIOD]
            message[STAMP_OFFSET:STAMP_OFFSET + 8] = due.stamp
            place = self._second[due.camera]
            message[place:place + 8] = stamp_bytes(time.time_ns())
            self._publishers[due.camera].publish(bytes(message))
            self.sent += 1

    def finish(self) -> None:
        """Send the rest."""
        if self._due:
            self.send_until(self._due[-1].at_s)


def stamp_bytes(time_ns: int) -> bytes:
    """A ``builtin_interfaces/Time`` as it is serialized; little-endian, as :func:`encode_detections` is here."""
    seconds, nanoseconds = divmod(time_ns, 1_000_000_000)
    return seconds.to_bytes(4, 'little') + nanoseconds.to_bytes(4, 'little')


def _second_stamp(array: bytearray) -> int:
    """Offset of the stamp of the first detection."""
    reader = Reader(array)
    reader.header()
    reader.uint32('detections')
    return reader.offset
