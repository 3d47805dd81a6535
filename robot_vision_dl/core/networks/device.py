"""Name of a compute device -> the device, or an error that says which there are."""
from typing import List, NamedTuple

import torch

from ..errors import DeviceError
from .cuda import device_count, why_unusable


def available_devices() -> List[str]:
    """Names of the devices that torch can use here, the preferred one first; ``cpu`` is always the last."""
    names = [f'cuda:{index}' for index in range(device_count())]
    if torch.backends.mps.is_available():
        names.append('mps')
    return names + ['cpu']


class ChosenDevice(NamedTuple):
    """What a name means.

    Attributes:
        device: it.
        reason: why ``auto`` does not take a GPU that is there; else empty.
    """

    device: torch.device
    reason: str = ''


def resolve_device(name: str) -> torch.device:
    """The device that ``name`` means; see :func:`choose_device`."""
    return choose_device(name).device


def choose_device(name: str) -> ChosenDevice:
    """The device that ``name`` means. A GPU is tried out: a convolution must give what it should.

    Args:
        name: ``auto`` (the first GPU that works, else the CPU), ``cpu``, ``cuda`` (the first GPU),
            ``cuda:<n>`` or ``mps``.

    Raises:
        DeviceError: the name means nothing, or the device is not there or does not work.
    """
    found = available_devices()
    if name == 'auto':
        return _first_that_works(found)
    wanted = 'cuda:0' if name == 'cuda' else name
    if wanted in found:
        device = torch.device(wanted)
        why_not = why_unusable(device.index or 0) if device.type == 'cuda' else ''
        if why_not:
            raise DeviceError(f'device {name!r}: {why_not}; `robot-vision doctor` says more; or use auto or cpu')
        return ChosenDevice(device)
    there = f'found here: {", ".join(found)}'
    kind, _, index = wanted.partition(':')
    if kind == 'mps' and not index:
        raise DeviceError(f'device {name!r}: torch finds no Metal GPU; {there}; use auto or cpu')
    if kind != 'cuda' or not (index.isascii() and index.isdigit()):
        raise DeviceError(f'device {name!r}: expected auto, cpu, cuda, cuda:<n> or mps; {there}')
    if torch.version.cuda is None and torch.version.hip is None:
        raise DeviceError(f'device {name!r}: this torch ({torch.__version__}) is built without CUDA; {there}; install '
                          'the CUDA build of torch and torchvision, or use auto or cpu')
    if not device_count():
        raise DeviceError(f'device {name!r}: torch ({torch.__version__}) finds no usable GPU; {there}; check that '
                          '`nvidia-smi` works and the driver fits, or use auto or cpu')
    raise DeviceError(f'device {name!r}: there is no such GPU; {there}')


def _first_that_works(found: List[str]) -> ChosenDevice:
    reasons: List[str] = []
    for device in map(torch.device, found):
        why_not = why_unusable(device.index or 0) if device.type == 'cuda' else ''
        if not why_not:
            return ChosenDevice(device, '; '.join(reasons))
        reasons.append(why_not)
    raise AssertionError('the CPU is always there')
