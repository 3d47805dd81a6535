"""OOD score -> conformal p-value, by which a frame is called unknown."""
from bisect import bisect_left
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Dict, List, Mapping, Optional, Sequence, Tuple, Union

import numpy as np

from ...errors import BundleError, ConfigError
from ...text.printable import printable
from ...types import OodResult
from ..pass_products import Product, Table
from .base import OodScore, Values
from .combined import Combined, FrameScore
from .combined_live import CombinedLive
from .part import COMBINED, MOST_PARTS, OOD_METHODS, Part, ood_method
from .pictures import Pictures

__all__ = ['OOD_METHODS', 'ood_method']  # which others know from here


@dataclass(frozen=True)
class OodCalibration:
    """A score, what it was fitted to, and its values on pictures of known classes.

    Attributes:
        method: a key of ``OOD_METHODS``, or ``combined``.
        scores: float32, shape (n,), ascending: of calibration pictures, on which nothing else was fitted. None, where
            there are none; then there are no p-values, and nothing is called unknown.
        tensors: the score's tables by name; of a combination ``<number of the part>.<name>``, ``location``, ``scale``,
            ``weight``.
        stage: name of the one whose features it reads; empty: what the head sees.
        parts: of a combination, two at least.
        stage_names: what the network gives, in this order.
    """

    method: str
    scores: Optional[np.ndarray] = None
    tensors: Mapping[str, np.ndarray] = field(default_factory=lambda: MappingProxyType({}))
    stage: str = ''
    parts: Tuple[Part, ...] = ()
    stage_names: Tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.method == COMBINED:
            if not 2 <= len(self.parts) <= MOST_PARTS or len(set(self.parts)) < len(self.parts) or self.stage:
                raise BundleError(f'OOD calibration: {COMBINED} needs 2 to {MOST_PARTS} different parts, and no stage '
                                  f'of its own, got {", ".join(map(str, self.parts)) or "none"}')
        elif self.parts:
            raise BundleError(f'OOD calibration: {printable(self.method, 60)} has no parts; only {COMBINED} has')
        for part in self.all_parts:
            ood_method(part.method)
            part.place(self.stage_names)
        if self.scores is not None:
            scores = np.sort(np.asarray(self.scores, np.float32))
            if scores.ndim != 1 or not len(scores) or not np.isfinite(scores).all():
                raise BundleError(f'OOD calibration ({self.method}): scores must be a list of finite numbers, '
                                  'not empty')
            object.__setattr__(self, 'scores', scores)

    @property
    def all_parts(self) -> Tuple[Part, ...]:
        """The parts; of a score that is not combined itself."""
        return self.parts or (Part(self.method, self.stage),)

    @property
    def name(self) -> str:
        """As it is written: ``combined``, ``knn`` or ``knn@blocks.3``."""
        return self.method if self.parts else str(self.all_parts[0])

    @property
    def words(self) -> str:
        """For people: the name, and what is looked at."""
        return f'{self.name} ({"; ".join(part.words for part in self.parts)})' if self.parts else self.name

    def p_value(self, score: Union[float, np.ndarray]) -> np.ndarray:
        """(1 + #{calibration >= score}) / (n + 1), in (0, 1], float64 (Bates et al. 2023, equation 2).

        A score that is not a number counts as further out of distribution than all others.
        """
        if self.scores is None:
            raise ConfigError(f'OOD calibration ({self.method}): there are no calibration scores, so no p-values')
        # In float32 like the calibration scores, or equal scores would not count as equal.
        below = np.searchsorted(self.scores, np.asarray(score, np.float32), side='left')
        return np.asarray((1.0 + len(self.scores) - below) / (len(self.scores) + 1))

    def stored_kinds(self) -> Dict[str, Tuple[type, int]]:
        """Type and number of dimensions of each tensor, by its name."""
        if not self.parts:
            return {name: (kind, dimensions) for name, (dimensions, kind) in ood_method(self.method).stored.items()}
        kinds: Dict[str, Tuple[type, int]] = dict.fromkeys(('location', 'scale', 'weight'), (np.float32, 1))
        for number, part in enumerate(self.parts):
            score = ood_method(part.method)
            kinds.update({f'{number}.{name}': (np.float16 if name in score.large else kind, dimensions)
                          for name, (dimensions, kind) in score.stored.items()})
        return kinds

    def widths(self) -> Dict[str, int]:
        """F_s of each stage that is read, from the tables that read it.

        Raises:
            BundleError: two tables of one stage are for different numbers of features.
        """
        found: Dict[str, int] = {}
        for number, part in enumerate(self.all_parts):
            if part.of:
                prefix = f'{number}.' if self.parts else ''
                width = ood_method(part.method).width(self.tensors, prefix)
                if found.setdefault(part.of, width) != width:
                    raise BundleError(f'OOD calibration: of {printable(part.of, 60)} one score reads {found[part.of]} '
                                      f'features and another {width}')
        return found

    def scores_of(self, pictures: Pictures) -> np.ndarray:
        """Scores, float32 (n,), of pictures by the outputs of a network for them."""
        return self.build_score().forward(*pictures.arrays())

    def build_score(self) -> Union[FrameScore, Combined]:
        """The score with its tensors; what is stored as float16 is computed with in float32.

        Raises:
            BundleError: the tensors are not those of the method.
        """
        names = set(self.stored_kinds())
        if names != set(self.tensors):
            raise BundleError(f'OOD calibration: {self.name} needs the tensors {sorted(names)}, got '
                              f'{printable(sorted(self.tensors))}; `robot-vision calibrate` makes them anew')
        if not self.parts:
            part = self.all_parts[0]
            return FrameScore(ood_method(part.method)(**self.tensors), part.place(self.stage_names))
        built = []
        for number, part in enumerate(self.parts):
            own = {name.partition('.')[2]: value for name, value in self.tensors.items()
                   if name.startswith(f'{number}.')}
            score = ood_method(part.method)(**{name: value.astype(np.float32) if value.dtype == np.float16 else value
                                               for name, value in own.items()})
            built.append(FrameScore(score, part.place(self.stage_names)))
        return Combined(built, *(self.tensors[name] for name in ('location', 'scale', 'weight')))

    @classmethod
    def of_parts(cls, parts: Sequence[Part], score: Union[FrameScore, Combined], scores: Optional[np.ndarray],
                 stage_names: Sequence[str] = ()) -> 'OodCalibration':
        """What is to be stored about a score that :func:`~.combined.fit_parts` fitted."""
        if isinstance(score, FrameScore):
            return cls.of(score.score, parts[0].method, scores, parts[0].of, tuple(stage_names))
        tensors = {'location': score.location, 'scale': score.scale, 'weight': score.weight}
        for number, one in enumerate(score.parts):
            for name, value in one.score.tables.items():
                tensors[f'{number}.{name}'] = value.astype(np.float16) if name in one.score.large else value
        return cls(COMBINED, scores, MappingProxyType(tensors), parts=tuple(parts), stage_names=tuple(stage_names))

    @classmethod
    def of(cls, score: OodScore, method: str, scores: Optional[np.ndarray], stage: str = '',
           stage_names: Tuple[str, ...] = ()) -> 'OodCalibration':
        """What is to be stored about one fitted score."""
        return cls(method, scores, MappingProxyType(score.tables), stage, (), stage_names)


class OodDetector:
    """Scores the frames of a batch.

    Args:
        calibration: from the bundle.
    """

    def __init__(self, calibration: OodCalibration) -> None:
        self.calibration = calibration
        self._score = calibration.build_score()
        self._live: Optional[CombinedLive] = None
        self._name, self._words = calibration.name, [part.words for part in calibration.parts]
        self._widths, self._is_checked = calibration.widths(), False
        self._ascending = None if calibration.scores is None else calibration.scores.tolist()

    def __call__(self, logits: Values, features: Values, stages: Sequence[Values] = ()) -> List[OodResult]:
        """One result a frame, for float32 logits (B, C), features (B, F) and stages (B, F_s) each."""
        self.check(stages)
        if isinstance(self._score, Combined):
            return self._combined(self._score, self._score.standardised(logits, features, stages))
        return self._single(self._score(logits, features, stages))

    def of_scores(self, scores: np.ndarray) -> List[OodResult]:
        """One result a frame, of what ``on_device`` of the score gives, float32 (B, P) for its P parts."""
        if isinstance(self._score, Combined):
            return self._combined(self._score, self._score.standardised_of(scores))
        return self._single(scores[:, 0])

    @property
    def tables(self) -> List[Table]:
        """By which :meth:`of_products` reads a pass; empty: it cannot, and :meth:`__call__` must."""
        if not isinstance(self._score, Combined):
            return []
        self._live = self._live or CombinedLive(self._score)
        return self._live.tables

    def of_products(self, products: Sequence[Product], energies: Sequence[float], logits: np.ndarray,
                    features: np.ndarray, stages: Sequence[np.ndarray] = ()) -> List[OodResult]:
        """One result a frame, as of :meth:`__call__` up to rounding; see :class:`~.combined_live.CombinedLive`."""
        assert self._live is not None
        return self._results(*self._live(products, energies, logits, features, stages))

    def _combined(self, score: Combined, z: np.ndarray) -> List[OodResult]:
        return self._results(score.statistic(z).tolist(), z.argmax(axis=1).tolist())

    def _results(self, scores: Sequence[float], farthest: Sequence[int]) -> List[OodResult]:
        return [OodResult(COMBINED, score, self._p_value(score), self._words[place])
                for score, place in zip(scores, farthest)]

    def _single(self, scores: np.ndarray) -> List[OodResult]:
        return [OodResult(self._name, score, self._p_value(score)) for score in scores.tolist()]

    def check(self, stages: Sequence[Values]) -> None:
        """Raise :class:`BundleError` where the network's stages are not those that the tables are for."""
        if self._is_checked:
            return
        names = self.calibration.stage_names
        for name, width in self._widths.items():
            place = names.index(name)
            have = stages[place].shape[1] if place < len(stages) else 0
            if have != width:
                raise BundleError(f'OOD score {self._name}: its tables are for {width} features of {name}, and the '
                                  f'network gives {have}; `robot-vision calibrate` fits it anew')
        self._is_checked = True

    def _p_value(self, score: float) -> Optional[float]:
        """As :meth:`OodCalibration.p_value`, in plain Python.

        numpy's way takes longer where it is not in the caches, which a forward pass fills with other things.
        """
        if self._ascending is None:
            return None
        n = len(self._ascending)
        below = n if score != score else bisect_left(self._ascending, score)
        return (1.0 + n - below) / (n + 1)
