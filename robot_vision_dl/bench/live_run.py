"""Camera process -> DDS -> node process -> DDS -> here.

The latency of a frame is from its stamp, set as it leaves the camera process, to its decision: to the moment when the
node gives it to DDS, by the source timestamp of the message, and to its arrival in this process. With a detector, the
answer to an array of detections has the stamp of its picture, and its latency is counted from when the array was sent
as well. The floor is the bare forward pass of the same network on a resident tensor, with as many threads, timed in
this process before, between and after, while no node is running: one after another, and at the pace of the camera,
where the processor's caches have to be filled anew for each pass, as they have for the node's.
"""
import json
import os
import subprocess
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Dict, List, Sequence

from ..core.metrics.percentiles import percentiles
from ..core.processes import Children, module_command
from .boxes import BOXES
from .live_floor import Contender, Floors, LiveSettings
from .live_listener import Listener, answer_topic
from .trend import course

START_TIMEOUT_S = 120.0
SATURATION = 1.5
"""Frames offered for each that the bare network could take, where the throughput is asked for."""
CLOCK_TICKS_PER_S = os.sysconf('SC_CLK_TCK')


def cpu_seconds(pid: int) -> float:
    """CPU time that a process has used so far, in user and kernel mode."""
    fields = Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()
    return (int(fields[11]) + int(fields[12])) / CLOCK_TICKS_PER_S


def measure_all(settings: LiveSettings, contenders: Sequence[Contender]) -> Dict[str, Any]:
    """Measure the contenders in turn, and the bare network before, between and after; figures ready for JSON."""
    floors = Floors()
    floors.measure(contenders)
    results = {}
    for contender in contenders:
        wanted = contender.settings
        if not wanted.rate_hz:
            wanted = replace(wanted, rate_hz=SATURATION * floors.rate_hz(contender))
        results[contender.name] = _measure(wanted, contender)
        floors.measure(contenders)
    for contender in contenders:
        results[contender.name].update(floors.of(contender))
    return {'settings': asdict(settings), 'contenders': results}


def _command_line(settings: LiveSettings, contender: Contender, cameras: Sequence[str], topics: Sequence[str],
                  inputs: Sequence[str]) -> List[str]:
    arguments = ['--model', contender.model, '--device', settings.device]
    for camera, topic, pictures in zip(cameras, topics, inputs):
        arguments += ['--camera', f'{camera}:={topic}']
        if settings.objects:
            arguments += ['--regions', f'{camera}:={pictures}{BOXES}']
    if settings.compressed:
        arguments += ['--transport', 'compressed']
    if contender.naive:
        arguments += ['--reliable'] * settings.reliable
    else:
        arguments += ['--backend', contender.backend, '--ros-args']
        for parameter in (f'threads:={settings.threads}', *contender.parameters):
            arguments += ['-p', parameter]
    module = 'robot_vision_dl.bench.naive_node' if contender.naive else 'robot_vision_dl.cli.main'
    return module_command(module, *([] if contender.naive else ['run']), *arguments)


def _publisher(settings: LiveSettings, inputs: Sequence[str]) -> List[str]:
    """Command line of the cameras and their detectors."""
    command = module_command('robot_vision_dl.bench.publisher', '--size', settings.size, '--rate',
                             str(settings.rate_hz), '--frames', str(max(1, int(settings.rate_hz * settings.seconds))))
    for topic in inputs:
        command += ['--topic', topic]
    if settings.objects:
        command += ['--objects', str(settings.objects), '--detector-delay', str(settings.detector_delay_ms)]
    return command + ['--compressed'] * settings.compressed + ['--reliable'] * settings.reliable


def _watcher(overlays: Sequence[str]) -> List[str]:
    command = module_command('robot_vision_dl.bench.watcher')
    for topic in overlays:
        command += ['--topic', topic]
    return command


def _seen(children: Children, watcher: 'subprocess.Popen[bytes]') -> int:
    """How many overlays came to somebody who watched, who goes."""
    children.stop(watcher)
    assert watcher.stdout is not None
    return int(json.loads(watcher.stdout.read() or b'{"overlays": 0}')['overlays'])


def _measure(settings: LiveSettings, contender: Contender) -> Dict[str, Any]:
    """Run camera process and node, and listen."""
    cameras = [f'camera{index + 1}' for index in range(settings.cameras)]
    topics = [f'/bench/{camera}' for camera in cameras]
    inputs = [topic + ('/compressed' if settings.compressed else '') for topic in topics]
    answers = [answer_topic(camera, bool(settings.objects)) for camera in cameras]
    os.environ.update({key: contender.environment[key] for key in ('ROS_DOMAIN_ID', 'ROS_AUTOMATIC_DISCOVERY_RANGE')})
    listener = Listener(cameras, bool(settings.objects))
    try:
        with Children(contender.environment) as children:
            node = children.start(_command_line(settings, contender, cameras, topics, inputs),
                                  stdout=subprocess.DEVNULL, stderr=None)
            listener.spin(lambda: all(listener.node.count_subscribers(topic) for topic in inputs),
                          'waiting for the node to subscribe', START_TIMEOUT_S, node)
            listener.spin(lambda: all(listener.node.count_publishers(topic) for topic in answers),
                          'waiting for its decision topics', START_TIMEOUT_S, node)
            watcher = None
            if contender.watched:
                overlays = [f'/classifier/{camera}/overlay' for camera in cameras]
                watcher = children.start(_watcher(overlays), stdout=subprocess.PIPE, stderr=None)
                listener.spin(lambda: all(listener.node.count_subscribers(topic) for topic in overlays),
                              'waiting for somebody who watches', START_TIMEOUT_S, node)
            cpu_before = cpu_seconds(node.pid)
            camera = children.start(_publisher(settings, inputs), stdout=subprocess.PIPE, stderr=None)
            listener.spin(lambda: camera.poll() is not None, 'frames were sent',
                          settings.seconds * 3 + START_TIMEOUT_S, node)
            assert camera.stdout is not None
            sent = json.loads(camera.stdout.read())
            if contender.naive:
                listener.spin_for(1.0)
            else:
                listener.spin_until_explained(node)
            cpu = cpu_seconds(node.pid) - cpu_before
            seen = _seen(children, watcher) if watcher is not None else None
    finally:
        listener.close()
    for figures in listener.figures.values():
        figures.frames.sent, figures.arrays.sent = sent['sent'], sent['arrays_sent']
        if contender.naive:  # it keeps no account: what was not decided is taken as lost
            figures.frames.received = figures.frames.decided = len(figures.latencies_ms)
    decided = sum(figures.frames.decided for figures in listener.figures.values())
    found = {
        'camera_process': sent,
        'cameras': {camera: figures.summary() for camera, figures in listener.figures.items()},
        'latency_ms': percentiles(listener.latencies_ms),
        'decided_ms': percentiles(listener.decided_ms),
        'course': course(listener.latencies_ms, listener.memory_mb),
        'offered_hz': settings.rate_hz,
        'decided_per_s': decided / sent['span_s'],
        'node_cpu_ms_per_frame': cpu / decided * 1e3 if decided else float('nan'),
    }
    if seen is not None:
        found['overlays_seen'] = seen
    return {**found, **_of_objects(settings, listener, sent['span_s'], cpu)} if settings.objects else found


def _of_objects(settings: LiveSettings, listener: Listener, span_s: float, cpu_s: float) -> Dict[str, Any]:
    """What there is to say where a detector is answered."""
    objects: Dict[str, int] = {}
    for figures in listener.figures.values():
        for reason, count in figures.objects.items():
            objects[reason] = objects.get(reason, 0) + count
    decided = objects.get('decided', 0)
    answered = sum(figures.arrays.decided for figures in listener.figures.values())
    return {
        'objects': objects,
        'objects_unexplained': settings.objects * answered - sum(objects.values()),
        'objects_per_s': decided / span_s,
        'detector_ms': percentiles(listener.delays_ms),
        'answer_left_ms': percentiles(listener.answer_left_ms),
        'answered_ms': percentiles(listener.answered_ms),
        'node_cpu_ms_per_object': cpu_s / decided * 1e3 if decided else float('nan'),
    }
