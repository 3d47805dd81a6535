"""A bound for the bytes that are written in any hour: see :class:`HourlyBudget`."""

HOUR_S = 3600.0
BURST = 0.1
"""Share of an hour's budget that may be written at once; the rest comes in evenly, so that both together are the hour's
budget."""


class HourlyBudget:
    """A token bucket: in any hour no more is taken than the budget.

    Args:
        per_hour: bytes.
        now_s: by a clock that never goes back.
        spent: bytes that were written in the hour before.
    """

    def __init__(self, per_hour: float, now_s: float, spent: float = 0.0) -> None:
        self.per_hour = per_hour
        self._level = max(0.0, self.most - spent)
        self._at_s = now_s

    @property
    def most(self) -> float:
        """What can be taken at once at best; more than that never can."""
        return self.per_hour * BURST

    def left(self, now_s: float) -> float:
        """What can be taken now."""
        return min(self.most, self._level + max(0.0, now_s - self._at_s) * self.per_hour * (1 - BURST) / HOUR_S)

    def allows(self, size: float, now_s: float, leave: float = 0.0) -> bool:
        """Whether ``size`` bytes are there, and ``leave`` (a share of :attr:`most`) beside them."""
        return size + leave * self.most <= self.left(now_s)

    def take(self, size: float, now_s: float) -> None:
        """Take what :meth:`allows` said is there."""
        self._level, self._at_s = self.left(now_s) - size, max(self._at_s, now_s)
