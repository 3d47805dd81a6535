"""Logits, features and stages by way of a GPU as the live node runs it, for what is fitted to them."""
from itertools import chain
from typing import Optional

import numpy as np
import torch

from ..bundles.bundle import Bundle
from ..networks.cuda import CudaDriver, arithmetic
from ..networks.gpu_driver import Driver
from ..networks.network import Prediction
from ..uncertainty.ensemble import AnyNetwork
from ..uncertainty.packed import PackedOutputs
from .graph_runner import GraphRunner
from .packed_runner import PackedRunner
from .self_check import check_against_cpu


class GpuOutputs:
    """A network on a GPU, called as the network itself is, with tensors of the host: the same graphs as the node's.

    Args:
        bundle: the model.
        network: its network on the device, in its precision.
        precision: one of :data:`~..config.PRECISIONS`.
        most: frames in a batch at most; larger ones are divided.
        driver: of the GPU; None: of the device that the network is on.

    Raises:
        DeviceError: it has not enough memory, or says something else than the CPU.
    """

    def __init__(self, bundle: Bundle, network: AnyNetwork, precision: str, most: int,
                 driver: Optional[Driver] = None) -> None:
        device = next(chain(network.parameters(), network.buffers())).device
        driver = driver or CudaDriver(device)
        self._products = PackedOutputs()
        runner = PackedRunner(network, bundle.preprocessing, self._products, precision, arithmetic).to(device)
        self.dtype = runner.dtype
        self._graphs = GraphRunner(lambda pixels: runner.of_pixels(pixels.permute(0, 3, 1, 2)), driver, most,
                                   runner.shape, runner.dtype)
        cpu = PackedRunner(bundle.load_network(), bundle.preprocessing, PackedOutputs())
        check_against_cpu(lambda levels: self._packed(cpu.normalised(levels)), cpu.normalised, cpu,
                          len(bundle.class_names), self._graphs.most, precision, str(driver.device))

    def __call__(self, pixels: torch.Tensor) -> Prediction:
        """Of preprocessed pixels (B, C, H, W) on the host, float32."""
        logits, features, *stages = map(torch.from_numpy, self._products.unpack(self._packed(pixels)))
        return Prediction(logits, features, tuple(stages))

    def _packed(self, pixels: torch.Tensor) -> np.ndarray:
        batches = pixels.to(self.dtype).permute(0, 2, 3, 1).split(self._graphs.most)
        return np.concatenate([self._graphs.run(batch) for batch in batches])
