"""Publish the messages of bags on ROS 2 topics at their recorded pace, as the bytes that were recorded."""
import importlib.util
import itertools
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Mapping, Optional, Sequence, Set, Tuple

import rclpy
from builtin_interfaces.msg import Time
from rclpy.duration import Duration
from rclpy.exceptions import InvalidTopicNameException
from rclpy.publisher import Publisher
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rosgraph_msgs.msg import Clock

from ..core.errors import BagError, ConfigError
from ..core.metrics.percentiles import percentiles
from ..core.text.printable import printable
from ..data.bags.message_types import wire_format_of_class
from ..data.bags.playback import GAP_NS, NS_PER_S, Due, NewStamps, Selection, duration_ns, selected_topics, timeline
from ..data.bags.reader import BagMessage, BagReader, TopicInfo

CLOCK_TOPIC = '/clock'
QUEUE_DEPTH = 10
LATE_MS = 10.0
# time.sleep returns some 0.1 ms late; the last bit is waited for actively.
_SPIN_S = 0.0003
# How long a stop request may go unseen while sleeping.
_SLICE_S = 0.05
# Subscribers that are there from the beginning have been discovered by then.
_HEARD_S = 1.0
# A subscriber that is matched here may not have matched us yet; its half of discovery takes some ms.
_SETTLE_S = 0.2


@dataclass(frozen=True)
class PlayOptions:
    """How bags are played.

    Attributes:
        selection: which part.
        rate: bag seconds a second.
        loop: begin again at the end, until stopped.
        remap: recorded topic -> topic to publish on.
        clock_hz: publish bag time on /clock so often; None: not at all.
        best_effort: QoS reliability of the publishers; otherwise reliable, which every subscriber can receive.
        wait_for_subscribers: subscriptions over all topics to wait for before the first message.
        stamp_now: replace the header's stamp by the time of publishing; that of messages with equal stamps by that of
            the first of them.
    """

    selection: Selection = field(default_factory=Selection)
    rate: float = 1.0
    loop: bool = False
    remap: Mapping[str, str] = field(default_factory=dict)
    clock_hz: Optional[float] = None
    best_effort: bool = False
    wait_for_subscribers: int = 0
    stamp_now: bool = False

    def __post_init__(self) -> None:
        if not 0.001 <= self.rate <= 1000:
            raise ConfigError(f'--rate: must be 0.001 to 1000, got {self.rate:g}')
        if self.clock_hz is not None and not 0 < self.clock_hz <= 1000:
            raise ConfigError(f'--clock: must be more than 0 and at most 1000 Hz, got {self.clock_hz:g}')
        if self.wait_for_subscribers < 0:
            raise ConfigError(f'--wait-for-subscribers: must be at least 0, got {self.wait_for_subscribers}')


@dataclass
class PlaySummary:
    """What was played.

    Attributes:
        counts: messages published, by topic.
        duration_s: from the first message to the last, on the wall.
        expected_s: the same as the bag and the rate have it.
        late: messages published more than 10 ms after their time.
        worst_late_ms: the latest one.
        lateness_ms: median and 99th percentile over all messages.
        unheard: topics that nobody subscribed to within a second, or until the end where that is sooner.
    """

    counts: Dict[str, int]
    duration_s: float = 0.0
    expected_s: float = 0.0
    late: int = 0
    worst_late_ms: float = 0.0
    lateness_ms: Tuple[float, float] = (0.0, 0.0)
    unheard: Tuple[str, ...] = ()


class _Output:
    """A topic that is being published."""

    def __init__(self, publisher: 'Publisher[Any]', has_header: bool) -> None:
        self.publisher = publisher
        self.has_header = has_header


class Player:
    """Publishers for the selected topics of some bags; rclpy is to be initialised.

    Attributes:
        skipped: sentences about topics that are not played, and why.
        length_s: seconds that one round takes.
    """

    def __init__(self, readers: Sequence[BagReader], options: PlayOptions) -> None:
        """Create the node and its publishers.

        Raises:
            BagError: nothing that was selected can be played.
        """
        self._readers, self._options = readers, options
        self.skipped: List[str] = []
        self.length_s = duration_ns(readers, options.selection) / NS_PER_S / options.rate
        self._node = rclpy.create_node('robot_vision_player', enable_rosout=False, start_parameter_services=False,
                                       use_global_arguments=False)
        self._outputs: Dict[str, _Output] = {}
        self._left_out: Set[Tuple[int, str]] = set()  # number of a bag, and a topic that does not fit
        self._lateness_ns: List[int] = []
        self._stamps = NewStamps()
        try:
            self._create_publishers()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Destroy the node and its publishers."""
        self._node.destroy_node()

    def wait_for_subscribers(self, stopped: Callable[[], bool]) -> bool:
        """Wait until there are as many subscriptions as asked for; False if stopped before."""
        wanted = self._options.wait_for_subscribers
        if not wanted:
            return True
        while sum(output.publisher.get_subscription_count() for output in self._outputs.values()) < wanted:
            if stopped():
                return False
            time.sleep(0.02)
        time.sleep(_SETTLE_S)
        return True

    def play(self, stopped: Callable[[], bool],
             on_progress: Callable[[float, PlaySummary], None] = lambda _played, _summary: None,
             on_unheard: Callable[[Tuple[str, ...]], None] = lambda _topics: None) -> PlaySummary:
        """Publish everything, then wait until reliable subscribers have it.

        ``stopped`` is asked often and ends playing; ``on_progress`` is called five times a second with the seconds of
        this round and the summary so far; ``on_unheard`` is called once, after a second or at the end, if there are
        topics that nobody has subscribed to until then.
        """
        options = self._options
        summary = PlaySummary({output.publisher.topic_name: 0 for output in self._outputs.values()})
        first_at = last_at = None
        round_at_ns = 0
        messages = self._timeline()
        # The first message takes longest to read; time begins when it is there.
        first = next(messages, None)
        messages = itertools.chain([] if first is None else [first], messages)
        origin = next_progress = time.perf_counter()
        heard: Set[str] = set()
        looked = False
        while True:
            clock = self._clock_ticks(round_at_ns)
            last_offset = 0
            for due in messages:
                deadline = origin + (round_at_ns + due.offset_ns) / NS_PER_S / options.rate
                if not (clock.run_until(deadline, origin, stopped) and _sleep_until(deadline, stopped)):
                    break
                now = time.perf_counter()
                self._publish(due.message, summary)
                self._note_lateness(now - deadline, summary)
                first_at, last_at = now if first_at is None else first_at, now
                last_offset = due.offset_ns
                if now >= next_progress:
                    next_progress = now + 0.2
                    heard |= self._subscribed()
                    if not looked and now - origin >= _HEARD_S:
                        looked = True
                        self._note_unheard(heard, summary, on_unheard)
                    on_progress(due.offset_ns / NS_PER_S / options.rate, summary)
            summary.expected_s = (round_at_ns + last_offset) / NS_PER_S / options.rate
            if stopped() or not options.loop:
                break
            round_at_ns += duration_ns(self._readers, options.selection) + GAP_NS
            messages = self._timeline()
        summary.duration_s = 0.0 if first_at is None or last_at is None else last_at - first_at
        if self._lateness_ns:
            lateness = percentiles(value * 1e-6 for value in self._lateness_ns)
            summary.lateness_ms = lateness['p50'], lateness['p99']
        if not looked:
            self._note_unheard(heard | self._subscribed(), summary, on_unheard)
        self._wait_for_delivery(0.2 if stopped() else 2.0)
        return summary

    def _subscribed(self) -> Set[str]:
        return {output.publisher.topic_name for output in self._outputs.values()
                if output.publisher.get_subscription_count()}

    def _note_unheard(self, heard: Set[str], summary: PlaySummary, tell: Callable[[Tuple[str, ...]], None]) -> None:
        summary.unheard = tuple(topic for topic in sorted(summary.counts) if topic not in heard)
        if summary.unheard:
            tell(summary.unheard)

    def _timeline(self) -> Iterator[Due]:
        return timeline(self._readers, self._options.selection, list(self._outputs), self._left_out)

    def _publish(self, message: BagMessage, summary: PlaySummary) -> None:
        output = self._outputs[message.topic]
        data = message.cdr
        if self._options.stamp_now and output.has_header:
            data = self._stamps.restamped(message.topic, data, time.time_ns())
        output.publisher.publish(data)
        summary.counts[output.publisher.topic_name] += 1

    def _note_lateness(self, late_s: float, summary: PlaySummary) -> None:
        # Eight bytes a message would do; at a million messages this list is still only some tens of MB.
        self._lateness_ns.append(round(late_s * NS_PER_S))
        late_ms = late_s * 1e3
        summary.worst_late_ms = max(summary.worst_late_ms, late_ms)
        summary.late += late_ms > LATE_MS

    def _wait_for_delivery(self, timeout_s: float) -> None:
        deadline = time.perf_counter() + timeout_s
        for output in self._outputs.values():
            left = max(0.0, deadline - time.perf_counter())
            output.publisher.wait_for_all_acked(Duration(seconds=left))

    def _create_publishers(self) -> None:
        options = self._options
        missing: Dict[str, List[str]] = {}
        for name in selected_topics(self._readers, options.selection):
            if options.clock_hz is not None and name == CLOCK_TOPIC:
                self.skipped.append('/clock of the bag is not played: --clock publishes its own')
                continue
            found = self._played(name, missing)
            if found is None:
                continue
            message_class, topic = found
            target = options.remap.get(name, name)
            try:
                publisher: 'Publisher[Any]' = self._node.create_publisher(message_class, target, self._qos(topic))
            except InvalidTopicNameException:
                self.skipped.append(f'{name} is not played: not a valid ROS 2 topic name; use --remap {name}:=NEW')
                continue
            first_field = next(iter(message_class.get_fields_and_field_types().values()), '')
            self._outputs[name] = _Output(publisher, first_field == 'std_msgs/Header')
        if missing:
            names = sorted(name for found in missing.values() for name in found)
            self.skipped.append(f'{", ".join(names)}: not played, no such type is installed: '
                                f'{", ".join(sorted(missing))}')
        if not self._outputs:
            raise BagError(f'nothing to play: {"; ".join(self.skipped)}')

    def _played(self, name: str, missing: Dict[str, List[str]]) -> Optional[Tuple[Any, TopicInfo]]:
        """The class by which a topic is published, and what the first bag says of it that fits; None: none does.

        Bytes of another type, or of other fields, would be published as if they were this: of such bags the topic is
        left out.

        Args:
            missing: takes up types that are not installed, with their topics.
        """
        played: Optional[Tuple[Any, TopicInfo]] = None
        for place, reader in enumerate(self._readers):
            topic = reader.topics.get(name)
            if topic is None or topic.unreadable or not topic.count:
                continue
            of_bag = f'{name} of {printable(reader.path)}' if len(self._readers) > 1 else name
            message_class, why = _message_class(topic.msgtype), ''
            if message_class is None:
                missing.setdefault(topic.msgtype, []).append(of_bag)
                self._left_out.add((place, name))
                continue
            if not reader.wire_formats(topic.msgtype) <= {wire_format_of_class(message_class)}:
                why = f'{topic.msgtype} was recorded with other fields than the installed one has'
            elif played is not None and topic.msgtype != played[1].msgtype:
                why = f'it is of {topic.msgtype} there, and of {played[1].msgtype} in a bag before'
            if why:
                self._left_out.add((place, name))
                self.skipped.append(f'{of_bag} is not played: {why}')
            elif played is None:
                played = message_class, topic
        return played

    def _qos(self, topic: TopicInfo) -> QoSProfile:
        if topic.latched or topic.name == '/tf_static':
            return QoSProfile(depth=QUEUE_DEPTH, reliability=ReliabilityPolicy.RELIABLE,
                              durability=DurabilityPolicy.TRANSIENT_LOCAL)
        reliability = ReliabilityPolicy.BEST_EFFORT if self._options.best_effort else ReliabilityPolicy.RELIABLE
        return QoSProfile(depth=QUEUE_DEPTH, reliability=reliability, durability=DurabilityPolicy.VOLATILE)

    def _clock_ticks(self, round_at_ns: int) -> '_ClockTicks':
        publisher = None
        if self._options.clock_hz is not None:
            if not hasattr(self, '_clock'):
                self._clock = self._node.create_publisher(Clock, CLOCK_TOPIC, 10)
            publisher = self._clock
        start_ns = next((reader.start_ns for reader in self._readers if reader.start_ns is not None), 0)
        return _ClockTicks(publisher, self._options, start_ns + round(self._options.selection.start_s * NS_PER_S),
                           round_at_ns)


class _ClockTicks:
    """Bag time on /clock at a steady rate of the wall clock, in between the messages."""

    def __init__(self, publisher: 'Optional[Publisher[Any]]', options: PlayOptions, start_ns: int,
                 round_at_ns: int) -> None:
        self._publisher, self._rate, self._start_ns = publisher, options.rate, start_ns
        self._period_s = 1 / options.clock_hz if options.clock_hz else 0.0
        self._round_at_s = round_at_ns / NS_PER_S / options.rate
        self._count = 0

    def run_until(self, deadline: float, origin: float, stopped: Callable[[], bool]) -> bool:
        """Publish all ticks up to ``deadline`` in time; False if stopped."""
        if self._publisher is None:
            return True
        while True:
            played_s = self._count * self._period_s
            tick = origin + self._round_at_s + played_s
            if tick > deadline:
                return True
            if not _sleep_until(tick, stopped):
                return False
            seconds, nanoseconds = divmod(self._start_ns + round(played_s * self._rate * NS_PER_S), NS_PER_S)
            self._publisher.publish(Clock(clock=Time(sec=seconds, nanosec=nanoseconds)))
            self._count += 1


def _sleep_until(deadline: float, stopped: Callable[[], bool]) -> bool:
    """Sleep, then spin, until ``time.perf_counter()`` is ``deadline``; False as soon as stopped."""
    while True:
        if stopped():
            return False
        left = deadline - time.perf_counter()
        if left <= 0:
            return True
        if left > _SPIN_S:
            time.sleep(min(left - _SPIN_S, _SLICE_S))


def _message_class(msgtype: str) -> Any:
    """The installed Python class of ``package/msg/Type``, or None."""
    package, _, name = msgtype.partition('/msg/')
    if not name.isidentifier() or not package.isidentifier():
        return None
    # A bag may name any package: one without messages is not imported, for that would run it.
    spec = importlib.util.find_spec(package)
    folders = (spec.submodule_search_locations if spec else None) or ()
    if not any(Path(folder, 'msg', '__init__.py').is_file() for folder in folders):
        return None
    try:
        return getattr(importlib.import_module(f'{package}.msg'), name, None)
    except ImportError:
        return None
