"""OpenVINO on the CPU."""
from typing import List, Optional, Sequence

import numpy as np

from ..bundles.bundle import Bundle
from ..errors import ConfigError
from ..networks.onnx_graph import INPUT
from ..networks.openvino_graph import compile_openvino, import_openvino
from .array_network import ArrayNetwork
from .onnx_maps import MapsOutput
from .onnx_model import cached_onnx


class OpenVinoNetwork(ArrayNetwork):
    """Runs a bundle's network with OpenVINO, in float32; called as the network itself is.

    Args:
        bundle: one model, not an ensemble.
        threads: that share a pass.
        maps: the model with its last maps as one more output, for :meth:`with_maps`; None: as it is.

    Raises:
        ConfigError: OpenVINO or the exporter is not installed, or one of them refuses the network.
    """

    def __init__(self, bundle: Bundle, threads: int, maps: Optional[MapsOutput] = None) -> None:
        try:
            import_openvino()
        except ConfigError as error:
            raise ConfigError(f'{error}, or set backend to torch') from error
        super().__init__(bundle, maps)
        model = maps.model if maps else cached_onnx(bundle)
        try:
            self._request = compile_openvino(model, threads, bundle.name).create_infer_request()
        except ConfigError as error:
            raise ConfigError(f'{error}; set backend to torch') from error

    def _run(self, pixels: np.ndarray, names: Sequence[str]) -> List[np.ndarray]:
        self._request.infer({INPUT: np.ascontiguousarray(pixels)})
        # Copies: the request's own memory is overwritten by its next pass.
        return [self._request.get_tensor(name).data.copy() for name in names]
