"""From image messages to frames in order: what the live node and the evaluation of a bag do alike."""
from typing import Callable, Dict, Optional

from .config import FusionConfig, ImageConfig
from .image import decode
from .types import CompressedImage, Frame, ImageMessage


def read_frame(camera: str, parse: Callable[[bytes], ImageMessage], buffer: bytes, received_ns: int,
               config: ImageConfig) -> Frame:
    """A frame from a serialized message.

    Args:
        camera: name of the camera.
        parse: turns the buffer into an image message.
        buffer: serialized bytes.
        received_ns: when it arrived, or was recorded.
        config: how images are read.

    Raises:
        ImageError: the bytes are no image that can be used; ``reason`` says why.
    """
    message = parse(buffer)
    picture = decode(message, config)
    encoding = message.format if isinstance(message, CompressedImage) else message.encoding
    return Frame(camera, message.header, picture, encoding, received_ns)


class StampOrder:
    """Lets the frames of each camera through in the order of their stamps.

    Args:
        config: a stamp that lies further back than ``reset_gap_s`` is a recording that began anew; may be replaced.
    """

    def __init__(self, config: FusionConfig):
        self.config = config
        self._last_ns: Dict[str, int] = {}

    def objection(self, frame: Frame) -> Optional[str]:
        """Why the frame may not be decided, a sentence; None for one that may, which then is the last one."""
        last_ns = self._last_ns.get(frame.camera)
        if last_ns is not None and frame.time_ns < last_ns:
            back_s = (last_ns - frame.time_ns) * 1e-9
            if back_s <= self.config.reset_gap_s:
                return (f'the stamp lies {back_s:.3f} s before that of the frame before; out-of-order frames are not '
                        'decided')
            # Further back than that, a recording has begun anew: the filter resets itself.
        self._last_ns[frame.camera] = frame.time_ns
        return None
