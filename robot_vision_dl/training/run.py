"""From a config to a model bundle: the stages of a training run, one after another.

All files of a run are in one folder. The same call after an interruption, of whatever kind, goes on where it was.
"""
import os
import shutil
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Callable, Dict, List, Optional, Tuple

import numpy as np
import torch

from ..core.bundles.bundle import Bundle, load_bundle
from ..core.errors import BundleError, ConfigError
from ..core.files.user_path import user_path
from ..core.files.whole_files import check_writable, locked_folder
from ..core.networks.device import resolve_device
from ..core.networks.network import Network
from ..data.augmentation.augment import TrainTransform
from ..data.contact_sheet import augmented_sheet, write_sheet
from ..data.dataset import EvalTransform, FrameDataset
from ..data.division import Part
from ..data.exposed_dataset import ExposedDataset
from ..data.statistics import sample_weights
from .checkpoint import BEST, LAST, training_folder, write_atomically
from .config import TrainConfig
from .disk_space import check_room
from .distributed import processes
from .errors import TrainingError
from .features import frozen_features, start_head
from .finalize_bundle import finish, settings_hash
from .fit import fit
from .history import EpochRecord, describe
from .initial_weights import Start, starting_network
from .memory import told_when_full
from .sanity import PICTURES, check_memorises, check_start
from .trainable_layers import describe_extent, extent_of, with_extent
from .training_data import SPLIT, Say, TrainingData, fingerprint_of, prepare_data

OnStep = Callable[[int, int, int], None]
CONFIG, SHEET, RESTART = 'config.yaml', 'augmented.png', '.restart'


def train(config: TrainConfig, config_text: str, *, restart: bool = False, overwrite: bool = False,
          fold: Optional[Tuple[int, int]] = None, say: Say = print,
          frames_read: Optional[Callable[[int], None]] = None, report: Optional[Callable[[EpochRecord], None]] = None,
          on_step: OnStep = lambda epoch, step, steps: None) -> Optional[Bundle]:
    """Carry out a run, or what is left of it.

    Args:
        config_text: the file that the config was read from, kept with the bundle beside all settings as they are.
        restart: train anew, and forget what there is of an earlier run of this name once the new one begins; its bundle
            is replaced at the end.
        overwrite: replace a bundle of this name that another run wrote.
        fold: (number from 0, count) of a cross-validation, whose split is used; None: the split that the config asks
            for.
        say: is called with a line or several about each stage.
        frames_read: is called with the number of frames while bags are read.
        report: is called after each epoch; those of several trainings are counted on.
        on_step: is called after each batch with the epoch, from 0, the steps of it that are done, and all of them.

    Returns:
        The bundle that was written; None in all processes but the first of those that train together.

    Raises:
        RobotVisionError: of whatever kind fits; the message is for the user.
    """
    folder, target = user_path(config.output.runs) / config.name, user_path(config.output.models) / config.name
    among = processes()
    is_first = among.rank == 0
    if restart and among.world_size > 1 and (folder / LAST).exists():
        raise TrainingError(f'--restart: several processes cannot agree on when to begin anew; remove {folder} first')
    if not is_first:
        def say(text: str) -> None:
            """The first process reports."""
    with locked_folder(folder, 'this run') if is_first else nullcontext():
        if restart and is_first:
            shutil.rmtree(folder / RESTART, ignore_errors=True)  # of a restart that was killed
        # What there is of an earlier run stays until all that goes before the first epoch has gone well.
        data = prepare_data(config, folder / RESTART if restart else folder, fold, say, frames_read)
        fingerprint = fingerprint_of(config, data)
        if _check_target(target, fingerprint, config, overwrite) and not restart:
            say(f'is done already: {target}')
            return load_bundle(target.absolute()) if is_first else None
        with told_when_full(folder / LAST, config.run.batch_size):
            network, history = learn(config, config_text, data, folder, fingerprint, say, report, on_step, restart)
            if not is_first:
                return None
            bundle = finish(config, config_text, data, network, history, folder, target, fingerprint, say)
    say(f'bundle: {target}')
    return bundle


def learn(config: TrainConfig, config_text: str, data: TrainingData, folder: Path, fingerprint: str, say: Say,
          report: Optional[Callable[[EpochRecord], None]] = None,
          on_step: OnStep = lambda epoch, step, steps: None, restart: bool = False
          ) -> Tuple[Network, List[EpochRecord]]:
    """The training itself, with what goes before it; the best weights are then in ``folder``.

    Args:
        report, on_step: as in :func:`train`.
        restart: an earlier run in ``folder`` is forgotten; the split of this one is in ``folder``/:data:`RESTART`.

    Returns:
        A network of the right shape, whose weights do not count, and all epochs.
    """
    extent = extent_of(config.network, data)
    config = with_extent(config, extent)
    trainings = config.run.trainings
    if trainings > 1 and not config.network.pretrained:
        raise ConfigError(f'run.trainings: {trainings}: weights that were trained from different random ones have no '
                          'sensible mean; give network.pretrained, or set it to 1')
    torch.manual_seed(config.run.seed)
    start = starting_network(config.network, data.class_names, config.input.channels)
    network = start.network
    if config.network.pretrained:
        say(describe_extent(network, extent))
    # A head that no probe fitted is random, and must be the same in all trainings, after an interruption too.
    begin = {key: value.clone() for key, value in network.state_dict().items()} if trainings > 1 else {}
    datasets = _datasets(config, data)
    resumes, is_first = (folder / LAST).exists() and not restart, processes().rank == 0
    check_room(folder, network, config, resumes)
    if not resumes and is_first:
        checked = _sanity(config, start, data) if config.run.sanity_check and restart else ''
        if restart:
            _forget(folder)
        write_atomically(folder / CONFIG, config_text.encode())
        write_sheet(folder / SHEET, augmented_sheet(datasets[Part.TRAIN], data.preprocessing,
                                                    plain=EvalTransform(data.preprocessing)))
        say(f'augmented pictures: {folder / SHEET}')
        if config.run.sanity_check:
            say(checked or _sanity(config, start, data))
    if not resumes:
        _start_head(config, start, data, folder, say)
    else:
        say(f'going on with the run in {folder}')

    def fitted(config: TrainConfig, datasets: Dict[Part, FrameDataset], number: int) -> List[EpochRecord]:
        def tell(record: EpochRecord, is_best: bool) -> None:
            which = f'training {number} of {trainings}, ' if trainings > 1 else ''
            say(which + describe(record, is_best, config.run.epochs))
            if report is not None:
                report(replace(record, epoch=record.epoch + before))

        def step(epoch: int, done: int, steps: int) -> None:
            on_step(epoch + before, done, steps)
        before = (number - 1) * config.run.epochs
        weights, balance = data.balance.weights, config.loss.balance
        return fit(
            network, config, datasets[Part.TRAIN], datasets.get(Part.EARLY_STOP), training_folder(folder, number),
            fingerprint if number == 1 else f'{fingerprint} {number}',
            class_weights=weights if balance == 'loss' else None,
            draw_weights=sample_weights(datasets[Part.TRAIN].targets, weights) if balance == 'sampler' else None,
            report=tell, on_step=step)
    history = fitted(config, datasets, 1)
    for number in range(2, trainings + 1):
        another = replace(config, run=replace(config.run, seed=config.run.seed + number - 1))
        network.load_state_dict(begin)
        if not (training_folder(folder, number) / LAST).exists():
            _start_head(config, start, data, folder, lambda text: None)  # the first training told it
        torch.manual_seed(another.run.seed)
        fitted(another, _datasets(another, data), number)
    return network, history


def _forget(folder: Path) -> None:
    """Remove an earlier run; first of all what could be gone on with."""
    for name in (LAST, BEST, CONFIG, SHEET):
        (folder / name).unlink(missing_ok=True)
    for path in (folder / 'tensorboard', *folder.glob('training_*')):
        if path.is_dir():
            shutil.rmtree(path)
    os.replace(folder / RESTART / SPLIT, folder / SPLIT)
    shutil.rmtree(folder / RESTART)


def _start_head(config: TrainConfig, start: Start, data: TrainingData, folder: Path, say: Say) -> None:
    """A fresh linear head on pretrained weights starts from the linear probe, if the config says so."""
    if start.note:
        say(start.note)
    if config.network.head_start == 'probe' and config.network.pretrained and start.has_fresh_head:
        accuracy, decay = start_head(start.network, frozen_features(config, data, folder))
        say(f'the head starts as a linear probe: accuracy {accuracy:.3f} on the training frames, decay {decay:g}')


def _check_target(target: Path, fingerprint: str, config: TrainConfig, overwrite: bool) -> bool:
    """Before hours are spent: may the bundle be written there at the end?

    Returns:
        Whether it is there already, of this run and with these settings.
    """
    check_writable(target.parent, remedy='give another folder as output.models')
    if not target.exists() or overwrite:
        return False
    try:
        provenance = load_bundle(target.absolute()).provenance
    except BundleError:
        provenance = {}
    if provenance.get('run') != fingerprint:
        raise BundleError(f'{target}: is there already and not of this run; choose another name, or give --overwrite')
    return provenance.get('settings_sha256') == settings_hash(config)


def _datasets(config: TrainConfig, data: TrainingData) -> Dict[Part, FrameDataset]:
    plain = EvalTransform(data.preprocessing)
    changed = TrainTransform(config.augment, data.preprocessing) if config.augment.enabled else plain
    seed, names = config.run.seed, data.class_names
    outliers = [FrameDataset(store, indices, names, changed, seed) for store, indices in (
        (data.store, data.exposed), *([data.outliers] if data.outliers is not None else [])) if len(indices)]
    datasets = {Part.TRAIN: ExposedDataset(data.store, data.indices[Part.TRAIN], names, changed, seed, outliers,
                                           config.loss.outlier_share) if outliers
                else FrameDataset(data.store, data.indices[Part.TRAIN], names, changed, seed)}
    if len(data.indices[Part.EARLY_STOP]):
        datasets[Part.EARLY_STOP] = FrameDataset(data.store, data.indices[Part.EARLY_STOP], data.class_names, plain)
    return datasets


def _sanity(config: TrainConfig, start: Start, data: TrainingData) -> str:
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
