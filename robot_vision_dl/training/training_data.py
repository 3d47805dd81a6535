"""The data of a run, before the first step: read, selected, split, counted."""
import hashlib
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Callable, Dict, NamedTuple, Optional, Tuple

import numpy as np
import torch

from ..core.bundles.bundle_format import check_class_names
from ..core.errors import ConfigError, DataError
from ..core.networks.preprocess import Preprocessing
from ..core.text.progress import Progress
from ..core.types import UNKNOWN
from ..data.cache import FrameStore
from ..data.contradictions import contradictions
from ..data.dataset import EvalTransform, FrameDataset, known, targets_of
from ..data.division import Part
from ..data.frozen import describe_frozen, frozen_hashes, unlike_frozen
from ..data.leakage import Leakage, leakage
from ..data.learned_pictures import fingerprints, learned_frames
from ..data.objects import count_objects
from ..data.outliers import outlier_store, unlike
from ..data.prepare import class_names_of, prepare_parts
from ..data.split import Split, folds
from ..data.split_file import load_or_make_split, write_split
from ..data.statistics import ClassBalance, class_balance, mean_and_std
from .calibration_check import check_calibration, describe_strange, exposed_frames
from .checkpoint import LAST
from .config import TrainConfig
from .distributed import processes
from .initial_weights import starting_pictures, starting_preprocessing, starting_weights

SPLIT = 'split.json'  # of the folder of a run
Say = Callable[[str], None]


class Outliers(NamedTuple):
    """Pictures of folders, and int64 (n,), which of them are used."""

    store: FrameStore
    indices: np.ndarray


@dataclass(frozen=True)
class TrainingData:
    """Everything that training needs, before the first step.

    Attributes:
        store, split, leakage: of the data.
        class_names: C names in the order of the outputs.
        preprocessing: what the network expects, mean and standard deviation included.
        balance: training frames and weight of each class.
        indices: frames of each part that are of a class.
        strange: those of each part that are labelled ``unknown``, of no class, and are not learned from.
        exposed: those of the training part that are labelled ``unknown`` and learned from as outliers.
        outliers: pictures of folders that are learned from as outliers, and the indices of those that are used; None
            without.
        told: what was warned of before the first epoch, by :class:`~..core.bundles.trust_limits.Limit` ``what``.
        frozen: uint64 (n,), perceptual hashes of the frozen frames, of which none like it is in ``indices``,
            ``strange``, ``exposed`` and ``outliers``; None where nothing is frozen.
    """

    store: FrameStore
    split: Split
    leakage: Leakage
    class_names: Tuple[str, ...]
    preprocessing: Preprocessing
    balance: ClassBalance
    indices: Dict[Part, np.ndarray]
    strange: Dict[Part, np.ndarray]
    exposed: np.ndarray
    outliers: Optional[Outliers] = None
    told: Tuple[str, ...] = ()
    frozen: Optional[np.ndarray] = None


def prepare_data(config: TrainConfig, folder: Path, fold: Optional[Tuple[int, int]] = None, say: Say = print,
                 frames_read: Optional[Callable[[int], None]] = None) -> TrainingData:
    """Read, select, split and count the frames; tell what was found.

    Args:
        folder: of the run, where the split is kept.
        fold: as for :func:`train`.
        frames_read: is called with the number of frames so far.
    """
    preprocessing = starting_preprocessing(config.network, config.input)
    if fold is not None and config.data.named:
        raise ConfigError(f'--folds: each recording is tested on once, so none can be named for a part; leave out '
                          f'{", ".join(f"data.{part.value}" for part in config.data.named)}')
    with Progress('reading', 'frames', quiet=processes().rank > 0) as show:
        def read(frames: int) -> None:
            show(frames)
            if frames_read is not None:
                frames_read(frames)
        store, named, left_out = prepare_parts(config.data, preprocessing, read)
    say(str(store.label_report))
    say(str(store.selection_report))
    contradicting = contradictions(store)
    if contradicting:
        say(f'warning: {contradicting}')
    class_names = class_names_of(store, config.data.class_names)
    check_class_names(list(class_names))
    learned = _learned_before(config, store)
    if fold is None:
        # Until an epoch is done, nothing was learned from the split that may be there.
        split = load_or_make_split(folder / SPLIT, store.frames, config.data.split, (folder / LAST).exists(), named,
                                   learned)
    else:
        split = folds(store.frames, fold[1], config.data.split)[fold[0]]
        write_split(folder / SPLIT, split, store.frames, config.data.split)
        if learned is not None and learned.any():
            say(f'warning: {int(learned.sum())} of {len(learned)} frames look like ones that the starting weights were '
                'trained on: on these the figures of the folds are flattering')
    say(str(split))
    found = leakage(store.frames, store.hashes, split)
    say(str(found))
    frozen = _frozen(config)
    kept = {part: split.indices(part) for part in Part}
    if frozen is not None:
        learned = unlike_frozen(store, frozen)
        kept = {part: np.intersect1d(chosen, learned) for part, chosen in kept.items()}
        say(describe_frozen(store.frames, learned, left_out))
    indices = {part: known(store, chosen) for part, chosen in kept.items()}
    targets = FrameDataset(store, indices[Part.TRAIN], class_names, EvalTransform(preprocessing)).targets
    balance = class_balance(targets, class_names,
                            'none' if config.loss.balance == 'none' else config.loss.weighting)
    say(str(balance))
    strange = {part: np.setdiff1d(kept[part], indices[part]) for part in Part}
    exposed = exposed_frames(strange, config.loss.outlier_exposure)
    if any(len(part) for part in strange.values()):
        say(describe_strange(strange, len(exposed)))
    if len(exposed):
        strange[Part.TRAIN] = np.zeros(0, np.int64)
    outliers = _outliers(config, preprocessing, store, strange, frozen, say)
    _check_parts(balance, indices, class_names, store)
    cautions = check_calibration(
        targets_of(store, indices[Part.CALIBRATION], class_names), class_names, config.output.alpha,
        len(strange[Part.CALIBRATION]), count_objects(store.frames[index] for index in indices[Part.CALIBRATION]))
    for caution in cautions.values():
        say(f'warning: {caution}')
    if config.input.normalise == 'data' or not config.network.pretrained:
        mean, std = mean_and_std(store, indices[Part.TRAIN], preprocessing)
        preprocessing = replace(preprocessing, mean=tuple(round(value, 4) for value in mean),
                                std=tuple(round(value, 4) for value in std))
        say(f'mean {preprocessing.mean}, standard deviation {preprocessing.std} of the training pictures')
    return TrainingData(store, split, found, class_names, preprocessing, balance, indices, strange, exposed, outliers,
                        tuple(cautions), frozen)


def _learned_before(config: TrainConfig, store: FrameStore) -> Optional[np.ndarray]:
    """Which frames the starting weights were trained on, bool (n,), by their fingerprints; None: they do not say."""
    start = starting_pictures(config.network)
    if not len(start.trained_on):
        return None
    with Progress('comparing with what the weights were trained on', 'frames', len(store),
                  quiet=processes().rank > 0) as show:
        prints = fingerprints(store, np.arange(len(store)), show)
    return learned_frames(store.frames, start.recognise(prints).trained_on)


def _frozen(config: TrainConfig) -> Optional[np.ndarray]:
    """Perceptual hashes of all frozen frames; None where nothing is frozen."""
    if not config.data.frozen:
        return None
    with Progress('reading', 'frozen frames', quiet=processes().rank > 0) as show:
        return frozen_hashes(config.data.frozen, config.data.image_topics, show)


def _outliers(config: TrainConfig, preprocessing: Preprocessing, store: FrameStore, strange: Dict[Part, np.ndarray],
              frozen: Optional[np.ndarray], say: Say) -> Optional[Outliers]:
    """The pictures of ``data.outliers`` that look like none of the frames that choose and judge score and model."""
    if not config.data.outliers or not config.loss.outlier_exposure:
        return None
    with Progress('reading', 'outliers', quiet=processes().rank > 0) as show:
        found = outlier_store(config.data.outliers, preprocessing, config.data.cache, show, (store,))
    judging = [store.hashes[np.concatenate(list(strange.values()))], *([] if frozen is None else [frozen])]
    used = unlike(found.hashes, np.concatenate(judging))
    left_out = len(found) - len(used)
    say(f'{len(used)} pictures of data.outliers are learned from as outliers'
        + (f'; {left_out} are left out as near-duplicates of frames that judge the OOD score' if left_out else ''))
    return Outliers(found, used) if len(used) else None


def fingerprint_of(config: TrainConfig, data: TrainingData) -> str:
    """Of everything that the weights of a training follow from.

    Where files lie, how a card reads, and how many other trainings there are do not count.
    """
    values = asdict(config)
    # Labels are in the hash of the data, named recordings in that of the split, and the weights, by their content, in
    # the start.
    for group, names in (
            ('output', None), ('run', ('workers', 'trainings')), ('network', ('pretrained',)),
            ('data', ('bags', 'outliers', 'frozen', 'cache', 'early_stop', 'calibration', 'test'))):
        if names is None:
            del values[group]
        else:
            for name in names:
                del values[group][name]
    del values['data']['labels']['sources']
    if data.outliers is not None:
        values['outliers'] = data.outliers.store.data_hash
    if data.frozen is not None:
        values['frozen'] = hashlib.sha256(data.frozen.tobytes()).hexdigest()
    values.update(data_hash=data.store.data_hash, split=data.split.inputs_hash, class_names=data.class_names,
                  start=starting_weights(config.network), torch=torch.__version__)
    return hashlib.sha256(json.dumps(values, sort_keys=True, default=str).encode()).hexdigest()


def _check_parts(balance: ClassBalance, indices: Dict[Part, np.ndarray], class_names: Tuple[str, ...],
                 store: FrameStore) -> None:
    empty = [name for name, count in zip(class_names, balance.counts) if not count]
    if empty:
        raise DataError(f'no training frame is labelled {", ".join(empty)}; record more of it, or change data.split')
    if not len(indices[Part.CALIBRATION]):
        raise DataError('the calibration split is empty; without it nobody knows how far the model can be trusted. '
                        'Raise data.split.calibration, or record more')
    labels = {store.frames[index].label for index in indices[Part.TRAIN]} - {UNKNOWN}
    if len(labels) < 2:
        raise DataError(f'the training frames are all labelled {", ".join(labels)}; at least two classes are needed')
