"""The network over several batches at once, where the processor has cores that one forward pass leaves idle.

What is computed for a batch does not depend on it: each thread runs with as many threads as the live node does, and
batches come back in their order, so the bits are those of one batch after another.
"""
import os
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Deque, Dict, Iterable, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Tuple, Union

import torch

from ..core.config import ClassifierConfig
from ..core.errors import RobotVisionError
from ..core.networks.threads import network_threads
from ..core.runtime.pipeline import Pipeline
from ..core.types import Assessment, Frame
from ..core.uncertainty.assess import AnyPrediction
from .feed import FrameBatch

_MOST = 4


class Assessed(NamedTuple):
    """What one model says of each frame of a batch on its own, or why it could not; milliseconds of each stage.

    ``prediction`` is what the network gave, where that was asked for.
    """

    outcome: Union[List[Assessment], Exception]
    stage_ms: Dict[str, float]
    prediction: Optional[AnyPrediction] = None


def assess_or_fail(pipeline: Pipeline, frames: Sequence[Frame], tensor: torch.Tensor,
                   features: bool = False) -> Assessed:
    """Run the network; an error of it is an answer, since other frames may go through."""
    stage_ms: Dict[str, float] = {}
    try:
        if features:
            found, prediction = pipeline.assess_with_features(frames, tensor, stage_ms)
            return Assessed(found, stage_ms, prediction)
        return Assessed(pipeline.assess(frames, tensor, stage_ms), stage_ms)
    except (RuntimeError, RobotVisionError) as error:
        return Assessed(error, stage_ms)


class ParallelInference:
    """Runs models over batches; a context manager.

    Args:
        pipelines: by name.
        deployment: its backend, number of threads and dropout samples. Torch and ONNX Runtime on a processor without
            dropout run several batches at a time: dropout switches layers, OpenVINO keeps buffers, and a GPU is one
            already.
        cores: that may be used; 0: all.
        features: give what the networks gave as well.
    """

    def __init__(self, pipelines: Mapping[str, Pipeline], deployment: ClassifierConfig, cores: int = 0,
                 features: bool = False) -> None:
        self._pipelines, self._features = list(pipelines.values()), features
        cores = cores or len(os.sched_getaffinity(0))
        threads = network_threads(deployment.threads)
        alone = deployment.dropout_samples or any(
            pipeline.device.type != 'cpu' or not (isinstance(pipeline.network, torch.nn.Module)
                                                  or getattr(pipeline.network, 'is_shared', False))
            for pipeline in self._pipelines)
        self.count = 1 if alone else max(1, min(_MOST, cores // threads))
        self._pool: Optional[ThreadPoolExecutor] = None
        if self.count > 1:
            self._pool = ThreadPoolExecutor(self.count, 'forward', initializer=torch.set_num_threads,
                                            initargs=(threads,))

    def __enter__(self) -> 'ParallelInference':
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def run(self, batches: Iterable[FrameBatch]) -> Iterator[Tuple[FrameBatch, List[Assessed]]]:
        """Each batch, in order, with what each model says of it."""
        if self._pool is None:
            for batch in batches:
                yield batch, self._assess(batch)
            return
        waiting: Deque[Tuple[FrameBatch, Future[List[Assessed]]]] = deque()
        for batch in batches:
            waiting.append((batch, self._pool.submit(self._assess, batch)))
            if len(waiting) > self.count:
                batch, found = waiting.popleft()
                yield batch, found.result()
        for batch, found in waiting:
            yield batch, found.result()

    def _assess(self, batch: FrameBatch) -> List[Assessed]:
        if not batch.frames:  # all were dropped, for their stamps go backwards say
            return [Assessed([], {}) for _ in self._pipelines]
        frames = [fed.frame for fed in batch.frames]
        return [assess_or_fail(pipeline, frames, tensor, self._features)
                for pipeline, tensor in zip(self._pipelines, batch.tensors)]
