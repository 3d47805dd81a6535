"""Statistics of a picture -> a fault of its camera, or none; and how unusual the picture is among ordinary ones.

A fault is gross: a statistic must be beyond a bound that lies outside of what pictures of the training showed, by a
margin, and that is never drawn tighter than what is physically a fault (``_RULES``). Where nothing was fitted, wide
bounds take their place that pictures of any kind keep to.
"""
from array import array
from bisect import bisect_left
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Tuple

import numpy as np

from ...types import CameraFault
from .probe import EXCHANGED, FaultProbe
from .probe import as_json as probe_as_json
from .probe import from_json as probe_from_json
from .statistics import COLOURS, NAMES, Look


class Rule(NamedTuple):
    """How the bound of a statistic is drawn.

    Attributes:
        is_high: whether more than the bound is a fault; else less is.
        usual, default: where nothing was fitted; an infinite default: never a fault then.
        tightest: the least that is physically a fault: a fitted bound is no closer to the usual, whatever was seen.
        factor, margin: the fitted bound is ``factor`` times the outermost that was seen, plus ``margin``.
    """

    is_high: bool
    usual: float
    default: float
    tightest: float
    factor: float
    margin: float


_ANY = float('inf')
_RULES: Dict[str, Rule] = {
    'bright': Rule(True, 0.0, 0.85, 0.2, 1.2, 0.15),
    'white_level': Rule(False, 200.0, 24.0, 64.0, 0.5, 0.0),
    'spread': Rule(False, 170.0, 9.0, 25.0, 0.5, 0.0),
    'contrast': Rule(False, 30.0, 1.2, 3.0, 0.6, 0.0),
    # Of a picture that is blurred beyond 16 pixels it is 1/64 = .0156, whatever it shows.
    'sharpness': Rule(False, 0.2, 0.03, 0.04, 0.9, 0.0016),
    'noise': Rule(True, 0.0, 17.5, 6.0, 1.5, 2.0),
    # Of compressed video up to .28 of the rows repeat the one above, in runs of up to .04.
    'stuck': Rule(True, 0.0, 0.14, 0.13, 1.5, 0.03),
    'equal': Rule(True, 0.0, 0.9, 0.7, 1.5, 0.06),
    'lost': Rule(True, 0.0, 0.95, 0.14, 1.2, 0.08),
    'torn': Rule(True, 1.0, 2.5, 1.8, 1.5, 0.2),
    'wild': Rule(True, 0.0, 0.2, 0.15, 1.5, 0.1),
    'uneven': Rule(True, 1.0, _ANY, 30.0, 4.0, 0.5),
    'channel': Rule(False, 0.9, 0.012, 0.1, 0.5, 0.0),
}
_SAME_FAULT = {fault: tuple(map(NAMES.index, names)) for fault, names in (
    (CameraFault.OVEREXPOSED, ('bright',)), (CameraFault.UNDEREXPOSED, ('white_level',)),
    (CameraFault.NO_CONTRAST, ('spread', 'contrast')), (CameraFault.OUT_OF_FOCUS, ('sharpness',)))}
"""Places of the statistics that tell what the network's stages tell, too."""
_ORDINARY = -1.0, 0.5
"""From here to there on the way from what is usual to the bound; as far on the other side nothing is ordinary."""
TWO_SIDED = ('tint', 'green')
"""Statistics with a lower and an upper bound, which are told only where they were fitted."""
_TINT_MARGIN, _TINT_SHARE = 25.0, 0.4
_STILL_SWAPPED = 0.2  # of the way to the bound: 2 of 179 sound pictures are as far, and 173 of them when exchanged
_PASSED_WORDS = 'so it looks to the first layers of the network'
_SWAPPED_WORDS = 'as if red and blue were exchanged'


class Verdict(NamedTuple):
    """What the statistics of one picture mean.

    Attributes:
        fault: None: the picture is as pictures are.
        reason: words for people, e.g. ``overexposed: 61 % of the values at the limit``; empty without a fault.
        score: how far towards its bound the statistic is that is furthest; above 1 is a fault.
        p_value: share of held-out pictures of the calibration at least as far, in (0, 1]; None: there are none.
    """

    fault: Optional[CameraFault]
    reason: str
    score: float
    p_value: Optional[float]


@dataclass(frozen=True)
class CameraBounds:
    """What pictures of a camera are like, and from where on they are not.

    Attributes:
        usual: median of each statistic, by name.
        bounds: the bound of each, by name; of :data:`TWO_SIDED` a pair.
        scores: ascending, of held-out pictures; empty: there is no p-value.
        pictures: that the bounds were fitted to; 0: these are the general ones.
        swap_weights: of the numbers of :attr:`~.statistics.Look.colours`; a weighted sum below ``swap_bound`` is as
            pictures are whose red and blue are exchanged. Empty: colours do not tell that here.
        repeats_s: for how long one picture stayed the same in the recordings of the calibration; 0 where there are
            none.
        probe: what the network's stages tell of a picture; None: it is not asked.
    """

    usual: Mapping[str, float]
    bounds: Mapping[str, Any]
    scores: Tuple[float, ...] = ()
    pictures: int = 0
    swap_weights: Tuple[float, ...] = ()
    swap_bound: float = 0.0
    repeats_s: float = 0.0
    probe: Optional[FaultProbe] = None

    @cached_property
    def _ways(self) -> List[Tuple[float, float, float]]:
        """Of each statistic the usual, and one over the distance from there to the bound above and below."""
        found = []
        for name in NAMES:
            usual = self.usual[name]
            if name in TWO_SIDED:
                low, high = self.bounds[name] or (-_ANY, _ANY)
            else:
                bound = self.bounds[name]
                low, high = (-_ANY, bound) if _RULES[name].is_high else (bound, _ANY)
            found.append((usual, 1 / (high - usual), 1 / (low - usual)))
        return found

    @cached_property
    def _ascending(self) -> 'array[float]':
        """The scores side by side in memory: of objects all over it, each one that is looked at is fetched twice."""
        return array('d', self.scores)

    @cached_property
    def _weights(self) -> np.ndarray:
        return np.array(self.swap_weights, np.float32)

    @property
    def words(self) -> str:
        """For people: what is told of a camera, and from how many pictures that is known."""
        probed = () if self.probe is None else self.probe.faults
        untold = [name for name in NAMES if name not in TWO_SIDED and abs(self.bounds[name]) >= _ANY]
        colours = 'exchanged red and blue told' if self.needs_colours else 'exchanged red and blue not told'
        return (f'bounds fitted to {self.pictures} pictures; {colours}'
                + (f'; by the first layers of the network, too: {", ".join(probed)}' if probed else '')
                + (f'; not looked at here: {", ".join(untold)}' if untold else ''))

    @property
    def told(self) -> Tuple[str, ...]:
        """What is told beyond what every camera's general bounds tell."""
        probed = () if self.probe is None else self.probe.faults
        return tuple(dict.fromkeys([*probed, *([EXCHANGED] if self.needs_colours else [])]))

    @property
    def needs_colours(self) -> bool:
        """Whether :func:`~.statistics.look` must count colours."""
        return bool(self.swap_weights) or self.probe is not None and self.probe.tells_exchanged

    def without_exchanged(self) -> 'CameraBounds':
        """The same, by which exchanged red and blue are no fault."""
        return replace(self, swap_weights=(), swap_bound=0.0,
                       probe=None if self.probe is None else self.probe.without_exchanged())

    def swapped(self, look: Look, passed: Optional[np.ndarray] = None) -> float:
        """How much the colours look exchanged, 1 at the bound; 0 where that is not told.

        ``passed``: as for :meth:`judge`.
        """
        return self._swapped(look, self._said(look, passed))

    def _said(self, look: Look, passed: Optional[np.ndarray]) -> Optional[List[float]]:
        """What speaks for each fault of the probe; None: it is not asked."""
        return None if passed is None or self.probe is None else self.probe.says(passed, look.colours)

    def _swapped(self, look: Look, said: Optional[List[float]]) -> float:
        if said is not None and self.probe is not None and self.probe.tells_exchanged:
            return self.probe.exchanged(said)
        if not self.swap_weights:
            return 0.0
        return max(float(self._weights @ look.colours) / self.swap_bound, 0.0)

    def judge(self, look: Look, before: Optional[CameraFault] = None, passed: Optional[np.ndarray] = None
              ) -> Verdict:
        """The fault, if there is one.

        Args:
            passed: what :meth:`.probe.FaultProbe.sums` made of the network's stages, (K + H,); None: the picture was
                not seen by the network, or there is no probe.
            before: that of the frame before of the same camera. Where red and blue were exchanged they still are,
                unless the colours say otherwise: one picture often tells too little.
        """
        values = look.values.tolist()
        # In Python: after a forward pass, four operations of numpy take ten times as long.
        towards = [(value - usual) * (above if value > usual else below)
                   for value, (usual, above, below) in zip(values, self._ways)]
        said = self._said(look, passed)
        told = [] if said is None or self.probe is None else self.probe.towards(said)
        swapped = self._swapped(look, said)
        for far, fault in told:
            if _ORDINARY[0] < far < _ORDINARY[1]:
                # What is only unusual by its edges or its brightness, and ordinary to the network, is no fault.
                for place in _SAME_FAULT.get(fault, ()):
                    if not _is_gross(NAMES[place], values[place]):
                        towards[place] = min(towards[place], 1.0)
        score = max([*towards, swapped, *(far for far, _ in told)])
        p_value = None
        if self.scores:
            rank = bisect_left(self._ascending, round(score, DIGITS))  # as they are stored: equal pictures are equal
            p_value = (1 + len(self.scores) - rank) / (1 + len(self.scores))
        if score <= 1:
            if before is CameraFault.WRONG_COLOURS and swapped > _STILL_SWAPPED:
                return Verdict(before, f'{before.value}: {_SWAPPED_WORDS}', score, p_value)
            return Verdict(None, '', score, p_value)
        beyond = {name for name, far in zip(NAMES, towards) if far > 1}
        if not beyond and swapped <= 1:
            fault, words = max(told)[1], _PASSED_WORDS
        else:
            fault, words = _name(dict(zip(NAMES, values)), beyond)
        return Verdict(fault, f'{fault.value}: {words}', score, p_value)


def _name(value: Mapping[str, float], beyond: 'set[str]') -> Tuple[CameraFault, str]:
    """The fault that explains the others, and what shows it; ``beyond``: statistics that are beyond their bounds."""
    if 'bright' in beyond:
        return CameraFault.OVEREXPOSED, f'{_percent(value["bright"])} of the values at the limit'
    if 'white_level' in beyond:
        words = f'95 % of the picture no brighter than {value["white_level"]:.0f} of 255'
        if value['contrast'] < 1.8 or value['spread'] < 12:
            return CameraFault.COVERED, f'{words}, and nothing in it'
        return CameraFault.UNDEREXPOSED, words
    if value['spread'] <= 2 and value['contrast'] <= 0.5 and beyond & {'spread', 'contrast'}:
        return CameraFault.ONE_COLOUR, 'all of the picture is alike'
    if 'channel' in beyond:
        return CameraFault.WRONG_COLOURS, 'one of the channels is the same everywhere'
    if beyond & {'stuck', 'equal'}:
        return CameraFault.ROWS, f'{_percent(value["equal"])} of the rows repeat the one above'
    if 'lost' in beyond:
        return CameraFault.ROWS, f'{_percent(value["lost"])} of the rows are plain'
    if 'torn' in beyond:
        return CameraFault.ROWS, 'rows are shifted against those above'
    if 'wild' in beyond:
        return CameraFault.ROWS, f'{_percent(value["wild"])} of the rows are noise'
    if 'noise' in beyond:
        return CameraFault.NOISE, f'standard deviation {value["noise"]:.0f} of 255 levels'
    if 'uneven' in beyond:
        return CameraFault.ROWS, f'rows differ {value["uneven"] ** 0.5:.1f} times as much as columns'
    if beyond & {'spread', 'contrast'}:
        return CameraFault.NO_CONTRAST, (f'brightness within {value["spread"]:.0f} of 255 levels, steps of '
                                         f'{value["contrast"]:.1f}')
    if 'sharpness' in beyond:
        return CameraFault.OUT_OF_FOCUS, f'edges spread over more than 16 pixels (sharpness {value["sharpness"]:.3f})'
    if 'tint' in beyond:
        return CameraFault.WRONG_COLOURS, f'red minus blue is {value["tint"]:+.0f}, far from what was seen in training'
    if 'green' in beyond:
        return CameraFault.WRONG_COLOURS, (f'green is {value["green"]:+.0f} against red and blue, far from what was '
                                           'seen in training')
    return CameraFault.WRONG_COLOURS, _SWAPPED_WORDS


def _is_gross(name: str, value: float) -> bool:
    """Whether it is a fault of any camera, whatever a network says of a picture that is nothing like those it knows.

    No sharpness is: pictures with little structure have as little as blurred ones.
    """
    rule = _RULES[name]
    return name != 'sharpness' and (value > rule.default if rule.is_high else value < rule.default)


def _percent(share: float) -> str:
    return f'{100 * share:.0f} %'


def fitted_bound(name: str, outermost: float) -> float:
    """The bound of a statistic of which pictures reached ``outermost``."""
    rule = _RULES[name]
    bound = rule.factor * outermost + rule.margin
    # The default is gross already: only what was seen itself can lie beyond it.
    if rule.is_high:
        return max(min(bound, max(rule.default, 1.1 * outermost)), rule.tightest)
    return min(max(bound, min(rule.default, 0.9 * outermost)), rule.tightest)


def general_bound(name: str) -> float:
    """The bound of a statistic where nothing was fitted; infinite: it is never a fault then."""
    return _RULES[name].default


def is_high(name: str) -> bool:
    """Whether more than its bound is a fault; of a statistic with one bound."""
    return _RULES[name].is_high


def tint_bounds(low: float, usual: float, high: float) -> Tuple[float, float]:
    """The pair of bounds of one of :data:`TWO_SIDED`, of which pictures reached from ``low`` to ``high``."""
    return (low - _TINT_MARGIN - _TINT_SHARE * (usual - low), high + _TINT_MARGIN + _TINT_SHARE * (high - usual))


def default_bounds(repeats_s: float = 0.0) -> CameraBounds:
    """The bounds of a model that brings none: wide, for pictures of any kind."""
    usual = {name: 0.0 if name in TWO_SIDED else _RULES[name].usual for name in NAMES}
    bounds: Dict[str, Any] = {name: None if name in TWO_SIDED else _RULES[name].default for name in NAMES}
    return CameraBounds(usual, bounds, repeats_s=repeats_s)


def as_json(found: CameraBounds) -> Dict[str, Any]:
    """The object ``camera`` of ``bundle.json``; infinite bounds are null there."""
    def number(value: float) -> Optional[float]:
        return float(f'{value:.6g}') if np.isfinite(value) else None
    values: Dict[str, Any] = {
        'pictures': found.pictures,
        'usual': {name: number(found.usual[name]) for name in NAMES},
        'bounds': {name: [number(side) for side in found.bounds[name]] if name in TWO_SIDED and found.bounds[name]
                   else None if name in TWO_SIDED else number(found.bounds[name]) for name in NAMES},
        'scores': [number(score) for score in found.scores], 'repeats_s': number(found.repeats_s), 'swap': None}
    if found.probe is not None:
        values['probe'] = probe_as_json(found.probe)
    if found.swap_weights:
        values['swap'] = {'weights': [number(weight) for weight in found.swap_weights],
                          'bound': number(found.swap_bound)}
    return values


def from_json(values: Mapping[str, Any], tables: Optional[Mapping[str, np.ndarray]] = None) -> CameraBounds:
    """The bounds of an object ``camera``.

    Args:
        tables: of the probe, see :func:`~.probe.tensors_of`, among others; None: it is checked and left out.

    Raises:
        ValueError: it is not as :func:`as_json` makes it; the text says what is wrong.
    """
    with_probe = ('probe',) if isinstance(values, dict) and 'probe' in values else ()  # older bundles have none
    _check_keys(values, ('pictures', 'usual', 'bounds', 'scores', 'repeats_s', 'swap', *with_probe), '')
    _check_keys(values['usual'], NAMES, 'usual')
    _check_keys(values['bounds'], NAMES, 'bounds')
    if type(values['pictures']) is not int or not 1 <= values['pictures'] <= 10**9:
        raise ValueError(f'pictures: must be a whole number above 0, got {values["pictures"]!r:.60}')
    usual = {name: _number(values['usual'][name], f'usual.{name}') for name in NAMES}
    bounds: Dict[str, Any] = {}
    for name in NAMES:
        given, where = values['bounds'][name], f'bounds.{name}'
        if name in TWO_SIDED:
            if given is not None and (not isinstance(given, list) or len(given) != 2):
                raise ValueError(f'{where}: must be null or a pair of numbers')
            bounds[name] = None if given is None else (_number(given[0], where), _number(given[1], where))
            if given is not None and not bounds[name][0] < usual[name] < bounds[name][1]:
                raise ValueError(f'{where}: must lie around what is usual, {usual[name]:g}')
            continue
        bounds[name] = (_ANY if _RULES[name].is_high else -_ANY) if given is None else _number(given, where)
        if not (bounds[name] > usual[name] if _RULES[name].is_high else bounds[name] < usual[name]):
            raise ValueError(f'{where}: {bounds[name]:g} is on the wrong side of what is usual, {usual[name]:g}')
    scores = _numbers(values['scores'], 'scores')
    if len(scores) > MOST_SCORES or list(scores) != sorted(scores):
        raise ValueError(f'scores: must be ascending, and at most {MOST_SCORES}')
    weights: Tuple[float, ...] = ()
    bound = 0.0
    if values['swap'] is not None:
        _check_keys(values['swap'], ('weights', 'bound'), 'swap')
        weights, bound = _numbers(values['swap']['weights'], 'swap.weights'), _number(values['swap']['bound'], 'swap')
        if len(weights) not in (COLOURS, _COLOURS_BEFORE) or not bound < 0:
            raise ValueError(f'swap: there must be {COLOURS} weights and a bound below 0')
        if len(weights) == _COLOURS_BEFORE:  # of what is not looked at any more
            weights, bound = (), 0.0
    repeats_s = _number(values['repeats_s'], 'repeats_s')
    if repeats_s < 0:
        raise ValueError(f'repeats_s: must be at least 0, got {repeats_s:g}')
    try:
        probe = probe_from_json(values['probe'], tables) if with_probe else None
    except ValueError as error:
        raise ValueError(f'probe: {error}') from error
    return CameraBounds(usual, bounds, scores, values['pictures'], weights, bound, repeats_s, probe)


NO_BOUNDS = ('general bounds, which tell what is a fault of any camera (covered, overexposed, noise, ...), and neither '
             'half a picture that is lost nor wrong colours')
DIGITS = 5
"""Of a score, behind the point."""
MOST_SCORES = 1000
"""Held-out pictures whose scores are kept."""
_MOST = 1e6
_COLOURS_BEFORE = 24


def _check_keys(values: Any, keys: Tuple[str, ...], where: str) -> None:
    if not isinstance(values, dict) or set(values) != set(keys):
        raise ValueError(f'{where or "it"}: must be an object with exactly {", ".join(keys)}')


def _number(value: Any, where: str) -> float:
    if type(value) not in (int, float) or not -_MOST <= value <= _MOST:
        raise ValueError(f'{where}: must be a number in -1e6..1e6, got {value!r:.60}')
    return float(value)


def _numbers(values: Any, where: str) -> Tuple[float, ...]:
    if not isinstance(values, list):
        raise ValueError(f'{where}: must be a list of numbers')
    found: List[float] = [_number(value, where) for value in values]
    return tuple(found)
