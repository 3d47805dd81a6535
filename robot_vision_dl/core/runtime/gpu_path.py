"""From pictures to the packed array by way of a GPU, checked against the CPU, which goes on where the GPU fails."""
from dataclasses import replace
from itertools import chain
from threading import local
from typing import List, NamedTuple, Optional, Sequence

import numpy as np
import torch

from ..backends.providers import providers_for
from ..bundles.bundle import Bundle
from ..config import AUTO, FLOAT32, ClassifierConfig
from ..errors import ConfigError, first_line
from ..networks.cuda import CudaDriver, arithmetic
from ..networks.device import choose_device
from ..networks.gpu_driver import Driver
from ..networks.graph_facts import ONNX
from ..networks.precision import check_precision, dtype_of
from ..networks.preprocess import HostPixels
from ..types import Assessment, Picture
from ..uncertainty.assess import Assessor
from ..uncertainty.ensemble import AnyNetwork
from ..uncertainty.packed import PackedProducts
from .graph_runner import DeviceLost, GraphRunner
from .packed_runner import PackedRunner
from .self_check import check_against_cpu

_HOST = torch.device('cpu')


class ChosenGpu(NamedTuple):
    """Where a deployment runs.

    Attributes:
        device: the network's.
        reason: why it is not the GPU that is there, where that was left to us; else empty.
        gpu: what runs there; None: a CPU, or what a CUDA graph cannot hold.
        onnx_device: where ONNX Runtime runs the network, if it does.
    """

    device: torch.device
    reason: str
    gpu: 'Optional[GpuPath]'
    onnx_device: torch.device = _HOST


def chosen_gpu(bundle: Bundle, config: ClassifierConfig, threads: int) -> ChosenGpu:
    """Where a deployment runs: on the GPU if that is wished and it says what the CPU says.

    Raises:
        DeviceError: the device that was asked for is not there, or fails the check.
        ConfigError: it does not have the precision.
    """
    if config.precision == AUTO:  # int8 runs on no GPU
        config = replace(config, precision=FLOAT32)
    device, reason = choose_device(config.device)
    is_wished, is_onnx = config.device != 'auto', bundle.architecture.name == ONNX and not bundle.members
    if device.type == 'cuda' and (is_onnx or config.backend == 'onnxruntime'):
        return for_onnx_runtime(config, device)
    if device.type == 'cpu' and reason and config.precision == 'tf32':
        return ChosenGpu(device, f'{reason}; tf32 is float32 there', None)
    check_precision(config.precision, device)
    if device.type != 'cuda':
        return ChosenGpu(device, reason, None)
    try:
        network = bundle.load_network(device, dtype_of(config.precision)).to(memory_format=torch.channels_last)
        path = GpuPath(bundle, network, config.precision, config.largest_batch, threads)
        # No graph holds what is drawn anew in each pass; the network was checked all the same.
        return ChosenGpu(device, reason, None if config.dropout_samples else path)
    except Exception as error:  # noqa: B902 - of torch, CUDA and their libraries
        if is_wished:
            raise
        return ChosenGpu(torch.device('cpu'), first_line(error), None)


def for_onnx_runtime(config: ClassifierConfig, device: torch.device) -> ChosenGpu:
    """Where ONNX Runtime runs: on this GPU if it has what that takes; torch does the rest on the CPU.

    Raises:
        ConfigError: it does not have that, and a GPU was asked for.
    """
    try:
        if config.precision not in (FLOAT32, AUTO):
            raise ConfigError(f'precision {config.precision}: ONNX Runtime runs in float32 on {device}; set precision '
                              'to float32, or backend to torch')
        providers_for(device)
        return ChosenGpu(_HOST, '', None, device)
    except ConfigError as error:
        if config.device != 'auto':
            raise
        return ChosenGpu(_HOST, str(error), None)


class GpuPath:
    """A bundle's network on a GPU, with all that is read of large tables.

    Args:
        bundle: the model.
        network: its network on the device, in the precision of the deployment.
        precision: one of :data:`~..config.PRECISIONS`.
        most: frames in a batch at most that has a CUDA graph.
        threads: of the CPU, should it have to go on.
        driver: of the GPU; None: of the device that the network is on.

    Attributes:
        network: as given.
        levels: makes what :meth:`run` takes.
        runner, graphs: what runs on the device, and what runs it.
        cpu: the same on the CPU, in float32.
        fault: why the CPU goes on, a sentence for people; empty while the GPU does.
        difference: largest of the logits from those of the CPU, relative to the largest logit.
        notes: what is not as it was asked for, a sentence each.

    Raises:
        DeviceError: it has not enough memory, or says something else than the CPU.
    """

    def __init__(self, bundle: Bundle, network: AnyNetwork, precision: str, most: int, threads: int = 1,
                 driver: Optional[Driver] = None) -> None:
        device = next(chain(network.parameters(), network.buffers())).device
        self._driver = driver or CudaDriver(device)
        self.levels = HostPixels(bundle.preprocessing)
        self.network, self._threads = network, threads
        self._products = PackedProducts(bundle)
        self.runner = PackedRunner(network, bundle.preprocessing, self._products, precision, arithmetic).to(device)
        # For the check, and to go on with: then nothing has to be loaded.
        self.cpu = PackedRunner(bundle.load_network('cpu', dtype_of('float32')), bundle.preprocessing,
                                 PackedProducts(bundle))
        self._assess = Assessor(bundle, precision)
        self._thread = local()  # whose identity would be that of a later thread again
        self.fault = ''
        self.graphs = GraphRunner(self.runner, self._driver, most, self.runner.shape)
        self.difference = check_against_cpu(self.graphs.run, self._normalised, self.cpu, len(bundle.class_names),
                                            self.graphs.most, precision, str(self._driver.device))

    @property
    def notes(self) -> List[str]:
        """What is not as it was asked for, a sentence each."""
        return self.graphs.notes

    def prepare(self, pictures: Sequence[Picture]) -> torch.Tensor:
        """Levels, uint8 (B, H, W, C), in page-locked memory where some is free."""
        return self.levels(pictures, self.graphs.take(len(pictures)))

    def warm_up(self) -> None:
        """Run a batch of each size with all that comes after it, on the calling thread, which will run them."""
        if getattr(self._thread, 'is_warm', False) or self.fault:
            return
        self._thread.is_warm = True
        for size in range(self.graphs.most, 0, -1):
            self.assess(self.run(torch.full((size, *self.runner.shape), 128, dtype=torch.uint8)))

    def run(self, levels: torch.Tensor, graphs: bool = True) -> np.ndarray:
        """The packed array of levels; of the CPU, from the frame on at which the GPU failed.

        ``graphs``: see :meth:`.graph_runner.GraphRunner.run`.
        """
        self.warm_up()
        if not self.fault:
            try:
                return self.graphs.run(levels, graphs)
            except DeviceLost as error:
                self.fault = f'{error}. Until then the CPU goes on'
                torch.set_num_threads(self._threads)
        packed: np.ndarray = self.cpu(levels).numpy()
        return packed

    def assess(self, packed: np.ndarray) -> List[Assessment]:
        """One assessment a frame of a packed array."""
        return self._assess.of_products(self._products.unpack(packed))

    def _normalised(self, levels: torch.Tensor) -> torch.Tensor:
        found: List[torch.Tensor] = []
        self._driver.run(lambda: found.append(self.runner.normalised(levels.to(self._driver.device)).cpu()))
        self._driver.wait(self._driver.mark())
        return found[0]
