"""ONNX Runtime, on the CPU or on a GPU."""
from typing import TYPE_CHECKING, List, Optional, Tuple, Union, overload

import numpy as np

from ..bundles.bundle import Bundle
from ..errors import ConfigError
from ..networks.onnx_graph import INPUT, make_session
from ..networks.prediction import HostPrediction, host_prediction, in_batches
from .onnx_maps import MapsOutput
from .onnx_model import batch_of, cached_onnx, cached_path, output_names
from .providers import HOST, Device, providers_for, running

if TYPE_CHECKING:
    import torch

    from ..networks.network import Prediction


class OnnxRuntimeNetwork:
    """Runs a bundle's network with ONNX Runtime, in float32; called as the network itself is, by any thread.

    Attributes:
        is_shared: whether several threads may call it at once.
        takes_arrays: whether it takes arrays, too, and gives arrays then.

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
    takes_arrays = True

    def __init__(self, bundle: Bundle, threads: int, device: Device = HOST,
                 maps: Optional[MapsOutput] = None) -> None:
        try:
            import onnxruntime  # noqa: F401
        except ImportError as error:
            raise ConfigError(f'the backend onnxruntime is not installed ({error}); install it with `pip install '
                              '"robot_vision_dl[onnx]"`, or set backend to torch') from error
        self._outputs, self._batch = output_names(bundle), batch_of(bundle)
        providers = providers_for(device)
        self._maps = maps and maps.name
        model = maps.model if maps else cached_onnx(bundle)
        try:
            self._session = make_session(model, threads, bundle.name, providers)
        except ConfigError as error:
            raise ConfigError(f'{error}; remove {cached_path(bundle)} if that is damaged, or set backend to torch'
                              ) from error
        self.provider = running(self._session, device)

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
        # It wants planes; our pictures come with channels last. Turning one of 224 pixels takes .05 ms.
        found: List[np.ndarray] = self._session.run(names or self._outputs, {INPUT: np.ascontiguousarray(pixels)})
        return found
