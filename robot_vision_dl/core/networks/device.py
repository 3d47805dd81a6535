"""Name of a compute device -> the device, or an error that says which there are."""
from typing import List

import torch

from ..errors import DeviceError


def available_devices() -> List[str]:
    """Names of the devices that torch can use here, the preferred one first; ``cpu`` is always the last."""
    names = []
    if torch.cuda.is_available():
        names += [f'cuda:{index}' for index in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        names.append('mps')
    return names + ['cpu']


def resolve_device(name: str) -> torch.device:
    """The device that ``name`` means.

    Args:
        name: ``auto`` (the first GPU where there is one, else the CPU), ``cpu``, ``cuda`` (the first GPU),
            ``cuda:<n>`` or ``mps``.

    Raises:
        DeviceError: the name means nothing, or the device is not there.
    """
    found = available_devices()
    if name == 'auto':
        return torch.device(found[0])
    wanted = 'cuda:0' if name == 'cuda' else name
    if wanted in found:
        return torch.device(wanted)
    there = f'found here: {", ".join(found)}'
    kind, _, index = wanted.partition(':')
    if kind == 'mps' and not index:
        raise DeviceError(f'device {name!r}: torch finds no Metal GPU; {there}; use auto or cpu')
    if kind != 'cuda' or not (index.isascii() and index.isdigit()):
        raise DeviceError(f'device {name!r}: expected auto, cpu, cuda, cuda:<n> or mps; {there}')
    if torch.version.cuda is None and torch.version.hip is None:
        raise DeviceError(f'device {name!r}: this torch ({torch.__version__}) is built without CUDA; {there}; install '
                          'the CUDA build of torch and torchvision, or use auto or cpu')
    if not torch.cuda.is_available():
        raise DeviceError(f'device {name!r}: torch ({torch.__version__}) finds no usable GPU; {there}; check that '
                          '`nvidia-smi` works and the driver fits, or use auto or cpu')
    raise DeviceError(f'device {name!r}: there is no such GPU; {there}')
