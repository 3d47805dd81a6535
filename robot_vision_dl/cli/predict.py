"""``robot-vision predict``: what a model says of pictures and videos, without ROS and without labels."""
import argparse
from dataclasses import replace
from pathlib import Path
from typing import Iterator, List, NamedTuple, Tuple

from ..core.config import ClassifierConfig
from ..core.errors import BagError, ConfigError, ImageError
from ..core.files.user_path import user_path
from ..core.text.notes import to_stderr
from ..core.text.number_options import RATE_HZ, whole
from ..core.text.printable import printable
from ..core.text.progress import Progress
from .device_options import DEVICE_OPTIONS, add_device_options

HELP = 'Classify pictures and videos: label, confidence, decision and why.'
EXAMPLES = """examples:
  robot-vision predict waste_sorter photo.jpg
  robot-vision predict models/mine photos/ --out decided          overlays beside the lines
  robot-vision predict models/mine photos/ --csv > decisions.csv
  robot-vision predict models/mine drive.mp4 --rate 10            fused over time; a line for each change
  robot-vision predict torchvision:resnet50 photo.jpg --json
  robot-vision predict models/mine photos/ --set decision.abstain_cost=.2

Pictures stand alone. The frames of a video are fused over time as a camera's are, and a line is printed where the
decision changes; --json and --csv have every frame. JSON is one object a line. Confidence is that of the class, and
of `unknown` how probable it is that none of the classes is shown. What the fields mean: docs/how-to/python.md.
Costs of wrong labels: --set decision.costs_file=costs.yaml; `robot-vision run --help` shows such a file.

Exit codes: 0 done, 1 some files are not there or could not be read (they are told, the others are done), 2 wrong use
or input, or not one of the files is there."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument('model', metavar='MODEL', help="name of a model in the package's models/, bundle folder (one "
                        'that was trained here: models/<name>), or torchvision:<architecture>')
    parser.add_argument('sources', nargs='+', metavar='PICTURE|FOLDER|VIDEO',
                        help='files; of a folder all pictures at any depth')
    form = parser.add_mutually_exclusive_group()
    form.add_argument('--json', action='store_true', help='one JSON object a picture or frame and line')
    form.add_argument('--csv', action='store_true', help='a table with one row a picture or frame')
    parser.add_argument('--out', metavar='DIR', help='write pictures with the decision drawn in there; of a video one '
                        'for each change')
    parser.add_argument('--rate', type=RATE_HZ, metavar='HZ', help='frames of a video in a second (default: all)')
    parser.add_argument('--top-k', type=whole(1, 100000), metavar='N', help='probabilities in JSON and CSV (default: '
                        f'{ClassifierConfig().top_k})')
    add_device_options(parser)
    parser.add_argument('--params-file', metavar='FILE', help='the deployment: a ROS parameter file of the node')
    parser.add_argument('--node', default='/classifier', metavar='NAME', help='full name of the node that the file is '
                        'read for, with its namespace (default: %(default)s)')
    parser.add_argument('--set', nargs='+', default=[], metavar='NAME=VALUE', dest='changes',
                        help='parameters of the node, e.g. decision.abstain_cost=.2 fusion.enabled=false')


class Source(NamedTuple):
    """A file to decide about.

    Attributes:
        path: where it is.
        name: its place in an output folder, relative to what was named on the command line.
        is_video: whether it is one.
    """

    path: Path
    name: Path
    is_video: bool


def run(args: argparse.Namespace) -> int:
    """Decide about one after another, and print each at once."""
    sources, missing = found_sources(args.sources, args.model)
    for sentence in missing:
        to_stderr(f'left out: {sentence}')
    # Not at the top: torch takes seconds, and what was spelled wrongly is known before.
    from ..classifier import Classifier
    from ..evaluation.deployment import deployment
    from .predict_output import CsvLines, JsonLines, Lines, Overlays, Table, shown_name
    config = deployment(args.params_file, args.changes, args.node, to_stderr)
    chosen = {name: getattr(args, name) for name in ('model', 'top_k', *DEVICE_OPTIONS)}
    config = replace(config, **{name: value for name, value in chosen.items() if value is not None})
    if args.out:
        _check_apart(user_path(args.out), [user_path(text) for text in args.sources])
    overlays = Overlays(Path(args.out), [source.path for source in sources]) if args.out else None
    classifier = Classifier.from_config(config)
    to_stderr(f'{classifier.precision} on {classifier.device} by {classifier.backend}')
    for warning in classifier.warnings:
        to_stderr(warning)
    show: Lines
    if args.json:
        show = JsonLines()
    elif args.csv:
        show = CsvLines()
    else:
        show = Table([shown_name(source.path, source.is_video) for source in sources], classifier.class_names)
    failed = len(missing)
    total = len(sources) + failed
    with Progress('deciding', 'files', len(sources), quiet=len(sources) == 1) as done:
        for count, source in enumerate(sources, 1):
            before = ''
            try:
                for result in (classifier.stream(source.path, args.rate) if source.is_video
                               else [classifier(source.path)]):
                    changed, before = result.label != before, result.label
                    show.result(result, changed)
                    if overlays is not None and changed:
                        overlays.write(result, source.name)
            except (ImageError, BagError) as error:
                failed += 1
                to_stderr(f'left out: {error}')
            show.end_of(source.path, source.is_video)
            done(count)
    show.end(total, failed)
    if failed:
        to_stderr(f'{failed} of {total} files could not be read as a whole')
    return 1 if failed else 0


def found_sources(given: List[str], model: str) -> Tuple[List[Source], List[str]]:
    """The files that the arguments mean, folders in natural order, and a sentence about each argument that means none.

    Raises:
        BagError: there is not one: no such file, or no picture in a folder.
        ConfigError: a picture stands in the place of the model.
    """
    from ..data.picture_folder import SUFFIXES
    from ..data.video import is_video_name
    if Path(model).suffix.lower() in SUFFIXES or is_video_name(model):
        raise ConfigError(f'{printable(model)} stands where the model belongs: robot-vision predict MODEL '
                          f'{printable(model)}')
    found: List[Source] = []
    missing: List[str] = []
    for text in given:
        path = user_path(text)
        try:
            if path.is_dir():
                found += _of_folder(path, several=len(given) > 1)
            elif path.exists():
                found.append(Source(path, Path(path.name), is_video_name(path)))
            else:
                raise BagError(f'{printable(path)}: no such file or folder')
        except BagError as error:
            missing.append(str(error))
    if not found:
        raise BagError('; '.join(missing))
    return found, missing


def _check_apart(out: Path, given: List[Path]) -> None:
    """Raise where overlays would lie in a folder that is searched for pictures: next time they would be among them."""
    for folder in given:
        if folder.is_dir() and folder.resolve() in (out.resolve(), *out.resolve().parents):
            raise ConfigError(f'--out: {printable(out)} lies in {printable(folder)}, which is searched for pictures: '
                              'next time the overlays would be among them; choose a folder outside of it')


def _of_folder(folder: Path, several: bool) -> Iterator[Source]:
    from ..data.picture_folder import SUFFIXES, all_pictures
    paths = all_pictures(folder, to_stderr)
    if not paths:
        raise BagError(f'{printable(folder)}: holds no picture ({", ".join(SUFFIXES)}); videos are named one by one, '
                       'and bags are for `robot-vision evaluate`')
    base = folder.resolve().parent if several else folder
    for path in paths:
        inside = path.relative_to(folder)
        yield Source(path, Path(folder.resolve().name) / inside if base is not folder else inside, False)
