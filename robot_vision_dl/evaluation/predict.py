"""What a bundle's network says of labelled pictures or bags, at the precision and on the device that will run."""
import hashlib
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, Dict, List, Mapping, Sequence, Tuple

import numpy as np
import torch

from ..core.bundles.bundle import Bundle
from ..core.config import ClassifierConfig
from ..core.decision.fusion_fit import Stream
from ..core.errors import DataError
from ..core.networks.device import resolve_device
from ..core.networks.preprocess import Preprocessor
from ..core.text.notes import to_stderr
from ..core.text.progress import Progress
from ..core.types import Picture
from ..core.uncertainty.ood.sensor_faults import sensor_fault_pictures
from ..data.cache import CacheConfig
from ..data.dataset import NO_CLASS, EvalTransform, FrameDataset
from ..data.objects import count_objects
from ..data.picture_folder import SUFFIXES, all_pictures, readable_pictures
from ..data.prepare import DataConfig, prepare
from ..data.selection import SAME_PICTURE, SelectionConfig, duplicate_groups

_BATCH = 32


@dataclass(frozen=True)
class LabelledOutputs:
    """Of n frames.

    Attributes:
        logits, features: float32 (n, C) and (n, F).
        labels: int64 (n,); -1 for what is none of the classes.
        times_ns: int64 (n,); 0 for pictures of folders.
        recordings: name of each frame's recording and topic.
        data_hash: SHA-256 of what was read.
        pictures: int64 (n,); frames of one number show the same picture: bit by bit, or nearly so where they are
            pictures of folders (those of a camera resemble their neighbours, and have their times).
        objects: of how many objects the frames of classes are, see :func:`~..data.objects.count_objects`.
    """

    logits: np.ndarray
    features: np.ndarray
    labels: np.ndarray
    times_ns: np.ndarray
    recordings: Tuple[str, ...]
    data_hash: str
    pictures: np.ndarray
    objects: Mapping[str, Any] = field(default_factory=dict)

    def each_once(self) -> Tuple['LabelledOutputs', str]:
        """The first frame of every picture and label, and a sentence about those that are left out; empty for none.

        Copies are no further evidence: whatever assumes that frames are independent must not count them.
        """
        pairs = np.stack([self.pictures, self.labels], axis=1)
        first = np.sort(np.unique(pairs, axis=0, return_index=True)[1])
        copies = len(self.labels) - len(first)
        if not copies:
            return self, ''
        kept = set(first.tolist())
        recordings = tuple(name for place, name in enumerate(self.recordings) if place in kept)
        whole = len(set(self.recordings)) - len(set(recordings))
        of_whole = f' ({whole} recordings are nothing but copies)' if whole > 1 else (
            ' (one recording is nothing but copies)' if whole else '')
        return replace(
            self, recordings=recordings, **{name: getattr(self, name)[first] for name in (
                'logits', 'features', 'labels', 'times_ns', 'pictures')}), (
            f'{copies} of {len(self.labels)} frames show pictures that are among the others already{of_whole}: they '
            f'are no further evidence, so each picture counts once, {len(first)} in all')

    @property
    def known(self) -> np.ndarray:
        """Indices of the frames that are of a class."""
        return np.flatnonzero(self.labels != NO_CLASS)

    def streams(self, probabilities: np.ndarray) -> List[Stream]:
        """The frames of a class of each recording in the order of time; pictures of folders are none.

        Args:
            probabilities: calibrated, shape (n, C).
        """
        places: Dict[str, List[int]] = {}
        for place in self.known.tolist():
            if self.times_ns[place]:
                places.setdefault(self.recordings[place], []).append(place)
        streams = []
        for chosen in places.values():
            order = np.array(chosen)[np.argsort(self.times_ns[chosen], kind='stable')]
            streams.append(Stream(self.times_ns[order], probabilities[order], self.labels[order]))
        return streams


@torch.inference_mode()
def run_bundle(bundle: Bundle, data: Sequence[str], *, device: str = 'auto', precision: str = 'float32',
               every_s: float = 0.0, topics: Sequence[str] = (), cache: str = CacheConfig().folder) -> LabelledOutputs:
    """Run the network over labelled data.

    Args:
        data: bags and folders of pictures, as training takes them; ``unknown`` labels what is of no class.
        every_s: frames of a camera no closer than this.
        topics: image topics of the bags; empty: each camera once.
        cache: folder of decoded frames.

    Raises:
        DataError: no frame is of a class of the model.
    """
    where, dtype = resolve_device(device), getattr(torch, precision)
    preprocessing = bundle.preprocessing
    config = DataConfig(bags=tuple(data), image_topics=tuple(topics), class_names=bundle.class_names,
                        cache=CacheConfig(folder=cache),
                        selection=SelectionConfig(every_s=every_s, duplicate_distance=-1, least=0))
    with Progress('reading', 'frames') as show:
        store = prepare(config, preprocessing, show)
    for sentence in (*store.label_report.notes, *store.label_report.problems, *store.selection_report.problems):
        to_stderr(sentence)
    dataset = FrameDataset(store, range(len(store)), bundle.class_names, EvalTransform(preprocessing))
    if not (dataset.targets != NO_CLASS).any():
        raise DataError(f'no frame of {", ".join(data)} is labelled with a class of {bundle.name}')
    network = bundle.load_network(where, dtype)
    logits, features, digests = [], [], []
    with Progress('running the network', 'frames', len(dataset)) as show:
        for begin in range(0, len(dataset), _BATCH):
            places = range(begin, min(begin + _BATCH, len(dataset)))
            pixels = torch.stack([dataset[place].picture for place in places])
            digests += [hashlib.blake2b(np.ascontiguousarray(one.numpy()).tobytes(), digest_size=16).digest()
                        for one in pixels]
            prediction = network(pixels.to(device=where, dtype=dtype, memory_format=torch.channels_last))
            logits.append(prediction.logits.float().cpu().numpy())
            features.append(prediction.features.float().cpu().numpy())
            show(places[-1] + 1)
    frames = store.frames
    return LabelledOutputs(
        np.concatenate(logits), np.concatenate(features), dataset.targets,
        np.array([frame.stamp_ns if frame.topic else 0 for frame in frames], np.int64),
        tuple(f'{frame.recording} {frame.topic}' for frame in frames), store.data_hash,
        _same_pictures(digests, store.hashes, np.array([not frame.topic for frame in frames], bool)),
        count_objects(frames[place] for place in np.flatnonzero(dataset.targets != NO_CLASS)))


def _same_pictures(digests: Sequence[bytes], hashes: np.ndarray, of_folders: np.ndarray) -> np.ndarray:
    """Number of each frame's picture, int64 (n,); ``hashes`` join those ``of_folders``."""
    numbers: Dict[bytes, int] = {}
    found = np.array([numbers.setdefault(digest, len(numbers)) for digest in digests], np.int64)
    places = np.flatnonzero(of_folders)
    if len(places):
        groups = duplicate_groups(hashes[places], SAME_PICTURE)
        found[places] = len(numbers) + groups
    return found


def picture_outputs(bundle: Bundle, folder: str, *, device: str = 'auto', precision: str = 'float32'
                    ) -> Tuple[np.ndarray, np.ndarray]:
    """Logits and features of all pictures below a folder, whatever they show.

    Raises:
        DataError: there are none.
    """
    paths = all_pictures(folder, to_stderr)
    if not paths:
        raise DataError(f'{folder}: holds no picture ({", ".join(SUFFIXES)})')
    run = PictureRunner(bundle, device, precision)
    seen: Dict[bytes, int] = {}
    pictures = (picture for _, picture in readable_pictures(paths, to_stderr) if _is_first(picture, seen))
    batches = [run(batch) for batch in iter(lambda: list(islice(pictures, _BATCH)), [])]
    copies = sum(seen.values()) - len(seen)
    if copies:
        to_stderr(f'{folder}: {copies} of {sum(seen.values())} pictures are copies of others and count once')
    if not batches:
        raise DataError(f'{folder}: holds no picture that can be decoded')
    return tuple(np.concatenate(parts) for parts in zip(*batches))


def _is_first(picture: Picture, seen: Dict[bytes, int]) -> bool:
    """Whether no picture in ``seen`` has the same pixels; counts it there."""
    digest = hashlib.blake2b(f'{picture.pixels.shape}'.encode(), digest_size=16)
    digest.update(np.ascontiguousarray(picture.pixels).tobytes())
    seen[digest.digest()] = seen.get(digest.digest(), 0) + 1
    return seen[digest.digest()] == 1


def faulty_outputs(bundle: Bundle, *, device: str = 'auto', precision: str = 'float32'
                   ) -> Dict[str, Tuple[np.ndarray, np.ndarray]]:
    """Logits and features of pictures of a camera at fault, by what is wrong with it."""
    run = PictureRunner(bundle, device, precision)
    groups = sensor_fault_pictures(bundle.preprocessing.crop, bundle.preprocessing.channels)
    return {name: run(pictures) for name, pictures in groups.items()}


class PictureRunner:
    """A bundle's preprocessing and network: pictures -> logits (n, C) and features (n, F), float32."""

    def __init__(self, bundle: Bundle, device: str = 'auto', precision: str = 'float32') -> None:
        where, dtype = resolve_device(device), getattr(torch, precision)
        self._preprocess = Preprocessor(bundle.preprocessing, where, dtype)
        self._network = bundle.load_network(where, dtype)

    @torch.inference_mode()
    def __call__(self, pictures: Sequence[Picture]) -> Tuple[np.ndarray, np.ndarray]:
        """As the class says."""
        prediction = self._network(self._preprocess(pictures))
        return prediction.logits.float().cpu().numpy(), prediction.features.float().cpu().numpy()


def check_deployment(device: str, precision: str) -> Tuple[str, str]:
    """Kind of the device and the precision; raises for what cannot run here."""
    config = ClassifierConfig(device=device, precision=precision)
    return resolve_device(config.device).type, config.precision
