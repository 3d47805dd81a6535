"""What a network says of labelled frames, with all that is known about these."""
from dataclasses import dataclass, field, replace
from typing import Any, Dict, List, Mapping, Optional, Tuple

import numpy as np

from ..core.decision.fusion_fit import Stream
from ..core.text.printable import printable
from ..core.uncertainty.camera.probe_fit import Seen
from ..core.uncertainty.ood.pictures import Pictures
from ..data.dataset import NO_CLASS

_MOST_NAMED = 5


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
        camera: float32 (n, 135), see :attr:`~..data.cache.FrameStore.camera`.
        fingerprints: uint64 (n, 4), see :func:`~..data.learned_pictures.fingerprint`.
        repeats_s: for how long one picture stayed the same in the recordings.
        things: int64 (n,); frames of one number are of one object, or of one recording where nobody says what is one.
            None: it is not known.
        names: what each frame is called, for people.
        left_out: fingerprints of copies that :meth:`each_once` has left out, uint64 (k, 4); None: of none.
        objects: of how many objects the frames of classes are, see :func:`~..data.objects.count_objects`.
        stages: float32 (n, F_s) of each stage of the network.
        corrupted: of some of the frames of a class after something happened to them, one corruption each, with labels.
        spoilt: by fault of a camera, some of the frames of a class (int64 (k,), ascending) and what the network's
            stages say of them, side by side, as a camera with this fault gives them, float32 (k, F).
    """

    logits: np.ndarray
    features: np.ndarray
    labels: np.ndarray
    times_ns: np.ndarray
    recordings: Tuple[str, ...]
    data_hash: str
    pictures: np.ndarray
    camera: np.ndarray
    fingerprints: np.ndarray
    repeats_s: float = 0.0
    objects: Mapping[str, Any] = field(default_factory=dict)
    stages: Tuple[np.ndarray, ...] = ()
    corrupted: Optional[Pictures] = None
    spoilt: Mapping[str, Tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)
    things: Optional[np.ndarray] = None
    names: Tuple[str, ...] = ()
    left_out: Optional[np.ndarray] = None

    def each_once(self) -> Tuple['LabelledOutputs', str]:
        """The first frame of every picture and label, and what to say of those that are left out; empty for nothing.

        Copies are no further evidence: whatever assumes that frames are independent must not count them.
        """
        pairs, places = np.unique(np.stack([self.pictures, self.labels], axis=1), axis=0, return_index=True)
        first = np.sort(places)
        contradiction = self._contradiction(pairs[:, 0], places)
        copies = len(self.labels) - len(first)
        if not copies:
            return self, contradiction
        kept = set(first.tolist())
        recordings = tuple(name for place, name in enumerate(self.recordings) if place in kept)
        whole = len(set(self.recordings)) - len(set(recordings))
        of_whole = f' ({whole} recordings are nothing but copies)' if whole > 1 else (
            ' (one recording is nothing but copies)' if whole else '')
        chosen = {name: getattr(self, name)[first] for name in (
            'logits', 'features', 'labels', 'times_ns', 'pictures', 'camera', 'fingerprints')}
        said = (f'{copies} of {len(self.labels)} frames show pictures that are among the others already{of_whole}: '
                f'they are no further evidence, so each picture counts once, {len(first)} in all')
        return replace(
            self, recordings=recordings, spoilt={
                name: (np.searchsorted(first, of[np.isin(of, first)]), features[np.isin(of, first)])
                for name, (of, features) in self.spoilt.items()}, stages=tuple(one[first] for one in self.stages),
            things=None if self.things is None else self.things[first],
            names=tuple(self.names[place] for place in first.tolist()) if self.names else (),
            left_out=np.delete(self.fingerprints, first, axis=0), **chosen
        ), '; '.join(filter(None, [said, contradiction]))

    def _contradiction(self, pictures: np.ndarray, places: np.ndarray) -> str:
        """About pictures that have several labels, of which one frame each is in these places; empty: none has."""
        numbers, counts = np.unique(pictures, return_counts=True)
        differing = numbers[counts > 1]
        if not len(differing):
            return ''
        some = [' and '.join(printable(self.names[place], 80) for place in np.sort(places[pictures == number]))
                for number in differing[:_MOST_NAMED]] if self.names else []
        more = f'; and {len(differing) - _MOST_NAMED} more' if len(differing) > _MOST_NAMED else ''
        which = f' ({"; ".join(some)}{more})' if some else ''
        return (f'{len(differing)} picture{"s have" if len(differing) > 1 else " has"} more than one label, of which '
                f'one can be right: correct them, or what is fitted here is not to be trusted{which}')

    @property
    def all_fingerprints(self) -> np.ndarray:
        """Of what was given, copies too, uint64 (m, 4)."""
        return self.fingerprints if self.left_out is None else np.concatenate([self.fingerprints, self.left_out])

    @property
    def known(self) -> np.ndarray:
        """Indices of the frames that are of a class."""
        return np.flatnonzero(self.labels != NO_CLASS)

    @property
    def groups(self) -> np.ndarray:
        """Number of each frame's recording, int64 (n,); pictures of folders are by themselves."""
        names: Dict[str, int] = {}
        numbers = [names.setdefault(name if time else f'picture {place}', len(names))
                   for place, (name, time) in enumerate(zip(self.recordings, self.times_ns.tolist()))]
        return np.array(numbers, np.int64)

    @property
    def stretches(self) -> np.ndarray:
        """Number of the object of each frame, int64 (n,), also where recordings name none.

        There a stretch of time with one label is one.
        """
        things = np.arange(len(self.labels)) if self.things is None else self.things
        order = np.lexsort((self.times_ns, things))
        new = (np.diff(things[order]) != 0) | (np.diff(self.labels[order]) != 0)
        numbers = np.empty(len(order), np.int64)
        numbers[order] = np.concatenate([[0], new.cumsum()]) if len(order) else 0
        return numbers

    def known_pictures(self) -> Pictures:
        """The frames that are of a class, as scores are fitted to them."""
        known = self.known
        return Pictures.of(self.logits[known], self.features[known], self.labels[known],
                           tuple(one[known] for one in self.stages), self.groups[known])

    def of_stages(self) -> Optional[Seen]:
        """What the network's stages say of the frames of a class, places among these; None: it has none."""
        if not self.stages or not self.spoilt:
            return None
        known = self.known
        return Seen(np.arange(len(known)), np.concatenate(self.stages, axis=1)[known], {
            name: (np.searchsorted(known, of), features) for name, (of, features) in self.spoilt.items()}, tuple(
                one.shape[1] for one in self.stages))

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
