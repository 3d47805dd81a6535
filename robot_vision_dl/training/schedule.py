"""Learning rate over a run, as a factor of the configured one: pure functions of the step."""
import math

from ..core.errors import ConfigError

SCHEDULES = ('constant', 'exponential', 'inverse_time', 'step', 'cosine', 'one_cycle')

_ONE_CYCLE_RISE = 0.3  # share of the run, and the start as a share of the peak: the defaults of Smith & Topin 2018
_ONE_CYCLE_START = 1 / 25  # as torch.optim.lr_scheduler.OneCycleLR has them


def factor_at(schedule: str, step: int, total: int, *, warmup: int = 0, final: float = 0.01, drops: int = 2) -> float:
    """What the learning rate is multiplied with at an optimiser step.

    Args:
        schedule: constant: 1. exponential: final^t. inverse_time: 1 / (1 + (1/final - 1) t) (Robbins & Monro 1951).
            step: after each of ``drops`` equal parts of the run but the first, smaller by the same factor, so that the
            last part has ``final``. cosine: from 1 to final along half a cosine (Loshchilov & Hutter 2017). one_cycle:
            up from 1/25 to 1 in the first 30 %, down to ``final`` in the rest, both along half a cosine; momentum
            stays as it is. t runs from 0 after the warm-up to 1 at the last step.
        step: from 0.
        total: steps of the whole run, at least 1.
        warmup: steps of a linear rise from 1/(warmup + 1) before that; one_cycle brings its own and has none.
        final: factor at the end, in (0, 1].
        drops: how often ``step`` lowers the rate.
    """
    if schedule not in SCHEDULES:
        raise ConfigError(f'no schedule {schedule!r}; there are {", ".join(SCHEDULES)}')
    if schedule == 'one_cycle':
        rise = max(_ONE_CYCLE_RISE * total - 1, 1e-9)
        if step <= rise:
            return _half_cosine(_ONE_CYCLE_START, 1.0, step / rise)
        return _half_cosine(1.0, final, min((step - rise) / max(total - 1 - rise, 1e-9), 1.0))
    if step < warmup:
        return (step + 1) / (warmup + 1)
    t = min((step - warmup) / max(total - 1 - warmup, 1), 1.0)
    if schedule == 'constant':
        return 1.0
    if schedule == 'exponential':
        return final ** t
    if schedule == 'inverse_time':
        return 1 / (1 + (1 / final - 1) * t)
    if schedule == 'step':
        return final ** (min(int(t * (drops + 1)), drops) / drops)
    return _half_cosine(1.0, final, t)


def _half_cosine(start: float, end: float, t: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * t)) / 2
