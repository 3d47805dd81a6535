"""What may differ from camera to camera, as text that fits a ROS parameter: ``'10'`` or ``'front=10, rear=5'``."""
import re
from typing import Callable, Dict, List, Optional, Sequence, Tuple, TypeVar

from .aspect_ratio import strip_of
from .errors import ConfigError
from .text.number_text import plain_float
from .types import Region

Value = TypeVar('Value')
SLACK = 0.1  # of a period: so much a frame may come early
_GEOMETRY = re.compile(r'([0-9]{1,9})x([0-9]{1,9})(?:\+([0-9]{1,9})\+([0-9]{1,9}))?')


def regions_of(text: str, cameras: Sequence[str]) -> Dict[str, Region]:
    """The region of interest of each camera that has one.

    Args:
        text: WxH+X+Y (as X11 writes a geometry) for every camera, or ``camera=WxH+X+Y`` separated by commas.
        cameras: that there are.

    Raises:
        ConfigError: ``text`` names what is no camera, or no region.
    """
    found = _per_camera('regions_of_interest', text, cameras, _region)
    for camera, region in found.items():
        strip = strip_of(region.height, region.width)
        if strip:
            raise ConfigError(f'regions_of_interest: {camera!r} has {strip}')
    return found


def rates_of(text: str, cameras: Sequence[str]) -> Dict[str, float]:
    """The highest rate in Hz of each camera that has one; ``text`` is ``camera=HZ``, separated by commas.

    Raises:
        ConfigError: ``text`` names what is no camera, or no rate.
    """
    return _per_camera('max_rates_hz', text, cameras, _rate)


def _region(text: str) -> Optional[Region]:
    match = _GEOMETRY.fullmatch(text)
    if match is None:
        return None
    width, height, x_offset, y_offset = (int(group or 0) for group in match.groups())
    return Region(x_offset, y_offset, height, width) if width and height else None


def _rate(text: str) -> Optional[float]:
    rate = plain_float(text)
    return rate if rate is not None and rate > 0 else None


def _per_camera(setting: str, text: str, cameras: Sequence[str], parse: Callable[[str], Optional[Value]]
                ) -> Dict[str, Value]:
    expected = {'regions_of_interest': 'WIDTHxHEIGHT+X+Y in pixels', 'max_rates_hz': 'a rate above 0 in Hz'}[setting]
    found: Dict[str, Value] = {}
    for part in filter(None, (part.strip() for part in text.split(','))):
        name, equals, value = (word.strip() for word in part.rpartition('='))
        if equals and name not in cameras:
            raise ConfigError(f'{setting}: {name!r} is not a camera; there are {", ".join(cameras)}')
        parsed = parse(value)
        if parsed is None:
            raise ConfigError(f'{setting}: expected {expected}, or camera=..., got {part!r}')
        for camera in [name] if equals else cameras:
            if camera in found:
                raise ConfigError(f'{setting}: {camera!r} is given more than one')
            found[camera] = parsed
    return found


def region_topics(given: Sequence[str], cameras: Sequence[str]) -> List[str]:
    """The topic of detections of each camera, in the order of the cameras.

    Args:
        given: ``TOPIC`` where there is one camera, else ``NAME:=TOPIC`` for each.
        cameras: their names; empty where there is only one, without a name.

    Raises:
        ConfigError: a camera has none or several, or a name is that of none.
    """
    pairs = [text.rpartition(':=')[::2] for text in given]
    if len(pairs) == 1 and len(cameras) <= 1 and pairs[0][0] in ('', *cameras):
        return [pairs[0][1]]
    by_name = dict(pairs)
    if len(by_name) != len(pairs) or set(by_name) != set(cameras):
        expected = ' '.join(f'{name}:=TOPIC' for name in cameras) or 'TOPIC'
        raise ConfigError(f'regions: each camera needs one topic of detections, {expected}; got '
                          f'{" ".join(given)}')
    return [by_name[name] for name in cameras]


class RateLimit:
    """Lets at most so many frames a second of each camera through, evenly.

    What is due stands on a grid: a camera at 30 Hz that may give 10 gives 10, also where its frames come a little early
    or late.
    """

    def __init__(self) -> None:
        self._due_ns: Dict[str, float] = {}
        self._last: Dict[str, Tuple[int, int, int]] = {}  # stamp, arrival, and the time that they were taken for

    def allows(self, camera: str, stamp_ns: int, received_ns: int, rate_hz: float) -> bool:
        """Whether a frame may pass, which then counts as passed; ``rate_hz`` 0: any may.

        Args:
            stamp_ns: when it was taken; where it is that of the frame before, as much later as it arrived.
            received_ns: when it arrived.
        """
        if not rate_hz:
            return True
        last_ns, arrived_ns, was_ns = self._last.get(camera, (-1, 0, 0))
        time_ns = was_ns + max(received_ns - arrived_ns, 0) if stamp_ns == last_ns else stamp_ns
        self._last[camera] = stamp_ns, received_ns, time_ns
        period_ns = 1e9 / rate_hz
        due_ns = self._due_ns.get(camera, float('-inf'))
        # Further ahead than a period, time has gone back: a recording that began anew.
        if due_ns - period_ns * (1 + SLACK) <= time_ns < due_ns - period_ns * SLACK:
            return False
        late_ns = time_ns - due_ns
        on_grid = -SLACK * period_ns <= late_ns < period_ns
        self._due_ns[camera] = due_ns + period_ns if on_grid else time_ns + period_ns
        return True
