"""The thread between messages and results: takes what came, decodes it, runs the pipeline, hands results out.

Where objects are decided, :mod:`.object_engine` is in its place.
"""
import time
from dataclasses import dataclass
from typing import Callable, Optional, Protocol, Sequence, Tuple

from ..config import ClassifierConfig
from ..types import Frame, Result
from .batch import Batch
from .engine_thread import INFERENCE_FAILED, PUBLISH_FAILED, EngineThread, Received, Timing
from .pipeline import Pipeline
from .pipelined_execution import PipelinedExecution


class Source(Protocol):
    """Where messages come from."""

    def take(self, limit: int, wait: bool = True) -> Optional[Sequence[Tuple[str, Received]]]:
        """The newest message of each of at most ``limit`` cameras; None: it is closed.

        With ``wait`` at least one; without, nothing where there is none now.
        """

    def close(self) -> None:
        """End the waiting; called from another thread."""


class Engine(EngineThread):
    """Runs a pipeline on a thread of its own.

    As long as it keeps up with the cameras, that thread does everything. When frames had to be replaced, it runs the
    network alone, while a second one finishes the batch before and prepares the next; see :mod:`.pipelined_execution`.

    Args:
        pipeline: loaded and warm.
        config: the deployment's choices.
        source: of messages; taken from when the engine is free.
        clock: now in nanoseconds, by the clock that stamps are compared with (simulated time, where it is used).
        on_result: called on the engine's thread for every decided frame.
        on_drop: called on the engine's thread with (camera, reason, sentence) for every frame that could not be
            decided.
        is_watched: whether somebody watches a camera's overlay; called on the engine's thread.
    """

    def __init__(self, pipeline: Pipeline, config: ClassifierConfig, source: Source, clock: Callable[[], int],
                 on_result: Callable[[Result, Timing], None], on_drop: Callable[[str, str, str], None],
                 is_watched: Callable[[str], bool] = lambda camera: False) -> None:
        super().__init__(pipeline, config, clock, on_drop, is_watched)
        self._on_result = on_result
        self._source = source
        self._overlap: PipelinedExecution[_Work] = PipelinedExecution(_Work.infer, self._fetch, self._finish)

    def _close(self) -> None:
        self._source.close()

    def _turn(self) -> bool:
        """Wait for messages and decide them; False: there will be no more."""
        taken = self._source.take(self._config.max_batch)
        if taken is None:
            self._overlap.close()
            return False
        work = self._prepare(taken)
        if work is None:
            return True
        if any(received.replaced for _, received in taken):
            self._overlap.run(work)  # more comes than can be decided
        else:
            work.infer()
            self._finish(work)
        return True

    def _fetch(self) -> Optional['_Work']:
        """What has come meanwhile, ready for the network; None: nothing, or nothing usable."""
        taken = self._source.take(self._config.max_batch, wait=False)
        return self._prepare(taken) if taken else None

    def _prepare(self, taken: Sequence[Tuple[str, Received]]) -> Optional['_Work']:
        """What is usable of the messages, ready for the network."""
        self._take_over_changes()
        received_s, received_ns = time.monotonic(), self._clock()
        frames = []
        for camera, received in taken:
            self._counters.received(camera, received.replaced)
            frame = self._decode(camera, received, received_ns)
            if frame is not None:
                frames.append(frame)
        if not frames:
            return None
        decode_ms = (time.monotonic() - received_s) * 1e3
        try:
            batch = self._pipeline.prepare(frames)
            self._pipeline.watch(batch, self._watched(frame.camera for frame in frames))
            return _Work(self._pipeline, batch, received_s, decode_ms)
        except Exception as error:  # noqa: B902 - whatever it is, the node lives and says so
            self._failed(frames, error)
            return None

    def _failed(self, frames: Sequence[Frame], error: Exception) -> None:
        for frame in frames:
            self._drop(frame.camera, INFERENCE_FAILED, f'{type(error).__name__}: {error}')

    def _finish(self, work: '_Work') -> None:
        try:
            if work.error is not None:
                raise work.error
            results = work.pipeline.finish(work.batch)
        except Exception as error:  # noqa: B902 - whatever a network raises, the node lives and says so
            self._failed(work.batch.frames, error)
            return
        now_s = time.monotonic()
        for result in results:
            camera = result.frame.camera
            try:
                age_ms = (result.frame.received_ns - result.frame.time_ns) * 1e-6 + (now_s - work.received_s) * 1e3
                timing = Timing(now_s, age_ms, work.decode_ms, result.batch_size, dict(result.stage_ms))
                self._on_result(result, timing)
            except Exception as error:  # noqa: B902 - a publisher that was just destroyed must not end the thread
                self._drop(camera, PUBLISH_FAILED, f'{type(error).__name__}: {error}')
                continue
            self._note_decided(camera, timing, result.camera)


@dataclass
class _Work:
    """A batch, and the pipeline that it belongs to: a model may be swapped while another thread runs the old one."""

    pipeline: Pipeline
    batch: Batch
    received_s: float
    decode_ms: float
    error: Optional[Exception] = None

    def infer(self) -> None:
        """Run the network; an error is kept for whoever finishes."""
        try:
            self.pipeline.infer(self.batch)
        except Exception as error:  # noqa: B902 - of any kind, from any library
            self.error = error
