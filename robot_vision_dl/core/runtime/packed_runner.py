"""Normalisation, network and what is read of large tables as one callable: levels in, one packed array out.

It is what a GPU runs (:mod:`.graph_runner`), from one upload to one download, and it runs on any device: there are no
branches on data and nothing in it goes by way of the host.
"""
from contextlib import nullcontext
from typing import Any, Callable, ContextManager, Union

import numpy as np
import torch
from torch import nn

from ..networks.network import Prediction
from ..networks.precision import dtype_of
from ..networks.preprocess import Preprocessing
from ..uncertainty.ensemble import AnyNetwork, EnsemblePrediction
from ..uncertainty.packed import PackedOutputs, PackedProducts


class PackedRunner(nn.Module):
    """uint8 (B, H, W, C), resized and cut, in the network's order of channels -> float32 (B, K) of ``products``.

    Args:
        network: in evaluation mode.
        preprocessing: what its weights expect.
        products: what is made of its predictions.
        precision: of the network, whose weights are of its :func:`~..networks.precision.dtype_of`.
        arithmetic: context in which products are of a precision; that of the network's for the network, ``float32``
            for what comes after it.
    """

    scale: torch.Tensor
    offset: torch.Tensor

    def __init__(self, network: AnyNetwork, preprocessing: Preprocessing,
                 products: Union[PackedProducts, PackedOutputs], precision: str = 'float32',
                 arithmetic: Callable[[str], ContextManager[Any]] = nullcontext) -> None:
        super().__init__()
        self.network, self.products, self.preprocessing = network, products, preprocessing
        self._precision, self._arithmetic, self.dtype = precision, arithmetic, dtype_of(precision)
        self.shape = (*preprocessing.crop, preprocessing.channels)
        # As :class:`~..networks.preprocess.Preprocessor` has it, so that the same bits come out.
        std, mean = np.array(preprocessing.std), np.array(preprocessing.mean)
        for name, value in (('scale', 1 / (255 * std)), ('offset', -mean / std)):
            row = torch.from_numpy(value.astype(np.float32)).repeat(preprocessing.crop[1])
            self.register_buffer(name, row, persistent=False)

    def normalised(self, levels: torch.Tensor) -> torch.Tensor:
        """The network's input (B, C, H, W), channels last, of levels (B, H, W, C) on its device."""
        pixels = levels.to(torch.float32)
        pixels.view(-1, len(self.scale)).mul_(self.scale).add_(self.offset)
        return pixels.permute(0, 3, 1, 2).to(self.dtype)

    def forward(self, levels: torch.Tensor) -> torch.Tensor:
        """The packed array of levels on the network's device."""
        return self.of_pixels(self.normalised(levels))

    def of_pixels(self, pixels: torch.Tensor) -> torch.Tensor:
        """The packed array of what the network takes, (B, C, H, W)."""
        prediction = self.prediction(pixels)
        with self._arithmetic('float32'):
            packed: torch.Tensor = self.products(prediction)
        return packed

    def prediction(self, pixels: torch.Tensor) -> Union[Prediction, EnsemblePrediction]:
        """What the network alone says, in its arithmetic."""
        with self._arithmetic(self._precision):
            found: Union[Prediction, EnsemblePrediction] = self.network(pixels)
        return found
