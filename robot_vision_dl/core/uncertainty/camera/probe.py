"""The network's stages -> faults of the camera that a picture's own statistics tell too seldom.

A picture that is out of focus, or whose red and blue are exchanged, is a picture like others by its brightness and its
edges. The first layers of a network hold more than that. What a stage says on average over a picture comes from a pass
that is made anyway; classifiers of it are fitted to ordinary pictures and to the same as a camera at fault would give
them (``probe_fit.py``). Four faults that come by degrees are told by linear ones of the first stage (a linear probe,
Alain and Bengio 2017). Exchanged red and blue are told by a network of one hidden layer, which reads all stages and the
colours of the picture: which way round is odd depends on what is seen.
"""
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

import numpy as np

from ...types import CameraFault
from .statistics import COLOURS

EXCHANGED, SOUND = 'exchanged channels', 'sound'
FAULTS: Mapping[str, CameraFault] = {
    'overexposed': CameraFault.OVEREXPOSED, 'underexposed': CameraFault.UNDEREXPOSED,
    'no contrast': CameraFault.NO_CONTRAST, 'out of focus': CameraFault.OUT_OF_FOCUS,
    EXCHANGED: CameraFault.WRONG_COLOURS}
"""What is told, by the names of :func:`~..ood.sensor_faults.spoilt_pictures`.

Noise is not among them: pictures are spoilt at the size at which training keeps them, and resizing changes noise.
"""
TENSORS = ('stages', 'offsets', 'colours', 'outputs')
"""Those of the attributes that are tables."""


@dataclass(frozen=True, eq=False)
class FaultProbe:
    """K faults that are told by a weighted sum each, and after them, perhaps, exchanged colours by H hidden units.

    Attributes:
        faults: their names; :data:`EXCHANGED` can only be the last.
        widths: numbers of features of the network's stages, F in all.
        usual: of each fault, what its sum is for ordinary pictures (median).
        bounds: of each, from where on it is one; above what is usual.
        stages: what the stages' features side by side are multiplied by, float32 (F, K + H).
        offsets: added to these sums, float32 (K + H,).
        colours: what :attr:`~.statistics.Look.colours` are multiplied by for the hidden units, float32 (120, H).
        outputs: weights of the hidden units, float32 (H,), above 0 of which they count (rectified).
        offset: of that sum.
    """

    faults: Tuple[str, ...]
    widths: Tuple[int, ...]
    usual: Tuple[float, ...]
    bounds: Tuple[float, ...]
    stages: np.ndarray
    offsets: np.ndarray
    colours: np.ndarray
    outputs: np.ndarray
    offset: float = 0.0

    @cached_property
    def _faults(self) -> List[CameraFault]:
        return [FAULTS[name] for name in self.faults]

    @property
    def tells_exchanged(self) -> bool:
        """Whether exchanged red and blue are among what is told."""
        return self.faults[-1] == EXCHANGED

    def of_stage(self, place: int) -> np.ndarray:
        """The rows of ``stages`` for the features of one stage."""
        begin = sum(self.widths[:place])
        return self.stages[begin:begin + self.widths[place]]

    def sums(self, stages: Sequence[np.ndarray]) -> np.ndarray:
        """Of features (n, F_s) of each stage, float32 (n, K + H): what :meth:`says` needs of a pass."""
        found: np.ndarray = np.concatenate(list(stages), axis=1) @ self.stages + self.offsets
        return found

    def says(self, sums: np.ndarray, colours: np.ndarray) -> List[float]:
        """Of each fault how much speaks for it: of one picture, whose sums are (K + H,) and whose colours (120,)."""
        if not self.tells_exchanged:
            found: List[float] = sums.tolist()
            return found
        lines = len(self.faults) - 1
        hidden = np.maximum(sums[lines:] + colours @ self.colours, 0.0)
        return [*sums[:lines].tolist(), float(hidden @ self.outputs) + self.offset]

    def towards(self, said: Sequence[float]) -> List[Tuple[float, CameraFault]]:
        """How far from what is usual towards its bound each fault is; beyond 1 it is one."""
        return [((value - usual) / (bound - usual), fault)
                for value, usual, bound, fault in zip(said, self.usual, self.bounds, self._faults)]

    def exchanged(self, said: Sequence[float]) -> float:
        """How much red and blue look exchanged: 0 where it is open, 1 at the bound."""
        return max(said[-1] / self.bounds[-1], 0.0) if self.tells_exchanged else 0.0

    def without_exchanged(self) -> 'FaultProbe':
        """The same, which never tells exchanged red and blue."""
        if not self.tells_exchanged:
            return self
        return replace(self, bounds=(*self.bounds[:-1], float('inf')))


def as_json(probe: FaultProbe) -> Dict[str, Any]:
    """The object ``camera.probe`` of ``bundle.json``; the tables are tensors."""
    return {'faults': list(probe.faults), 'widths': list(probe.widths), 'usual': list(probe.usual),
            'bounds': list(probe.bounds), 'offset': probe.offset}


def tensors_of(probe: FaultProbe) -> Dict[str, np.ndarray]:
    """The tables by the names that they have in ``uncertainty.safetensors``."""
    return {f'probe.{name}': getattr(probe, name) for name in TENSORS}


def from_json(values: Any, tables: Optional[Mapping[str, np.ndarray]] = None) -> Optional[FaultProbe]:
    """The probe of an object ``camera.probe``.

    Args:
        tables: see :func:`tensors_of`, among others; None: the object is only checked.

    Raises:
        ValueError: it is not as :func:`as_json` makes it, or a table is not there; the text says what is wrong.
    """
    keys = ('faults', 'widths', 'usual', 'bounds', 'offset')
    if not isinstance(values, dict) or set(values) != set(keys):
        raise ValueError(f'must be an object with exactly {", ".join(keys)}')
    faults = values['faults']
    if not isinstance(faults, list) or not faults or any(
            name not in list(FAULTS) or name == EXCHANGED and place + 1 < len(faults) or name in faults[:place]
            for place, name in enumerate(faults)):
        raise ValueError(f'faults: must be some of {", ".join(FAULTS)}, each once and {EXCHANGED} last, got '
                         f'{faults!r:.100}')
    widths = values['widths']
    if not isinstance(widths, list) or not widths or any(type(one) is not int or not 0 < one <= 1e5 for one in widths):
        raise ValueError(f'widths: must be whole numbers above 0, got {widths!r:.100}')
    usual, bounds = (_numbers(values[name], name, len(faults)) for name in ('usual', 'bounds'))
    offset, = _numbers([values['offset']], 'offset', 1)
    for name, middle, bound in zip(faults, usual, bounds):
        if not middle < bound or name == EXCHANGED and not bound > 0:
            raise ValueError(f'bounds: {bound:g} of {name} must be above what is usual, {middle:g}'
                             + (', and above 0' if name == EXCHANGED else ''))
    if tables is None:
        return None
    found = {name: tables.get(f'probe.{name}', np.zeros(0)) for name in TENSORS}
    lines, hidden = len(faults) - (faults[-1] == EXCHANGED), found['outputs'].size
    shapes = {'stages': (sum(widths), lines + hidden), 'offsets': (lines + hidden,), 'colours': (COLOURS, hidden),
              'outputs': (hidden,)}
    for name, shape in shapes.items():
        if found[name].shape != shape or found[name].dtype != np.float32:
            raise ValueError(f'the table {name} must be float32 {shape}, and is {found[name].dtype} '
                             f'{found[name].shape}')
        if found[name].size and not np.abs(found[name]).max() <= _MOST_WEIGHT:
            raise ValueError(f'the table {name} has a number beyond {_MOST_WEIGHT:g}')
    if (hidden > 0) != (lines < len(faults)):
        raise ValueError(f'{hidden} hidden units, which belong to {EXCHANGED} and to nothing else')
    return FaultProbe(tuple(faults), tuple(widths), usual, bounds, **found, offset=offset)


_MOST, _MOST_WEIGHT = 1e9, 1e6


def _numbers(values: Any, where: str, count: int) -> Tuple[float, ...]:
    if not isinstance(values, list) or len(values) != count:
        raise ValueError(f'{where}: there must be {count} numbers')
    for value in values:
        if type(value) not in (int, float) or not -_MOST <= value <= _MOST:
            raise ValueError(f'{where}: must be numbers in -1e9..1e9, got {value!r:.60}')
    return tuple(float(value) for value in values)
