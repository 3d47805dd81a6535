"""ONNX Runtime, on the CPU or on a GPU."""
from typing import Any, Dict, List, Optional, Sequence

import numpy as np

from ..bundles.bundle import Bundle
from ..errors import ConfigError, first_line
from ..networks.onnx_graph import INPUT, make_session
from ..text.notes import to_stderr
from ..text.printable import printable
from .array_network import ArrayNetwork
from .onnx_maps import MapsOutput
from .onnx_model import cached_onnx
from .providers import CPU, HOST, Device, providers_for, running


class OnnxRuntimeNetwork(ArrayNetwork):
    """Runs a bundle's network with ONNX Runtime, in float32; called as the network itself is, by any thread.

    Attributes:
        is_shared: whether several threads may call it at once.

    Args:
        bundle: one model, not an ensemble.
        threads: that share a pass.
        device: that computes; pixels and results are the host's.
        maps: the model with its last maps as one more output, for :meth:`with_maps`; None: as it is.

    Attributes:
        provider: of ONNX Runtime, that really runs it.
        fault: why the CPU goes on in the place of the GPU, a sentence for people; empty: it does not.

    Raises:
        ConfigError: ONNX Runtime or the exporter is not installed, or one of them refuses the network or the device.
    """

    is_shared = True

    def __init__(self, bundle: Bundle, threads: int, device: Device = HOST,
                 maps: Optional[MapsOutput] = None) -> None:
        try:
            import onnxruntime  # noqa: F401
        except ImportError as error:
            raise ConfigError(f'the backend onnxruntime is not installed ({error}); install it with `pip install '
                              '"robot_vision_dl[onnx]"`, or set backend to torch') from error
        super().__init__(bundle, maps)
        self._device, self.fault = device, ''
        model = maps.model if maps else cached_onnx(bundle)

        def made(on: Device) -> Any:
            try:
                return make_session(model, threads, bundle.name, providers_for(on))
            except ConfigError as error:
                raise ConfigError(f'{error}; set backend to torch') from error
        self._made = made
        self._session = made(device)
        self.provider = running(self._session, device)

    def _run(self, pixels: np.ndarray, names: Sequence[str]) -> List[np.ndarray]:
        # It wants planes; our pictures come with channels last. Turning one of 224 pixels takes .05 ms.
        given = {INPUT: np.ascontiguousarray(pixels)}
        found: List[np.ndarray]
        try:
            found = self._session.run(names, given)
        except Exception as error:  # noqa: B902 - of ONNX Runtime, CUDA and its libraries
            if self.provider == CPU:
                raise
            found = self._on_the_cpu(error, names, given)
        return found

    def _on_the_cpu(self, error: Exception, names: Sequence[str], given: Dict[str, np.ndarray]) -> List[np.ndarray]:
        """What the CPU gives, which goes on from here: a GPU that failed stays so for as long as its process lives."""
        session = self._made(HOST)
        found: List[np.ndarray] = session.run(names, given)  # or it was no fault of the GPU
        self._session, self.provider = session, CPU
        self.fault = (f'{self._device} fails in ONNX Runtime ({printable(first_line(error), 300)}). Until the process '
                      'is started again the CPU goes on; see `nvidia-smi` and `sudo dmesg | grep -i -e xid -e nvrm`')
        to_stderr(self.fault)  # an evaluation, too, is no longer of one device
        return found
