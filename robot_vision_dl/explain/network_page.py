"""The page about a network: its layers, its filters, what does nothing in it, what classes and channels answer to."""
from typing import Iterator, List, NamedTuple, Optional, Sequence, Tuple

import torch
from markupsafe import Markup

from ..core.bundles.any_pixels import any_pixels
from ..core.bundles.bundle import Bundle
from ..core.errors import ConfigError
from ..core.networks.evidence import LastMaps
from ..core.networks.network import Network
from ..core.networks.preprocess import Preprocessor
from ..core.text.progress import Progress
from ..data.cache import FrameStore
from ..evaluation.predict import spread
from .dead_channels import BATCH, ChannelWatch, LayerChannels
from .file_facts import FileFacts, file_facts
from .linear_templates import Templates, fitted_templates, own_templates, template_tile
from .network_table import NetworkTable, network_table
from .page_parts import card, jpeg, png, whole_page
from .targets import named_targets, usual_targets
from .visualisation import STEPS, Target, Visualisation, visualise
from .weights_card import weights_card

_MOST_LOOKED_AT = 256  # pictures, for dead channels
_MOST_TEMPLATES = 24
_LEFT_OUT = ('addition', 'normalisation')  # of the table of layers
_LISTED = 12  # channels of a layer that are named


class _DeadRow(NamedTuple):
    """A layer with channels that do nothing, in words."""

    name: str
    channels: int
    zero: str
    constant: str


def page_of_network(bundle: Bundle, wanted: Optional[Sequence[str]] = None, store: Optional[FrameStore] = None,
                    frozen: str = '') -> str:
    """The page.

    Args:
        bundle: of the model.
        wanted: classes and channels that are visualised, see :func:`~.targets.named_targets`; None: a few; none: none.
        store: labelled pictures, to look for dead channels and to fit a linear classifier to; None: there are none.
        frozen: name of the bundle that it was trained from; empty: as its provenance has it.

    Raises:
        BundleError, ConfigError: what is wanted is not there.
    """
    network = bundle.load_network()
    shape = (bundle.architecture.in_channels, *bundle.preprocessing.crop)
    notes: List[str] = []
    cards: List[Markup] = []
    below: List[Markup] = []
    if isinstance(network, Network):
        table = _table(network, shape, notes)
        cards += [_facts_card(bundle, network, table), weights_card(bundle, network, frozen)]
        cards += _visualised_card(bundle, network, wanted, notes)
        below += _dead_card(bundle, network, shape, store, notes)
        if table is not None:
            below.append(card('layers.html', rows=[row for row in table.rows if row.kind not in _LEFT_OUT]))
    else:
        if wanted:
            raise ConfigError(f'--visualise: {bundle.name} is {_what(bundle)}, through which no gradient can be '
                              'followed')
        notes.append(f'{bundle.name} is {_what(bundle)}: layers, filters, dead channels and feature visualisation '
                     'need layers that can be looked into'
                     + ('; name a member to see them' if bundle.members else ''))
        facts = None if bundle.members else file_facts(bundle, network)
        cards.append(_files_card(bundle, facts))
    found = own_templates(network, shape, bundle.class_names)
    if found is None and store is not None:
        found = fitted_templates(store, bundle.preprocessing, bundle.class_names)
    if found is not None:
        cards.append(card('templates.html', templates=found, shown=_shown_templates(found)))
    head = [card('notes.html', notes=notes)] if notes else []
    return whole_page(f'What is {bundle.name}?', bundle.architecture.name, [*head, *cards, *below])


def _what(bundle: Bundle) -> str:
    return 'an ensemble' if bundle.members else f'a file of another program ({bundle.architecture.name})'


def _table(network: Network, shape: Tuple[int, ...], notes: List[str]) -> Optional[NetworkTable]:
    try:
        return network_table(network, torch.zeros(1, *shape))
    except ConfigError as error:
        notes.append(str(error))
        return None


def _facts_card(bundle: Bundle, network: Network, table: Optional[NetworkTable]) -> Markup:
    return card('network.html', bundle=bundle, table=table,
                parameters=sum(one.numel() for one in network.parameters()))


def _dead_card(bundle: Bundle, network: Network, shape: Tuple[int, ...], store: Optional[FrameStore],
               notes: List[str]) -> Iterator[Markup]:
    try:
        watch = ChannelWatch(network, shape)
    except ConfigError as error:
        notes.append(str(error))
        return
    count = 0
    if store is None:
        layers = watch.by_weights()
    else:
        places = spread(torch.arange(len(store)).numpy(), _MOST_LOOKED_AT).tolist()
        count = len(places)
        preprocess = Preprocessor(bundle.preprocessing, 'cpu')
        with Progress('looking for dead channels', 'pictures', count) as done:
            def batches() -> Iterator[torch.Tensor]:
                for begin in range(0, count, BATCH):
                    yield preprocess([store.picture(place) for place in places[begin:begin + BATCH]])
                    done(min(begin + BATCH, count))
            layers = watch.over(batches())
    rows = [_DeadRow(one.name, one.channels, _listed(one.zero), _listed(one.constant)) for one in layers
            if one.zero or one.constant]
    yield card('dead_channels.html', rows=rows, pictures=count, layers=len(layers),
               channels=sum(one.channels for one in layers), dead=_count(layers))


def _count(layers: Sequence[LayerChannels]) -> int:
    return sum(len(one.zero) + len(one.constant) for one in layers)


def _listed(channels: Sequence[int]) -> str:
    """``3: 4, 17, 30``."""
    more = ', ...' if len(channels) > _LISTED else ''
    return f'{len(channels)}: {", ".join(map(str, channels[:_LISTED]))}{more}' if channels else ''


class _Made(NamedTuple):
    """A visualisation, to be shown; ``picture`` is a data address."""

    target: Target
    one: Visualisation
    picture: str
    best: str


def _visualised_card(bundle: Bundle, network: Network, wanted: Optional[Sequence[str]], notes: List[str]
                     ) -> Iterator[Markup]:
    if wanted is None:
        try:
            targets = usual_targets(network, bundle.class_names, LastMaps(network, any_pixels(bundle)))
        except ConfigError as error:
            notes.append(str(error))
            targets = named_targets(network, bundle.class_names, bundle.class_names[:2])
    else:
        targets = named_targets(network, bundle.class_names, wanted)
    if not targets:
        return
    with Progress('visualising', 'steps', len(targets) * STEPS) as done:
        found = visualise(network, bundle.preprocessing, targets, progress=done)
    made = [_Made(one.target, one, jpeg(one.picture), bundle.class_names[one.best]) for one in found]
    yield card('visualisation.html', classes=[one for one in made if not one.target.layer],
               channels=[one for one in made if one.target.layer], steps=STEPS,
               seconds=sum(one.seconds for one in found), side=found[0].picture.shape[:2])


def _files_card(bundle: Bundle, facts: Optional[FileFacts]) -> Markup:
    return card('files.html', bundle=bundle, facts=facts)


def _shown_templates(templates: Templates) -> List[Tuple[str, str]]:
    return [(name, png(template_tile(weights)))
            for name, weights in list(zip(templates.names, templates.weights))[:_MOST_TEMPLATES]]
