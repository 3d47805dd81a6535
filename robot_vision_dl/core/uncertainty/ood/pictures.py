"""What a network says of pictures, as scores of what is out of distribution are fitted to it and called with it."""
from dataclasses import dataclass
from typing import TYPE_CHECKING, Optional, Sequence, Tuple, Union

import numpy as np

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Pictures:
    """Outputs of a network for n pictures, float32.

    Attributes:
        logits, features: shapes (n, C) and (n, F).
        labels: int64 (n,), or None for pictures of no class.
        stages: of each stage of the network, shape (n, F_s).
        groups: int64 (n,); pictures of one number are of one object or recording, and alike. None: it is not known.
    """

    logits: 'torch.Tensor'
    features: 'torch.Tensor'
    labels: 'Optional[torch.Tensor]' = None
    stages: 'Tuple[torch.Tensor, ...]' = ()
    groups: 'Optional[torch.Tensor]' = None

    @classmethod
    def of(cls, logits: np.ndarray, features: np.ndarray, labels: Optional[np.ndarray] = None,
           stages: Sequence[np.ndarray] = (), groups: Optional[np.ndarray] = None) -> 'Pictures':
        """From arrays."""
        import torch
        z, f, *rest = (torch.from_numpy(np.asarray(one, np.float32)) for one in (logits, features, *stages))
        targets, numbers = (None if one is None else torch.from_numpy(np.asarray(one, np.int64))
                            for one in (labels, groups))
        return cls(z, f, targets, tuple(rest), numbers)

    def __getitem__(self, chosen: 'Union[torch.Tensor, np.ndarray]') -> 'Pictures':
        return Pictures(self.logits[chosen], self.features[chosen],
                        None if self.labels is None else self.labels[chosen],
                        tuple(one[chosen] for one in self.stages),
                        None if self.groups is None else self.groups[chosen])

    def __len__(self) -> int:
        return len(self.logits)

    def split(self, index: int) -> Tuple['Pictures', 'Pictures']:
        """Those of other classes, and those of this class."""
        assert self.labels is not None
        is_index = self.labels.eq(index)
        return self[~is_index], self[is_index]

    def arrays(self) -> Tuple[np.ndarray, np.ndarray, Tuple[np.ndarray, ...]]:
        """Logits, features and stages."""
        return self.logits.numpy(), self.features.numpy(), tuple(one.numpy() for one in self.stages)
