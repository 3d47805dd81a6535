"""In which arithmetic a network runs, by name."""
import torch

from ..config import INT8
from ..errors import ConfigError


def dtype_of(precision: str) -> torch.dtype:
    """The type of the network's weights and input; an int8 network takes float32, and rounds it itself."""
    dtype: torch.dtype = torch.float32 if precision in ('tf32', INT8) else getattr(torch, precision)
    return dtype


def check_precision(precision: str, device: torch.device) -> None:
    """Raise :class:`ConfigError` for an arithmetic that the device does not have."""
    if precision == 'tf32' and device.type != 'cuda':
        raise ConfigError(f'precision tf32: only NVIDIA GPUs have it, and this runs on {device.type}; set precision to '
                          'float32')
