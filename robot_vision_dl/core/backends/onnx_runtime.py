"""ONNX Runtime, on the CPU or on a GPU."""
from typing import List, Optional, Sequence

import numpy as np

from ..bundles.bundle import Bundle
from ..errors import ConfigError
from ..networks.onnx_graph import INPUT, make_session
from .array_network import ArrayNetwork
from .onnx_maps import MapsOutput
from .onnx_model import cached_onnx
from .providers import HOST, Device, providers_for, running


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
        providers = providers_for(device)
        model = maps.model if maps else cached_onnx(bundle)
        try:
            self._session = make_session(model, threads, bundle.name, providers)
        except ConfigError as error:
            raise ConfigError(f'{error}; set backend to torch') from error
        self.provider = running(self._session, device)

    def _run(self, pixels: np.ndarray, names: Sequence[str]) -> List[np.ndarray]:
        # It wants planes; our pictures come with channels last. Turning one of 224 pixels takes .05 ms.
        found: List[np.ndarray] = self._session.run(names, {INPUT: np.ascontiguousarray(pixels)})
        return found
