"""All that this package asks of ``torch.cuda``: no other file outside of ``training/`` and ``doctor/`` imports it.

What is above it (:mod:`~..runtime.graph_runner`) knows only :class:`~.gpu_driver.Driver`, so that it can be tested
without a GPU; what is here is as little as that allows. `robot-vision bench gpu` measures it.
"""
import re
from contextlib import contextmanager, suppress
from threading import RLock
from typing import Callable, Iterator, Sequence, Set, Tuple

import torch

from ..errors import first_line
from .gpu_driver import Event, Replay, Trouble

_WARM_UPS = 3  # passes before a capture, in which libraries choose algorithms and take their workspaces
_ARCHITECTURE = re.compile(r'(sm|compute)_(\d+)(\d)([af]?)')
_MEMORY = ('out of memory', 'CUBLAS_STATUS_ALLOC_FAILED', 'CUDNN_STATUS_ALLOC_FAILED')
_LOST = ('CUDA error', 'CUDNN_STATUS_EXECUTION_FAILED', 'CUBLAS_STATUS_EXECUTION_FAILED',
         'CUBLAS_STATUS_NOT_INITIALIZED', 'CUDNN_STATUS_INTERNAL_ERROR', 'CUDA driver error')
_CAPTURE = ('capturing', 'during capture', 'capture')


def device_count() -> int:
    """How many GPUs torch can use."""
    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def is_built_for(capability: Tuple[int, int], architectures: Sequence[str]) -> bool:
    """Whether code for these architectures runs on a card.

    Args:
        capability: of the card, e.g. (8, 9).
        architectures: of ``torch.cuda.get_arch_list()``: ``sm_86`` is code for 8.6 and later of the same major
            version, ``compute_90`` is PTX, which the driver compiles for 9.0 and all later ones; ``sm_90a`` runs on 9.0
            alone, ``sm_100f`` as ``sm_100``. (CUDA C++ programming guide, "Binary compatibility".)
    """
    major, minor = capability
    for name in architectures:
        found = _ARCHITECTURE.fullmatch(name)
        if found is None:
            return True  # of another vendor, whose rules are not these
        kind, (its_major, its_minor), only = found[1], (int(found[2]), int(found[3])), found[4]
        if only == 'a':
            if (its_major, its_minor) == capability:
                return True
        elif kind == 'compute':
            if (its_major, its_minor) <= capability:
                return True
        elif its_major == major and its_minor <= minor:
            return True
    return False


_usable: Set[int] = set()  # once it is, it need not be asked again; memory that is short now may come back


def why_unusable(index: int) -> str:
    """Why a GPU that torch lists cannot be used, a sentence; empty: a convolution on it gave what it must."""
    if index in _usable:
        return ''
    try:
        capability = torch.cuda.get_device_capability(index)
        name = torch.cuda.get_device_name(index)
        if torch.version.hip is None and not is_built_for(capability, torch.cuda.get_arch_list()):
            return (f'{name} is of the architecture {capability[0]}.{capability[1]}, and this torch '
                    f'({torch.__version__}) is built for {", ".join(torch.cuda.get_arch_list())}: install one that '
                    'is built for it')
        pixels = torch.ones(1, 3, 8, 8, device=f'cuda:{index}')
        maps = torch.nn.functional.conv2d(pixels, torch.ones(4, 3, 3, 3, device=f'cuda:{index}'))
        given, expected = float(maps.sum()), 4 * 36 * 27.0
    except Exception as error:  # noqa: B902 - whatever the driver and its libraries say
        return f'a convolution on cuda:{index} fails: {first_line(error)}'
    if given != expected:
        return f'a convolution on cuda:{index} gives {given:g} instead of {expected:g}'
    _usable.add(index)
    return ''


def trouble_of(error: BaseException) -> Trouble:
    """What an error that came of a GPU means."""
    text = str(error)
    if isinstance(error, torch.cuda.OutOfMemoryError) or any(sign in text for sign in _MEMORY):
        return Trouble.MEMORY
    if not isinstance(error, RuntimeError) or any(sign in text for sign in _CAPTURE):
        return Trouble.OTHER
    return Trouble.LOST if any(sign in text for sign in _LOST) else Trouble.OTHER


_settings = RLock()


@contextmanager
def arithmetic(precision: str) -> Iterator[None]:
    """Products of float32 as :data:`~..config.PRECISIONS` names them: torch would take TF32 for convolutions.

    The settings are of the whole process, and are put back. A thread that is in it keeps others waiting that want to
    be: a model is loaded on one, while another runs.
    """
    allowed, matmul, cudnn = precision == 'tf32', torch.backends.cuda.matmul, torch.backends.cudnn
    with _settings:
        before = matmul.allow_tf32, cudnn.allow_tf32
        matmul.allow_tf32 = cudnn.allow_tf32 = allowed
        try:
            yield
        finally:
            matmul.allow_tf32, cudnn.allow_tf32 = before


def tensors_mb(device: torch.device) -> float:
    """Memory of a GPU that torch's tensors take, in MB; does not ask the driver."""
    return torch.cuda.memory_allocated(device) / 1e6


def memory_mb(device: torch.device) -> Tuple[float, float, float]:
    """Memory of a GPU in MB: of torch's tensors, kept by torch, and free on the card."""
    free, _ = torch.cuda.mem_get_info(device)
    return (tensors_mb(device), torch.cuda.memory_reserved(device) / 1e6, free / 1e6)


def free_unused_memory() -> None:
    """Give back what torch keeps and does not use, if a GPU was used at all."""
    if torch.cuda.is_initialized():
        with suppress(RuntimeError):  # of a GPU that failed there is nothing to be had
            torch.cuda.empty_cache()


def name_of(device: torch.device) -> str:
    """The card's name and architecture, e.g. ``NVIDIA L4, 8.9``."""
    return f'{torch.cuda.get_device_name(device)}, {"{}.{}".format(*torch.cuda.get_device_capability(device))}'


class CudaDriver:
    """:class:`~.gpu_driver.Driver` of one GPU, with a stream of its own.

    Args:
        device: the GPU.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        with torch.cuda.device(device):
            self._stream = torch.cuda.Stream(device)
            self._pool = torch.cuda.graph_pool_handle()
            # Blocking: the thread sleeps until the GPU is done, and leaves its core to the cameras.
            self._event = torch.cuda.Event(blocking=True)

    def host(self, shape: Sequence[int], dtype: torch.dtype) -> torch.Tensor:
        """Page-locked, zeros."""
        return torch.zeros(tuple(shape), dtype=dtype, pin_memory=True)

    def memory(self, shape: Sequence[int], dtype: torch.dtype) -> torch.Tensor:
        """On the card, zeros."""
        self._follow()
        with torch.cuda.stream(self._stream):
            return torch.zeros(tuple(shape), dtype=dtype, device=self.device)

    def copy(self, into: torch.Tensor, source: torch.Tensor) -> None:
        """Ask for a copy; of page-locked memory it goes on by itself."""
        with torch.cuda.stream(self._stream):
            into.copy_(source, non_blocking=True)

    def run(self, function: Callable[[], object]) -> None:
        """Ask for what ``function`` launches."""
        with torch.cuda.stream(self._stream):
            function()

    def warm(self, function: Callable[[], object]) -> None:
        """Run some times what is to be captured, and wait for it: libraries load code and take workspaces."""
        self._follow()
        with torch.cuda.stream(self._stream):
            for _ in range(_WARM_UPS):
                function()
            self._stream.synchronize()

    def capture(self, function: Callable[[], object]) -> Replay:
        """Record what is warm, and give what plays it back."""
        self._follow()
        with torch.cuda.stream(self._stream):
            self._stream.synchronize()
            graph = torch.cuda.CUDAGraph()
            # thread_local: another thread may load a model meanwhile, which allocates.
            graph.capture_begin(pool=self._pool, capture_error_mode='thread_local')
            try:
                function()
            except BaseException:
                with suppress(RuntimeError):  # says again that the capture failed
                    graph.capture_end()
                raise
            graph.capture_end()

        def replay() -> None:
            with torch.cuda.stream(self._stream):
                graph.replay()
        return replay

    def _follow(self) -> None:
        """Begin after all that the calling thread asked for elsewhere, weights above all; the host does not wait."""
        self._stream.wait_stream(torch.cuda.current_stream(self.device))

    def mark(self) -> Event:
        """A mark behind all that was asked for so far."""
        self._event.record(self._stream)
        return self._event

    def wait(self, event: Event) -> None:
        """Sleep until the GPU has come to a mark; raises what failed on the way."""
        event.synchronize()

    def free(self) -> None:
        """Give back memory that is not used.

        Graphs that are captured from now on share memory with one another and not with earlier ones: the pool of one
        whose capture failed is gone with it, and torch refuses to use it again.
        """
        torch.cuda.empty_cache()
        self._pool = torch.cuda.graph_pool_handle()

    def trouble(self, error: BaseException) -> Trouble:
        """See :func:`trouble_of`."""
        return trouble_of(error)
