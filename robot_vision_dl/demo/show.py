"""Runs the demo: starts the processes, prints each change, sums up, leaves pictures."""
import json
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, Optional, Tuple

from ..core.errors import RobotVisionError
from ..core.files.whole_files import output_error, write_whole
from ..core.metrics.percentiles import percentiles
from ..core.processes import Children, module_command
from .animation import EVERY_S, animated_webp
from .contact_sheet import choose_pictures, save_pictures, summary
from .watcher import Seen, Watcher, coloured

CAMERA = 'camera'
START_TIMEOUT_S = 120.0
STILL_EVERY_S = 3.0


@dataclass(frozen=True)
class DemoSettings:
    """What to play into what.

    Attributes:
        bag: path of the bag.
        image: camera topic in it, without the suffix of its transport.
        transport: raw or compressed.
        model: bundle.
        device: as the node's parameter.
        folder: for pictures, logs and summary.
        label_topic: ``std_msgs/String`` topic of the bag that says what is seen; '' for none.
        animation: whether the overlays become ``animation.webp`` as well.
    """

    bag: str
    image: str
    transport: str
    model: str
    device: str
    folder: Path
    label_topic: str = ''
    animation: bool = False


class _Story:
    """Prints decisions as they change; keeps the overlay of each change, and one in three seconds of long stretches."""

    def __init__(self, moving: bool) -> None:
        self._moving, self._moving_ns = moving, 0
        self.to_move: List[int] = []
        self.moving: Dict[int, bytes] = {}
        self.first_ns: Optional[int] = None
        self.label: Optional[str] = None
        self.pictured_ns = 0
        self.wanted: List[Seen] = []
        self.pictures: List[Tuple[Seen, bytes]] = []
        self.changes: List[Seen] = []

    def seen(self, frame: Seen) -> None:
        self.first_ns = self.first_ns or frame.stamp_ns
        if self._moving and frame.stamp_ns - self._moving_ns >= EVERY_S * 1e9:
            self.to_move.append(frame.stamp_ns)
            self._moving_ns = frame.stamp_ns
        changed = frame.label != self.label
        if changed or frame.stamp_ns - self.pictured_ns >= STILL_EVERY_S * 1e9:
            self.wanted.append(frame)
            self.pictured_ns = frame.stamp_ns
        if not changed:
            return
        self.label = frame.label
        self.changes.append(frame)
        label = coloured(frame.outcome, f'{frame.label:<22}')
        print(f'{self.seconds(frame):6.1f} s  {label} {frame.confidence:5.2f}   {frame.reason}', flush=True)

    def seconds(self, frame: Seen) -> float:
        return (frame.stamp_ns - (self.first_ns or frame.stamp_ns)) * 1e-9

    def truth(self, label: str) -> None:
        print(f'          shown: {label}', flush=True)

    def action(self, name: str) -> None:
        print(f'          -> action gate: {name}', flush=True)

    def collect(self, watcher: Watcher) -> None:
        """Take the overlays that were waited for and have arrived."""
        for frame in list(self.wanted):
            jpeg = watcher.overlay(frame.stamp_ns)
            if jpeg is not None:
                self.wanted.remove(frame)
                self.pictures.append((frame, jpeg))
        for stamp_ns in list(self.to_move):
            jpeg = watcher.overlay(stamp_ns)
            if jpeg is not None:
                self.to_move.remove(stamp_ns)
                self.moving[stamp_ns] = jpeg


def show(settings: DemoSettings, environment: Dict[str, str]) -> int:
    """Run it; returns the exit code: 0 if every frame sent is accounted for, 1 otherwise."""
    folder = settings.folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for old in (*folder.glob('overlay_*.jpg'), *folder.glob('overview.jpg'), *folder.glob('animation.webp')):
            old.unlink()
    except OSError as error:
        raise output_error(folder, error, 'choose another folder with --out') from None
    topic = settings.image + ('' if settings.transport == 'raw' else f'/{settings.transport}')
    story = _Story(settings.animation)
    watcher = Watcher(CAMERA, settings.label_topic, story.seen, story.action, story.truth)
    print(f'ROS_DOMAIN_ID={environment["ROS_DOMAIN_ID"]}   logs and pictures: {folder}/')
    try:
        with Children(environment) as children:
            node = children.robot_vision(
                'run', '--camera', f'{CAMERA}:={settings.image}', '--transport', settings.transport, '--model',
                settings.model, '--device', settings.device, log=folder / 'classifier.log')
            children.start(module_command(
                'robot_vision_dl.ros.action_gate_node', '--ros-args', '-p',
                f'decision_topic:=/classifier/{CAMERA}/decision'), log=folder / 'action_gate.log')
            print('starting the classifier node ...', flush=True)
            watcher.spin(lambda: watcher.subscribed(topic) or watcher.failed_to_configure
                         or node.poll() is not None, START_TIMEOUT_S)
            if not watcher.subscribed(topic):
                raise RobotVisionError(_why_not_started(folder / 'classifier.log'))
            # Decisions that nobody was there to hear would look like lost frames.
            watcher.spin(lambda: watcher.node.count_publishers(f'/classifier/{CAMERA}/decision') > 0
                         and watcher.subscribed(f'/classifier/{CAMERA}/decision')
                         and watcher.heard.reports > 0, 10.0)
            print(f'playing {settings.bag}\n\n  time    decision           confidence   why', flush=True)
            began = time.monotonic()
            topics = [topic, settings.label_topic] if settings.label_topic else [topic]
            player = children.robot_vision('play', settings.bag, '--topics', *topics, '--wait-for-subscribers',
                                           str(len(topics)), '--stamp-now', log=folder / 'player.log')
            while player.poll() is None:
                watcher.spin_once()
                story.collect(watcher)
                if node.poll() is not None:
                    raise RobotVisionError(f'the classifier node ended; why is in {folder / "classifier.log"}')
            if player.returncode:
                log = (folder / 'player.log').read_text(encoding='utf-8', errors='replace')
                raise RobotVisionError(f'the player failed: {log.strip()}')
            reports = watcher.heard.reports
            watcher.spin(lambda: watcher.heard.reports >= reports + 2, 5.0)
            story.collect(watcher)
            span_s = time.monotonic() - began
    finally:
        watcher.close()
    return _sum_up(settings, watcher, story, span_s, _frames_in(settings.bag, topic))


def _against_labels(seen: List[Seen]) -> List[str]:
    known = [frame for frame in seen if frame.truth]
    if not known:
        return []
    accepted = [frame for frame in known if frame.outcome == 'accepted']
    right = sum(frame.label == frame.truth for frame in accepted)
    return [f'labels     {len(accepted)} of {len(known)} frames accepted: {right} rightly, {len(accepted) - right} '
            'wrongly']


def _why_not_started(log: Path) -> str:
    lines = log.read_text(encoding='utf-8', errors='replace').strip().splitlines()
    wrong = [line for line in lines if 'ERROR' in line or 'FATAL' in line] or lines[-1:] or ['it said nothing']
    return f'the classifier node did not start: {wrong[0].rpartition("]: ")[2]} (all of it in {log})'


def _frames_in(bag: str, topic: str) -> int:
    from ..data.bags.reader import BagReader
    with BagReader(bag) as reader:
        return sum(info.count for name, info in reader.topics.items() if name == topic)


def _sum_up(settings: DemoSettings, watcher: Watcher, story: _Story, span_s: float, sent: int) -> int:
    heard, camera = watcher.heard, watcher.heard.camera
    received, decided = int(camera['received']), int(camera['decided'])
    dropped = {key[len('dropped_'):]: int(value) for key, value in camera.items() if key.startswith('dropped_')}
    unexplained = received - decided - sum(dropped.values())
    lost = sent - received
    latency = percentiles(heard.latencies_ms)
    outcomes = Counter(frame.outcome for frame in heard.seen)
    seconds = max((heard.seen[-1].stamp_ns - heard.seen[0].stamp_ns) * 1e-9, 1e-9) if heard.seen else float('nan')
    lines = [
        f'frames     {sent} sent, {received} arrived, {decided} decided; dropped: '
        + (', '.join(f'{count} {reason}' for reason, count in dropped.items()) or '0')
        + f'; lost in transport: {lost}; unexplained: {unexplained}',
        'decisions  ' + ', '.join(f'{outcomes[name]} {name}' for name in ('accepted', 'uncertain', 'unknown')),
        *_against_labels(heard.seen),
        f'rate       {(decided - 1) / seconds:.1f} Hz decided',
        f'latency    stamp to decision, in another process: p50 {latency["p50"]:.1f} ms, p99 {latency["p99"]:.1f} ms, '
        f'n {latency["n"]}',
        'stages     ' + ', '.join(f'{key[:-len("_ms_mean")]} {float(value):.2f} ms' for key, value in camera.items()
                                  if key.endswith('_ms_mean')) + '  (means of the last second)',
        f'model      {heard.model.get("model")} ({heard.model.get("classes")} classes) on '
        f'{heard.model.get("device")}, bundle {heard.model.get("bundle_id")}, '
        f'{float(heard.model.get("memory_mb", "nan")):.0f} MB',
    ]
    print('\n' + '\n'.join(lines))
    album = choose_pictures(story.pictures, story.changes)
    pictures = save_pictures(settings.folder, album, story.seconds)
    if story.moving:
        write_whole(settings.folder / 'animation.webp', animated_webp(sorted(story.moving.items())))
    title = f'{settings.model} on {Path(settings.bag).name}'
    write_whole(settings.folder / 'summary.md', summary(title, lines, album, pictures))
    write_whole(settings.folder / 'decisions.jsonl', ''.join(json.dumps(vars(frame)) + '\n' for frame in heard.seen))
    print(f'\n{len(pictures)} overlay pictures, overview.jpg and summary.md are in {settings.folder}/')
    return 0 if unexplained == 0 and decided else 1
