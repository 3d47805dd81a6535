"""In which arithmetic a network runs, by name."""
import torch

from ..errors import ConfigError


def dtype_of(precision: str) -> torch.dtype:
    """The type of the network's weights and input."""
    dtype: torch.dtype = torch.float32 if precision == 'tf32' else getattr(torch, precision)
    return dtype


def check_precision(precision: str, device: torch.device) -> None:
    """Raise :class:`ConfigError` for an arithmetic that the device does not have."""
    if precision == 'tf32' and device.type != 'cuda':
        raise ConfigError(f'precision tf32: only NVIDIA GPUs have it, and this runs on {device.type}; set precision to '
                          'float32')
