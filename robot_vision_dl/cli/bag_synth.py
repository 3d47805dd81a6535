"""``robot-vision bag synth``: recordings of a moving camera, made from folders of pictures."""
import argparse

from .parser import add_setting

HELP = 'make bags of a moving camera from folders of pictures'
EXAMPLES = """FOLDER has one folder of pictures a class. Each picture is in one of the recordings only, and pictures
that look nearly the same are in the same one, so recordings can be kept apart for training and testing. Labels are in
the topic /label and in labels.yaml, which also tells the tracks; --unlabelled leaves both out. The same command gives
the same bytes.

examples:
  robot-vision bag synth pictures/ --out bags --recordings 12
  robot-vision bag synth pictures/ --out bags --recordings 4 --tracks-per-recording 12 --seconds-per-track 1 --rate 5
  robot-vision bag synth pictures/ --out bags --recordings 12 --list     then train on bags and bags/pictures.csv
  robot-vision bag synth pictures/ --out pool --recordings 12 --unlabelled    then mine pool and label"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the subcommand."""
    from ..data.synth import SynthConfig
    defaults = SynthConfig()
    parser.add_argument('folder', help='with <class>/*.jpg')
    parser.add_argument('--out', required=True, metavar='DIR', help='folder in which the bags are made')
    parser.add_argument('--overwrite', action='store_true', help='replace bags of the same name in --out')
    add_setting(parser, SynthConfig, 'recordings', 'N', required=True)
    for name, metavar in (('tracks_per_recording', 'K'), ('seconds_per_track', 'S'), ('motion', '0..3'),
                          ('quality', '0..100'), ('topic', 'NAME'), ('seed', 'N')):
        add_setting(parser, SynthConfig, name, metavar)
    add_setting(parser, SynthConfig, 'rate_hz', 'HZ', '--rate')
    parser.add_argument('--size', default=f'{defaults.width}x{defaults.height}', metavar='WxH',
                        help='of a frame; default: %(default)s')
    add_setting(parser, SynthConfig, 'label_type')
    parser.add_argument('--unlabelled', action='store_true', help='as a robot records: without the topic of labels and '
                        'without labels.yaml, to try `robot-vision mine` and `label` on')
    parser.add_argument('--list', action='store_true',
                        help='write DIR/pictures.csv, too: the pictures, each with the recording that shows it; named '
                             'beside the bags it lets training see both, a picture and its frames in one part')


def run(args: argparse.Namespace) -> int:
    """Write the bags."""
    from ..core.errors import BagError, ConfigError
    from ..core.files.user_path import user_path
    from ..core.files.whole_files import is_free, whole_folder
    from ..core.text.notes import to_stderr
    from ..core.text.number_text import plain_int
    from ..core.text.progress import Progress
    from ..data.bags.writer import check_is_bag
    from ..data.picture_list import write_list
    from ..data.synth import LIST, SynthConfig, as_list, plan_recordings, write_recording
    width, _, height = args.size.partition('x')
    width, height = plain_int(width), plain_int(height)
    if width is None or height is None:
        raise ConfigError(f'--size: must be WxH, such as 320x240, got {args.size!r}')
    config = SynthConfig(
        args.recordings, args.tracks_per_recording, args.seconds_per_track, args.rate, width, height,
        args.motion, args.quality, args.topic, args.label_type, not args.unlabelled, args.seed)
    out = user_path(args.out)
    plan = plan_recordings(args.folder, config, to_stderr)
    for recording in plan:
        if not is_free(out, [recording.name]):
            if not args.overwrite:
                raise BagError(f'{out / recording.name}: exists already and is not overwritten; remove it, '
                               'choose another --out, or give --overwrite')
            check_is_bag(out / recording.name)
    if args.list and not args.overwrite and not is_free(out, [LIST]):
        raise BagError(f'{out / LIST}: exists already and is not overwritten; remove it, or give --overwrite')
    total_bytes = total_frames = 0
    labels = sorted({picture.label for recording in plan for picture in recording.pictures})
    entries = [*(recording.name for recording in plan), *([LIST] if args.list else [])]
    with whole_folder(out, overwrite=args.overwrite, entries=entries) as work:
        for recording in plan:
            with Progress(recording.name, 'frames', len(recording.pictures) * config.frames_per_track) as show:
                frames = write_recording(work / recording.name, recording, config, show)
            size = sum(file.stat().st_size for file in (work / recording.name).iterdir())
            counts = [sum(picture.label == label for picture in recording.pictures) for label in labels]
            print(f'{out / recording.name}: {len(recording.pictures)} tracks ('
                  f'{", ".join(f"{label} {count}" for label, count in zip(labels, counts))}), {frames} frames, '
                  f'{size / 1e6:.1f} MB')
            total_bytes, total_frames = total_bytes + size, total_frames + frames
            missing = [label for label, count in zip(labels, counts) if not count]
            if missing:
                print(f'  no {", ".join(missing)} in it: fewer recordings would have some of every class in each')
        if args.list:
            write_list(work / LIST, as_list(plan, config), out)
            print(f'{out / LIST}: {sum(len(recording.pictures) for recording in plan)} pictures')
    print(f'{len(plan)} recordings, {total_frames} frames of {args.size}, {total_bytes / 1e6:.1f} MB')
    return 0
