"""The pictures that a model was made from, as perceptual hashes that its bundle carries.

A model is sure of what it has learned from, so a figure on such pictures says nothing of others, and a calibration on
them makes it surer than it is. Names do not tell: files are renamed, cut, extracted and compressed anew. So a bundle
keeps a fingerprint of each in ``card/pictures.json``, by what it served for, and whoever is given pictures can say
which of them look like one of those. It shows nothing of a picture; it only tells whether one that somebody has is
among them.

A fingerprint has 256 bits: the perceptual hash of :mod:`.selection` with 16x16 frequencies of the picture at 64x64. Of
TrashNet's pictures .99 are within :data:`SAME` bits of what becomes of them at JPEG quality 20, or a quarter as large
at quality 30, with noise of 8 levels, a blur of 3 pixels, more light, or without 1 % at each side, and .75 without 2 %;
not without 3 %, turned or mirrored. Two of them that are no duplicates differ by 48 at least, 1 319 frames of
recordings of other objects before the same background from those that were trained on by 52, frames of football robots
of one day from those of other days by 84. With the 8x8 frequencies of near-duplicates, 4 of those 1 319 could not be
told from a copy, and of plain shapes on a plain ground one in three. A picture of one colour, and a pure gradient, has
a few bits or none and is like all others of its kind: it is recognised as nothing (:func:`is_plain`).
"""
import base64
import binascii
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

import numpy as np

from ..core.bundles.bundle import Bundle
from ..core.bundles.bundle_format import CARD_FOLDER, read_description
from ..core.errors import BundleError, RobotVisionError
from ..core.text.json_text import parse_json
from ..core.text.printable import printable
from ..core.text.text_file import read_text
from ..core.types import Picture
from .cache import FrameStore
from .labels.labels import LabelledFrame
from .selection import hamming, perceptual_bits

FILE = 'pictures.json'
"""In ``card/`` of a bundle."""
SAME = 32
"""Bits that differ, up to which a picture is taken for one that a model has learned from."""
TRAINED_ON, CALIBRATED_ON = 'that it was trained on', 'that its calibration or early stop used'
"""What pictures of each kind are called."""
WHOLE = 0.05
"""Share of a recording's frames that are recognised from which on the others count as learned from, too."""
MOST = 100_000
"""Fingerprints of each kind that are kept; of more, so many, evenly spread."""
_SCHEMA = 1
_KIND = '256 bit perceptual hash (C. Zauner, 2010; 16x16 frequencies of 64x64), sorted, base64'
_WORDS = 4  # of 64 bits
_LEAST_BITS = 64  # of 128 that a photograph has
_NONE = np.zeros((0, _WORDS), np.uint64)
_MOST_AT_ONCE = 4_000_000  # pairs of pictures that are compared, which takes 40 MB


def fingerprint(picture: Picture) -> np.ndarray:
    """Of a picture of any size, uint64 (4,)."""
    return perceptual_bits(picture, 16).view(np.uint64)


def fingerprints(store: FrameStore, places: np.ndarray, show: Callable[[int], None] = lambda done: None) -> np.ndarray:
    """Of frames of a store, uint64 (n, 4); pictures that are kept smaller than they came have nearly the same.

    Args:
        show: is called with the number of frames so far.
    """
    found = []
    for place in places.tolist():
        found.append(fingerprint(store.picture(place)))
        show(len(found))
    return as_table(found)


def as_table(found: Sequence[np.ndarray]) -> np.ndarray:
    """Fingerprints one below another, uint64 (n, 4), however few there are."""
    return np.array(found, np.uint64).reshape(-1, _WORDS)


def is_plain(some: np.ndarray) -> np.ndarray:
    """Whether fingerprints (n, 4) are of pictures with too little in them to be told from others; bool (n,).

    One bit in two is set where all frequencies are there.
    """
    bits: np.ndarray = hamming(some, np.zeros(1, np.uint64)).sum(axis=1, dtype=np.uint16)
    return bits < _LEAST_BITS


def look_like(some: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Whether each picture is within :data:`SAME` of one of others, by fingerprints (n, 4) and (m, 4); bool (n,).

    A plain one, see :func:`is_plain`, is like none.
    """
    others = others[~is_plain(others)]
    each, places = np.unique(some, axis=0, return_inverse=True)
    alike = np.zeros(len(each), bool)
    step = max(1, _MOST_AT_ONCE // max(1, len(others)))
    for begin in range(0, len(each), step):
        block = each[begin:begin + step]
        distance = np.zeros((len(block), len(others)), np.uint16)
        for word in range(_WORDS):
            distance += hamming(block[:, None, word], others[None, :, word])
        alike[begin:begin + step] = (distance <= SAME).any(axis=1) & ~is_plain(block)
    result: np.ndarray = alike[places.reshape(-1)]
    return result


def is_learned(count: int, every: int) -> bool:
    """Whether a recording counts as learned from, of whose frames so many are recognised.

    Training takes some of a recording's frames, and with a moving camera those between differ from these.
    """
    return count >= WHOLE * every


def learned_frames(frames: Sequence[LabelledFrame], recognised: np.ndarray) -> np.ndarray:
    """Which frames count as learned from, bool (n,): those that are recognised (n,), and their whole recordings."""
    by_recording: Dict[str, List[int]] = {}
    for place, frame in enumerate(frames):
        if frame.topic:  # pictures of folders are by themselves
            by_recording.setdefault(frame.recording, []).append(place)
    found = np.array(recognised, bool)
    for places in by_recording.values():
        count = int(recognised[places].sum())
        found[places] = count > 0 and is_learned(count, len(places))
    return found


def like_ones(*counts: Tuple[int, str]) -> str:
    """How many pictures look like ones of each kind, in words; empty: none."""
    return ' and '.join(f'{count} {"looks like one" if count == 1 else "look like ones"} {kind}'
                        for count, kind in counts if count)


@dataclass(frozen=True)
class Recognised:
    """Which of n pictures look like ones that a model has learned from, bool (n,) each.

    Attributes:
        trained_on, calibrated_on: as of :class:`LearnedPictures`.
        training_is_known: as of :class:`LearnedPictures`.
    """

    trained_on: np.ndarray
    calibrated_on: np.ndarray
    training_is_known: bool

    @property
    def either(self) -> np.ndarray:
        """Those that served for anything."""
        return self.trained_on | self.calibrated_on

    def words(self) -> str:
        """How many, and what of; empty: none."""
        said = like_ones((int(self.trained_on.sum()), TRAINED_ON),
                         (int((self.calibrated_on & ~self.trained_on).sum()), CALIBRATED_ON))
        return said and f'of {len(self.trained_on)} pictures {said} (perceptual hash)'


@dataclass(frozen=True)
class LearnedPictures:
    """Fingerprints by what the pictures served for.

    Attributes:
        trained_on: uint64 (n, 4), sorted: weights, and scores of unknown things, were fitted to them.
        calibrated_on: uint64 (m, 4), sorted: they told when to stop, or probabilities and thresholds were fitted to
            them.
        training_is_known: whether ``trained_on`` is all that there is; not of an imported network, nor of an ensemble
            with a member that does not say.
    """

    trained_on: np.ndarray
    calibrated_on: np.ndarray
    training_is_known: bool

    @classmethod
    def of(cls, trained_on: np.ndarray = _NONE, calibrated_on: np.ndarray = _NONE) -> 'LearnedPictures':
        """Of fingerprints in any order, uint64 (n, 4) and (m, 4)."""
        return cls(_kept(trained_on), _kept(calibrated_on), len(trained_on) > 0)

    def __or__(self, other: Optional['LearnedPictures']) -> 'LearnedPictures':
        """The pictures of both."""
        if other is None:
            return self
        return LearnedPictures.of(np.concatenate([self.trained_on, other.trained_on]),
                                  np.concatenate([self.calibrated_on, other.calibrated_on]))

    def recognise(self, fingerprints: np.ndarray) -> Recognised:
        """Which of some pictures, by their fingerprints, uint64 (n, 4), look like one of these."""
        return Recognised(look_like(fingerprints, self.trained_on), look_like(fingerprints, self.calibrated_on),
                          self.training_is_known)

    def card_file(self) -> Dict[str, bytes]:
        """What a bundle's card has of them: :data:`FILE` with its content."""
        return {FILE: (json.dumps({
            'schema': _SCHEMA, 'fingerprint': _KIND, 'trained_on': _text(self.trained_on),
            'calibrated_on': _text(self.calibrated_on)}, indent=1) + '\n').encode()}


def learned_pictures(bundle: Bundle) -> Optional[LearnedPictures]:
    """What the bundle, or a member of it, says that it was made from; None: it does not say.

    Raises:
        BundleError: its file is damaged, or of a later version of this package.
    """
    parts = [None if one.folder is None else _read(one.folder) for one in bundle.members or (bundle,)]
    said = [one for one in parts if one is not None]
    if not said:
        return None
    found = LearnedPictures.of(*(np.concatenate([getattr(one, name) for one in said])
                                 for name in ('trained_on', 'calibrated_on')))
    return replace(found, training_is_known=len(said) == len(parts) and all(one.training_is_known for one in said))


def _read(folder: Path) -> Optional[LearnedPictures]:
    """Of a bundle that was verified: a file that it does not list is none of its own."""
    name = f'{CARD_FOLDER}/{FILE}'
    if name not in read_description(folder, ask_torchvision=False)[0]['files']:
        return None
    path = folder / name
    try:
        values = parse_json(read_text(path), printable(path))
    except RobotVisionError as error:
        raise BundleError(str(error)) from error
    is_known = isinstance(values, dict) and values.get('schema') is not True and values.get('schema') == _SCHEMA
    if not is_known or values.get('fingerprint') != _KIND:
        raise BundleError(f'{printable(path)}: is none of the lists of pictures that this version of robot_vision_dl '
                          f'reads (schema {_SCHEMA}, {_KIND}); update robot_vision_dl, or remove the file and its line '
                          'in `files` of bundle.json')
    return LearnedPictures.of(*(_fingerprints(values.get(key), f'{printable(path)}: {key}')
                                for key in ('trained_on', 'calibrated_on')))


def _kept(fingerprints: np.ndarray) -> np.ndarray:
    each = np.unique(fingerprints, axis=0)
    if len(each) <= MOST:
        return each
    chosen: np.ndarray = each[np.linspace(0, len(each) - 1, MOST).round().astype(int)]
    return chosen


def _text(fingerprints: np.ndarray) -> str:
    return base64.b64encode(fingerprints.tobytes()).decode('ascii')


def _fingerprints(text: Any, where: str) -> np.ndarray:
    try:
        data = base64.b64decode(text, validate=True)
    except (TypeError, ValueError, binascii.Error):
        data = b'?'
    if len(data) % (8 * _WORDS):
        raise BundleError(f'{where}: must be {_KIND}; copy the bundle again')
    return np.frombuffer(data, np.uint64).reshape(-1, _WORDS)
