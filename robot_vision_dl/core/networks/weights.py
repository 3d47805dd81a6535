"""Weights that torchvision has, and a state dict of any origin put under the names of an architecture."""
import pickle
import re
from pathlib import Path
from typing import Any, Dict, Mapping, NamedTuple, Optional, Union

import torch

from ..errors import BundleError, ConfigError
from ..text.printable import printable
from .architecture import TIMM, is_timm
from .architectures import check_architecture, torchvision_models
from .timm_networks import timm_state

_COUNTER = '.num_batches_tracked'  # which old files have not


def is_weights_name(weights: Union[str, Path]) -> bool:
    """Whether ``weights`` names torchvision's weights, as opposed to a file."""
    return isinstance(weights, str) and re.fullmatch(r'[A-Z][A-Z0-9_]*', weights) is not None


def torchvision_weights(name: str, entry: str = 'DEFAULT') -> Any:
    """torchvision's entry (``torchvision.models.WeightsEnum``) for weights of the architecture ``name``.

    Raises:
        ConfigError: torchvision has no such architecture or weights.
    """
    check_architecture(name)
    models = torchvision_models()
    try:
        entries = models.get_model_weights(name)
    except ValueError as error:
        raise ConfigError(f'torchvision has no weights for {name}; give a file instead') from error
    if entry != 'DEFAULT' and entry not in entries.__members__:
        raise ConfigError(f'torchvision has no weights {printable(entry, 60)} for {name}; there are DEFAULT, '
                          f'{", ".join(e.name for e in entries)}')
    return getattr(entries, entry)


def download_state(name: str, entry: Any) -> Dict[str, torch.Tensor]:
    """The state dict of a torchvision entry, from torchvision's cache or from the network.

    Raises:
        BundleError: neither has it.
    """
    try:
        state: Dict[str, torch.Tensor] = entry.get_state_dict(progress=False, check_hash=True)
    except (OSError, RuntimeError, pickle.UnpicklingError, EOFError) as error:
        file_name = entry.url.rsplit('/', 1)[-1]
        folder = Path(torch.hub.get_dir()) / 'checkpoints'
        raise BundleError(
            f'torchvision {name} {entry.name}: the weights cannot be had ({error}); without a network, fetch '
            f'{entry.url} on another machine and put it at {folder / file_name}, or use a bundle of '
            '`robot-vision models list`'
        ) from error
    return state


class NamedWeights(NamedTuple):
    """Weights that torchvision or timm has.

    Attributes:
        source: begins errors about them.
        state: their state dict.
        input_size: side of the input that they fit alone, for ``Architecture.input_size``; None: the usual one.
    """

    source: str
    state: Dict[str, torch.Tensor]
    input_size: Optional[int] = None


def named_weights(name: str, weights: str) -> NamedWeights:
    """Weights of the architecture ``name`` by their own name: ``DEFAULT``, ``IMAGENET1K_V1``.

    Raises:
        ConfigError: there is no such architecture or weights.
        BundleError: they cannot be had.
    """
    if is_timm(name):
        if weights != 'DEFAULT':
            raise ConfigError(f'timm has no weights {printable(weights, 60)}; give DEFAULT, and others by the name of '
                              f'the network, {TIMM}NAME.TAG')
        return NamedWeights(name, timm_state(name))
    entry = torchvision_weights(name, weights)
    side = entry.meta['min_size'][0] if name.startswith('vit_') else None
    return NamedWeights(f'torchvision {name} {entry.name}', download_state(name, entry), side)


def in_place(state: Mapping[str, torch.Tensor], wanted: Mapping[str, torch.Size], head: str, source: str,
             architecture: str) -> Dict[str, torch.Tensor]:
    """A state dict under the names of an architecture.

    What wraps a network puts its own name before all others: ``module.``, ``net.``, ``model.backbone.``. It is taken
    off, and what lies beside it (weights of a loss, a second network) is left out. A last layer that is a Sequential
    with one linear layer in it is that layer, and so is the one linear layer beside a backbone that has none of its own
    (``backbone.conv1.weight``, ..., ``head.weight``).

    Args:
        state: what a file holds.
        wanted: names that the architecture has, with the shapes of their tensors.
        head: name of its last layer.
        source: begins the error.
        architecture: its name.

    Returns:
        Tensors by name. Those of the last layer may be missing where all others are there.

    Raises:
        BundleError: names of another architecture, or a last layer of several.
    """
    # Which prefix makes most names known: tried are those before the shortest way to the head, or to a first layer.
    anchors = (f'{head}.', min(wanted).partition('.')[0] + '.', next(iter(wanted)).partition('.')[0] + '.')
    prefixes = {''} | {key[:place] for key in state for anchor in anchors for place in [key.find('.' + anchor) + 1]}
    prefix = max(sorted(prefixes), key=lambda one: (sum(one + key in state for key in wanted), -len(one)))
    inner = {key[len(prefix):]: value for key, value in state.items() if key.startswith(prefix)}
    if f'{head}.weight' in inner:
        return inner
    layers = sorted(key for key, value in inner.items() if key.startswith(f'{head}.') and key.endswith('.weight'))
    if len(layers) == 1 and inner[layers[0]].ndim == 2:
        begin = layers[0][:-len('weight')]
        return {head + key[len(begin) - 1:] if key.startswith(begin) else key: value for key, value in inner.items()}
    known = sum(key in inner for key in wanted)
    if layers and known:
        raise BundleError(f'{source}: the last layer of this {architecture}, {head}, is made of several: '
                          f'{printable(", ".join(layers))}; only one linear layer can be read. Train it anew with '
                          '`robot-vision train`, from the weights of the layers before it')
    if all(key in inner for key in wanted if not key.startswith(f'{head}.') and not key.endswith(_COUNTER)):
        beside = [key for key, value in state.items() if not (prefix and key.startswith(prefix)) and key not in wanted
                  and key.endswith('.weight') and value.ndim == 2 and value.shape[1] == wanted[f'{head}.weight'][1]]
        if len(beside) == 1:
            begin = beside[0][:-len('weight')]
            inner.pop(beside[0], None)
            inner.pop(f'{begin}bias', None)
            inner.update({f'{head}.{kind}': state[begin + kind] for kind in ('weight', 'bias')
                          if begin + kind in state})
        return inner
    raise BundleError(
        f'{source}: does not fit {architecture}: there is no {head}.weight, and of its {len(wanted)} tensors {known} '
        f'are there; the file has {printable(", ".join(list(inner)[:4]))}, ...; '
        + ('some layers are missing' if 2 * known > len(wanted) else 'is it of another architecture?'))
