"""What a forward pass gives, as arrays: of a runtime that is not torch."""
from typing import TYPE_CHECKING, Callable, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

if TYPE_CHECKING:
    from .network import Prediction


class HostPrediction(NamedTuple):
    """As :class:`~.network.Prediction`, in arrays on the host.

    Attributes:
        logits: float32, shape (B, C).
        features: what the head sees, float32, shape (B, F); F is 0 where the network gives none.
        stages: what each of ``architecture.stages`` gives, averaged over the picture, shape (B, F_s) each.
    """

    logits: np.ndarray
    features: np.ndarray
    stages: Tuple[np.ndarray, ...] = ()

    def as_tensors(self) -> 'Prediction':
        """The same for torch, which shares the memory."""
        from torch import from_numpy

        from .network import Prediction
        return Prediction(from_numpy(self.logits), from_numpy(self.features), tuple(map(from_numpy, self.stages)))


def host_prediction(outputs: Sequence[np.ndarray], has_features: bool) -> HostPrediction:
    """Logits, features where there are such, and stages as a prediction."""
    logits, *rest = outputs
    features = rest.pop(0) if has_features else np.empty((len(logits), 0), np.float32)
    return HostPrediction(logits, features, tuple(rest))


def in_batches(run: Callable[[np.ndarray], Sequence[np.ndarray]], pixels: np.ndarray, batch: Optional[int]
               ) -> List[np.ndarray]:
    """Outputs of any number of pictures from what takes ``batch`` at once (None: any number).

    The last batch is filled with its last picture.
    """
    if batch is None or len(pixels) == batch:
        return list(run(pixels))
    parts = []
    for first in range(0, len(pixels), batch):
        some = pixels[first:first + batch]
        missing = batch - len(some)
        full = np.concatenate([some, np.repeat(some[-1:], missing, axis=0)]) if missing else some
        parts.append([output[:len(some)] for output in run(full)])
    return [np.concatenate(outputs) for outputs in zip(*parts)]
