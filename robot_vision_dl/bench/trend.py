"""How a long run goes: latency and memory from beginning to end."""
from typing import Any, Dict, List, Sequence

import numpy as np

from ..core.metrics.percentiles import percentiles

PARTS = 10


def course(latencies_ms: Sequence[float], memory_mb: Sequence[float], parts: int = PARTS) -> List[Dict[str, Any]]:
    """A run in parts of equally many frames.

    Args:
        latencies_ms: in the order of the decisions.
        memory_mb: of the node, at steady intervals over the same run.

    Returns:
        For each part n, p50, p95, p99 and max of the latency, and the memory at its end (NaN: not known); empty where
        there are fewer frames than parts.
    """
    if len(latencies_ms) < parts:
        return []
    found = []
    for part, latencies in enumerate(np.array_split(np.asarray(latencies_ms), parts), 1):
        last = len(memory_mb) * part // parts - 1
        found.append({'part': part, **percentiles(latencies),
                      'memory_mb': float(memory_mb[last]) if last >= 0 else float('nan')})
    return found
