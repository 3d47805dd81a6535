"""``robot-vision play``: bags to topics, without rosbag2."""
import argparse
import signal
import sys
from typing import TYPE_CHECKING, Sequence

from ..core.text.number_options import SECONDS, SOME_SECONDS, real, whole
from ..core.text.printable import printable
from ..core.text.progress import Progress
from .stop import Stop

if TYPE_CHECKING:
    from ..data.bags.reader import BagReader
    from ..ros.player import Player, PlayOptions, PlaySummary

HELP = 'publish the messages of bags on ROS 2 topics, at the recorded pace'
EXAMPLES = """examples:
  robot-vision play recording/                                   everything that is installed
  robot-vision play drive.bag --images-only --rate 0.5 --loop
  robot-vision play demo/ --topics /camera/image_raw/compressed --remap /camera/image_raw/compressed:=/image/compressed
  robot-vision play recording/ --clock 100 --wait-for-subscribers

ROS 1 and ROS 2 bags; several are played one after another. Messages are published as they were recorded, header and
all; --stamp-now makes them look live. Exit codes: 0 played (or SIGTERM), 2 nothing to play, 130 Ctrl-C."""

_MOST_NAMED = 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument('bags', nargs='+', metavar='BAG', help='.bag, .mcap or .db3 file, or a folder')
    parser.add_argument('--rate', type=real(1e-3, 1e3), default=1.0, metavar='X', help='times the recorded speed')
    parser.add_argument('--loop', action='store_true', help='play again and again, until stopped')
    parser.add_argument('--start', type=SECONDS, default=0.0, metavar='S', help='skip so many seconds')
    parser.add_argument('--duration', type=SOME_SECONDS, metavar='S', help='play so many seconds of the bag')
    parser.add_argument('--topics', nargs='+', metavar='TOPIC', help='these topics only')
    parser.add_argument('--images-only', action='store_true', help='image topics only')
    parser.add_argument('--remap', nargs='+', default=[], metavar='OLD:=NEW', help='publish OLD on NEW')
    parser.add_argument('--clock', type=real(0.1, 10_000), nargs='?', const=40.0, metavar='HZ',
                        help='publish bag time on /clock; default 40 Hz')
    parser.add_argument('--qos', choices=('reliable', 'best_effort'), default='reliable',
                        help='reliable (default) reaches every subscriber; latched topics are always reliable')
    parser.add_argument('--wait-for-subscribers', type=whole(0, 1000), nargs='?', const=1, default=0, metavar='N',
                        help='begin when there are N subscriptions over all topics; default 1')
    parser.add_argument('--stamp-now', '--all-stamps-now', action='store_true',
                        help='set header stamps to the time of publishing; messages that had the same stamp (an image '
                        'and the detections in it) have the same one again')
    parser.add_argument('--dds-profile', metavar='auto|none|FILE', default='auto',
                        help='Fast DDS profile; auto: the shipped one for large images, unless the environment has one')


def run(args: argparse.Namespace) -> int:
    """Play."""
    with Stop() as stop:
        _open_and_play(args, stop)
    return 130 if stop.signal == signal.SIGINT else 0


def _open_and_play(args: argparse.Namespace, stop: Stop) -> None:
    from ..data.bags.playback import Selection, parse_remaps
    from ..data.bags.reader import open_bags
    from ..ros.dds import apply_profile
    apply_profile(args.dds_profile)
    selection = Selection(tuple(args.topics) if args.topics else None, args.images_only, args.start, args.duration)
    remap = parse_remaps(args.remap)
    readers = open_bags(args.bags)
    try:
        import rclpy
        import rclpy.signals

        from ..ros.player import Player, PlayOptions
        options = PlayOptions(selection, args.rate, args.loop, remap, args.clock, args.qos == 'best_effort',
                              args.wait_for_subscribers, args.stamp_now)
        rclpy.init(args=[], signal_handler_options=rclpy.signals.SignalHandlerOptions.NO)
        try:
            player = Player(readers, options)
            try:
                _play(player, options, readers, stop)
            finally:
                player.close()
        finally:
            rclpy.shutdown()
    finally:
        for reader in readers:
            reader.close()


def _play(player: 'Player', options: 'PlayOptions', readers: Sequence['BagReader'], stop: Stop) -> None:
    for line in [problem for reader in readers for problem in reader.problems] + player.skipped:
        print(f'robot-vision play: {printable(line, 2000)}', file=sys.stderr)
    if options.wait_for_subscribers:
        print(f'waiting for {options.wait_for_subscribers} subscription(s)', file=sys.stderr)
        if not player.wait_for_subscribers(stop):
            return
    known = {problem for reader in readers for problem in reader.problems}
    with Progress('playing', 's', round(player.length_s, 1)) as show:
        summary = player.play(stop, lambda played_s, so_far: show(
            round(played_s, 1), f'{sum(so_far.counts.values())} messages, {so_far.late} late'), _say_unheard)
    for line in dict.fromkeys(problem for reader in readers for problem in reader.problems):
        if line not in known:
            print(f'robot-vision play: {printable(line, 2000)}', file=sys.stderr)
    _report(summary)


def _say_unheard(topics: Sequence[str]) -> None:
    shown = ', '.join(printable(topic) for topic in topics[:_MOST_NAMED])
    more = f' and {len(topics) - _MOST_NAMED} more' if len(topics) > _MOST_NAMED else ''
    print(f'robot-vision play: nobody subscribes to {shown}{more}; --wait-for-subscribers begins when somebody does, '
          '--remap OLD:=NEW plays on another topic', file=sys.stderr)


def _report(summary: 'PlaySummary') -> None:
    from ..ros.player import LATE_MS
    total = sum(summary.counts.values())
    width = max(len(topic) for topic in summary.counts)
    for topic, count in sorted(summary.counts.items()):
        rate = f'{(count - 1) / summary.duration_s:9.2f} Hz' if count > 1 and summary.duration_s > 0 else ''
        print(f'  {topic.ljust(width)}  {count:6d}  {rate}'.rstrip())
    median, p99 = summary.lateness_ms
    print(f'played {total} messages in {summary.duration_s:.2f} s; behind time: median {median:.2f} ms, p99 {p99:.2f} '
          f'ms, worst {summary.worst_late_ms:.2f} ms, {summary.late} by more than {LATE_MS:g} ms')
    if total >= 50 and summary.late > total // 10:
        print('The machine or a slow reliable subscriber does not keep up: try --qos best_effort, --rate 0.5 or '
              '--topics.', file=sys.stderr)
