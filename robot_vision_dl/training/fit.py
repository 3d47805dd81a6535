"""The training loop: Lightning's Trainer with checkpoints that survive being killed."""
import logging
import warnings
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Callable, Dict, List, Literal, Optional

import numpy as np
import torch

from ..core.errors import ConfigError
from ..core.networks.allocator import keep_freed_memory
from ..core.networks.device import resolve_device
from ..core.networks.network import Network
from ..core.text.progress import Progress
from ..data.dataset import FrameDataset, Items
from .checkpoint import BEST, LAST, interrupted_history, load_checkpoint, save_checkpoint, save_weights
from .config import TrainConfig
from .distributed import Processes, check_batch_size, processes
from .history import EpochRecord, best_epoch, is_over, kept_epoch
from .loader import judging_loader, training_loader

try:
    import lightning.pytorch as pl
    from lightning.fabric.plugins import CheckpointIO
    from lightning.pytorch.callbacks import Callback, Checkpoint
    from lightning.pytorch.loggers import TensorBoardLogger
    from lightning.pytorch.strategies import DDPStrategy
    from lightning.pytorch.utilities.types import STEP_OUTPUT

    from .lightning_module import ClassificationModule
except ImportError as error:  # an extra, for those who only run networks
    raise ConfigError(f'training needs Lightning and TensorBoard ({error}); install them with `pip install '
                      '"robot_vision_dl[train]"`') from error

OnStep = Callable[[int, int, int], None]
_PRECISIONS: Dict[str, Literal['32-true', 'bf16-mixed', '16-mixed']] = {
    'float32': '32-true', 'bfloat16': 'bf16-mixed', 'float16': '16-mixed'}


class _AtomicFiles(CheckpointIO):
    """Lightning's checkpoints through :mod:`.checkpoint`."""

    def save_checkpoint(self, checkpoint: Dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write."""
        save_checkpoint(Path(path), checkpoint)

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: Any = None) -> Dict[str, Any]:
        """Read."""
        return load_checkpoint(Path(path))

    def remove_checkpoint(self, path: Any) -> None:
        """Remove."""
        Path(path).unlink(missing_ok=True)


class _Keeper(Checkpoint):
    """After each epoch: the best weights, if they are new, then everything that is needed to go on.

    In this order, so that a kill between both is made good: the epoch is done again, with the same result.
    """

    def __init__(self, folder: Path, fingerprint: str, patience: int, keep: str,
                 report: Callable[[EpochRecord, bool], None]) -> None:
        self._folder = folder
        self._fingerprint = fingerprint
        self._patience = patience
        self._keep = keep
        self._report = report

    def on_train_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Write files."""
        assert isinstance(module, ClassificationModule)
        now = module.history[-1]
        is_best = best_epoch(module.history) is now
        if kept_epoch(module.history, self._keep) is now and trainer.is_global_zero:
            save_weights(self._folder / BEST, module.kept.state_dict(), {'epoch': str(now.epoch)})
        trainer.save_checkpoint(self._folder / LAST)
        if trainer.is_global_zero:
            self._report(now, is_best)
        if is_over(module.history, trainer.max_epochs or 0, self._patience):
            trainer.should_stop = True

    def on_save_checkpoint(self, trainer: pl.Trainer, module: pl.LightningModule, checkpoint: Dict[str, Any]) -> None:
        """Say what the checkpoint belongs to."""
        checkpoint['fingerprint'] = self._fingerprint


class _Progress(Callback):
    """How far an epoch is, on a terminal and for whoever wants to know."""

    def __init__(self, on_step: OnStep, until_done: ExitStack) -> None:
        self._on_step, self._until_done = on_step, until_done
        self._show: Optional[Progress] = None

    def on_train_epoch_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """A line that the steps fill."""
        self._show = self._until_done.enter_context(Progress(
            f'epoch {trainer.current_epoch + 1}/{trainer.max_epochs}', 'steps', int(trainer.num_training_batches),
            quiet=not trainer.is_global_zero))

    def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, outputs: STEP_OUTPUT, batch: Items,
                           batch_index: int) -> None:
        """One step more."""
        if self._show is not None:
            self._show(batch_index + 1)
        if trainer.is_global_zero:
            self._on_step(trainer.current_epoch, batch_index + 1, int(trainer.num_training_batches))

    def on_train_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Make room for the line about the epoch."""
        self._until_done.close()


def fit(network: Network, config: TrainConfig, train: FrameDataset, early_stop: Optional[FrameDataset], folder: Path,
        fingerprint: str, *, class_weights: Optional[np.ndarray] = None, draw_weights: Optional[np.ndarray] = None,
        report: Callable[[EpochRecord, bool], None] = lambda record, is_best: None,
        on_step: OnStep = lambda epoch, step, steps: None) -> List[EpochRecord]:
    """Train, or go on where a run in the same folder was interrupted; the best weights are then in the folder.

    Args:
        network: starting weights; it is changed.
        early_stop: judges each epoch; None: the last epoch counts as the best.
        folder: of checkpoints and logs.
        fingerprint: of everything that the result follows from; a checkpoint of another one is refused.
        class_weights: (C,), for the loss.
        draw_weights: (n,), of the training pictures, for drawing them.
        report: is called after each epoch.
        on_step: is called after each batch with the epoch, from 0, the steps of it that are done, and all of them.

    Returns:
        All epochs, those before an interruption too.

    Raises:
        TrainingError: the loss is not a number, the disk is full, a checkpoint is not of this run.
    """
    run, among = config.run, processes()
    check_batch_size(run.batch_size, among)
    done = interrupted_history(folder, fingerprint)
    if is_over(done, run.epochs, run.patience):
        return done
    loader = training_loader(train, run.batch_size, run.seed, draw_weights, run.workers, len(done), among.rank,
                             among.world_size)
    judge = None if early_stop is None else judging_loader(early_stop, run.batch_size, run.workers)
    weights = None if class_weights is None else torch.as_tensor(class_weights, dtype=torch.float32)
    module = ClassificationModule(network, config, weights, run.epochs * len(loader))
    shown = ExitStack()
    keeper = _Keeper(folder, fingerprint, run.patience, run.keep, report)
    trainer = _trainer(config, folder, [_Progress(on_step, shown), keeper], among)
    try:
        with shown, warnings.catch_warnings():
            # Hints about workers and log intervals, and about layers in evaluation mode, which are so on purpose.
            warnings.filterwarnings('ignore', module='lightning')
            warnings.filterwarnings('ignore', module='torch.optim.lr_scheduler')
            trainer.fit(module, loader, judge, ckpt_path=str(folder / LAST) if done else None)
    except SystemExit:  # Lightning's answer to SIGINT
        raise KeyboardInterrupt from None
    return module.history


def _trainer(config: TrainConfig, folder: Path, callbacks: List[Callback], among: Processes) -> pl.Trainer:
    run = config.run
    device = resolve_device(run.device)
    if run.precision == 'float16' and device.type == 'cpu':
        raise ConfigError('run.precision: float16 trains on GPUs only; use bfloat16 or float32 on a CPU')
    if device.type == 'cpu':
        keep_freed_memory()
    if run.threads:
        torch.set_num_threads(run.threads)
    logging.getLogger('lightning.pytorch').setLevel(logging.WARNING)
    logging.getLogger('lightning.fabric').setLevel(logging.WARNING)
    where: Dict[str, Any]
    if among.world_size == 1:
        where = {'devices': 1 if device.index is None else [device.index]}
    else:
        # While only the head is trained, the backbone gets no gradients to share.
        strategy = DDPStrategy(find_unused_parameters=config.network.head_epochs > 0)
        where = {'devices': among.here, 'num_nodes': among.world_size // among.here, 'strategy': strategy}
    return pl.Trainer(
        accelerator='cpu' if device.type == 'cpu' else 'gpu', **where,
        max_epochs=run.epochs, precision=_PRECISIONS[run.precision], gradient_clip_val=run.gradient_clip or None,
        logger=TensorBoardLogger(str(folder), name='', version='tensorboard'), callbacks=callbacks,
        plugins=[_AtomicFiles()], num_sanity_val_steps=0, enable_progress_bar=False, enable_model_summary=False,
        log_every_n_steps=10, use_distributed_sampler=False, default_root_dir=str(folder))
