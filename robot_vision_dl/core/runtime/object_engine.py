"""The thread between pairs of images and detections, and decisions about objects: see :class:`ObjectEngine`."""
import threading
import time
from collections import Counter
from typing import Callable, Dict, List, Mapping, Optional, Protocol

from ..config import ClassifierConfig
from ..regions.results import ObjectResults
from ..regions.stamp_pairing import Pair, Pairing, PairingConfig
from .engine_thread import INFERENCE_FAILED, PUBLISH_FAILED, EngineThread, Received, Timing
from .frame_counters import Account
from .object_pipeline import FrameWithObjects, ObjectPipeline
from .pipeline import Pipeline


def pairing_of(config: ClassifierConfig) -> PairingConfig:
    """How long and how much may wait, as a deployment wants it."""
    wish = config.detections
    return PairingConfig(wish.tolerance_s, wish.deadline_s, round(wish.max_waiting_mb * 1e6), config.fusion.most_back_s)


class PairSource(Protocol):
    """Where pairs come from."""

    pairing: Pairing[Received]

    def take(self, limit: int, wait: bool = True) -> Optional[List[Pair[Received]]]:
        """At most ``limit`` pairs, one a camera; None: it is closed."""

    def close(self) -> None:
        """End the waiting; called from another thread."""


class ObjectEngine(EngineThread):
    """Decides objects as :class:`.engine.Engine` decides pictures, on a thread of its own.

    Args:
        pipeline: loaded and warm.
        config: the deployment's choices.
        source: of pairs; taken from when the engine is free.
        clock: now in nanoseconds, by the clock that stamps are compared with.
        objects: follows them; the one that another engine of the node had, whose tracks have other names then.
        on_objects: called on the engine's thread for the objects of each picture.
        on_drop: called on the engine's thread with (camera, reason, sentence) for every picture that could not be
            decided.
        is_watched: whether somebody watches a camera's overlay; called on the engine's thread.
    """

    def __init__(self, pipeline: Pipeline, config: ClassifierConfig, source: PairSource, objects: ObjectPipeline,
                 clock: Callable[[], int], on_objects: Callable[[ObjectResults, Timing], None],
                 on_drop: Callable[[str, str, str], None], is_watched: Callable[[str], bool] = lambda camera: False
                 ) -> None:
        super().__init__(pipeline, config, clock, on_drop, is_watched)
        self._pairs = source
        self._on_objects = on_objects
        self._objects = objects
        objects.config = config
        self._decided: Dict[str, Counter[str]] = {camera: Counter() for camera in config.cameras}
        self._deciding = threading.Lock()

    def account(self, camera: str) -> Account:
        """Where the camera's images went."""
        received, _, dropped = self._pairs.pairing.images(camera)
        return self._account(camera, received, dropped)

    def detections_account(self, camera: str) -> Account:
        """Where the camera's arrays of detections went."""
        received, _, dropped = self._pairs.pairing.arrays(camera)
        return self._account(camera, received, dropped)

    def _account(self, camera: str, received: int, dropped: Counter[str]) -> Account:
        own = super().account(camera)
        return Account(received, own.decided, dropped + own.dropped)

    def objects(self, camera: str) -> Counter[str]:
        """How many of a camera's objects were decided (``decided``), or not looked at, by reason."""
        with self._deciding:
            return Counter(self._decided[camera])

    def configure(self, config: ClassifierConfig) -> None:
        """Take over changed settings: how pictures and detections are paired at once, the rest before the next pair.

        Raises:
            ConfigError: a file that they name cannot be used; then nothing changes.
        """
        super().configure(config)
        self._pairs.pairing.config = pairing_of(config)  # without this there may never be a next pair

    def _close(self) -> None:
        self._pairs.close()

    def _turn(self) -> bool:
        pairs = self._pairs.take(len(self._config.cameras))
        if pairs is None:
            return False
        self._take_over_changes()
        if self._objects.config is not self._config:
            self._objects.config = self._config
        began_s, now_ns = time.monotonic(), self._clock()
        given: List[FrameWithObjects] = []
        arrived: List[float] = []
        for pair in pairs:
            self._counters.received(pair.camera)
            frame = self._decode(pair.camera, pair.image, now_ns)
            if frame is not None:
                given.append(FrameWithObjects(frame, pair.detections, pair.apart_ns))
                arrived.append(pair.arrived_s)
        decode_ms = (time.monotonic() - began_s) * 1e3
        if not given:
            return True
        for found in self._process(given):
            self._publish(found, decode_ms)
        return True

    def _process(self, given: List[FrameWithObjects]) -> List[ObjectResults]:
        """Decide all together, or, where that fails, each by itself: what is wrong with one must not cost others."""
        try:
            cameras = [one.frame.camera for one in given]
            return self._objects.process(self._pipeline, given, [cameras[place] for place in self._watched(cameras)])
        except Exception as error:  # noqa: B902 - whatever a network raises, the node lives and says so
            if len(given) > 1:
                return [found for one in given for found in self._process([one])]
            self._drop(given[0].frame.camera, INFERENCE_FAILED, f'{type(error).__name__}: {error}')
            return []

    def stop(self) -> None:
        """Finish what is in work, then end; objects are forgotten."""
        super().stop()
        if threading.current_thread() is not self._thread:
            self._objects.end(self._pipeline)

    def _publish(self, found: ObjectResults, decode_ms: float) -> None:
        camera = found.frame.camera
        try:
            age_ms = (self._clock() - found.frame.time_ns) * 1e-6
            timing = Timing(time.monotonic(), age_ms, decode_ms, found.batch_size, dict(found.stage_ms))
            self._on_objects(found, timing)
        except Exception as error:  # noqa: B902 - a publisher that was just destroyed must not end the thread
            self._drop(camera, PUBLISH_FAILED, f'{type(error).__name__}: {error}')
            return
        self._note_decided(camera, timing, found.camera)
        with self._deciding:
            self._decided[camera].update(each.refusal or 'decided' for each in found.objects)

    def _take_prior(self, camera: str, named: Mapping[str, float]) -> None:
        self._objects.expect(self._pipeline, camera, named)

