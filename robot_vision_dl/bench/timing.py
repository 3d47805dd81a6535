"""How long something takes, again and again."""
import time
from typing import Callable, Dict, List

from ..core.metrics.percentiles import percentiles

WARM_UP = 5


def times_ms(function: Callable[[], object], seconds: float) -> Dict[str, float]:
    """Percentiles of what a call takes, in ms, over about ``seconds``; :data:`WARM_UP` calls before do not count."""
    for _ in range(WARM_UP):
        function()
    times: List[float] = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        started = time.perf_counter()
        function()
        times.append((time.perf_counter() - started) * 1e3)
    return percentiles(times)
