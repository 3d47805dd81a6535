"""The bare networks that the nodes of a measurement run: see :class:`Floors`."""
import os
from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, NamedTuple, Sequence, Tuple

from ..core.config import ClassifierConfig
from ..core.metrics.percentiles import percentiles
from ..core.networks.threads import network_threads
from ..core.runtime.object_pipeline import chunks
from .forward import ForwardTimes, bare_forward


@dataclass(frozen=True)
class LiveSettings:
    """What to measure.

    Attributes:
        objects: boxes of a detector in each picture; 0: whole pictures are decided.
        detector_delay_ms: from a picture to its boxes.
    """

    device: str
    size: str = '640x480'
    rate_hz: float = 30.0
    seconds: float = 20.0
    cameras: int = 1
    compressed: bool = False
    reliable: bool = False
    threads: int = 0
    objects: int = 0
    detector_delay_ms: float = 0.0

    @property
    def looked_at(self) -> int:
        """Objects of a picture that a node with its defaults looks at; 1 where it is the picture itself."""
        return min(self.objects, ClassifierConfig().detections.max_objects) if self.objects else 1

    @property
    def batches(self) -> Tuple[int, ...]:
        """The batches of one picture of each camera, as a node with its defaults forms them where all have come."""
        most = ClassifierConfig().max_batch
        if self.objects:
            return tuple(end - begin for begin, end in chunks(self.cameras * self.looked_at, most))
        return tuple(min(most, self.cameras - begin) for begin in range(0, self.cameras, most))


@dataclass(frozen=True)
class Contender:
    """A node to be measured.

    Attributes:
        name: in the tables.
        naive: the node that people write, instead of ours.
        environment: of it and of the camera process; says which DDS profile they have.
        model: its bundle.
        settings: what it is given.
        backend: what runs the network; ``naive`` has torch.
        parameters: NAME:=VALUE, that the others do not have.
        watched: whether somebody watches its overlays meanwhile.
    """

    name: str
    naive: bool
    environment: Mapping[str, str]
    model: str
    settings: LiveSettings
    backend: str = 'torch'
    parameters: Tuple[str, ...] = ()
    watched: bool = False


class _Floor(NamedTuple):
    """How a contender runs its network."""

    model: str
    backend: str
    threads: int
    batches: Tuple[int, ...]
    rate_hz: float


class Floors:
    """The bare networks that the contenders run, timed in this process while no node is running."""

    def __init__(self) -> None:
        self._times: Dict[_Floor, List[ForwardTimes]] = {}
        self._paced: Dict[_Floor, List[ForwardTimes]] = {}

    @staticmethod
    def _floor(contender: Contender) -> _Floor:
        settings = contender.settings
        batches = settings.batches, settings.rate_hz
        if contender.naive:  # torch takes all cores unless it is told otherwise
            return _Floor(contender.model, 'torch', len(os.sched_getaffinity(0)), *batches)
        return _Floor(contender.model, contender.backend, network_threads(settings.threads), *batches)

    def measure(self, contenders: Sequence[Contender]) -> None:
        """Once more, each network once."""
        for floor, device in sorted({(self._floor(one), one.settings.device) for one in contenders}):
            self._times.setdefault(floor, []).append(self._time(floor, device, 0.0))
            if floor.rate_hz:
                self._paced.setdefault(floor, []).append(self._time(floor, device, floor.rate_hz))

    @staticmethod
    def _time(floor: _Floor, device: str, rate_hz: float) -> ForwardTimes:
        return bare_forward(floor.model, device, floor.batches, threads=floor.threads, backend=floor.backend,
                            rate_hz=rate_hz)

    def rate_hz(self, contender: Contender) -> float:
        """Rounds a second, one frame of each camera in each."""
        floors = self._times[self._floor(contender)]
        return 1e3 / percentiles(ms for floor in floors for ms in floor.times_ms)['p50']

    def of(self, contender: Contender) -> Dict[str, Any]:
        """Times of a round, which is one frame of each camera, and the CPU time of it a frame or object."""
        kind = self._floor(contender)
        floors, count = self._times[kind], sum(kind.batches)
        return {'model': kind.model, 'backend': floors[0].backend, 'threads': kind.threads, 'batches': kind.batches,
                'bare_forward_ms': percentiles(ms for floor in floors for ms in floor.times_ms),
                'bare_forward_at_rate_ms': percentiles(ms for floor in self._paced.get(kind, ())
                                                       for ms in floor.times_ms),
                'bare_per_s': self.rate_hz(contender) * count,
                'bare_forward_cpu_ms': sum(floor.cpu_ms for floor in floors) / len(floors) / count}
