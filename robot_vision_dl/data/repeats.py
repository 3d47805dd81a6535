"""For how long cameras of recordings gave one and the same picture."""
import hashlib
from typing import Dict, Tuple

import numpy as np

from ..core.types import Picture

_GAP_NS = 1_000_000_000  # frames further apart say nothing about what was between them


class Repeats:
    """Takes in the frames of cameras as they come; of each, it keeps a digest of the last picture.

    Attributes:
        longest_s: from the first to the last of equal pictures that followed each other, in seconds.
    """

    def __init__(self) -> None:
        self.longest_s = 0.0
        self._last: Dict[Tuple[str, str], Tuple[bytes, int, int]] = {}

    def see(self, camera: Tuple[str, str], stamp_ns: int, picture: Picture) -> None:
        """Take in a frame; pictures of folders have no times, and a topic without a name.

        Args:
            camera: recording and topic.
        """
        if not camera[1]:
            return
        digest = hashlib.blake2b(np.ascontiguousarray(picture.pixels).tobytes(), digest_size=16).digest()
        before, since_ns, last_ns = self._last.get(camera, (b'', 0, 0))
        if digest != before or not 0 <= stamp_ns - last_ns <= _GAP_NS:
            since_ns = stamp_ns
        self.longest_s = max(self.longest_s, (stamp_ns - since_ns) * 1e-9)
        self._last[camera] = digest, since_ns, stamp_ns
