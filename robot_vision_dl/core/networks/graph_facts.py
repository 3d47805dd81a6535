"""What a bundle says of a network that is a file of the user's own."""
from dataclasses import asdict, dataclass
from typing import Any, Dict, Optional, Tuple

from ..errors import ConfigError
from .architecture import MOST_CLASSES, MOST_STAGES

ONNX, PROGRAM = 'onnx', 'torch.export'
OPENVINO = 'openvino'
GRAPHS = (ONNX, PROGRAM)
"""Names that stand in the place of an architecture's."""
_MOST_BATCH = 1024


@dataclass(frozen=True)
class GraphFacts:
    """What ``bundle.json`` says of a network that is a file.

    Attributes:
        features: F; 0: the file gives none, so there are only scores of logits.
        stages: F_s of each stage.
        batch: that the file is fixed to, mostly 1; None: any.
        sources: what the outputs (logits, features, stages) were called in the file that was imported.
        weight_bits: of a network of int8 that was made here (an ONNX file), 7 or 8; None: of any other.
        runtime: of such a network, what it is calibrated with and runs on: ``openvino``; None: ONNX Runtime.
    """

    features: int
    stages: Tuple[int, ...] = ()
    batch: Optional[int] = None
    sources: Tuple[str, ...] = ()
    weight_bits: Optional[int] = None
    runtime: Optional[str] = None

    def __post_init__(self) -> None:
        for name, most in (('stages', MOST_STAGES), ('sources', MOST_STAGES + 2)):
            if not isinstance(getattr(self, name), (list, tuple)) or len(getattr(self, name)) > most:
                raise ConfigError(f'graph: {name} must be a list of at most {most}')
            object.__setattr__(self, name, tuple(getattr(self, name)))
        for name, value, low, high in (('features', self.features, 0, MOST_CLASSES),
                                       ('batch', self.batch, 1, _MOST_BATCH),
                                       *(('stages', size, 1, MOST_CLASSES) for size in self.stages)):
            if not (name == 'batch' and value is None) and (type(value) is not int or not low <= value <= high):
                raise ConfigError(f'graph: {name} must be an integer in {low}..{high}, got {value!r:.60}')
        if not all(isinstance(source, str) and len(source) <= 200 for source in self.sources):
            raise ConfigError('graph: sources must be texts of at most 200 characters')
        if self.weight_bits is not None and (type(self.weight_bits) is not int or self.weight_bits not in (7, 8)):
            raise ConfigError(f'graph: weight_bits must be 7 or 8, or not there, got {self.weight_bits!r:.60}')
        if self.runtime is not None and (self.runtime != OPENVINO or self.weight_bits is None):
            raise ConfigError(f'graph: runtime must be {OPENVINO} and of an int8 network, or not there, got '
                              f'{self.runtime!r:.60}')

    @property
    def outputs(self) -> Tuple[str, ...]:
        """Names of the outputs in a bundle's file."""
        return ('logits', *(['features'] if self.features else []),
                *(f'stage_{number}' for number in range(len(self.stages))))

    def as_dict(self) -> Dict[str, Any]:
        """Plain values, as they are written to a bundle."""
        return {name: value for name, value in asdict(self).items()
                if name not in ('weight_bits', 'runtime') or value is not None}
