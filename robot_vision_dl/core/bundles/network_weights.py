"""The weights of a bundle's network, for torch."""
from pathlib import Path
from typing import Dict, Tuple

import numpy as np
import torch
from safetensors.torch import load_file
from torch import nn

from ..errors import BundleError
from ..text.printable import printable
from .bundle_tensors import checked_load

_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def read_weights(path: Path) -> Dict[str, torch.Tensor]:
    """All tensors of a safetensors file on the CPU, every floating number of them finite.

    Raises:
        BundleError: it is no such file, or a number is not finite.
    """
    tensors = checked_load(path, load_file)
    for name, tensor in tensors.items():
        _check_finite(tensor, f'{printable(path)}: {printable(name, 100)}')
    return tensors


def _check_finite(tensor: torch.Tensor, where: str) -> None:
    if tensor.is_floating_point() or tensor.is_complex() or tensor.is_quantized:
        if tensor.dtype not in _FLOATS:
            raise BundleError(f'{where}: must hold numbers of 16 bits at least, got {tensor.dtype}')
        values = tensor.float() if tensor.dtype == torch.float16 else tensor  # torch 2.1 on a CPU: no aminmax of halves
        if tensor.numel() and not all(torch.isfinite(limit) for limit in torch.aminmax(values)):
            raise BundleError(f'{where}: holds NaN or an infinity; make the bundle again from sound weights')


def linear_layer(weight_and_bias: Tuple[np.ndarray, np.ndarray]) -> nn.Linear:
    """A layer of torch of :func:`~.bundle_tensors.read_head`."""
    weight, bias = (nn.Parameter(torch.from_numpy(values), requires_grad=False) for values in weight_and_bias)
    layer = nn.Linear(weight.shape[1], weight.shape[0])
    layer.weight, layer.bias = weight, bias
    return layer
