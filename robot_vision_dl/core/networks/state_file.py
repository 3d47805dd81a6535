"""A file of weights, as people's programs save them -> a state dict; no code of the file is run."""
import pickle
import re
from collections import OrderedDict
from pathlib import Path
from typing import Any, Dict, Iterator, List, Mapping, Tuple, Type

import torch
from safetensors.torch import load_file

from ..errors import BundleError
from ..files.lfs_pointer import REMEDY, is_lfs_pointer
from ..text.printable import printable

SUFFIXES = ('.pth', '.pt', '.safetensors', '.ckpt', '.bin', '.tar', '.th')
"""Of files of weights."""
# Where checkpoints keep weights. Of several at once the first: averaged weights (EMA) are those that were measured.
KEYS = ('state_dict_ema', 'ema_state_dict', 'model_ema', 'ema_model', 'ema', 'state_dict', 'model_state_dict', 'model',
        'net', 'network', 'weights', 'params', 'module')
_DEEPEST = 4
_SET_ITEM = re.compile(r"Can only SETITEMS? for .* but got <class '([^']+)'>")
_SAVE = 'save it with torch.save(model.state_dict(), path)'


class _Unread:
    """Stands for an object of a class that is not known, within a checkpoint; nothing of that class is run."""

    def __new__(cls, *args: Any, **kwargs: Any) -> '_Unread':
        return super().__new__(cls)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        pass


class _UnreadDict(_Unread):
    """Stands for a class that is a dict, of which torch reads the items into its own kinds of dict alone."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        return OrderedDict()


def read_state_file(path: Path) -> Dict[str, torch.Tensor]:
    """Read a state dict from ``.safetensors`` or from a file of ``torch.save``; nothing in the file is executed.

    A state dict within a checkpoint (of a training loop, of Lightning, of timm) is found under one of :data:`KEYS`, or
    where there is one at all, and what ``torch.compile`` adds to names is taken off; see :func:`~.weights.in_place` for
    other prefixes. What else a checkpoint holds (settings, an optimiser) is left out.

    Raises:
        BundleError: the file is missing, or holds no state dict or several.
    """
    if not path.is_file():
        raise BundleError(f'{path}: no such file; expected a state dict (.pth or .safetensors)')
    if is_lfs_pointer(path):
        raise BundleError(f'{printable(path)}: {REMEDY}')
    content: Any
    try:
        content = load_file(str(path)) if path.suffix == '.safetensors' else _unpickled(path)
    # A damaged archive raises whatever its damage leads to.
    except Exception as error:
        raise BundleError(f'{path}: not a state dict that can be read without running code ({_reason(error)}); '
                          f'{_SAVE}') from error
    return {key.replace('_orig_mod.', ''): value for key, value in _state_of(content, path).items()}


def _unpickled(path: Path) -> Any:
    """What ``torch.load`` reads with ``weights_only``, with a blank in the place of each object of another class."""
    try:
        return torch.load(path, map_location='cpu', weights_only=True)
    except Exception:
        serialization: Any = torch.serialization
        # Since torch 2.6. Checkpoints of Lightning and of timm hold settings as objects of their own classes.
        if not hasattr(serialization, 'get_unsafe_globals_in_checkpoint'):
            raise
        try:
            names: List[str] = serialization.get_unsafe_globals_in_checkpoint(str(path))
        except Exception:  # no archive of torch.save; the first error says it
            names = []
        if not names:
            raise
    kinds: Dict[str, Type[_Unread]] = dict.fromkeys(names, _Unread)
    while True:
        with serialization.safe_globals([(_blank(name, kind), name) for name, kind in kinds.items()]):
            try:
                return torch.load(path, map_location='cpu', weights_only=True)
            except pickle.UnpicklingError as error:
                a_dict = _SET_ITEM.search(str(error))
                if a_dict is None or kinds.get(a_dict[1]) is not _Unread:
                    raise
                kinds[a_dict[1]] = _UnreadDict


def _blank(name: str, kind: Type[_Unread]) -> type:
    """A class of this name that does nothing; the one that has it in truth is never imported."""
    module, _, inner = name.rpartition('.')
    return type(inner, (kind,), {'__module__': module})


def _state_of(content: Any, path: Path) -> Mapping[str, torch.Tensor]:
    """The state dict in what a file holds."""
    if _is_state(content):
        return _tensors_of(content)
    for key in KEYS:
        if isinstance(content, Mapping) and isinstance(content.get(key), (Mapping, _Unread)):
            inner = content[key]
            if isinstance(inner, _Unread):
                raise BundleError(f'{path}: {key!r} holds {_kind(inner)}, not a state dict; {_SAVE}')
            return _state_of(inner, path)
    found = list(_states_within(content, ''))
    if len(found) == 1:
        return _tensors_of(found[0][1])
    if found:
        names = printable(', '.join(where for where, _ in found), 200)
        raise BundleError(f'{path}: holds several state dicts, {names}, and which is meant is not known; torch.save '
                          'that one')
    if isinstance(content, Mapping):
        keys = ', '.join(f'{key} ({_kind(value)})' for key, value in list(content.items())[:6])
        more = ', ...' if len(content) > 6 else ''
        holds = f'a dict of {printable(keys, 300)}{more}' if content else 'an empty dict'
        raise BundleError(f'{path}: holds {holds}, and no state dict in it; {_SAVE}')
    raise BundleError(f'{path}: holds {_kind(content)}, not a state dict; {_SAVE}')


def _is_state(content: Any) -> bool:
    """Whether it has tensors by name; counters and the like may lie among them, but nothing of several values."""
    return (isinstance(content, Mapping) and any(isinstance(value, torch.Tensor) for value in content.values())
            and all(isinstance(key, str) for key in content)
            and not any(isinstance(content.get(key), Mapping) for key in KEYS)
            and not any(isinstance(value, _Unread) for value in content.values()))


def _tensors_of(state: Mapping[str, Any]) -> Mapping[str, torch.Tensor]:
    return {key: value for key, value in state.items() if isinstance(value, torch.Tensor)}


def _states_within(content: Any, where: str, depth: int = 0) -> Iterator[Tuple[str, Mapping[str, Any]]]:
    """Dictionaries with weights of layers (``fc.weight``), by where they lie."""
    if not isinstance(content, Mapping) or depth > _DEEPEST:
        return
    if _is_state(content) and any(isinstance(key, str) and key.endswith('.weight') for key in content):
        yield where, content
        return
    for key, value in content.items():
        if isinstance(key, str):
            yield from _states_within(value, f'{where}.{key}'.lstrip('.'), depth + 1)


def _kind(value: Any) -> str:
    """What a value is, for people."""
    kind = type(value)
    if isinstance(value, _Unread):
        return f'an object of {printable(f"{kind.__module__}.{kind.__name__}", 100)}'
    return f'{"an" if kind.__name__[0] in "aeiou" else "a"} {kind.__name__}'


def _reason(error: Exception) -> str:
    """The first sentence of an error of torch's, without its advice to run the file's code after all."""
    lines = str(error).strip().splitlines()
    if not lines or lines[0].isdigit():
        return 'it is no archive of torch.save, or damaged'
    if 'TorchScript' in lines[0]:
        return 'it is a TorchScript program'
    asked = re.search(r'[Uu]nsupported (?:global: )?GLOBAL ([\w.]{1,200})', str(error))
    if asked is not None:
        return f'it asks for {asked[1]} to be run'
    if 'weights_only' in lines[0]:
        return 'it is no archive of torch.save, or damaged'
    return printable(lines[0], 200)
