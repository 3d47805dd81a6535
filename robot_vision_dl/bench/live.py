"""``robot-vision bench live``: what a frame costs from camera process to decision."""
import argparse
import os
from dataclasses import replace
from typing import List, Sequence, Tuple

from ..core.config import BACKENDS, EVIDENCE, ClassifierConfig
from ..core.errors import ConfigError
from ..core.processes import isolated_environment
from ..core.text.number_options import real, whole
from ..core.text.table import ruled
from . import live_tables
from .live_floor import Contender, LiveSettings
from .live_run import measure_all
from .report import conclude

MOST_CAMERAS = 64
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
    parser.add_argument('--cameras', type=whole(1, MOST_CAMERAS), default=1,
                        help='cameras in the one node (default: 1)')
    parser.add_argument('--transport', choices=('raw', 'compressed'), default='raw',
                        help='how the pictures travel (default: %(default)s)')
    parser.add_argument('--reliable', action='store_true', help='the cameras publish reliably, not best effort')
    parser.add_argument('--objects', type=whole(0, 1000), default=0, metavar='N',
                        help='a detector answers each picture with so many boxes, and the node decides these; the '
                        'floor is the bare network on as many crops, in batches as the node forms them (default: 0, '
                        'whole pictures)')
    parser.add_argument('--detector-delay', type=real(0, 60_000), default=50.0, metavar='MS',
                        help='from a picture to its boxes (default: 50)')
    parser.add_argument('--vs', choices=('naive', 'pictures'), help='naive: run the node that people write as well, in '
                        'turn, with the same network, camera and pictures: under our DDS profile, and with the '
                        'defaults of DDS. pictures, with --objects: our node with a camera for each object that it '
                        'looks at, so that as many whole pictures come at once')
    parser.add_argument('--with', nargs='+', default=[], dest='parameters', metavar='NAME:=VALUE',
                        help='run the node once more, in turn, with these parameters, e.g. '
                        'record_doubts.folder:=/tmp/doubts')
    parser.add_argument('--watch', nargs='*', choices=EVIDENCE, metavar='EVIDENCE',
                        help='run the node with each of these values of overlay.evidence, in turn, without and with '
                        'somebody who watches the overlay (default, where it is given: ' + ', '.join(EVIDENCE) + ')')
    parser.add_argument('--course', action='store_true',
                        help='print latency and memory of the node from beginning to end, in ten parts')
    parser.add_argument('--dds-profile', default='auto', metavar='auto|none|FILE',
                        help='Fast DDS profile; auto: the shipped one for large images (default: %(default)s)')


def _differs(one: Tuple[str, str], every: Sequence[Tuple[str, str]]) -> List[str]:
    """What tells a bundle and a backend from the others."""
    (model, backend), models, backends = one, {model for model, _ in every}, {backend for _, backend in every}
    return [os.path.basename(model.rstrip('/'))] * (len(models) > 1) + [backend] * (len(backends) > 1)


def _check(args: argparse.Namespace, settings: LiveSettings) -> None:
    if args.vs == 'naive' and args.objects:
        raise ConfigError('--vs naive: that node decides whole pictures; leave --objects out, or give --vs pictures')
    if args.watch is not None and (args.vs or args.also or args.parameters or len(args.backend) > 1):
        raise ConfigError('--watch runs one bundle with one backend, once for each value; leave --vs, --also and '
                          '--with out')
    if args.vs == 'pictures':
        cameras = settings.cameras * settings.looked_at
        if not args.objects:
            raise ConfigError('--vs pictures is what objects are held against; give --objects N')
        if cameras > MOST_CAMERAS:
            raise ConfigError(f'--vs pictures: {cameras} objects are looked at together, and there can be at most '
                              f'{MOST_CAMERAS} cameras; lower --cameras or --objects, or leave --vs out')


def run(args: argparse.Namespace) -> int:
    """Measure and print.

    Raises:
        ConfigError: what was asked for does not go together.
    """
    from ..ros.dds import apply_profile
    settings = LiveSettings(args.device, args.size, args.rate, args.seconds, args.cameras,
                            args.transport == 'compressed', args.reliable, args.threads, args.objects,
                            args.detector_delay)
    _check(args, settings)
    without_profile = isolated_environment()
    profile = apply_profile(args.dds_profile)
    with_profile = {**isolated_environment(), 'ROS_DOMAIN_ID': without_profile['ROS_DOMAIN_ID']}
    ours = [(args.model, backend) for backend in args.backend] + [(model, args.backend[0]) for model in args.also]
    contenders = []
    for model, backend in ours:
        name = ' '.join(['robot_vision_dl', *_differs((model, backend), ours)])
        contenders.append(Contender(name, False, with_profile, model, settings, backend))
        if args.vs == 'pictures':
            pictures = replace(settings, cameras=settings.cameras * settings.looked_at, objects=0)
            contenders.append(Contender(f'{name}, {pictures.cameras} cameras', False, with_profile, model, pictures,
                                        backend))
    if args.parameters:
        contenders.append(replace(contenders[0], name=f'{contenders[0].name} with', parameters=tuple(args.parameters)))
        print('with: ' + ' '.join(args.parameters))
    if args.watch is not None:
        contenders = [replace(contenders[0], name=f'evidence {shown}{", watched" * watched}', watched=watched,
                              parameters=(f'overlay.evidence:={shown}',))
                      for shown in args.watch or EVIDENCE for watched in (False, True)]
    detailed = [contender.name for contender in contenders]
    if args.vs == 'naive':
        contenders += [Contender('naive', True, with_profile, args.model, settings),
                       Contender('naive, default DDS', True, without_profile, args.model, settings)]
    print(f'{args.cameras} camera(s), {args.size} {"jpeg" if settings.compressed else "bgr8"}, '
          f'{f"{args.rate:g} Hz" if args.rate else "more than the network can take"}, '
          f'{"reliable" if args.reliable else "best effort"}, {args.seconds:g} s; DDS profile '
          f'{os.path.basename(profile) if profile else "none"}', flush=True)
    if args.objects:
        print(f'{args.objects} boxes a picture, {args.detector_delay:g} ms after it' + (
            '; beside it as many whole pictures, of a camera for each object that is looked at, sent together'
            if args.vs else ''), flush=True)
    figures = measure_all(settings, contenders)
    found = figures['contenders']
    print('\n' + live_tables.accounts(found))
    print('\n' + live_tables.throughput(found))
    if args.objects:
        print('\n' + live_tables.with_detector(found))
    print('\n' + live_tables.latencies(found, args.rate, bool(args.also)))
    if args.watch is not None:
        print('\n' + live_tables.watching(found))
    for name in detailed:
        if args.course:
            print('\n' + ruled(('part of the run', 'n', 'p50 ms', 'p95 ms', 'p99 ms', 'max ms', 'memory MB at its end'),
                               [tuple(part.values()) for part in found[name]['course']]))
        print('\n' + live_tables.stages(name, found[name]))
    conclude(figures, args.json)
    return 0
