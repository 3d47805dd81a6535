"""What an image topic's findings mean, and what to change: ``robot-vision doctor TOPIC``."""
import difflib
import json
import os
import shlex
import statistics
import time
from dataclasses import asdict
from typing import Any, Dict, Iterator, List, Optional, Tuple

from ..core.errors import ImageError
from ..core.types import RawImage
from ..ros.dds import apply_profile, export_command, shipped_profile
from .check import Check, Level, fail, ok, print_check, warn, worst
from .listen import COMPRESSED, DETECTIONS, IMAGE, IMAGE_TYPES, Findings, Publisher, Reception, listen
from .ros import discovery_check

TRANSPORTS = ('compressed', 'compressedDepth')
LATE_MS = 1000.0
OLD_MS = 60_000.0
CLOCK_TOLERANCE_MS = -5.0
LOST_TOLERATED = 0.02
LARGE_FRAME_BYTES = 1e6  # where no frame came that tells


def examine(topic: str, seconds: float, profile: str, as_json: bool) -> int:
    """Listen, print what was found and return the exit code: 1 if no usable image came."""
    file = apply_profile(profile)
    try:
        import rclpy  # noqa: F401
        import sensor_msgs.msg  # noqa: F401
    except ImportError as error:
        checks = [fail('ROS 2', f'cannot be imported: {error}', 'run `robot-vision doctor` without a topic')]
        return _finish(checks, None, None, as_json)
    if not as_json:
        print(f'listening to {topic} for {seconds:g} s (ROS_DOMAIN_ID={os.environ.get("ROS_DOMAIN_ID") or 0}, DDS '
              f'profile {file or "none"})', flush=True)
    found = listen(topic, seconds)
    checks = list(report(found))
    usable = worst(checks) is not Level.FAIL
    return _finish(checks, found, run_command(found, use_sim_time=_is_simulated(found)) if usable else None, as_json)


def _finish(checks: List[Check], found: Optional[Findings], command: Optional[str], as_json: bool) -> int:
    failed = worst(checks) is Level.FAIL
    if as_json:
        result: Dict[str, Any] = {'ok': not failed, 'checks': [asdict(check) for check in checks], 'command': command}
        if found is not None:
            result.update(topic=found.topic, publishers=[asdict(publisher) for publisher in found.publishers],
                          reception=_figures(found.reception), reliable=_figures(found.reliable))
        print(json.dumps(result, indent=2))
        return int(failed)
    for check in checks:
        print_check(check)
    if command:
        print(f'\nclassify it with:\n  {command}')
    return int(failed)


def _figures(reception: Optional[Reception]) -> Optional[Dict[str, Any]]:
    if reception is None:
        return None
    ages = reception.ages_ms
    return {'frames': len(reception.messages), 'seconds': reception.seconds, 'lost': reception.lost,
            'rate_hz': reception.rate_hz, 'jitter_ms': reception.jitter_ms, 'message_bytes': reception.size,
            'megabytes_per_s': reception.megabytes_per_s, 'transport_ms': reception.transport_ms,
            'age_ms_p50': statistics.median(ages) if ages else None, 'age_ms_max': max(ages) if ages else None}


def report(found: Findings) -> Iterator[Check]:
    """Every finding about the topic, publishers first."""
    if not found.publishers:
        yield _nobody(found)
        return
    yield from _publisher_checks(found)
    if found.reception is None:
        return
    yield _frames(found)
    if found.reception.messages:
        yield from _delivery(found)
        yield from _age(found)
    if any(reception and reception.last for reception in (found.reception, found.reliable)):
        yield _picture(found)


# Nobody publishes, or something else than images.

def similar_topics(topic: str, topics: Dict[str, Tuple[str, ...]]) -> List[str]:
    """Image topics whose name is near ``topic``, the nearest first: its transports, the same last part, few letters."""
    images = [name for name, types in topics.items() if set(types) & set(IMAGE_TYPES)]
    base = topic
    for transport in TRANSPORTS:
        base = base[:-len(transport) - 1] if base.endswith(f'/{transport}') else base
    related = [name for name in images if name == base or name.startswith(f'{base}/')]
    last = topic.rpartition('/')[2]
    related += [name for name in images if name.rpartition('/')[2] == last]
    related += difflib.get_close_matches(topic, images, n=3, cutoff=0.6)
    return list(dict.fromkeys(related))[:5]


def _nobody(found: Findings) -> Check:
    images = sorted(name for name, types in found.topics.items() if set(types) & set(IMAGE_TYPES))
    near = similar_topics(found.topic, dict(found.topics))
    domain = discovery_check(os.environ).text
    if near:
        remedy = f'did you mean {" or ".join(near)}?'
    elif images:
        remedy = f'image topics that there are: {", ".join(images[:10])}' + (' ...' if len(images) > 10 else '')
    elif [name for name in found.topics if name not in ('/rosout', '/parameter_events')]:
        remedy = f'no image topic is published, only {", ".join(sorted(found.topics)[:6])}: start the camera driver'
    else:
        remedy = ('no other node is to be seen: is the camera driver running, and has its shell the same ROS_DOMAIN_ID '
                  'and discovery settings as this one? In a container: `--net=host --ipc=host`')
    return fail('publishers', f'nobody publishes on {found.topic} ({domain})', remedy)


def _publisher_checks(found: Findings) -> Iterator[Check]:
    for publisher in found.publishers:
        depth = f', depth {publisher.depth}' if publisher.depth else ''
        where = ''
        if publisher.process:
            where = f', process {publisher.process.pid} here: {publisher.process.command}'
        elif publisher.is_local is False:
            where = ', on another machine'
        text = (f'{publisher.node}: {publisher.type}, {publisher.reliability}, {publisher.durability}{depth}{where}')
        if publisher.type in IMAGE_TYPES:
            yield ok('publisher', text)
        elif found.image_type is None:
            yield fail('publisher', text, _other_type(found, publisher))
        else:
            yield warn('publisher', text, 'two message types on one topic: rename one of them')


def _other_type(found: Findings, publisher: Publisher) -> str:
    near = [name for name in similar_topics(found.topic, dict(found.topics)) if name != found.topic]
    hint = f'; did you mean {" or ".join(near)}?' if near else ''
    if publisher.type.startswith(('theora_', 'ffmpeg_', 'foxglove_')):
        return ('the classifier does not read video streams: `ros2 run image_transport republish` makes '
                f'compressed images of it{hint}')
    if publisher.type == DETECTIONS:
        return ('these are the objects of a detector, and the doctor looks at images. `robot-vision run --image IMAGES '
                f'--regions {found.topic}` decides them, and says in its log and in /diagnostics what does not fit')
    return f'this is no image topic: the classifier reads {IMAGE} and {COMPRESSED}{hint}'


# Frames arrive, or do not.

def _frames(found: Findings) -> Check:
    reception = found.reception
    assert reception is not None
    count = len(reception.messages)
    if not count:
        return fail('frames', f'none in {reception.seconds:.1f} s (best effort){_reliable_text(found)}',
                    _why_lost(found) if found.reliable and found.reliable.messages else _why_silent(found))
    text = f'{count} in {reception.seconds:.1f} s'
    if reception.rate_hz:
        text += f', {reception.rate_hz:.2f} Hz'
    if reception.jitter_ms is not None:
        text += f' +- {reception.jitter_ms:.1f} ms'
    text += f', {reception.megabytes_per_s:.1f} MB/s'
    if count == 1:
        return warn('frames', f'{text}{_reliable_text(found)}', _why_lost(found) if found.reliable and
                    len(found.reliable.messages) > 2 else _why_silent(found))
    return ok('frames', text)


def _reliable_text(found: Findings) -> str:
    if found.reliable is None:
        return ''
    return f'; asked reliably, {len(found.reliable.messages)} came in {found.reliable.seconds:.1f} s'


def _delivery(found: Findings) -> Iterator[Check]:
    reception = found.reception
    assert reception is not None
    share = reception.lost_share
    too_small = _without_room(found, reception.size or 0.0)
    luck = 'the process that sends has too little shared memory for a frame'
    delay = f', {reception.transport_ms:.1f} ms from publish to arrival (median)' if reception.transport_ms else ''
    if share is None:
        if too_small:
            yield warn('delivery', f'{luck}{delay}', _why_lost(found))
        elif len(reception.messages) > 1:
            yield ok('delivery', f'whether frames were lost cannot be told with this middleware{delay}')
        return
    lost = reception.lost or 0
    text = f'{lost} of {lost + len(reception.messages)} frames lost on the way{delay}'
    if share <= LOST_TOLERATED and too_small:
        yield warn('delivery', f'{text}, but that is luck: {luck}', _why_lost(found))
    elif share <= LOST_TOLERATED:
        yield ok('delivery', text)
    else:
        yield warn('delivery', f'{text}{_reliable_text(found)}', _why_lost(found))


def _without_room(found: Findings, frame_bytes: float) -> List[Publisher]:
    """Publishers here whose shared memory is smaller than a frame."""
    return [publisher for publisher in found.publishers if publisher.process and publisher.process.segment_size and
            publisher.process.segment_size < frame_bytes]


def _why_silent(found: Findings) -> str:
    """Advice where nothing came, and nothing shows that anything was sent."""
    silent = ('Perhaps it sends nothing: is the camera streaming, the bag paused, or the rate very low (try --seconds '
              '30)?')
    return f'{_profile_advice(found, None)} {silent}'.strip()


def _why_lost(found: Findings) -> str:
    """Advice where frames are sent that do not come."""
    size = next((r.size for r in (found.reception, found.reliable) if r is not None and r.size), None)
    advice = _profile_advice(found, size)
    if found.reliable is not None and found.reliable.messages:
        advice += (f' Or, slower, ask for what is lost again: {run_command(found)} --ros-args -p '
                   f'qos_overrides.{found.topic}.subscription.reliability:=reliable')
    return advice


def _profile_advice(found: Findings, frame_bytes: Optional[float]) -> str:
    """What to do about large frames, by where the publisher is and what shared memory it has."""
    export = export_command(shipped_profile())
    needed = f'a frame of {frame_bytes / 1e6:.2f} MB' if frame_bytes else 'a large frame'
    said = []
    for publisher in found.publishers:
        process = publisher.process
        too_small = publisher in _without_room(found, frame_bytes or LARGE_FRAME_BYTES)
        if publisher.type not in IMAGE_TYPES:
            continue
        if publisher.is_local is False:
            said.append('The publisher is on another machine: large frames need larger UDP buffers on both (`sudo '
                        'sysctl -w net.core.rmem_max=33554432`), or take the compressed topic.')
        elif too_small and process is not None:
            said.append(f'{publisher.node} (process {process.pid}) has '
                        f'{(process.segment_size or 0) / 1e6:.2f} MB of shared memory, the default of Fast DDS, so '
                        f'{needed} is cut into pieces that get lost. Start that process with the profile: `{export}`')
        elif process and not process.segment_size:
            said.append(f'{publisher.node} (process {process.pid}) uses no shared memory: another middleware, a full '
                        '/dev/shm (see `robot-vision doctor`), or a container without `--ipc=host`.')
        elif process is None:
            said.append(f'Large frames need the DDS profile in the process that sends them: `{export}` in the shell '
                        'of the camera driver; in a container also `--ipc=host`.')
    if not said and frame_bytes:
        said.append('The publisher has shared memory enough: is the machine too busy (see `robot-vision doctor`), or '
                    'its queue too short?')
    return ' '.join(dict.fromkeys(said))


# What a frame says.

def _is_simulated(found: Findings) -> bool:
    """Stamps are of another time than now, and somebody says which."""
    ages = found.reception.ages_ms if found.reception else []
    return bool(ages) and found.has_clock and abs(statistics.median(ages)) > OLD_MS


def _age(found: Findings) -> Iterator[Check]:
    assert found.reception is not None
    stamps = [message.stamp_ns for message in found.reception.messages]
    if any(stamp == 0 for stamp in stamps):
        yield warn('stamp', f'{stamps.count(0)} of {len(stamps)} frames have a zero stamp', 'the driver does not fill '
                   'header.stamp; the classifier takes the time of arrival for fusion, and ages cannot be told')
    ages = found.reception.ages_ms
    if not ages:
        return
    median = statistics.median(ages)
    text = f'{median:.1f} ms (median), {max(ages):.1f} ms (max) from stamp to arrival'
    if abs(median) > OLD_MS:
        when = time.strftime('%Y-%m-%d %H:%M:%S UTC', time.gmtime((stamps[-1] or 0) / 1e9))
        text = f'stamps are of another time: {when}'
        if found.has_clock:
            yield warn('age', f'{text}; /clock is published, so this is simulated time or a bag',
                       'run the classifier with --use-sim-time, as below')
        else:
            yield warn('age', f'{text}: a bag without its clock, or a camera whose clock is not set',
                       'a bag: play it with --clock, or anew stamped by `robot-vision play --stamp-now`; a camera: '
                       'chrony or PTP')
    elif min(ages) < CLOCK_TOLERANCE_MS:
        yield warn('age', f'{text}; the earliest {min(ages):.1f} ms: frames come before they were taken',
                   'the clocks of the two machines differ, or the driver stamps ahead: chrony or PTP')
    elif median > LATE_MS:
        yield warn('age', text, 'something before us is slow or queues: a queue of depth 1 in the driver, a faster '
                   'network, or smaller images')
    else:
        yield ok('age', text)


def _picture(found: Findings) -> Check:
    """Decode the newest frame as the classifier would."""
    from ..core.config import ImageConfig
    from ..core.images.cdr import decode_compressed_image, decode_image
    from ..core.images.image import decode
    name = 'picture'
    receptions = (found.reception, found.reliable)
    buffer = next((one.last for one in receptions if one is not None and one.last), None)
    assert buffer is not None  # or there is no frame to look at
    try:
        message = (decode_image if found.image_type == IMAGE else decode_compressed_image)(buffer)
        start = time.perf_counter()
        picture = decode(message, ImageConfig())
        decode_ms = 1e3 * (time.perf_counter() - start)
    except ImageError as error:
        return fail(name, f'the classifier cannot use it ({error.reason}): {error}',
                    'correct the driver or converter that publishes it; such frames are dropped and counted')
    what = message.encoding if isinstance(message, RawImage) else message.format
    return ok(name, f'{picture.width}x{picture.height} {what!r}, {len(buffer) / 1e6:.2f} MB, frame_id '
              f'{message.header.frame_id!r}, decoded in {decode_ms:.1f} ms')


def run_command(found: Findings, use_sim_time: bool = False) -> Optional[str]:
    """The line that classifies this topic; None if it carries no images."""
    if found.image_type is None:
        return None
    words = ['robot-vision', 'run', '--image']
    tail = ['--use-sim-time'] if use_sim_time else []
    if found.image_type == IMAGE:
        return shlex.join([*words, found.topic, *tail])
    base, _, transport = found.topic.rpartition('/')
    if base and transport in TRANSPORTS:
        return shlex.join([*words, base, '--transport', transport, *tail])
    # Compressed images under a name without its suffix: the node adds it, and a remapping takes it away.
    return shlex.join([*words, found.topic, '--transport', 'compressed', *tail, '--ros-args', '-r',
                       f'{found.topic}/compressed:={found.topic}'])
