"""What engines have in common: a thread that decides, changes of settings and models between two turns, and counts.

Everything that goes wrong with a frame ends here as a counted reason; the thread does not die of it.
"""
import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from dataclasses import dataclass
from typing import Callable, Deque, Dict, Iterable, List, Mapping, Optional

from ..camera_settings import RateLimit
from ..config import ClassifierConfig
from ..errors import ImageError
from ..networks import torch_use
from ..types import CameraCheck, Frame, ImageMessage
from .frame_counters import BACKWARDS, RATE_LIMITED, Account, FrameCounters
from .frame_reader import StampOrder, read_frame, time_of
from .pipeline import Pipeline
from .settings import Settings

INFERENCE_FAILED = 'inference_failed'
PUBLISH_FAILED = 'publish_failed'
DECODE_FAILED = 'decode_failed'
TAKE_FAILED = 'take_failed'
_PAUSE_S = 0.05  # after an error that may come again at once


@dataclass(frozen=True)
class Received:
    """A message as it came from the wire.

    Attributes:
        parse: turns the buffer into an image message; raises ImageError.
        buffer: serialized bytes.
        replaced: messages of the same camera that came before it and that nobody took.
    """

    parse: Callable[[bytes], ImageMessage]
    buffer: bytes
    replaced: int = 0


@dataclass(frozen=True)
class Timing:
    """When a frame was decided, for the rates and ages that diagnostics report."""

    decided_s: float
    age_ms: float
    decode_ms: float
    batch_size: int
    stage_ms: Dict[str, float]


class EngineThread(ABC):
    """A thread that runs a pipeline, turn by turn.

    Args:
        pipeline: loaded and warm.
        config: the deployment's choices.
        clock: now in nanoseconds, by the clock that stamps are compared with (simulated time, where it is used).
        on_drop: called on the engine's thread with (camera, reason, sentence) for every frame that could not be
            decided.
        is_watched: whether somebody watches a camera's overlay, for which evidence is worked out only then.
    """

    def __init__(self, pipeline: Pipeline, config: ClassifierConfig, clock: Callable[[], int],
                 on_drop: Callable[[str, str, str], None], is_watched: Callable[[str], bool] = lambda camera: False
                 ) -> None:
        self._pipeline = pipeline
        self._config = config
        self._clock = clock
        self._on_drop = on_drop
        self._is_watched = is_watched
        self._counters = FrameCounters(config.cameras)
        self._order = StampOrder(config.fusion)
        self._rate = RateLimit()
        self._timings: Dict[str, Deque[Timing]] = {camera: deque(maxlen=1000) for camera in config.cameras}
        self._last_check: Dict[str, Optional[CameraCheck]] = {}
        self._wanted = config
        self._replacement: Optional[Pipeline] = None
        self._changes: Optional[Settings] = None  # of :attr:`pipeline`
        self._changing = threading.Lock()
        self.failures = 0
        self._expected: Dict[str, Dict[str, float]] = {}
        self._thread = threading.Thread(target=self._run, name='inference', daemon=True)

    @abstractmethod
    def _turn(self) -> bool:
        """Wait for messages and decide them; False: there will be no more."""

    @abstractmethod
    def _close(self) -> None:
        """End the waiting of :meth:`_turn`; called from another thread."""

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def stop(self) -> None:
        """Finish what is in work, then end.

        Changes that still waited for a batch are taken over: the pipeline may go on in another engine.
        """
        self._close()
        if threading.current_thread() is self._thread:
            return
        if self._thread.is_alive():
            self._thread.join()
        self._take_over_changes()

    def configure(self, config: ClassifierConfig) -> None:
        """Take over changed settings before the next batch.

        Raises:
            ConfigError: a file that they name cannot be used; then nothing changes.
        """
        with self._changing:
            self._changes = self.pipeline.settings(config)
            self._wanted = config

    def expect(self, camera: str, named: Mapping[str, float]) -> None:
        """Take over a prior for a camera, by class name, before the next batch; empty: nothing is expected."""
        self._expected[camera] = dict(named)

    def replace_pipeline(self, pipeline: Pipeline) -> None:
        """Swap to a pipeline that is loaded and warm, between two batches.

        All that can fail is done here, before anything changes: it has the newest settings when it is taken over.

        Raises:
            ConfigError: the settings do not fit its model, costs of classes that it does not have for instance; then
                the old one stays.
        """
        with self._changing:
            settings = pipeline.settings(self._wanted)
            pipeline.take_over(settings)
            self._replacement, self._changes = pipeline, settings

    @property
    def pipeline(self) -> Pipeline:
        """The one in use, or the one that the next batch will use."""
        return self._replacement or self._pipeline

    def account(self, camera: str) -> Account:
        """Where the camera's frames went."""
        return self._counters.account(camera)

    def timings_since(self, camera: str, moment_s: float) -> List[Timing]:
        """Timings of the frames decided after ``moment_s`` of ``time.monotonic()``."""
        return [timing for timing in list(self._timings[camera]) if timing.decided_s > moment_s]

    def standing_still(self, camera: str) -> int:
        """How many frames of a camera had the stamp of frames long before, so that their time is that of arrival."""
        return self._order.standing_still[camera]

    def last_check(self, camera: str) -> Optional[CameraCheck]:
        """What the newest picture of a camera says about it; None before the first, or where that is not asked."""
        return self._last_check.get(camera)

    def _run(self) -> None:
        self._claim_thread()
        with torch_use.without_gradients():
            while True:
                try:
                    if not self._turn():
                        return
                except Exception as error:  # noqa: B902 - of the middleware, above all: the thread must not end of it
                    self.failures += 1
                    for camera in self._config.cameras[:1]:
                        self._say_dropped(camera, TAKE_FAILED, f'{type(error).__name__}: {error}')
                    time.sleep(_PAUSE_S)

    def _claim_thread(self) -> None:
        try:
            self._pipeline.claim_thread()
        except Exception as error:  # noqa: B902 - of a GPU: where it stays so, each frame says so, and the thread lives
            self.failures += 1
            for camera in self._config.cameras[:1]:
                self._say_dropped(camera, INFERENCE_FAILED, f'the network could not be made ready on its thread: '
                                                            f'{type(error).__name__}: {error}')

    def _take_over_changes(self) -> None:
        if self._replacement is not None or self._changes is not None:
            with self._changing:
                replacement = self._replacement
                changes, self._changes = self._changes, None
                if replacement is not None:
                    try:
                        replacement.adopt_beliefs(self._pipeline)
                    except Exception:  # noqa: B902 - then it begins without; the swap itself has been announced
                        replacement.reset()
                    self._pipeline, self._replacement = replacement, None
                if changes is not None:
                    self._pipeline.take_over(changes)
                    self._config = changes.config
                    self._order.config = self._config.fusion
        while self._expected:
            camera, named = self._expected.popitem()
            try:
                self._take_prior(camera, named)
            except Exception:  # noqa: B902
                pass  # meant for a model that was replaced in the meantime; its sender was told what classes there are

    def _take_prior(self, camera: str, named: Mapping[str, float]) -> None:
        self._pipeline.expect(camera, named)

    def _drop(self, camera: str, reason: str, sentence: str) -> None:
        self._counters.dropped(camera, reason)
        self._say_dropped(camera, reason, sentence)

    def _say_dropped(self, camera: str, reason: str, sentence: str) -> None:
        try:
            self._on_drop(camera, reason, sentence)
        except Exception:  # noqa: B902 - a log that is being closed; the frame is counted
            pass

    def _decode(self, camera: str, received: Received, received_ns: int) -> Optional[Frame]:
        try:
            message = received.parse(received.buffer)
            if not self._rate.allows(camera, time_of(message, received_ns), received_ns, self._config.rates_hz[camera]):
                self._counters.dropped(camera, RATE_LIMITED)  # as wished, so nothing is said
                return None
            frame = self._order.timed(read_frame(camera, message, received_ns, self._config.image,
                                                 self._config.regions.get(camera), received.buffer))
            objection = self._order.objection(frame)
        except ImageError as error:
            self._drop(camera, error.reason, str(error))
            return None
        except Exception as error:  # noqa: B902 - of a decoder, from any library
            self._drop(camera, DECODE_FAILED, f'{type(error).__name__}: {error}')
            return None
        if objection is not None:
            self._drop(camera, BACKWARDS, objection)
            return None
        return frame

    def _watched(self, cameras: Iterable[str]) -> List[int]:
        """Places of the cameras whose evidence is to be shown to somebody."""
        if self._config.overlay.evidence == 'none':
            return []
        return [place for place, camera in enumerate(cameras) if self._is_watched(camera)]

    def _note_decided(self, camera: str, timing: Timing, check: Optional[CameraCheck]) -> None:
        self._counters.decided(camera)
        self._timings[camera].append(timing)
        self._last_check[camera] = check
