"""What a network says of pictures, folders, bags and stores of frames, as the live node would preprocess them."""
import hashlib
from itertools import islice
from pathlib import Path
from typing import Callable, Dict, Iterable, Iterator, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np
import torch

from ..core.backends.backend import Forward
from ..core.backends.choice import choose_backend
from ..core.backends.providers import HOST, Device
from ..core.bundles.arithmetic import runs_at
from ..core.bundles.bundle import Bundle
from ..core.config import INT8, ClassifierConfig
from ..core.errors import DataError, first_line
from ..core.networks.device import resolve_device
from ..core.networks.graph_facts import ONNX
from ..core.networks.precision import check_precision, dtype_of
from ..core.networks.prediction import HostPrediction
from ..core.networks.preprocess import Preprocessing, Preprocessor
from ..core.runtime.gpu_outputs import GpuOutputs
from ..core.runtime.gpu_path import for_onnx_runtime
from ..core.text.notes import to_stderr
from ..core.text.printable import printable
from ..core.text.progress import Progress
from ..core.types import Assessment, Picture
from ..core.uncertainty.assess import AnyPrediction, Assessor
from ..core.uncertainty.camera.probe import EXCHANGED, FAULTS, SOUND
from ..core.uncertainty.ensemble import EnsemblePrediction
from ..core.uncertainty.ood.pictures import Pictures
from ..core.uncertainty.ood.sensor_faults import sensor_fault_pictures
from ..data.augmentation.camera_faults import SpoiltTransform
from ..data.augmentation.corruptions import CorruptedTransform
from ..data.cache import CacheConfig, FrameStore
from ..data.dataset import EvalTransform, FrameDataset, Indices
from ..data.labels.labels import LabelledFrame
from ..data.learned_pictures import fingerprints
from ..data.objects import count_objects, groups_of
from ..data.picture_folder import SUFFIXES, all_pictures
from ..data.pictures import readable_pictures
from ..data.prepare import DataConfig, prepare
from ..data.selection import SAME_PICTURE, SelectionConfig, duplicate_groups
from .labelled_outputs import LabelledOutputs

MOST_SPOILT = {SOUND: 1000, EXCHANGED: 2000, '': 300}
"""Pictures that are spoilt by each fault of a camera (``''``: any other), and those that only come in another way."""
_BATCH, _ASSESSED = 32, 256


class Outputs(NamedTuple):
    """Of n pictures.

    Attributes:
        logits, features: float32 (n, C) and (n, F).
        stages: float32 (n, F_s) of each stage of the network.
    """

    logits: np.ndarray
    features: np.ndarray
    stages: Tuple[np.ndarray, ...] = ()

    def pictures(self) -> Pictures:
        """As scores are fitted to them, of no class."""
        return Pictures.of(self.logits, self.features, stages=self.stages)

    @classmethod
    def joined(cls, parts: Sequence[Sequence[np.ndarray]]) -> 'Outputs':
        """Those of batches, each as :func:`as_arrays` has it; shapes (0, 0) of none."""
        if not parts:
            return cls(np.empty((0, 0), np.float32), np.empty((0, 0), np.float32))
        logits, features, *stages = map(np.concatenate, zip(*parts))
        return cls(logits, features, tuple(stages))


def as_arrays(prediction: AnyPrediction) -> List[np.ndarray]:
    """Logits, features and stages of a batch, float32; of an ensemble there are no stages."""
    stages = () if isinstance(prediction, EnsemblePrediction) else prediction.stages
    return [one if isinstance(one, np.ndarray) else one.float().cpu().numpy()
            for one in (prediction.logits, prediction.features, *stages)]


class FrameOutputs(NamedTuple):
    """Of n frames of a store.

    Attributes:
        logits, features: float32 (n, C) and (n, F).
        targets: int64 (n,), -1 for none of the classes.
        indices: int64 (n,), in the store.
        stages: float32 (n, F_s) of each stage of the network.
    """

    logits: np.ndarray
    features: np.ndarray
    targets: np.ndarray
    indices: np.ndarray
    stages: Tuple[np.ndarray, ...] = ()

    def pictures(self, groups: Optional[np.ndarray] = None) -> Pictures:
        """As scores are fitted to them, with their targets; ``groups`` as of :class:`Pictures`."""
        return Pictures.of(self.logits, self.features, self.targets, self.stages, groups)


def _on_the_cpu(reason: str) -> str:
    return f'runs on the CPU, not on the GPU: {printable(reason, 400)}'


class Predictor:
    """A network over many pictures, in batches.

    Args:
        network: in evaluation mode from here on, and moved to the device; or what a backend runs it by.
        preprocessing: what it expects.
        device, dtype: where, and in which arithmetic.
    """

    def __init__(self, network: Forward, preprocessing: Preprocessing, device: torch.device,
                 dtype: torch.dtype = torch.float32) -> None:
        if isinstance(network, torch.nn.Module):
            network = network.eval().to(device=device).to(memory_format=torch.channels_last)
        self._network = network
        self._preprocessing, self._device, self._dtype = preprocessing, device, dtype

    @classmethod
    def of_bundle(cls, bundle: Bundle, device: str = 'auto', precision: str = 'float32') -> 'Predictor':
        """The network of a bundle, at the precision and on the device that will run, by the backend of the default.

        On a GPU it runs as in the live node: as CUDA graphs, checked against the CPU, and by ``auto`` on the CPU where
        that fails, which is said.

        Raises:
            DeviceError: the GPU that was asked for says something else than the CPU, or has not enough memory.
            ConfigError: the device does not have the precision.
        """
        precision = runs_at(bundle, precision)
        device = 'cpu' if precision == INT8 else device
        where, dtype = resolve_device(device), dtype_of(precision)
        check_precision(precision, where)
        onnx_device: Device = HOST
        if where.type == 'cuda' and bundle.architecture.name == ONNX:
            chosen = for_onnx_runtime(ClassifierConfig(device=device, precision=precision), where)
            where, onnx_device = chosen.device, chosen.onnx_device
            if chosen.reason:
                to_stderr(_on_the_cpu(chosen.reason))
        is_left_to_us = device == 'auto'
        if where.type == 'cuda':
            try:
                network = bundle.load_network(where, dtype).to(memory_format=torch.channels_last)
                on_gpu = GpuOutputs(bundle, network, precision, ClassifierConfig().max_batch)
                return cls(on_gpu, bundle.preprocessing, torch.device('cpu'), dtype)
            except Exception as error:  # noqa: B902 - of torch, CUDA and their libraries
                if not is_left_to_us:
                    raise
                to_stderr(_on_the_cpu(first_line(error)))
            where = torch.device('cpu')
            check_precision(precision, where)
        network = bundle.load_network(where, dtype).to(memory_format=torch.channels_last)
        backend = choose_backend(ClassifierConfig().backend, bundle, network, onnx_device=onnx_device,
                                 or_cpu=is_left_to_us)
        return cls(backend.forward, bundle.preprocessing, where, dtype)

    def pictures(self, pictures: Iterable[Picture], batch: int = _BATCH) -> Outputs:
        """Of pictures of any sizes; shapes (0, 0) for none."""
        preprocess, rest = Preprocessor(self._preprocessing, self._device, self._dtype), iter(pictures)
        return self.tensors(preprocess(some) for some in iter(lambda: list(islice(rest, batch)), []))

    def frames(self, store: FrameStore, indices: Indices, class_names: Sequence[str],
               progress: Optional[Callable[[int], None]] = None,
               seen: Optional[Callable[[torch.Tensor], None]] = None,
               transform: Optional[Callable[[Picture], torch.Tensor]] = None, seed: int = 0) -> FrameOutputs:
        """Of frames of a store.

        Args:
            transform: makes the network's input; None: as the live node makes it.
            seed: of what the transform draws.
            progress: is called with the number of frames that are done.
            seen: is called with each batch that goes into the network, float32 (B, C, H, W) on the CPU.
        """
        dataset = FrameDataset(store, indices, class_names, transform or EvalTransform(self._preprocessing), seed)

        def batches() -> Iterator[torch.Tensor]:
            for begin in range(0, len(dataset), _BATCH):
                places = range(begin, min(begin + _BATCH, len(dataset)))
                batch = torch.stack([dataset[place].picture for place in places])
                if seen is not None:
                    seen(batch)
                yield batch
        found = self.tensors(batches(), progress)
        return FrameOutputs(found.logits, found.features, dataset.targets, dataset.indices, found.stages)

    def corrupted(self, store: FrameStore, indices: Indices, class_names: Sequence[str], seed: int = 0) -> Pictures:
        """Of frames of a store to each of which something happened; see :class:`CorruptedTransform`."""
        with Progress('corrupted pictures', 'frames', len(indices)) as show:
            return self.frames(store, indices, class_names, show, transform=CorruptedTransform(self._preprocessing),
                               seed=seed).pictures()

    def spoilt(self, store: FrameStore, indices: np.ndarray, class_names: Sequence[str], seed: int = 0
               ) -> Dict[str, Tuple[np.ndarray, np.ndarray]]:
        """Of some frames of a store as a camera at fault would have given them; see :class:`SpoiltTransform`.

        Returns:
            By name of the fault, and of :data:`SOUND`, which of the indices, int64 (k,), and what the network's stages
            say, side by side, float32 (k, F); empty: it has none.
        """
        if not len(indices):
            return {}
        chosen = to_spoil(len(indices), self._preprocessing.channels)
        if not self.frames(store, indices[:1], class_names).stages:
            return {}
        found: Dict[str, Tuple[np.ndarray, np.ndarray]] = {}
        done = 0
        with Progress('pictures of a camera at fault', 'frames', sum(map(len, chosen.values()))) as show:
            for name, some in chosen.items():
                outputs = self.frames(store, indices[some], class_names, seed=seed,
                                      transform=SpoiltTransform(self._preprocessing, name))
                found[name] = some, np.concatenate(outputs.stages, axis=1)
                done += len(some)
                show(done)
        return found

    @torch.inference_mode()
    def tensors(self, batches: Iterable[torch.Tensor], progress: Optional[Callable[[int], None]] = None) -> Outputs:
        """Of batches of what the network takes, each (B, C, H, W)."""
        parts: List[List[np.ndarray]] = []
        count = 0
        for batch in batches:
            prediction = self._network(batch.to(device=self._device, dtype=self._dtype,
                                                memory_format=torch.channels_last))
            # Copies: ONNX Runtime's memory grows by half a megabyte a picture around what is kept of what it gives.
            parts.append([one.copy() for one in as_arrays(prediction)])
            count += len(batch)
            if progress is not None:
                progress(count)
        return Outputs.joined(parts)


def labelled_store(bundle: Bundle, data: Sequence[str], *, every_s: float = 0.0, topics: Sequence[str] = (),
                   pictures: Optional[str] = None, cache: str = CacheConfig().folder) -> FrameStore:
    """The frames that :func:`run_bundle` runs the network over, in its order; arguments as there.

    Raises:
        DataError: no frame is of a class of the model.
    """
    config = DataConfig(bags=tuple(data), image_topics=tuple(topics), class_names=bundle.class_names,
                        cache=CacheConfig(folder=cache),
                        selection=SelectionConfig(every_s=every_s, duplicate_distance=-1, least=0))
    with Progress('reading', 'frames') as show:
        store = prepare(config, bundle.preprocessing, show, pictures)
    for sentence in (*store.label_report.notes, *store.label_report.problems, *store.selection_report.problems):
        to_stderr(sentence)
    if not any(frame.label in bundle.class_names for frame in store.frames):
        raise DataError(f'no frame of {", ".join(data)} is labelled with a class of {bundle.name}')
    return store


def run_bundle(bundle: Bundle, data: Sequence[str], *, device: str = 'auto', precision: str = 'float32',
               every_s: float = 0.0, topics: Sequence[str] = (), pictures: Optional[str] = None,
               cache: str = CacheConfig().folder, corrupted: int = 0, spoilt: bool = False, seed: int = 0
               ) -> LabelledOutputs:
    """Run the network over labelled data.

    Args:
        data: bags, folders of pictures and lists of pictures, as training takes them; ``unknown`` labels what is of no
            class.
        every_s: frames of a camera no closer than this.
        topics: image topics of the bags; empty: each camera once.
        pictures: folder that the files of a list are relative to; None: that of the list.
        cache: folder of decoded frames.
        corrupted: of so many frames of classes at most, spread over all, a corrupted version is run, too.
        spoilt: whether some frames of classes are run as a camera at fault gives them, too.
        seed: of the corruptions and faults.

    Raises:
        DataError: no frame is of a class of the model.
    """
    store = labelled_store(bundle, data, every_s=every_s, topics=topics, pictures=pictures, cache=cache)
    return labelled_outputs(Predictor.of_bundle(bundle, device, precision), store, bundle.class_names, corrupted, seed,
                            spoilt=spoilt)


def labelled_outputs(predictor: Predictor, store: FrameStore, class_names: Sequence[str], corrupted: int = 0,
                     seed: int = 0, chosen: Optional[np.ndarray] = None, spoilt: bool = False) -> LabelledOutputs:
    """What a network says of frames of a store, whose labels are these classes or ``unknown``.

    Args:
        corrupted, seed, spoilt: as for :func:`run_bundle`.
        chosen: their indices, ascending; None: all.
    """
    places = np.arange(len(store)) if chosen is None else chosen
    frames = [store.frames[place] for place in places.tolist()]
    digests: List[bytes] = []
    with Progress('running the network', 'frames', len(places)) as show:
        found = predictor.frames(store, places, class_names, show,
                                 lambda batch: digests.extend(map(_digest, batch)))
    of_classes = spread(places[found.targets >= 0], corrupted)
    worse = predictor.corrupted(store, of_classes, class_names, seed) if len(of_classes) else None
    known = np.flatnonzero(found.targets >= 0)
    faulty = predictor.spoilt(store, places[known], class_names, seed) if spoilt else {}
    return LabelledOutputs(
        found.logits, found.features, found.targets,
        np.array([frame.stamp_ns if frame.topic else 0 for frame in frames], np.int64),
        tuple(f'{frame.recording} {frame.topic}' for frame in frames), store.data_hash,
        _same_pictures(digests, store.hashes[places], np.array([not frame.topic for frame in frames], bool)),
        store.camera[places], fingerprints(store, places), store.selection_report.repeats_s,
        count_objects([frame for frame in frames if frame.label in class_names]), found.stages, worse,
        {name: (known[of], features) for name, (of, features) in faulty.items()}, groups_of(frames),
        tuple(map(_name, frames)))


def _name(frame: LabelledFrame) -> str:
    """Of a frame, for people: its file with the folder that labels it, or when it was."""
    path = Path(frame.path)
    if path.suffix.lower() in SUFFIXES:
        return f'{path.parent.name}/{path.name}'
    return f'{frame.recording} {frame.stamp_ns / 1e9:.3f} s'


def to_spoil(count: int, channels: int) -> Dict[str, np.ndarray]:
    """Which of so many pictures, of so many channels, are spoilt by each fault of a camera, or come in another way."""
    kinds = [SOUND, *(name for name in FAULTS if name != EXCHANGED or channels == 3)]
    return {name: spread(np.arange(count), MOST_SPOILT.get(name, MOST_SPOILT[''])) for name in kinds}


def spread(indices: np.ndarray, most: int) -> np.ndarray:
    """At most ``most`` of the indices, evenly spaced."""
    if len(indices) <= most:
        return indices
    return indices[np.linspace(0, len(indices) - 1, most).round().astype(int)]


def _digest(pixels: torch.Tensor) -> bytes:
    return hashlib.blake2b(np.ascontiguousarray(pixels.numpy()).tobytes(), digest_size=16).digest()


def _same_pictures(digests: Sequence[bytes], hashes: np.ndarray, of_folders: np.ndarray) -> np.ndarray:
    """Number of each frame's picture, int64 (n,); ``hashes`` join those ``of_folders``."""
    numbers: Dict[bytes, int] = {}
    found = np.array([numbers.setdefault(digest, len(numbers)) for digest in digests], np.int64)
    places = np.flatnonzero(of_folders)
    if len(places):
        groups = duplicate_groups(hashes[places], SAME_PICTURE)
        found[places] = len(numbers) + groups
    return found


def foreign_pictures(folder: str) -> Iterator[Picture]:
    """All pictures below a folder, whatever they show, each once.

    Raises:
        DataError: there are none, or none that can be decoded.
    """
    paths = all_pictures(folder, to_stderr)
    if not paths:
        raise DataError(f'{folder}: holds no picture ({", ".join(SUFFIXES)})')
    seen: Dict[bytes, int] = {}
    for _, picture in readable_pictures(paths, to_stderr):
        if _is_first(picture, seen):
            yield picture
    copies = sum(seen.values()) - len(seen)
    if copies:
        to_stderr(f'{folder}: {copies} of {sum(seen.values())} pictures are copies of others and count once')
    if not seen:
        raise DataError(f'{folder}: holds no picture that can be decoded')


def picture_outputs(bundle: Bundle, folder: str, *, device: str = 'auto', precision: str = 'float32') -> Outputs:
    """Of the :func:`foreign_pictures` of a folder.

    Raises:
        DataError: there are none.
    """
    return Predictor.of_bundle(bundle, device, precision).pictures(foreign_pictures(folder))


def _is_first(picture: Picture, seen: Dict[bytes, int]) -> bool:
    """Whether no picture in ``seen`` has the same pixels; counts it there."""
    digest = hashlib.blake2b(f'{picture.pixels.shape}'.encode(), digest_size=16)
    digest.update(np.ascontiguousarray(picture.pixels).tobytes())
    seen[digest.digest()] = seen.get(digest.digest(), 0) + 1
    return seen[digest.digest()] == 1


def faulty_outputs(bundle: Bundle, *, device: str = 'auto', precision: str = 'float32') -> Dict[str, Outputs]:
    """Of pictures of a camera at fault, by what is wrong with it."""
    run = Predictor.of_bundle(bundle, device, precision)
    groups = sensor_fault_pictures(bundle.preprocessing.crop, bundle.preprocessing.channels)
    return {name: run.pictures(pictures, len(pictures)) for name, pictures in groups.items()}


def assessments(bundle: Bundle, logits: np.ndarray, features: np.ndarray, stages: Sequence[np.ndarray] = ()
                ) -> Iterator[Assessment]:
    """What the live node would make of outputs (n, C), (n, F) and of stages (n, F_s) each, frame by frame."""
    assessor = Assessor(bundle)
    for begin in range(0, len(logits), _ASSESSED):
        z, f, *rest = (np.asarray(one[begin:begin + _ASSESSED], np.float32) for one in (logits, features, *stages))
        yield from assessor(HostPrediction(z, f, tuple(rest)))


def check_deployment(device: str, precision: str, bundle: Optional[Bundle] = None) -> Tuple[str, str]:
    """Kind of the device and the precision; raises for what cannot run here.

    Args:
        bundle: that is to run, where that matters.
    """
    precision = precision if bundle is None else runs_at(bundle, precision)
    config = ClassifierConfig(device='cpu' if precision == INT8 else device, precision=precision)
    found = resolve_device(config.device)
    check_precision(config.precision, found)
    if found.type == 'cuda' and bundle is not None and bundle.architecture.name == ONNX:
        found = for_onnx_runtime(config, found).onnx_device
    return found.type, config.precision
