"""Where weights come from: torchvision's own API, or a file that is read without running any code of it."""
import pickle
import re
from pathlib import Path
from typing import Any, Collection, Dict, Mapping, Union

import torch
from safetensors.torch import load_file

from ..errors import BundleError, ConfigError
from ..files.lfs_pointer import REMEDY, is_lfs_pointer
from ..text.printable import printable
from .architectures import check_architecture, torchvision_models


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


def read_state_file(path: Path) -> Dict[str, torch.Tensor]:
    """Read a state dict from ``.safetensors`` or from a ``.pth`` file; nothing in the file is executed.

    A state dict within a checkpoint (under ``state_dict``, ``model``, ``model_state_dict`` or ``net``) is found, and
    what ``torch.compile`` adds to names is taken off; see :func:`in_place` for other prefixes.

    Raises:
        BundleError: the file is missing or is no state dict.
    """
    if not path.is_file():
        raise BundleError(f'{path}: no such file; expected a state dict (.pth or .safetensors)')
    if is_lfs_pointer(path):
        raise BundleError(f'{printable(path)}: {REMEDY}')
    state: Any
    try:
        if path.suffix == '.safetensors':
            state = load_file(str(path))
        else:
            state = torch.load(path, map_location='cpu', weights_only=True)
    # A damaged archive raises whatever its damage leads to.
    except Exception as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise BundleError(f'{path}: not a state dict that can be read without running code ({reason}); save it with '
                          'torch.save(model.state_dict(), path)') from error
    for key in ('state_dict', 'model_state_dict', 'model', 'net'):
        if isinstance(state, dict) and isinstance(state.get(key), dict):
            state = state[key]
    if not isinstance(state, dict) or not state or not all(isinstance(v, torch.Tensor) for v in state.values()):
        raise BundleError(f'{path}: holds a {type(state).__name__}, not a state dict; save it with '
                          'torch.save(model.state_dict(), path)')
    return {key.replace('_orig_mod.', ''): value for key, value in state.items()}


def in_place(state: Mapping[str, torch.Tensor], wanted: Collection[str], head: str, source: str,
             architecture: str) -> Dict[str, torch.Tensor]:
    """A state dict under the names of an architecture.

    What wraps a network puts its own name before all others: ``module.``, ``net.``, ``model.backbone.``. It is taken
    off, and what lies beside it (weights of a loss, a second network) is left out. A last layer that is a Sequential
    with one linear layer in it is that layer.

    Args:
        state: what a file holds.
        wanted: names that the architecture has.
        head: name of its last layer.
        source: begins the error.
        architecture: its name.

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
    raise BundleError(
        f'{source}: does not fit {architecture}: there is no {head}.weight, and of its {len(wanted)} tensors {known} '
        f'are there; the file has {printable(", ".join(list(inner)[:4]))}, ...; '
        + ('the last layer is missing' if 2 * known > len(wanted) else 'is it of another architecture?'))
