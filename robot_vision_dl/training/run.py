"""From a config to a model bundle: the stages of a training run, one after another.

All files of a run are in one folder. The same call after an interruption, of whatever kind, goes on where it was.
"""
import hashlib
import json
import shutil
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Callable, Dict, List, Optional, Tuple

import numpy as np
import torch

from ..core.bundle import Bundle, load_bundle
from ..core.device import resolve_device
from ..core.errors import BundleError, DataError
from ..core.preprocess import Preprocessing
from ..core.types import UNKNOWN
from ..data.augment import TrainTransform
from ..data.cache import FrameStore
from ..data.contact_sheet import augmented_sheet, write_sheet
from ..data.dataset import EvalTransform, FrameDataset, known
from ..data.leakage import Leakage, leakage
from ..data.prepare import class_names_of, prepare
from ..data.split import Part, Split, folds, load_or_make_split, write_split
from ..data.statistics import ClassBalance, class_balance, mean_and_std, sample_weights
from .checkpoint import write_atomically
from .config import TrainConfig
from .errors import TrainingError
from .features import frozen_features, start_head
from .finish import finish, settings_hash
from .history import EpochRecord
from .processes import processes
from .sanity import PICTURES, check_memorises, check_start
from .start import Start, starting_identity, starting_network, starting_preprocessing

SPLIT, CONFIG, SHEET = 'split.json', 'config.yaml', 'augmented.png'
Say = Callable[[str], None]


@dataclass(frozen=True)
class Prepared:
    """Everything that training needs, before the first step.

    Attributes:
        store, split, leakage: of the data.
        class_names: C names in the order of the outputs.
        preprocessing: what the network expects, mean and standard deviation included.
        balance: training frames and weight of each class.
        indices: frames of each part that are of a class.
    """

    store: FrameStore
    split: Split
    leakage: Leakage
    class_names: Tuple[str, ...]
    preprocessing: Preprocessing
    balance: ClassBalance
    indices: Dict[Part, np.ndarray]


def train(config: TrainConfig, config_text: str, *, restart: bool = False, overwrite: bool = False,
          fold: Optional[Tuple[int, int]] = None, say: Say = print,
          frames_read: Optional[Callable[[int], None]] = None) -> Optional[Bundle]:
    """Carry out a run, or what is left of it.

    Args:
        config_text: the file that the config was read from, kept with the bundle beside all settings as they are.
        restart: forget what there is of an earlier run of this name.
        overwrite: replace a bundle of this name that another run wrote.
        fold: (number from 0, count) of a cross-validation, whose split is used; None: the split that the config asks
            for.
        say: is called with a line or several about each stage.
        frames_read: is called with the number of frames while bags are read.

    Returns:
        The bundle that was written; None in all processes but the first of those that train together.

    Raises:
        RobotVisionError: of whatever kind fits; the message is for the user.
    """
    from .fit import BEST, LAST, describe, fit
    folder, target = Path(config.output.runs) / config.name, Path(config.output.models) / config.name
    among = processes()
    is_first = among.rank == 0
    if restart and among.count > 1 and (folder / LAST).exists():
        raise TrainingError(f'--restart: several processes cannot agree on when to begin anew; remove {folder} first')
    if not is_first:
        def say(text: str) -> None:
            """The first process reports."""
    if restart and is_first:
        for name in (SPLIT, CONFIG, SHEET, LAST, BEST):
            (folder / name).unlink(missing_ok=True)
        shutil.rmtree(folder / 'tensorboard', ignore_errors=True)
    data = prepare_data(config, folder, fold, say, frames_read)
    fingerprint = fingerprint_of(config, data)
    if _check_target(target, fingerprint, config, overwrite):
        say(f'is done already: {target}')
        return load_bundle(target.absolute()) if is_first else None
    torch.manual_seed(config.run.seed)
    start = starting_network(config.network, data.class_names, config.input.channels)
    network = start.network
    datasets = _datasets(config, data)
    resumes = (folder / LAST).exists()
    if not resumes and is_first:
        write_atomically(folder / CONFIG, config_text.encode())
        write_sheet(folder / SHEET, augmented_sheet(datasets[Part.TRAIN], data.preprocessing,
                                                    plain=EvalTransform(data.preprocessing)))
        say(f'augmented pictures: {folder / SHEET}')
        if config.run.sanity_check:
            say(_sanity(config, start, data))
    if not resumes:
        _start_head(config, start, data, folder, say)
    else:
        say(f'going on with the run in {folder}')

    def report(record: EpochRecord, is_best: bool) -> None:
        say(describe(record, is_best, config.run.epochs))
    weights, balance = data.balance.weights, config.loss.balance
    history = fit(
        network, config, datasets[Part.TRAIN], datasets.get(Part.EARLY_STOP), folder, fingerprint,
        class_weights=weights if balance == 'loss' else None,
        draw_weights=sample_weights(datasets[Part.TRAIN].targets, weights) if balance == 'sampler' else None,
        report=report)
    if not is_first:
        return None
    bundle = finish(config, config_text, data, network, history, folder, target, fingerprint, say)
    say(f'bundle: {target}')
    return bundle


def prepare_data(config: TrainConfig, folder: Path, fold: Optional[Tuple[int, int]] = None, say: Say = print,
                 frames_read: Optional[Callable[[int], None]] = None) -> Prepared:
    """Read, select, split and count the frames; tell what was found.

    Args:
        folder: of the run, where the split is kept.
        fold: as for :func:`train`.
    """
    preprocessing = starting_preprocessing(config.network, config.input)
    store = prepare(config.data, preprocessing, frames_read)
    say(str(store.label_report))
    say(str(store.selection_report))
    class_names = class_names_of(store, config.data.class_names)
    if fold is None:
        split = load_or_make_split(folder / SPLIT, store.frames, config.data.split)
    else:
        split = folds(store.frames, fold[1], config.data.split)[fold[0]]
        write_split(folder / SPLIT, split, store.frames, config.data.split)
    say(str(split))
    found = leakage(store.frames, store.hashes, split)
    say(str(found))
    indices = {part: known(store, split.indices(part)) for part in Part}
    targets = FrameDataset(store, indices[Part.TRAIN], class_names, EvalTransform(preprocessing)).targets
    balance = class_balance(targets, class_names,
                            'none' if config.loss.balance == 'none' else config.loss.weighting)
    say(str(balance))
    _check_parts(balance, indices, class_names, store)
    if config.input.normalise == 'data' or not config.network.pretrained:
        mean, std = mean_and_std(store, indices[Part.TRAIN], preprocessing)
        preprocessing = replace(preprocessing, mean=tuple(round(value, 4) for value in mean),
                                std=tuple(round(value, 4) for value in std))
        say(f'mean {preprocessing.mean}, standard deviation {preprocessing.std} of the training pictures')
    return Prepared(store, split, found, class_names, preprocessing, balance, indices)


def fingerprint_of(config: TrainConfig, data: Prepared) -> str:
    """Of everything that the weights follow from; where files lie and how a card reads do not count."""
    values = asdict(config)
    for group, names in (('output', None), ('data', ('bags', 'cache')), ('run', ('workers',))):
        if names is None:
            del values[group]
        else:
            for name in names:
                del values[group][name]
    values.update(data_hash=data.store.data_hash, split=data.split.inputs_hash, class_names=data.class_names,
                  start=starting_identity(config.network), torch=torch.__version__)
    return hashlib.sha256(json.dumps(values, sort_keys=True, default=str).encode()).hexdigest()


def _start_head(config: TrainConfig, start: Start, data: Prepared, folder: Path, say: Say) -> None:
    """A fresh linear head on pretrained weights starts from the linear probe, if the config says so."""
    if config.network.head_start == 'probe' and config.network.pretrained and start.has_fresh_head:
        accuracy, decay = start_head(start.network, frozen_features(config, data, folder))
        say(f'the head starts as a linear probe: accuracy {accuracy:.3f} on the training frames, decay {decay:g}')


def _check_target(target: Path, fingerprint: str, config: TrainConfig, overwrite: bool) -> bool:
    """Before hours are spent: may the bundle be written there at the end?

    Returns:
        Whether it is there already, of this run and with these settings.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TrainingError(f'output.models: {target.parent} cannot be made ({error.strerror})') from error
    if not target.exists() or overwrite:
        return False
    try:
        provenance = load_bundle(target.absolute()).provenance
    except BundleError:
        provenance = {}
    if provenance.get('run') != fingerprint:
        raise BundleError(f'{target}: is there already and not of this run; choose another name, or give --overwrite')
    return provenance.get('settings_sha256') == settings_hash(config)


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


def _datasets(config: TrainConfig, data: Prepared) -> Dict[Part, FrameDataset]:
    plain = EvalTransform(data.preprocessing)
    changed = TrainTransform(config.augment, data.preprocessing) if config.augment.enabled else plain
    datasets = {Part.TRAIN: FrameDataset(data.store, data.indices[Part.TRAIN], data.class_names, changed,
                                         config.run.seed)}
    if len(data.indices[Part.EARLY_STOP]):
        datasets[Part.EARLY_STOP] = FrameDataset(data.store, data.indices[Part.EARLY_STOP], data.class_names, plain)
    return datasets


def _sanity(config: TrainConfig, start: Start, data: Prepared) -> str:
    """Check on a few pictures, classes in turn; what was seen, for people."""
    dataset = FrameDataset(data.store, data.indices[Part.TRAIN], data.class_names, EvalTransform(data.preprocessing))
    places: List[int] = []
    by_class = [np.flatnonzero(dataset.targets == target) for target in range(len(data.class_names))]
    for number in range(PICTURES):
        of_class = by_class[number % len(by_class)]
        turn = number // len(by_class)
        places.append(int(of_class[turn * len(of_class) // (PICTURES // len(by_class) + 1)]))
    items = [dataset[place] for place in sorted(set(places))]
    device = resolve_device(config.run.device)
    pictures = torch.stack([item.picture for item in items]).to(device)
    targets = torch.tensor([item.target for item in items], device=device)
    network = start.network.to(device)
    is_random = not config.network.pretrained
    loss = check_start(network, pictures, targets, has_fresh_head=start.has_fresh_head, is_random=is_random)
    with torch.random.fork_rng(devices=[]):
        steps, left = check_memorises(network, pictures, targets, config.network.train_from, is_random=is_random)
    network.cpu()
    return (f'sanity check: loss {loss:.3f} at the start (ln {len(data.class_names)} = '
            f'{np.log(len(data.class_names)):.3f}); {len(items)} pictures learned by heart in {steps} steps (loss '
            f'{left:.3f})')
