"""Which classes' evidence an overlay shows, by what was decided."""
from typing import TYPE_CHECKING, Callable, Optional, Union

import numpy as np

from ..types import Outcome, Result, ShownEvidence

if TYPE_CHECKING:
    import torch

    from ..networks.evidence import PassMaps


def chosen_evidence(mode: str, result: Result, maps: 'PassMaps', place: int) -> Optional[ShownEvidence]:
    """Evidence of this frame for the best class, or for it rather than for the second best.

    Best and second best are those of the fused posterior, which the decision rests on. What is ``uncertain`` is always
    held against the second best: what speaks for both does not tell why.

    Args:
        mode: ``winner`` or ``difference``.
        result: the decision.
        maps: of the pass that it rests on.
        place: of the frame in the batch.

    Returns:
        None where the camera is at fault: no class was decided by the picture.
    """
    if result.camera is not None and result.camera.fault is not None:
        return None
    best, names = result.decision.class_index, result.class_names
    if len(names) < 2 or (mode == 'winner' and result.decision.outcome is not Outcome.UNCERTAIN):
        return ShownEvidence(_when_asked(maps, lambda: maps.of([best], place)[0, 0]), names[best])
    others = np.array(result.posterior, copy=True)
    others[best] = -1
    second = int(others.argmax())
    return ShownEvidence(_when_asked(maps, lambda: maps.between(best, second, place)), names[best], names[second])


def _when_asked(maps: 'PassMaps', values: 'Callable[[], torch.Tensor]') -> Union[np.ndarray, Callable[[], np.ndarray]]:
    """Values at once; but a gradient, which may take as long as the head twice, not before the decision has left."""
    def found() -> np.ndarray:
        array: np.ndarray = values().float().cpu().numpy()
        return array
    return found() if maps.exact else found
