"""``robot-vision bench live``: what a frame costs from camera process to decision."""
import argparse
import os
from typing import Any, Dict, List, Sequence, Tuple

from ..core.config import BACKENDS, ClassifierConfig
from ..core.processes import isolated_environment
from ..core.text.number_options import real, whole
from ..core.text.table import ruled
from .live_run import Contender, LiveSettings, measure_all
from .report import conclude

HELP = 'a camera process, the node and a listener over real DDS'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What is sent, and into what."""
    parser.add_argument('--model', default=ClassifierConfig().model, help='bundle (default: %(default)s)')
    parser.add_argument('--device', default='auto', help='auto, cpu, cuda (default: %(default)s)')
    parser.add_argument('--backend', nargs='+', default=[ClassifierConfig().backend], choices=BACKENDS,
                        help='what runs the network, also that of the floor; several are run in turn; naive has torch '
                        '(default: auto)')
    parser.add_argument('--also', nargs='+', default=[], metavar='BUNDLE',
                        help='other bundles, e.g. the same network in int8, each run in turn with the first backend')
    parser.add_argument('--threads', type=whole(0, 4096), default=0,
                        help='of the network, also in the floor; naive has all cores '
                        '(default: 0, as the node has it: all cores but one)')
    parser.add_argument('--size', default='640x480', metavar='WxH', help='of the pictures (default: %(default)s)')
    parser.add_argument('--rate', type=real(0, 10_000), default=30.0,
                        help='frames a second of each camera (default: 30); 0: '
                        'one and a half times what the bare network can take, for the throughput')
    parser.add_argument('--seconds', type=real(0.01, 10**6), default=20.0,
                        help='how long the cameras run (default: 20)')
    parser.add_argument('--cameras', type=whole(1, 64), default=1, help='cameras in the one node (default: 1)')
    parser.add_argument('--transport', choices=('raw', 'compressed'), default='raw',
                        help='how the pictures travel (default: %(default)s)')
    parser.add_argument('--reliable', action='store_true', help='the cameras publish reliably, not best effort')
    parser.add_argument('--vs', choices=('naive',), help='run the node that people write as well, in turn, with the '
                        'same network, camera and pictures: under our DDS profile, and with the defaults of DDS')
    parser.add_argument('--course', action='store_true',
                        help='print latency and memory of the node from beginning to end, in ten parts')
    parser.add_argument('--dds-profile', default='auto', metavar='auto|none|FILE',
                        help='Fast DDS profile; auto: the shipped one for large images (default: %(default)s)')


def _differs(one: Tuple[str, str], every: Sequence[Tuple[str, str]]) -> List[str]:
    """What tells a bundle and a backend from the others."""
    (model, backend), models, backends = one, {model for model, _ in every}, {backend for _, backend in every}
    return [os.path.basename(model.rstrip('/'))] * (len(models) > 1) + [backend] * (len(backends) > 1)


def _frames_row(name: str, camera: str, values: Dict[str, Any]) -> Tuple[object, ...]:
    dropped = ', '.join(f'{count} {reason}' for reason, count in values['dropped'].items()) or '0'
    return (name, camera, values['sent'], values['received'], values['decided'], dropped, values['lost_in_transport'],
            values['unexplained'])


def run(args: argparse.Namespace) -> int:
    """Measure and print."""
    from ..ros.dds import apply_profile
    without_profile = isolated_environment()
    profile = apply_profile(args.dds_profile)
    with_profile = {**isolated_environment(), 'ROS_DOMAIN_ID': without_profile['ROS_DOMAIN_ID']}
    settings = LiveSettings(args.device, args.size, args.rate, args.seconds, args.cameras,
                            args.transport == 'compressed', args.reliable, args.threads)
    ours = [(args.model, backend) for backend in args.backend] + [(model, args.backend[0]) for model in args.also]
    contenders = [Contender(' '.join(['robot_vision_dl', *_differs(one, ours)]), False, with_profile, *one)
                  for one in ours]
    if args.vs == 'naive':
        contenders += [Contender('naive', True, with_profile, args.model),
                       Contender('naive, default DDS', True, without_profile, args.model)]
    print(f'{args.cameras} camera(s), {args.size} {"jpeg" if settings.compressed else "bgr8"}, '
          f'{f"{args.rate:g} Hz" if args.rate else "more than the network can take"}, '
          f'{"reliable" if args.reliable else "best effort"}, {args.seconds:g} s; DDS profile '
          f'{os.path.basename(profile) if profile else "none"}', flush=True)
    figures = measure_all(settings, contenders)
    print('\n' + ruled(('node', 'camera', 'sent', 'received', 'decided', 'dropped', 'lost', 'unexplained'), [
        _frames_row(name, camera, values) for name, result in figures['contenders'].items()
        for camera, values in result['cameras'].items()]))
    rows = []
    for name, result in figures['contenders'].items():
        floor, cpu = result['bare_forward_ms'], result['node_cpu_ms_per_frame'] - result['bare_forward_cpu_ms']
        for what, key in (('its decision leaves', 'decided_ms'), ('its decision arrives', 'latency_ms')):
            latency = result[key]
            rows.append((f'{name}: {what}', *latency.values(), latency['p50'] - floor['p50'],
                         latency['p99'] - floor['p50'], cpu))
    floors = {(result['model'], result['backend'], result['threads']): result
              for result in figures['contenders'].values()}
    for (model, backend, threads), result in floors.items():
        floor, paced = result['bare_forward_ms'], result['bare_forward_at_rate_ms']
        which = f', {os.path.basename(model.rstrip("/"))}' if args.also else ''
        name = f'floor: bare forward{which}, {backend}, batch {settings.cameras}, {threads} thread(s)'
        rows.append((name, *floor.values(), 0.0, 0.0, 0.0))
        if paced['n']:
            rows.append((f'{name}, at {args.rate:g} Hz', *paced.values(), paced['p50'] - floor['p50'],
                         paced['p99'] - floor['p50'], 0.0))
    print('\n' + ruled(('node', 'decided/s, all cameras', 'bare network alone', 'share'), [
        (name, result['decided_per_s'], result['bare_per_s'], result['decided_per_s'] / result['bare_per_s'])
        for name, result in figures['contenders'].items()]))
    print('\n' + ruled(('from the stamp until', 'n', 'p50 ms', 'p95 ms', 'p99 ms', 'max ms', 'added p50', 'added p99',
                        'CPU ms/frame beside the network'), rows))
    for contender in contenders[:len(ours)]:
        result = figures['contenders'][contender.name]
        if args.course:
            print('\n' + ruled(('part of the run', 'n', 'p50 ms', 'p95 ms', 'p99 ms', 'max ms', 'memory MB at its end'),
                               [tuple(part.values()) for part in result['course']]))
        stages = next(iter(result['cameras'].values()))['diagnostics']
        print(f'\nin {contender.name}, by its diagnostics: ' + ', '.join(
            f'{key} {float(value):.3g}' for key, value in stages.items()
            if key.endswith('_ms_mean') or key == 'batch_size_mean'))
    conclude(figures, args.json)
    return 0
