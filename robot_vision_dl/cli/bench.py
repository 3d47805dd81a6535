"""``robot-vision bench``: one subcommand a measurement."""
import argparse
import os
from pathlib import Path

from .processes import isolated_environment
from ..bench.report import describe, environment, table, write_json
from ..core.config import ClassifierConfig

HELP = 'Measure speed, each figure beside its floor in the same run.'
EXAMPLES = """examples:
  robot-vision bench live
  robot-vision bench live --size 1920x1080 --rate 30 --seconds 20
  robot-vision bench live --cameras 4 --json live4.json"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """One parser a measurement."""
    measurements = parser.add_subparsers(dest='measurement', required=True, metavar='MEASUREMENT')
    live = measurements.add_parser('live', help='a camera process, the node and a listener over real DDS')
    live.add_argument('--model', default=ClassifierConfig().model, help='bundle (default: %(default)s)')
    live.add_argument('--device', default='auto', help='auto, cpu, cuda (default: %(default)s)')
    live.add_argument('--size', default='640x480', metavar='WxH', help='of the pictures (default: %(default)s)')
    live.add_argument('--rate', type=float, default=30.0, help='frames a second of each camera (default: 30)')
    live.add_argument('--seconds', type=float, default=20.0, help='how long the cameras run (default: 20)')
    live.add_argument('--cameras', type=int, default=1, help='cameras in the one node (default: 1)')
    live.add_argument('--transport', choices=('raw', 'compressed'), default='raw')
    live.add_argument('--reliable', action='store_true', help='the cameras publish reliably, not best effort')
    live.add_argument('--dds-profile', default='auto', metavar='auto|none|FILE')
    live.add_argument('--json', type=Path, metavar='FILE', help='write the figures there as well')
    live.set_defaults(measure=_live)


def _live(args: argparse.Namespace) -> int:
    from ..bench.live import LiveSettings, run_live
    from ..ros.dds import apply_profile
    profile = apply_profile(args.dds_profile)
    settings = LiveSettings(args.model, args.device, args.size, args.rate, args.seconds, args.cameras,
                            args.transport == 'compressed', args.reliable)
    print(f'{args.cameras} camera(s), {args.size} {"jpeg" if settings.compressed else "bgr8"}, {args.rate:g} Hz, '
          f'{"reliable" if args.reliable else "best effort"}, {args.seconds:g} s; DDS profile '
          f'{os.path.basename(profile) if profile else "none"}', flush=True)
    figures = run_live(settings, isolated_environment())
    rows = []
    for camera, values in figures['cameras'].items():
        dropped = ', '.join(f'{count} {reason}' for reason, count in values['dropped'].items()) or '0'
        latency = values['latency_ms']
        rows.append((camera, values['sent'], values['received'], values['decided'], dropped,
                     values['lost_in_transport'], values['unexplained'], latency['p50'], latency['p95'],
                     latency['p99'], latency['max']))
    print('\n' + table(('camera', 'sent', 'received', 'decided', 'dropped', 'lost', 'unexplained', 'p50 ms', 'p95 ms',
                        'p99 ms', 'max ms'), rows))
    floor, latency = figures['bare_forward_ms'], figures['latency_ms']
    print('\n' + table(('stamp to decision', 'n', 'p50 ms', 'p95 ms', 'p99 ms', 'max ms'), [
        ('measured', *latency.values()),
        (f'floor: bare forward, batch {figures["bare_forward_batch"]}', *floor.values())]))
    print(f'\nadded over the bare forward, p50: {figures["added_ms_p50"]:.2f} ms; CPU of the node a frame: '
          f'{figures["node_cpu_ms_per_frame"]:.2f} ms')
    stages = {key: value for key, value in next(iter(figures['cameras'].values()))['diagnostics'].items()
              if key.endswith('_ms_mean') or key == 'batch_size_mean'}
    print('as the diagnostics of the first camera have it: '
          + ', '.join(f'{key} {float(value):.3g}' for key, value in stages.items()))
    print(describe(environment()))
    if args.json:
        write_json(args.json, figures)
    return 0


def run(args: argparse.Namespace) -> int:
    """Run the measurement that was asked for."""
    return args.measure(args)
