"""What a network is, in words and numbers: how to build one of the same shape again."""
import difflib
from dataclasses import asdict, dataclass
from typing import Any, Dict, List, Optional, Tuple

from ..errors import ConfigError
from ..text.printable import printable

HEADS = ('native', 'linear')
MOST_CLASSES = 100_000
MOST_SIDE = 2048  # of the input, in pixels; the largest of torchvision's weights is 600
MOST_STAGES = 16
TIMM = 'timm:'
"""What names of timm's networks begin with."""


def is_timm(name: str) -> bool:
    """Whether a network or model is one of timm's by its name: ``timm:resnet18``."""
    return name.startswith(TIMM)


@dataclass(frozen=True)
class Architecture:
    """Everything that is needed to build a network of the same shape again.

    Attributes:
        name: one of :func:`list_architectures`, or ``timm:`` and a name of timm's.
        num_classes: C, at least 1.
        in_channels: 1 for grey or 3 for RGB.
        head: ``native``: the last layer as the architecture has it; ``linear``: a fully connected layer with bias. The
            two differ for SqueezeNet (convolution, ReLU, mean) and MaxViT (no bias).
        dropout: probability before the head while training; None: as the architecture has it.
        input_size: side of the square input in pixels, where weights depend on it (ViT, MaxViT); None: its default.
        stages: dotted names of modules of the backbone whose outputs are given too, in the order in which they run; see
            :mod:`.stages`.
    """

    name: str
    num_classes: int
    in_channels: int = 3
    head: str = 'native'
    dropout: Optional[float] = None
    input_size: Optional[int] = None
    stages: Tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or len(self.name) > 100:
            raise ConfigError(f'architecture: name must be one of `robot-vision models architectures`, got '
                              f'{printable(repr(self.name), 60)}')
        for field, minimum in (('num_classes', 1), ('in_channels', 1)):
            value = getattr(self, field)
            if type(value) is not int or not minimum <= value <= MOST_CLASSES:
                raise ConfigError(f'architecture {printable(self.name)}: {field} must be an integer from {minimum} to '
                                  f'{MOST_CLASSES}, got {printable(repr(value), 60)}')
        if self.in_channels not in (1, 3):
            raise ConfigError(f'architecture {self.name}: in_channels must be 1 or 3, got {self.in_channels}')
        if self.head not in HEADS:
            raise ConfigError(f'architecture {self.name}: head must be one of {", ".join(HEADS)}, got '
                              f'{printable(repr(self.head), 60)}')
        if self.dropout is not None and not (type(self.dropout) in (int, float) and 0 <= self.dropout < 1):
            raise ConfigError(f'architecture {self.name}: dropout must be in [0, 1) or None, got '
                              f'{printable(repr(self.dropout), 60)}')
        if self.input_size is not None and (type(self.input_size) is not int or not 1 <= self.input_size <= MOST_SIDE):
            raise ConfigError(f'architecture {self.name}: input_size must be an integer in 1..{MOST_SIDE} or None, '
                              f'got {printable(repr(self.input_size), 60)}')
        stages = self.stages
        if not isinstance(stages, (list, tuple)) or len(stages) > MOST_STAGES or len(set(stages)) != len(stages) \
                or not all(isinstance(one, str) and 0 < len(one) <= 100 for one in stages):
            raise ConfigError(f'architecture {self.name}: stages must be up to {MOST_STAGES} different names of '
                              f'modules, got {printable(repr(stages), 60)}')
        object.__setattr__(self, 'stages', tuple(stages))

    def as_dict(self) -> Dict[str, Any]:
        """Plain values, as they are written to a bundle."""
        return {**asdict(self), 'stages': list(self.stages)}


def did_you_mean(name: str, known: List[str], cutoff: float = 0.5) -> str:
    """``; did you mean a, b?`` for the known names nearest to ``name``, or an empty string."""
    near = difflib.get_close_matches(name.lower(), known, n=3, cutoff=cutoff)
    return f'; did you mean {", ".join(near)}?' if near else ''
