"""What an OOD score looks at, as it is written: ``knn``, ``knn@blocks.3``, and several joined by ``+``."""
from dataclasses import dataclass
from typing import TYPE_CHECKING, Dict, Optional, Sequence, Tuple, Type

from ...errors import ConfigError
from ...text.printable import printable
from .base import OodScore
from .energy import Energy
from .knn import KNearestNeighbours
from .mahalanobis import Mahalanobis, MahalanobisNormalised, RelativeMahalanobis
from .mahalanobis_low_rank import MahalanobisLowRank
from .max_logit import MaxLogit
from .max_softmax import MaxSoftmax
from .react import ReAct
from .vim import Vim

if TYPE_CHECKING:
    import torch

OOD_METHODS: Dict[str, Type[OodScore]] = {
    'energy': Energy,
    'knn': KNearestNeighbours,
    'mahalanobis': Mahalanobis,
    'mahalanobis_low_rank': MahalanobisLowRank,
    'mahalanobis_normalised': MahalanobisNormalised,
    'max_logit': MaxLogit,
    'max_softmax': MaxSoftmax,
    'react': ReAct,
    'relative_mahalanobis': RelativeMahalanobis,
    'vim': Vim,
}
OF_LOGITS = ('energy', 'max_logit', 'max_softmax')
"""Those that do without features, which an ONNX file may not give."""
COMBINED = 'combined'
"""In the place of a score: several as one, see ``combined.py``."""
MOST_PARTS = 16
_MOST_STAGES_READ = 4
_MOST_FOR_COVARIANCE = 256
_SHORT = {'mahalanobis_normalised': 'mahalanobis', 'mahalanobis_low_rank': 'mahalanobis'}


def ood_method(name: str) -> Type[OodScore]:
    """The class of a score by its name.

    Raises:
        ConfigError: there is no such score.
    """
    if name not in OOD_METHODS:
        raise ConfigError(f'no OOD method {printable(repr(name), 60)}; there are {", ".join(sorted(OOD_METHODS))}')
    return OOD_METHODS[name]


@dataclass(frozen=True)
class Part:
    """A score and the features that it reads.

    Attributes:
        method: a key of ``OOD_METHODS``.
        of: name of a stage of the network; empty: what the head sees, and the logits.
    """

    method: str
    of: str = ''

    def __post_init__(self) -> None:
        kind = ood_method(self.method)
        if self.of and not kind.of_features:
            raise ConfigError(f'OOD method {self.method}@{printable(self.of, 60)}: {self.method} reads logits, which '
                              f'only the head gives; of a stage there are {", ".join(_of_features())}')

    def __str__(self) -> str:
        return f'{self.method}@{self.of}' if self.of else self.method

    @property
    def words(self) -> str:
        """For people: what is looked at, and by what."""
        where = f'layer {self.of}' if self.of.isdigit() else self.of
        where = where or ('logits' if self.kind == 'logits' else 'last features')
        return f'{where} ({_SHORT.get(self.method, self.method)})'

    @property
    def kind(self) -> str:
        """What it reads: ``stages``, ``features`` of the head, or ``logits``."""
        return 'stages' if self.of else 'logits' if self.method in OF_LOGITS else 'features'

    def place(self, stage_names: Sequence[str]) -> Optional[int]:
        """Of its features among those of the stages; None: those that the head sees.

        Raises:
            ConfigError: there is no such stage.
        """
        if not self.of:
            return None
        if self.of not in stage_names:
            raise ConfigError(f'OOD method {self.method}@{printable(self.of, 60)}: the network gives no such stage, '
                              f'but {", ".join(stage_names) or "none at all"}; name it among the stages')
        return list(stage_names).index(self.of)

    def reads(self, features: 'torch.Tensor', stages: 'Sequence[torch.Tensor]', stage_names: Sequence[str]
              ) -> 'torch.Tensor':
        """What it is to read of a pass.

        Raises:
            ConfigError: the network gives no such features.
        """
        place = self.place(stage_names)
        if place is None and self.method not in OF_LOGITS and not features.shape[1]:
            raise ConfigError(f'{self.method}: needs features, and this network gives none but its logits; choose one '
                              f'of {", ".join(OF_LOGITS)}, or import its file again with --features')
        return features if place is None else stages[place]


def _of_features() -> Tuple[str, ...]:
    return tuple(name for name, kind in sorted(OOD_METHODS.items()) if kind.of_features)


def parse_parts(text: str) -> Tuple[Part, ...]:
    """The parts of ``method``, ``method@stage`` or several joined by ``+``, which are to be combined.

    Raises:
        ConfigError: there is no such score, or one occurs twice.
    """
    parts = []
    for one in text.split('+'):
        method, _, of = one.strip().partition('@')
        ood_method(method)
        parts.append(Part(method, of))
    if len(set(parts)) < len(parts) or len(parts) > MOST_PARTS:
        raise ConfigError(f'OOD method {printable(text, 100)}: up to {MOST_PARTS} different scores can be combined')
    return tuple(parts)


def usual_parts(stage_names: Sequence[str], features: int) -> Tuple[Part, ...]:
    """What is combined where nothing else is said: each stage, what the head sees, and the logits.

    Of more than four stages four are read, the last among them, which lie evenly apart: each costs time. The covariance
    of very many features costs more than the rest of them all, and a few of its axes tell as much. The nearest known
    features tell more of things that resemble the classes, a distance to the classes' means more of all others.

    Args:
        features: F of what the head sees; 0: the network gives none.
    """
    n = len(stage_names)
    step = max(n / _MOST_STAGES_READ, 1)
    read = [stage_names[n - 1 - int(number * step)] for number in range(min(n, _MOST_STAGES_READ))][::-1]
    parts = [Part('mahalanobis_normalised', name) for name in read]
    if features:
        few = features <= _MOST_FOR_COVARIANCE
        parts += [Part('mahalanobis_normalised' if few else 'mahalanobis_low_rank'), Part('knn')]
    return (*parts, Part('energy'))
