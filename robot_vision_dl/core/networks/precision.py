"""In which arithmetic a network runs, by name."""
import torch

from ..errors import ConfigError

PRECISIONS = ('float32', 'tf32', 'float16', 'bfloat16')
"""``float32`` is float32 on every device. ``tf32`` is float32 of which NVIDIA's tensor cores multiply 10 bits of the
mantissa instead of 23; no other device has it. What comes after the network (scores, distances) is float32 in all."""


def dtype_of(precision: str) -> torch.dtype:
    """The type of the network's weights and input."""
    dtype: torch.dtype = torch.float32 if precision == 'tf32' else getattr(torch, precision)
    return dtype


def check_precision(precision: str, device: torch.device) -> None:
    """Raise :class:`ConfigError` for an arithmetic that the device does not have."""
    if precision == 'tf32' and device.type != 'cuda':
        raise ConfigError(f'precision tf32: only NVIDIA GPUs have it, and this runs on {device.type}; set precision to '
                          'float32')
