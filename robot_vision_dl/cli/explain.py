"""``robot-vision explain``: why a model said what it said of a picture, or what the network is."""
import argparse
import sys
from typing import TYPE_CHECKING, List, Optional

from ..core.errors import ConfigError
from ..core.files.user_path import user_path
from ..core.files.whole_files import check_writable, write_whole
from ..core.text.notes import to_stderr
from ..core.text.number_options import whole
from ..core.text.printable import printable
from ..core.text.progress import Progress

if TYPE_CHECKING:
    from ..core.bundles.bundle import Bundle

HELP = 'Show on one page why a model decides as it does about pictures, or what its network is.'
EXAMPLES = """examples:
  robot-vision explain waste_sorter photo.jpg
  robot-vision explain models/mine run_12/@83.5              the frame at 83.5 s from the start of a bag
  robot-vision explain models/mine run_12/@83.5 --topic /front/image_raw --out why.html
  robot-vision explain models/mine photo.jpg --data training/   and what it is like
  robot-vision explain models/mine queue/ --most 8           the most doubtful intervals that `mine` has found
  robot-vision explain models/mine                           the network: layers, filters, what classes answer to
  robot-vision explain models/mine --data training/          and channels that never do anything, linear templates
  robot-vision explain models/mine --visualise glass blocks.4:17   pictures made for a class and for a channel
  robot-vision explain models/mine --visualise none          without such pictures, which take most of the time

The page is one file without scripts. A picture stands alone on it, as the first frame of a camera does. What the maps
say and what they do not: docs/how-to/explain.md.

Exit codes: 0 done, 2 wrong use or input."""
_MOST, _MOST_WITH_DATA = 20, 10  # pictures on a page, which then stays under 5 MB


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument('model', metavar='MODEL', help="name of a model in the package's models/, bundle folder, or "
                        'torchvision:<architecture>')
    parser.add_argument('pictures', nargs='*', metavar='PICTURE|BAG@SECONDS|QUEUE', help=f'up to {_MOST}, with --data '
                        f'{_MOST_WITH_DATA}; none: the network itself')
    parser.add_argument('--topic', default='', help='image topic of the bags (default: the only one)')
    parser.add_argument('--most', type=whole(1, _MOST), default=5, metavar='N', help='intervals of a queue, the most '
                        'doubtful first (default: %(default)s)')
    parser.add_argument('--data', nargs='+', default=[], metavar='DATA', help='labelled bags or folders that the model '
                        'was trained on: shows the frames nearest to each picture, and the patches that its channels '
                        'answer to most; of a network its dead channels, and templates of a linear classifier')
    parser.add_argument('--frozen', default='', metavar='BUNDLE', help='the network that it was trained from, to see '
                        'how far its weights have moved (default: as the provenance of the model has it)')
    parser.add_argument('--visualise', nargs='*', metavar='CLASS|LAYER:CHANNEL', help='of a network: what pictures are '
                        'made for by gradient ascent (default, and with nothing after it: a few classes and channels; '
                        'none: nothing)')
    parser.add_argument('--classes', type=whole(2, 8), default=3, metavar='N', help='classes that are shown, the most '
                        'probable first (default: %(default)s)')
    parser.add_argument('--out', default='explanation.html', metavar='FILE', help='the page (default: %(default)s)')


def run(args: argparse.Namespace) -> int:
    """Write the page."""
    if args.pictures and args.visualise is not None:
        raise ConfigError('--visualise: is for the network itself; leave the pictures out')
    _check_count(len(args.pictures), args)
    out = user_path(args.out)
    if out.is_dir():
        raise ConfigError(f'--out {printable(args.out)}: is a folder; name the page in it, '
                          f'{printable(out / "page.html")}')
    check_writable(out.absolute().parent, 'choose another place with --out')
    # Not at the top: torch takes seconds, and what was spelled wrongly is known before.
    from ..core.bundles.bundle import load_bundle
    from ..evaluation.predict import labelled_store
    bundle = load_bundle(args.model)
    if args.pictures:
        page = _of_pictures(bundle, args)
    else:
        from ..explain.network_page import page_of_network
        store = labelled_store(bundle, args.data) if args.data else None
        _begins('looking at the network' + (f' and {len(store)} frames of --data' if store else ''))
        page = page_of_network(bundle, _visualised(args.visualise, bundle), store, args.frozen)
    write_whole(out, page)
    to_stderr(f'{printable(out)} ({len(page.encode()) / 1e6:.1f} MB)')
    return 0


def _visualised(names: Optional[List[str]], bundle: 'Bundle') -> Optional[List[str]]:
    """What is named; None: the usual; empty: nothing."""
    return [] if names == ['none'] and 'none' not in bundle.class_names else names or None


def _begins(sentence: str) -> None:
    """Tell what takes long where no line of progress can be shown: in a log, behind a pipe."""
    if not sys.stderr.isatty():
        to_stderr(sentence)


def _check_count(count: int, args: argparse.Namespace) -> None:
    most = _MOST_WITH_DATA if args.data else _MOST
    if count > most:
        raise ConfigError(f'{count} pictures: one page takes up to {most}{" with --data" if args.data else ""}; give '
                          'them in several calls')


def _of_pictures(bundle: 'Bundle', args: argparse.Namespace) -> str:
    """The page about decisions."""
    from ..classifier import Classifier
    from ..core.networks.network import Network
    from ..evaluation.predict import labelled_store
    from ..explain.explanation import Explainer
    from ..explain.neighbours import TrainingFrames
    from ..explain.page import page_of_pictures
    from ..explain.patches import patches_of
    from ..explain.sources import Named, picture_at
    from ..explain.weights_card import weights_card
    from ..labelling.doubtful_frames import doubtful_frames
    from ..labelling.queue_data import is_queue
    named: List[Named] = []
    for source in args.pictures:
        folder = user_path(source)
        named += ([Named(*one) for one in doubtful_frames(folder, args.most)] if is_queue(folder)
                  else [picture_at(source, args.topic)])
    _check_count(len(named), args)
    # Before anything is computed: what is wrong with the labels is told at once.
    store = labelled_store(bundle, args.data) if args.data else None
    classifier = Classifier(args.model, device='cpu', backend='torch', top_k=5)
    explain = Explainer(bundle, classifier.policy)
    _begins(f'explaining {len(named)} picture{"" if len(named) == 1 else "s"}')
    with Progress('explaining', 'pictures', len(named), quiet=len(named) == 1) as done:
        found = []
        for place, one in enumerate(named, 1):
            said = classifier(one.picture.pixels, one.picture.order.value)
            found.append(explain(said, one.picture, args.classes))
            done(place)
    pictures, network = [one.picture for one in named], explain.network
    below = [weights_card(bundle, network, args.frozen)] if isinstance(network, Network) else []
    if store is None:
        return page_of_pictures(bundle, found, named, below=below, model=args.model)
    _begins(f'running the network over {len(store)} frames of --data')
    frames = TrainingFrames(bundle, store)
    themselves = {place for picture in pictures for place in frames.same_as(picture)}
    _begins(f'looking for strong patches in {len(store)} frames of --data')
    patches = patches_of(bundle, network, pictures, store, themselves) if isinstance(network, Network) else []
    return page_of_pictures(bundle, found, named, frames, list(frames.around(pictures)), patches, below, args.model)
