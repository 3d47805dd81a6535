"""Conformal p-values -> evidence that can be averaged over frames that are not independent.

Neighbouring frames share their errors, so their p-values must not be multiplied. An e-value is a number whose mean is
at most 1 for known things; any average of e-values is one again, however they depend on each other, and it is
essentially the only way to merge them of which that is true (Vovk and Wang 2021, theorem 3.2).
"""
from math import exp, inf, log
from typing import Optional


def e_value(p: float) -> float:
    """(1 - p + p ln p) / (p (ln p)^2) for a p-value in (0, 1] (Vovk and Wang 2021, equation 2).

    The mean of the calibrators k p^(k - 1) over all k: it needs no parameter. 1/2 for p = 1, large for small p; its
    mean over uniform p is 1.
    """
    if p <= 0:
        return inf
    if p > 0.999:  # the limit, where the formula loses its digits
        return 0.5 + (1 - p) / 6
    return (1 - p + p * log(p)) / (p * log(p) ** 2)


class OodEvidence:
    """Whether a camera looks at something unknown: a state with two values, carried from frame to frame.

    The evidence is the average of the frames' e-values, weighted by exp(-age / time_s). Prior odds of the unknown are
    1 / e(epsilon), epsilon the accepted rate of false unknowns; then one frame on its own is unknown, that is, more
    likely than not, exactly if its p-value lies below epsilon. In a stream, a frame only just below has to be followed
    by others; one that is far below counts at once.

    Attributes:
        evidence: average e-value; None before the first frame.
        time_ns: of the last frame.
    """

    def __init__(self) -> None:
        self.evidence: Optional[float] = None
        self.time_ns = 0

    def reset(self) -> None:
        """Forget all frames."""
        self.evidence = None

    def update(self, p: float, time_ns: int, time_s: float, reset_gap_s: float = 1.0) -> None:
        """Take in a frame.

        Args:
            p: p-value of the OOD score, in (0, 1].
            time_ns: when it was taken.
            time_s: how long frames count; 0: each stands alone.
            reset_gap_s: no frame for longer, or one before the last, starts afresh.
        """
        new = e_value(p)
        dt_s = (time_ns - self.time_ns) * 1e-9
        if self.evidence is None or time_s <= 0 or not 0 <= dt_s <= reset_gap_s:
            self.evidence = new
        else:
            kept = exp(-dt_s / time_s)
            self.evidence = kept * self.evidence + (1 - kept) * new
        self.time_ns = time_ns

    def probability(self, epsilon: float) -> float:
        """Of the unknown, in [0, 1]; at least 1/2 for a single frame with p <= epsilon; 0 for epsilon = 0."""
        return unknown_probability(self.evidence, epsilon)


def unknown_probability(evidence: Optional[float], epsilon: float) -> float:
    """Posterior of the unknown from an e-value as Bayes factor, prior odds 1 / e(epsilon)."""
    if evidence is None or epsilon <= 0:
        return 0.0
    if epsilon >= 1:
        return 1.0
    return 1.0 if evidence == inf else 1 / (1 + e_value(epsilon) / evidence)
