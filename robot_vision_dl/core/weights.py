"""Where weights come from: torchvision's own API, or a file that is read without running any code of it."""
import pickle
import re
from pathlib import Path
from typing import Any, Dict, Union

import torch
from safetensors.torch import load_file

from .architectures import check_architecture, torchvision_models
from .errors import BundleError, ConfigError
from .printable import printable


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
        return entry.get_state_dict(progress=False, check_hash=True)
    except (OSError, RuntimeError, pickle.UnpicklingError, EOFError) as error:
        file_name = entry.url.rsplit('/', 1)[-1]
        folder = Path(torch.hub.get_dir()) / 'checkpoints'
        raise BundleError(
            f'torchvision {name} {entry.name}: the weights cannot be had ({error}); without a network, fetch '
            f'{entry.url} on another machine and put it at {folder / file_name}, or use a bundle of '
            '`robot-vision models list`'
        ) from error


def read_state_file(path: Path) -> Dict[str, torch.Tensor]:
    """Read a state dict from ``.safetensors`` or from a ``.pth`` file; nothing in the file is executed.

    A state dict within a checkpoint (under ``state_dict``, ``model`` or ``model_state_dict``) is found, and the prefix
    ``module.`` of ``DataParallel`` is taken off.

    Raises:
        BundleError: the file is missing or is no state dict.
    """
    if not path.is_file():
        raise BundleError(f'{path}: no such file; expected a state dict (.pth or .safetensors)')
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
    for key in ('state_dict', 'model_state_dict', 'model'):
        if isinstance(state, dict) and isinstance(state.get(key), dict):
            state = state[key]
    if not isinstance(state, dict) or not state or not all(isinstance(v, torch.Tensor) for v in state.values()):
        raise BundleError(f'{path}: holds a {type(state).__name__}, not a state dict; save it with '
                          'torch.save(model.state_dict(), path)')
    if all(key.startswith('module.') for key in state):
        state = {key[len('module.'):]: value for key, value in state.items()}
    return state
