"""From image messages to frames in order: what the live node and the evaluation of a bag do alike."""
from collections import Counter
from dataclasses import replace
from typing import Dict, Optional, Tuple

from ..config import FusionConfig, ImageConfig
from ..errors import ImageError
from ..images.image import decode
from ..types import CompressedImage, Frame, Header, ImageMessage, Picture, Region


def read_frame(camera: str, message: ImageMessage, received_ns: int, config: ImageConfig,
               region: Optional[Region] = None, serialized: bytes = b'') -> Frame:
    """A frame from an image message.

    Args:
        camera: name of the camera.
        message: as parsed.
        received_ns: when it arrived, or was recorded.
        config: how images are read.
        region: the part of the picture that is looked at; None: all of it.
        serialized: the message as it came from the wire, where it is asked for later.

    Raises:
        ImageError: the message is no image that can be used, or smaller than the region; ``reason`` says why.
    """
    encoding = message.format if isinstance(message, CompressedImage) else message.encoding
    return frame_of(camera, message.header, decode(message, config), encoding, received_ns, region,
                    serialized)


def frame_of(camera: str, header: Header, picture: Picture, encoding: str, received_ns: int,
             region: Optional[Region] = None, serialized: bytes = b'') -> Frame:
    """A frame from a picture that is decoded already; arguments as for :class:`~..types.Frame`.

    Raises:
        ImageError: ``region``: the picture is smaller than the region.
    """
    if region is not None and (region.x_offset + region.width > picture.width
                               or region.y_offset + region.height > picture.height):
        raise ImageError('region', f'the region of interest {region} reaches beyond the picture of {picture.width}x'
                         f'{picture.height}; change the parameter regions_of_interest')
    return Frame(camera, header, picture, encoding, received_ns, region, serialized)


def time_of(message: ImageMessage, received_ns: int) -> int:
    """When the picture was taken; when it arrived, for drivers that leave the stamp at zero."""
    return message.header.stamp_ns or received_ns


class StampOrder:
    """Lets the frames of each camera through in the order of their stamps.

    Args:
        config: a stamp that lies further back than ``most_back_s`` is of a recording that began anew; may be replaced.

    Attributes:
        standing_still: by camera, how many frames :meth:`timed` has marked.
    """

    def __init__(self, config: FusionConfig) -> None:
        self.config = config
        self._last_ns: Dict[str, int] = {}
        self._stamps: Dict[str, Tuple[int, int]] = {}  # the last stamp, and when it came first
        self.standing_still: Counter[str] = Counter()

    def timed(self, frame: Frame) -> Frame:
        """The frame, marked where its stamp stands still: where it came first longer than ``reset_gap_s`` ago.

        No time would pass between such frames, and no decision would ever change.
        """
        stamp_ns = frame.header.stamp_ns
        last_ns, first_ns = self._stamps.get(frame.camera, (-1, 0))
        if stamp_ns != last_ns or frame.received_ns < first_ns:
            self._stamps[frame.camera] = stamp_ns, frame.received_ns
        elif stamp_ns and (frame.received_ns - first_ns) * 1e-9 > self.config.reset_gap_s:
            self.standing_still[frame.camera] += 1
            return replace(frame, stands_still=True)
        return frame

    def objection(self, frame: Frame) -> Optional[str]:
        """Why the frame may not be decided, a sentence; None for one that may, which then is the last one."""
        last_ns = self._last_ns.get(frame.camera)
        if last_ns is not None and frame.time_ns < last_ns:
            back_s = (last_ns - frame.time_ns) * 1e-9
            if back_s <= self.config.most_back_s:
                return (f'the stamp lies {back_s:.3f} s before that of the frame before; out-of-order frames are not '
                        f'decided (further back than {self.config.most_back_s:g} s, time begins anew: '
                        'fusion.reset_gap_s)')
            # Further back than that, a recording has begun anew: the filter resets itself.
        self._last_ns[frame.camera] = frame.time_ns
        return None
