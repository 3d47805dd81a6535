"""The meter of the page: counts at once, the learning curve from a thread that runs beside."""
import threading
import time
from typing import Any, Dict, List, Optional, Tuple

import numpy as np

from ..learning_curve import LearningCurve, learning_curve, sample
from ..progress import Share, per_minute, self_agreement, verdict
from ..state import State
from .desk import Desk

_LEAST_GROUPS, _BLOCKS = 5, 10
_RECENT = 2000
_NEW_LABELS = 10
_NEW_SHARE = .05


class Meter:
    """What ``/api/progress`` tells of a desk."""

    def __init__(self, desk: Desk) -> None:
        """Nothing is computed yet."""
        self._desk = desk
        self._curve: Optional[LearningCurve] = None
        self._made_of = 0
        self._thread: Optional[threading.Thread] = None

    def progress(self) -> Dict[str, Any]:
        """The meter as the page gets it; a curve that is out of date is computed anew meanwhile."""
        desk = self._desk
        with desk.lock:
            desk.catch_up()
            state, counts, views = desk.state, desk.tally.classes, desk.counts()
            speed = per_minute([event for event in desk.events[-_RECENT:] if event.who == desk.who],
                                              time.time_ns() // 10**6)
            told = {
                'labelled': views['queue'] - views['open'], 'total': views['queue'], 'counts': views,
                'per_minute': None if speed is None else round(speed, 1), 'classes': counts,
                'self_agreement': _agreement(self_agreement(state)),
                'model_agreement': _agreement(desk.tally.model_agreement()),
                'random': {**_accuracy(desk.tally.model_agreement(random=True)), 'learned': desk.learned},
                'seq': state.seq}
            self._start(state, desk.tally.whole)
        curve = self._curve
        return {**told, 'computing': self._is_computing, 'enough': verdict(curve, counts), 'curve': [] if curve is None
                else [{'labels': one.labels, 'accuracy': one.accuracy, 'interval': one.interval}
                      for one in curve.points]}

    @property
    def _is_computing(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def _start(self, state: State, labels: Dict[int, str]) -> None:
        due = abs(len(labels) - self._made_of) >= max(_NEW_LABELS, _NEW_SHARE * self._made_of)
        if due and not self._is_computing:
            intervals = sample(sorted(labels))
            features = self._desk.alike.features(intervals)
            groups = _groups(state, intervals)
            self._made_of = len(labels)
            self._thread = threading.Thread(target=self._compute, name='learning curve', daemon=True,
                                            args=(features, [labels[one] for one in intervals], groups))
            self._thread.start()

    def _compute(self, features: np.ndarray, labels: List[str], groups: List[int]) -> None:
        self._curve = learning_curve(features, labels, groups)


def _groups(state: State, intervals: List[int]) -> List[int]:
    """Recordings where there are enough; else stretches of time, since neighbours look the same."""
    recordings = [state.intervals[one].recording for one in intervals]
    if len(set(recordings)) >= _LEAST_GROUPS:
        return recordings

    def when(place: int) -> Tuple[int, str, int]:
        one = state.intervals[intervals[place]]
        return one.recording, one.topic, one.start_ns
    found = [0] * len(intervals)
    for rank, place in enumerate(sorted(range(len(intervals)), key=when)):
        found[place] = rank * _BLOCKS // len(intervals)
    return found


def _agreement(share: Share) -> Dict[str, Any]:
    return {'n': share.n, 'agree': share.right, 'interval': share.interval}


def _accuracy(share: Share) -> Dict[str, Any]:
    return {'n': share.n, 'accuracy': share.rate, 'interval': share.interval}
