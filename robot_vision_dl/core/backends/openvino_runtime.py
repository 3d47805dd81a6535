"""OpenVINO on the CPU."""
from typing import List, Optional, Tuple

import torch

from ..bundles.bundle import Bundle
from ..errors import ConfigError
from ..networks.graph_network import as_prediction, run_in_batches
from ..networks.network import Prediction
from ..networks.onnx_graph import INPUT
from ..networks.openvino_graph import compile_openvino, import_openvino
from .onnx_maps import MapsOutput
from .onnx_model import batch_of, cached_onnx, cached_path, output_names


class OpenVinoNetwork:
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
        self._outputs, self._batch = output_names(bundle), batch_of(bundle)
        self._maps = maps and maps.name
        model = maps.model if maps else cached_onnx(bundle)
        try:
            self._request = compile_openvino(model, threads, bundle.name).create_infer_request()
        except ConfigError as error:
            raise ConfigError(f'{error}; remove {cached_path(bundle)} if that is damaged, or set backend to torch'
                              ) from error

    def __call__(self, pixels: torch.Tensor) -> Prediction:
        """Logits (B, C), features (B, F) and stages of preprocessed float32 pixels (B, channels, H, W) on the CPU."""
        return as_prediction(run_in_batches(self._run, pixels, self._batch), 'features' in self._outputs)

    def with_maps(self, pixels: torch.Tensor) -> Tuple[Prediction, torch.Tensor]:
        """The same, and the last maps (B, F, h, w) of the pass."""
        assert self._maps is not None
        names = [*self._outputs, self._maps]
        *outputs, maps = run_in_batches(lambda some: self._run(some, names), pixels, self._batch)
        return as_prediction(outputs, 'features' in self._outputs), maps

    def _run(self, pixels: torch.Tensor, names: Optional[List[str]] = None) -> List[torch.Tensor]:
        self._request.infer({INPUT: pixels.contiguous().numpy()})
        # Copies: the request's own memory is overwritten by its next pass.
        return [torch.from_numpy(self._request.get_tensor(name).data.copy()) for name in names or self._outputs]
