"""``robot-vision explain``: why a model said what it said of a picture, or what the network is."""
import argparse

from ..core.errors import ConfigError
from ..core.files.user_path import user_path
from ..core.files.whole_files import write_whole
from ..core.text.notes import to_stderr
from ..core.text.number_options import whole
from ..core.text.printable import printable
from ..core.text.progress import Progress

HELP = 'Show on one page why a model decides as it does about pictures, or what its network is.'
EXAMPLES = """examples:
  robot-vision explain waste_sorter photo.jpg
  robot-vision explain models/mine run_12/@83.5              the frame at 83.5 s from the start of a bag
  robot-vision explain models/mine run_12/@83.5 --topic /front/image_raw --out why.html
  robot-vision explain models/mine photo.jpg --data training/   and what it is like
  robot-vision explain models/mine                           the network: layers, sizes, filters

The page is one file without scripts. A picture stands alone on it, as the first frame of a camera does. What the maps
say and what they do not: docs/how-to/explain.md.

Exit codes: 0 done, 2 wrong use or input."""
_MOST = 20  # pictures on a page, which then stays under 5 MB


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument('model', metavar='MODEL', help="name of a model in the package's models/, bundle folder, or "
                        'torchvision:<architecture>')
    parser.add_argument('pictures', nargs='*', metavar='PICTURE|BAG@SECONDS', help=f'up to {_MOST}; none: the network '
                        'itself')
    parser.add_argument('--topic', default='', help='image topic of the bags (default: the only one)')
    parser.add_argument('--data', nargs='+', default=[], metavar='DATA', help='labelled bags or folders that the model '
                        'was trained on: shows the frames nearest to each picture')
    parser.add_argument('--classes', type=whole(2, 8), default=3, metavar='N', help='classes that are shown, the most '
                        'probable first (default: %(default)s)')
    parser.add_argument('--out', default='explanation.html', metavar='FILE', help='the page (default: %(default)s)')


def run(args: argparse.Namespace) -> int:
    """Write the page."""
    if len(args.pictures) > _MOST:
        raise ConfigError(f'{len(args.pictures)} pictures: one page takes up to {_MOST}; give them in several calls')
    out = user_path(args.out)
    # Not at the top: torch takes seconds, and what was spelled wrongly is known before.
    from ..core.bundles.bundle import load_bundle
    from ..explain.page import page_of_network, page_of_pictures
    bundle = load_bundle(args.model)
    if args.pictures:
        from ..classifier import Classifier
        from ..evaluation.predict import labelled_store
        from ..explain.explanation import Explainer
        from ..explain.neighbours import TrainingFrames
        from ..explain.sources import picture_at
        classifier = Classifier(args.model, device='cpu', backend='torch', top_k=5)
        explain = Explainer(bundle)
        named = [picture_at(source, args.topic) for source in args.pictures]
        with Progress('explaining', 'pictures', len(named), quiet=len(named) == 1) as done:
            found = []
            for place, one in enumerate(named, 1):
                said = classifier(one.picture.pixels, one.picture.order.value)
                found.append(explain(said, one.picture, args.classes))
                done(place)
        frames = TrainingFrames(bundle, labelled_store(bundle, args.data)) if args.data else None
        around = list(frames.around([one.picture for one in named])) if frames else []
        page = page_of_pictures(bundle, found, [one.name for one in named], frames, around)
    else:
        page = page_of_network(bundle)
    write_whole(out, page)
    to_stderr(f'{printable(out)} ({len(page.encode()) / 1e6:.1f} MB)')
    return 0
