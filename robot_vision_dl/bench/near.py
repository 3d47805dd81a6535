"""``bench reliability --leave-one-out``: its options, the pretrained network, and the rounds."""
import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, Mapping, NamedTuple, Optional, Sequence, Tuple

from ..core.text.number_options import whole
from .leave_one_out import MODES, REFERENCE, Material, Without, leave_one_out, rounds_of, without_logits

if TYPE_CHECKING:
    from ..core.bundles.bundle import Bundle
    from ..core.networks.graph_network import SingleNetwork
    from ..core.networks.network import Network
    from ..data.cache import FrameStore
    from ..evaluation.labelled_outputs import LabelledOutputs


def add_near_arguments(parser: argparse.ArgumentParser) -> None:
    """How classes are left out."""
    near = parser.add_argument_group('leave one class out', 'each class in turn is the unknown')
    near.add_argument('--leave-one-out', choices=MODES,
                      help='head: its logit is taken away, and what was fitted is fitted again without its pictures, '
                      'which flatters, since the network has seen them; training: the network is trained without it, '
                      'on --reference')
    near.add_argument('--at-once', type=whole(), default=0, metavar='N',
                      help='classes left out together; 0 (default): one, or of more than 20 classes a tenth')
    near.add_argument('--frozen', metavar='BUNDLE', help='the pretrained network, for kNN on its features and to '
                      'train from; without, the start that the provenance names')
    near.add_argument('--recipe', type=Path, metavar='FILE', help='training file, for the first layer that is trained, '
                      'augmentation, learning rate and smoothing; without, that kept with the bundle')
    near.add_argument('--train-from', default='', metavar='LAYER', help="instead of the recipe's: the first layer of "
                      'the backbone that is trained; head: the head alone, which takes seconds')
    near.add_argument('--epochs', type=whole(1), default=4, help='of each training (default: %(default)s)')
    near.add_argument('--views', type=whole(0, 100), default=4,
                      help='random views of each picture that are trained on (default: %(default)s)')


class Start(NamedTuple):
    """The network that training began with; ``is_own``: nobody knows of any, and it is the bundle's own."""

    name: str
    network: 'Network'
    is_own: bool


def start_of(bundle: 'Bundle', args: argparse.Namespace) -> Optional[Start]:
    """The pretrained network; None: it is not asked for, or cannot be had, which is told."""
    from ..core.bundles.bundle import load_bundle
    from ..core.errors import BundleError, ConfigError
    from ..core.text.notes import to_stderr
    if not args.leave_one_out:
        return None
    if args.leave_one_out == 'training':
        if not args.reference:
            raise ConfigError('--leave-one-out training: needs --reference, the pictures that are trained on')
        return trainable_start(bundle, args.frozen, '--leave-one-out training')
    name = _named_start(bundle, args.frozen)
    try:
        network = (load_bundle(name) if name else bundle).load_single_network()
    except BundleError as error:
        if args.frozen:
            raise
        to_stderr(f'kNN on the pretrained network is left out: {error}; --frozen names another bundle')
        return None
    return Start(name or bundle.name, _of_architecture(network, name or bundle.name, '--leave-one-out'), not name)


def trainable_start(bundle: 'Bundle', frozen: Optional[str], option: str) -> Start:
    """The pretrained network that a bundle was trained from, to train from it again.

    Args:
        frozen: name of its bundle; None: as the provenance has it.
        option: of the command, for messages.

    Raises:
        BundleError: it cannot be had.
        ConfigError: nobody knows of any, or it is not of the bundle's architecture.
    """
    from ..core.bundles.bundle import load_bundle
    from ..core.errors import ConfigError
    name = _named_start(bundle, frozen)
    if not name:
        raise ConfigError(f'{option}: nothing is known of what {bundle.name} was trained from, and its own network has '
                          'seen all classes; name the pretrained network by --frozen')
    network = load_bundle(name).load_single_network()
    if network.architecture.name != bundle.architecture.name:
        raise ConfigError(f'--frozen {name}: is of {network.architecture.name}, but {bundle.name} of '
                          f'{bundle.architecture.name}')
    return Start(name, _of_architecture(network, name, option), False)


def _named_start(bundle: 'Bundle', frozen: Optional[str]) -> str:
    from ..core.bundles.named_start import named_start
    return frozen or named_start(bundle)[0]


def _of_architecture(network: 'SingleNetwork', name: str, option: str) -> 'Network':
    from ..core.errors import ConfigError
    from ..core.networks.network import Network
    if not isinstance(network, Network):
        raise ConfigError(f'{option}: {name} is a file of a network, not one of the architectures; name another one by '
                          '--frozen')
    return network


def near(bundle: 'Bundle', args: argparse.Namespace, stores: Mapping[str, 'FrameStore'],
         frames: Mapping[str, 'LabelledOutputs'], used: Material, start: Optional[Start]) -> Dict[str, Any]:
    """Each class in turn as the unknown; see :mod:`.leave_one_out`.

    Args:
        stores, frames: of all data, and what the network gives for them, by name of the part.
        used: what is fitted to and what is judged.
        start: see :func:`start_of`.
    """
    from ..core.networks.device import resolve_device
    from ..core.text.notes import to_stderr
    from ..core.text.progress import Progress
    from ..core.uncertainty.ood.base import LinearHead, linear_head
    from ..evaluation.predict import Outputs, Predictor
    from .retraining import Retrainer, recipe_of, with_stages
    rounds = rounds_of(len(bundle.class_names), args.at_once, args.seed)
    figures: Dict[str, Any] = {'mode': args.leave_one_out, 'frozen': start.name if start else None,
                               'frozen_is_own': bool(start and start.is_own)}
    without: Without
    if args.leave_one_out == 'head':
        without = without_logits(frames, linear_head(bundle.load_single_network().head))
        frozen = {}
        if start is not None:
            predictor = Predictor(start.network, bundle.preprocessing, resolve_device(args.device))
            frozen = {name: frames[name].features if start.is_own else predictor.frames(
                store, range(len(store)), bundle.class_names).features for name, store in stores.items()}
    else:
        assert start is not None
        recipe = recipe_of(bundle, start.network, args.recipe, args.train_from, args.epochs, args.views, args.seed)
        trainer = Retrainer(with_stages(start.network, bundle.architecture.stages), stores, bundle, recipe,
                            resolve_device(args.device))
        seconds = trainer.seconds(len(rounds), len(bundle.class_names))
        to_stderr(f'{len(rounds)} trainings from {recipe.train_from} on, {recipe.epochs} epochs of '
                  f'{len(frames[REFERENCE].known)} pictures in {recipe.views + 1} views: about {seconds / 60:.0f} min')
        frozen = {name: trainer.frozen(name) for name in stores}
        figures.update(train_from=recipe.train_from, epochs=recipe.epochs, views=recipe.views, trained_accuracy=[])

        def without(gone: Sequence[int]) -> Tuple[Mapping[str, Outputs], Optional[LinearHead]]:
            found = trainer.without(gone)
            figures['trained_accuracy'].append(found.accuracy)
            return found.outputs, found.head
    with Progress('leaving out', 'rounds', len(rounds)) as progress:
        figures.update(leave_one_out(bundle, used._replace(frozen=frozen), without, rounds, args.seed, progress))
    return figures
