"""timm's networks (PyTorch Image Models) as ``timm:NAME``, built, split and fed as timm itself says.

timm is optional, and imported only when one of its networks is asked for.
"""
import difflib
import urllib.error
import urllib.request
from functools import lru_cache
from types import ModuleType
from typing import Any, Dict, List, Optional, Tuple

import torch
from torch import nn

from ..errors import BundleError, ConfigError
from ..requirements import pip_install
from ..text.printable import printable
from .architecture import TIMM

_FILE = 'model.safetensors'
_REACH_S = 10.0


def timm_module() -> ModuleType:
    """The module ``timm``.

    Raises:
        ConfigError: it is not installed, or cannot be imported.
    """
    try:
        import timm
    except ImportError as error:
        if error.name == 'timm':
            raise ConfigError(f'timm is not installed: `{pip_install(["timm>=1.0"])}`') from error
        raise ConfigError(f'timm cannot be imported ({printable(error)}): `{pip_install(["timm>=1.0"])}`') from error
    # A torchvision that was built for another torch.
    except RuntimeError as error:
        raise ConfigError(f'timm cannot be imported ({printable(error)}); install torch and torchvision together from '
                          'the same place: `pip install torch torchvision`') from error
    module: ModuleType = timm
    return module


def list_timm() -> Tuple[str, ...]:
    """All names, with ``timm:``, without tags of weights; sorted."""
    return tuple(TIMM + name for name in sorted(timm_module().list_models()))


def check_timm(name: str) -> None:
    """Raise :class:`ConfigError`, with the nearest names, unless timm has ``name`` and its tag (``timm:NAME.TAG``)."""
    timm = timm_module()
    inner, tag = _parts(name)
    if not timm.is_model(inner):
        raise ConfigError(f'timm {timm.__version__} has no network {printable(repr(inner), 100)}'
                          f'{_did_you_mean(inner, timm.list_models())} (`robot-vision models architectures {TIMM}` '
                          'lists all)')
    if tag:
        tags = _tags(timm, inner)
        if tag not in tags:
            raise ConfigError(f'timm {timm.__version__} has no weights {printable(repr(tag), 60)} of {inner}; there '
                              f'are {", ".join(tags) or "none"}')


def build_timm(name: str, num_classes: int, in_channels: int = 3, input_size: Optional[int] = None) -> nn.Module:
    """The network with random weights; without dropout, as timm has it unless told.

    Raises:
        ConfigError: timm has no such network, or cannot build it so.
    """
    check_timm(name)
    wishes = {} if input_size is None else {'img_size': input_size}
    try:
        plain: nn.Module = timm_module().create_model(name[len(TIMM):], pretrained=False, num_classes=num_classes,
                                                      in_chans=in_channels, **wishes)
    except (AssertionError, KeyError, RuntimeError, TypeError, ValueError) as error:
        if 'img_size' in str(error):
            raise ConfigError(f'architecture {name}: input_size does not apply, its weights fit any size; got '
                              f'{input_size}') from error
        raise ConfigError(f'architecture {name}: timm cannot build it for {num_classes} classes and {in_channels} '
                          f'channel(s): {printable(error)}') from error
    return plain


def timm_head(name: str, plain: nn.Module) -> Tuple[str, nn.Linear]:
    """Dotted name of timm's classifier, and a linear layer that does the same on features of shape (B, F).

    Raises:
        ConfigError: it is no linear layer (nor a 1x1 convolution), or there are several.
    """
    get: Any = plain.get_classifier
    classifier = get()
    path = next((path for path, module in plain.named_modules() if module is classifier), '')
    if isinstance(classifier, nn.Linear) and path:
        return path, classifier
    if isinstance(classifier, nn.Conv2d) and path and classifier.kernel_size == (1, 1) and classifier.groups == 1:
        linear = nn.Linear(classifier.in_channels, classifier.out_channels, classifier.bias is not None)
        linear.weight.data.copy_(classifier.weight.data.flatten(1))
        if classifier.bias is not None:
            linear.bias.data.copy_(classifier.bias.data)
        return path, linear
    raise ConfigError(f'architecture {name}: its last layer is no single linear layer but {type(classifier).__name__}, '
                      'so that no features can be read before it; choose another network')


@lru_cache(maxsize=16)
def timm_stages(name: str) -> Tuple[str, ...]:
    """Up to three modules in the middle of a network that timm takes features from (its ``feature_info``).

    They are the last ones before the last reduction in size; where the size stays the same, as in a ViT, those after a
    quarter, a half and three quarters of the blocks. Empty where timm does not say.
    """
    try:
        with torch.device('meta'):
            plain = build_timm(name, 2)
    except (NotImplementedError, ConfigError):  # some compute with the values of tensors while they are built
        plain = build_timm(name, 2)
    given: Any = getattr(plain, 'feature_info', None) or []
    found = [one for one in (given if isinstance(given, list) else given.get_dicts()) if one.get('module')]
    if len(found) < 2 or not {one['module'] for one in found} <= {path for path, _ in plain.named_modules()}:
        return ()
    if len({one.get('reduction') for one in found}) == 1:
        found = [found[len(found) * quarter // 4 - 1] for quarter in (1, 2, 3)] if len(found) >= 4 else found[:-1]
    else:
        found = found[:-1][-3:]
    return tuple(str(one['module']) for one in found)


def timm_weights(name: str) -> Dict[str, Any]:
    """What timm says of the weights of ``name``, those of its tag or the usual ones: fields of its ``PretrainedCfg``.

    Raises:
        ConfigError: timm has no such network or weights.
    """
    check_timm(name)
    given = timm_module().models.get_pretrained_cfg(name[len(TIMM):])
    return {} if given is None else dict(given.to_dict())


def timm_state(name: str) -> Dict[str, torch.Tensor]:
    """The weights that timm has for ``name``, under timm's names: from its cache, or downloaded by it.

    Raises:
        ConfigError: timm has no such network.
        BundleError: there are no weights, or they cannot be had.
    """
    values, timm = timm_weights(name), timm_module()
    where = str(values.get('hf_hub_id') or values.get('url') or '')
    if not where:
        raise BundleError(f'timm has no weights for {name}; give a file instead')
    try:
        _reach(where)  # else timm tries for minutes
        state: Dict[str, torch.Tensor] = timm.create_model(name[len(TIMM):], pretrained=True).state_dict()
    except Exception as error:  # whatever the libraries in between raise
        if not where.startswith('http'):
            where = f'https://huggingface.co/{where}/resolve/main/{_FILE}'
        raise BundleError(f'{name}: the weights cannot be had ({_first_line(error)}); without a network, fetch {where} '
                          'on another machine and name the file') from error
    return state


def _reach(repository: str) -> None:
    """Raise unless the weights are in the cache of Hugging Face's hub, or the hub answers."""
    if repository.startswith('http'):
        return
    from huggingface_hub import constants, try_to_load_from_cache
    if isinstance(try_to_load_from_cache(repository, _FILE), str):
        return
    if constants.HF_HUB_OFFLINE:
        raise OSError('they are not in the cache, and HF_HUB_OFFLINE is set')
    try:
        urllib.request.urlopen(urllib.request.Request(constants.ENDPOINT, method='HEAD'), timeout=_REACH_S).close()
    except urllib.error.HTTPError:
        return  # it answers
    except OSError as error:
        raise OSError(f'{constants.ENDPOINT} cannot be reached: {getattr(error, "reason", error)}') from error


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return printable(lines[0], 200) if lines else type(error).__name__


def _did_you_mean(inner: str, known: List[str]) -> str:
    near = difflib.get_close_matches(inner.lower(), known, n=3)
    return f'; did you mean {", ".join(TIMM + one for one in near)}?' if near else ''


def _parts(name: str) -> Tuple[str, str]:
    inner, _, tag = name[len(TIMM):].partition('.')
    return inner, tag


def _tags(timm: ModuleType, inner: str) -> List[str]:
    """Tags of the weights that timm knows of a network."""
    return [full.partition('.')[2] for full in timm.list_models(f'{inner}.*', pretrained=True, include_tags=True)]
