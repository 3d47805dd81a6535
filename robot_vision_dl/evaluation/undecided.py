"""What would decide a gate that is undecided, and what so many recordings can tell before anything is compared."""
from math import ceil, isfinite, sqrt
from typing import Dict, List, Mapping, Optional, Sequence

from .no_worse import FIGURES, LEAST_RECORDINGS, Decided, GateResult, t_quantile

_MOST = 1000
"""A larger estimate says no more than that it is out of reach."""


def recordings_needed(gate: GateResult) -> Optional[int]:
    """About how many recordings would show a model to be within the margin, if value and spread stay as they are.

    The interval reaches from the value to its worse end, and shrinks with the square root of the recordings:
    n (reach / distance from the value to the margin)^2, rounded up, and no more than 1001.

    Returns:
        None where the value is at the margin or beyond it, so that more recordings would sooner show that the new
        model is worse.
    """
    if not isfinite(gate.worse_by) or not isfinite(gate.difference.low):
        return None if gate.worse_by >= gate.margin else LEAST_RECORDINGS
    distance = gate.margin - gate.worse_by
    if distance <= 0:
        return None
    end = gate.difference.low if FIGURES[gate.figure].higher else gate.difference.high
    reach = abs(end - gate.difference.value)
    return max(LEAST_RECORDINGS, ceil(min(_MOST + 1, gate.recordings * (reach / distance) ** 2)))


def describe_remedies(refused: Sequence[GateResult]) -> List[str]:
    """What would help where gates are undecided, in lines; none: none is."""
    undecided = [gate for gate in refused if gate.decided is Decided.UNDECIDED]
    if not undecided:
        return []
    needed = {gate.figure: recordings_needed(gate) for gate in undecided}
    more = [f'{gate.figure} {_about(count, gate.recordings)} (now {gate.recordings})'
            for gate, count in zip(undecided, needed.values()) if count is not None]
    beyond = [name for name, count in needed.items() if count is None]
    names = ' '.join(needed)
    lines = ['what would decide:']
    if more:
        lines.append(f'  more frozen recordings with labels, if differences stay as they are: {", ".join(more)}')
    if beyond:
        lines.append(f'  not more recordings: the value of {", ".join(beyond)} is beyond its margin, and more would '
                     'sooner show the new model to be worse; train on more or other data')
    blocked = [gate.figure for gate in refused if not gate.holds(True)]
    lines.append(f'  a wider --margin FIGURE=X, if you can accept that much; --without {names}, if that does not '
                 'matter to you')
    lines.append('  --allow-undecided: the values alone decide, and '
                 + (f'would refuse it too ({", ".join(blocked)})' if blocked else 'would install it'))
    return lines


def _about(needed: int, there: int) -> str:
    return f'more than {_MOST}' if needed > _MOST else f'{"at least" if there < 2 else "about"} {needed}'


def passing_spread(margin: float, recordings: int) -> float:
    """Standard deviation between recordings at which a model that is as good passes every other time.

    The 95 % interval of a mean over n recordings reaches t(n - 1) s / sqrt(n) to either side.

    Args:
        recordings: 2 at least.
    """
    return margin * sqrt(recordings) / t_quantile(recordings - 1)


def describe_reach(margins: Mapping[str, float], recordings: Mapping[str, int]) -> List[str]:
    """What so many frozen recordings can tell, in lines; none: no gate has enough of them.

    Args:
        margins, recordings: by figure.
    """
    found: Dict[int, List[str]] = {}
    for name, margin in margins.items():
        count = recordings[name]
        if count >= LEAST_RECORDINGS and margin > 0:
            found.setdefault(count, []).append(f'{name} {passing_spread(margin, count):.2g}')
    if not found:
        return []
    return ['a new model that is just as good passes every other time where its difference from the old one has, from '
            'recording to recording, a standard deviation of'] + [
        f'  {", ".join(each)} ({count} recordings)' for count, each in sorted(found.items())] + [
        'and stays undecided more often where that is larger; four times as many recordings allow twice as much']
