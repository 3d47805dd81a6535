"""OpenVINO on the CPU."""
from typing import TYPE_CHECKING, List, Optional, Tuple, Union, overload

import numpy as np

from ..bundles.bundle import Bundle
from ..errors import ConfigError
from ..networks.onnx_graph import INPUT
from ..networks.openvino_graph import compile_openvino, import_openvino
from ..networks.prediction import HostPrediction, host_prediction, in_batches
from .onnx_maps import MapsOutput
from .onnx_model import batch_of, cached_onnx, cached_path, output_names

if TYPE_CHECKING:
    import torch

    from ..networks.network import Prediction


class OpenVinoNetwork:
    """Runs a bundle's network with OpenVINO, in float32; called as the network itself is.

    Args:
        bundle: one model, not an ensemble.
        threads: that share a pass.
        maps: the model with its last maps as one more output, for :meth:`with_maps`; None: as it is.

    Raises:
        ConfigError: OpenVINO or the exporter is not installed, or one of them refuses the network.
    """

    takes_arrays = True

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

    @overload
    def __call__(self, pixels: np.ndarray) -> HostPrediction: ...
    @overload
    def __call__(self, pixels: 'torch.Tensor') -> 'Prediction': ...

    def __call__(self, pixels: 'Union[np.ndarray, torch.Tensor]') -> 'Union[HostPrediction, Prediction]':
        """Logits (B, C), features (B, F) and stages of preprocessed float32 pixels (B, channels, H, W) on the CPU."""
        if not isinstance(pixels, np.ndarray):
            return self(pixels.numpy()).as_tensors()
        return host_prediction(in_batches(self._run, pixels, self._batch), 'features' in self._outputs)

    def with_maps(self, pixels: 'torch.Tensor') -> 'Tuple[Prediction, torch.Tensor]':
        """The same of a tensor, and the last maps (B, F, h, w) of the pass."""
        import torch
        assert self._maps is not None
        names = [*self._outputs, self._maps]
        *outputs, maps = in_batches(lambda some: self._run(some, names), pixels.numpy(), self._batch)
        return host_prediction(outputs, 'features' in self._outputs).as_tensors(), torch.from_numpy(maps)

    def _run(self, pixels: np.ndarray, names: Optional[List[str]] = None) -> List[np.ndarray]:
        self._request.infer({INPUT: np.ascontiguousarray(pixels)})
        # Copies: the request's own memory is overwritten by its next pass.
        return [self._request.get_tensor(name).data.copy() for name in names or self._outputs]
