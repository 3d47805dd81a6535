"""What a time in a file of labels means: seconds from the bag's start, or the pictures' stamps. Never a guess.

A file that says so (``times: stamp``, ``times: from_start``) is taken at its word. In others a number above 1e8 is
a stamp, as all clocks of the real world have been since 1973, and a smaller one is from the start, unless the bag's own
stamps are that small: then it is of a simulation, and which was meant cannot be known.
"""
import re
from decimal import Decimal
from enum import Enum
from typing import List, NamedTuple, Optional, Sequence, Tuple

from ...core.errors import ConfigError, ImageError
from ...core.suggestions import did_you_mean
from ...core.text.number_text import plain_decimal
from ...core.text.printable import printable
from ..bags.reader import BagReader
from .labels import FOREVER_NS, Clock

_NS = 10**9
_ABSOLUTE_S, _ABSOLUTE_NS = Decimal(10)**8, Decimal(10)**17
_LATEST_S = Decimal(10)**11  # the year 5138; milliseconds since 1970 are more since 1973
_EPOCHS_S = (Decimal(9 * 10**8), Decimal(41 * 10**8))  # 1998 to 2099
_UNITS = ((Decimal(10)**3, 'milliseconds'), (Decimal(10)**6, 'microseconds'), (Decimal(10)**9, 'nanoseconds'))
_SAME_NS = 1_000_000
_BEYOND = 10  # times the length of a recording
_FITS = (Decimal('0.2'), Decimal('1.1'))  # of its length


class Times(str, Enum):
    """What times of labels are."""

    STAMP = 'stamp'
    FROM_START = 'from_start'


class BagTimes(NamedTuple):
    """When a bag was recorded.

    Attributes:
        start_ns, end_ns: receive time of the first and the last message.
        first_stamp_ns: of the first image, by its header; None where there is no image.
        offset_ns: how much later that stamp is than the time from the bag's start at which the image was received.
    """

    start_ns: int
    end_ns: int
    first_stamp_ns: Optional[int]
    offset_ns: int

    @property
    def simulated(self) -> bool:
        """Whether stamps are as small as times from the start, and are not the same."""
        small = self.first_stamp_ns is not None and self.first_stamp_ns <= _ABSOLUTE_S * _NS
        return small and abs(self.offset_ns) > _SAME_NS


def bag_times(reader: BagReader) -> BagTimes:
    """Read the first image of the bag for its stamp."""
    start_ns, end_ns = reader.start_ns or 0, reader.end_ns or 0
    topics = [topic.name for topic in reader.topics.values() if topic.is_image and not topic.unreadable]
    for message in reader.image_messages(topics) if topics else ():
        try:
            stamp_ns = message.decode().header.stamp_ns or message.receive_ns
        except ImageError:
            continue
        return BagTimes(start_ns, end_ns, stamp_ns, stamp_ns - (message.receive_ns - start_ns))
    return BagTimes(start_ns, end_ns, None, 0)


class Moment(NamedTuple):
    """A time by one of the clocks."""

    ns: int
    clock: Clock


class TimeReader:
    """Turns the times of one file into nanoseconds by the clock that they are of.

    Args:
        bag: whose labels they are.
        where: begins the errors.
        stated: what the file says of its times; None: nothing.
        how: how the file would say so, for errors.
    """

    def __init__(self, bag: BagTimes, where: str, stated: Optional[Times], how: str) -> None:
        self._bag, self._where, self._stated, self._how = bag, where, stated, how
        self._seconds: List[Tuple[Decimal, bool]] = []

    def read(self, text: str, where: str, unit_ns: int = _NS) -> Moment:
        """A time as it is written, in seconds; with ``unit_ns`` 1 a stamp in nanoseconds.

        Raises:
            ConfigError: it is no time, of another unit, or could be either kind.
        """
        value = plain_decimal(text)
        if value is None or value < 0 or value >= FOREVER_NS:
            raise ConfigError(f"{where}: must be seconds from the bag's start, or absolute seconds, got "
                              f'{printable(text, 60)!r}{_remedy(text)}')
        if unit_ns == 1:
            return self._moment(value / _NS, True)
        if value > _ABSOLUTE_NS:
            value /= _NS  # no seconds of any calendar: a stamp in nanoseconds, as ROS writes it
        elif value >= _LATEST_S:
            factor, name = _UNITS[0] if value < _LATEST_S * 1000 else _UNITS[1]
            raise ConfigError(f'{where}: {text} looks like {name}; times are in seconds, so write {value / factor}')
        is_stamp = self._stated is Times.STAMP if self._stated else value > _ABSOLUTE_S
        if self._stated is Times.FROM_START and value > _ABSOLUTE_S:
            raise ConfigError(f"{where}: {text} is more than three years from the bag's start; the file says that its "
                              f'times are {Times.FROM_START.value}; if they are stamps, write {self._how}: stamp')
        if not self._stated and not is_stamp and self._bag.simulated:
            assert self._bag.first_stamp_ns is not None  # or it were not known
            raise ConfigError(
                f"{where}: {text} s could be from the bag's start or a stamp, since the bag's own stamps are of a "
                f'simulation (they begin at {self._bag.first_stamp_ns / 1e9:.3f} s). Say which: {self._how}: '
                f'{Times.FROM_START.value}, or {self._how}: {Times.STAMP.value}')
        return self._moment(value, is_stamp)

    def _moment(self, seconds: Decimal, is_stamp: bool) -> Moment:
        self._seconds.append((seconds, is_stamp))
        ns = int((seconds * _NS).to_integral_value())
        return Moment(ns, Clock.HEADER) if is_stamp else Moment(ns + self._bag.start_ns, Clock.RECEIVE)

    def check_units(self) -> None:
        """After all times: raise :class:`ConfigError` if they are beyond the bag, but would fit it in another unit."""
        length = Decimal(self._bag.end_ns - self._bag.start_ns) / _NS
        begin = Decimal(self._bag.first_stamp_ns or 0) / _NS
        if (self._stated is Times.STAMP and begin > _ABSOLUTE_S and self._seconds
                and all(value <= _ABSOLUTE_S for value, _ in self._seconds)):
            raise ConfigError(f'{self._where}: says {self._how}: {Times.STAMP.value}, but its times begin at '
                              f'{_short(min(value for value, _ in self._seconds))} s and the stamps of the pictures at '
                              f'{begin:.3f} s; did you mean {self._how}: {Times.FROM_START.value}?')
        for is_stamp in (False, True):
            values = sorted({value for value, kind in self._seconds if kind is is_stamp})
            low, high = (begin, begin + length) if is_stamp else (Decimal(0), length)
            if not values or not length:
                continue
            beyond = [value for value in values if value > max(_BEYOND * length, high + _BEYOND * length)]
            if len(beyond) < 2 or any(low < value <= high for value in values):
                continue
            if is_stamp and any(_EPOCHS_S[0] < value < _EPOCHS_S[1] for value in values):
                continue
            for factor, name in _UNITS:
                last = values[-1] / factor
                from_start = _FITS[0] * length <= last <= _FITS[1] * length
                if from_start or (is_stamp and low + _FITS[0] * length <= last <= low + _FITS[1] * length):
                    raise ConfigError(
                        f'{self._where}: its times look like {name}: they end at {_short(values[-1])}, and the '
                        f'recording lasts {length:.3f} s; write seconds, e.g. {_short(last)} for {_short(values[-1])}')


def _remedy(text: str) -> str:
    """What to write in place of a time that people write otherwise."""
    if re.fullmatch('[0-9]+,[0-9]+', text):
        return f'; numbers have a decimal point: {text.replace(",", ".")}'
    if re.fullmatch('[0-9]{1,9}(:[0-9]{1,9}){1,2}([.,][0-9]+)?', text):
        seconds = Decimal(0)
        for part in text.replace(',', '.').split(':'):
            seconds = seconds * 60 + Decimal(part)
        return f'; write it in seconds, not as minutes and seconds: {seconds}'
    return '; a time cannot be negative' if text.startswith('-') else ''


def _short(value: Decimal) -> str:
    return f'{value.normalize():f}'


def stated(text: str, where: str) -> Times:
    """What a file says of its times.

    Raises:
        ConfigError: it is neither of the two.
    """
    values = [one.value for one in Times]
    if text not in values:
        raise ConfigError(f'{where}: times: must be {" or ".join(values)}, got {printable(text, 60)!r}; '
                          f'{did_you_mean(text, values)}')
    return Times(text)


def seconds_text(ns: int) -> str:
    """A stamp in seconds with all its digits."""
    whole, rest = divmod(ns, _NS)
    return f'{whole}.{rest:09d}'.rstrip('0').rstrip('.') if rest else str(whole)


def check_order(start: Moment, end: Moment, where: str, texts: Sequence[str]) -> None:
    """Raises :class:`ConfigError` where an interval does not end after it begins, by the same clock."""
    if end.clock is not start.clock:
        raise ConfigError(f"{where}: start and end must both be seconds from the bag's start or both absolute, got "
                          f'{" and ".join(texts)}')
    if end.ns <= start.ns:
        raise ConfigError(f'{where}: end must be after start, got {" and ".join(texts)}')
