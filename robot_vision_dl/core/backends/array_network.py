"""What the runtimes of ONNX models share: arrays or tensors in, the same out, in batches that a model takes."""
from typing import TYPE_CHECKING, List, Optional, Sequence, Tuple, Union, overload

import numpy as np

from ..bundles.bundle import Bundle
from ..networks.prediction import HostPrediction, host_prediction, in_batches
from .onnx_maps import MapsOutput
from .onnx_model import batch_of, output_names

if TYPE_CHECKING:
    import torch

    from ..networks.network import Prediction


class ArrayNetwork:
    """Called as the network itself is; a runtime's own part is :meth:`_run`.

    Attributes:
        takes_arrays: whether it takes arrays, too, and gives arrays then.

    Args:
        bundle: one model, not an ensemble.
        maps: the model with its last maps as one more output, for :meth:`with_maps`; None: as it is.
    """

    takes_arrays = True

    def __init__(self, bundle: Bundle, maps: Optional[MapsOutput]) -> None:
        self._outputs, self._batch = output_names(bundle), batch_of(bundle)
        self._maps = maps and maps.name

    @overload
    def __call__(self, pixels: np.ndarray) -> HostPrediction: ...
    @overload
    def __call__(self, pixels: 'torch.Tensor') -> 'Prediction': ...

    def __call__(self, pixels: 'Union[np.ndarray, torch.Tensor]') -> 'Union[HostPrediction, Prediction]':
        """Logits (B, C), features (B, F) and stages of preprocessed float32 pixels (B, channels, H, W) on the CPU."""
        if not isinstance(pixels, np.ndarray):
            return self(pixels.numpy()).as_tensors()
        outputs = in_batches(lambda some: self._run(some, self._outputs), pixels, self._batch)
        return host_prediction(outputs, 'features' in self._outputs)

    def with_maps(self, pixels: 'torch.Tensor') -> 'Tuple[Prediction, torch.Tensor]':
        """The same of a tensor, and the last maps (B, F, h, w) of the pass."""
        import torch
        assert self._maps is not None
        names = [*self._outputs, self._maps]
        *outputs, maps = in_batches(lambda some: self._run(some, names), pixels.numpy(), self._batch)
        return host_prediction(outputs, 'features' in self._outputs).as_tensors(), torch.from_numpy(maps)

    def _run(self, pixels: np.ndarray, names: Sequence[str]) -> List[np.ndarray]:
        """The outputs of these names, of one batch."""
        raise NotImplementedError
