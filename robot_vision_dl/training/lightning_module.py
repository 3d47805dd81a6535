"""What Lightning's Trainer trains: network, loss, optimiser, schedule and average in one."""
import math
import time
from typing import TYPE_CHECKING, Any, Dict, List, Optional, Tuple

import lightning.pytorch as pl
import numpy as np
import torch

from ..core.metrics.proper_scores import negative_log_likelihood
from ..core.networks.network import Network
from ..core.uncertainty.scaling import softmax
from ..core.uncertainty.temperature import PRIOR_SPREAD, fit_temperature
from ..data.augmentation.batch_mixer import BatchMixer
from ..data.dataset import NO_CLASS, Items
from .config import TrainConfig
from .ema import WeightAverage
from .errors import TrainingError
from .freeze import set_trained
from .history import EpochRecord, as_rows, from_rows
from .loss import focal_cross_entropy, soft_targets, uniform_divergence
from .optimise import build_optimizer
from .schedule import factor_at
from .starting_point import StartingPoint

if TYPE_CHECKING:
    from lightning.pytorch.utilities.types import STEP_OUTPUT, OptimizerLRScheduler

_CHECK_EVERY = 20  # steps between looks at the loss, each of which waits for a GPU
_RUN_AWAY = 20.0  # times ln C, as the mean over an epoch: confidently wrong nearly everywhere


def seed_of(*numbers: int) -> int:
    """A seed that depends on all numbers."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> np.uint64(1))


def nll_at_best_temperature(logits: np.ndarray, targets: np.ndarray) -> float:
    """Mean negative log-likelihood, nats, of logits (n, C) at the temperature that suits them best.

    What is kept is calibrated afterwards, so that an epoch must not count as worse for being too sure alone.
    """
    return negative_log_likelihood(softmax(logits, fit_temperature(logits, targets, PRIOR_SPREAD)), targets)


class ClassificationModule(pl.LightningModule):
    """A network in training.

    Everything random is drawn from generators that are seeded by (seed, epoch), so that a run that was resumed at the
    beginning of an epoch goes on as the unbroken one would.

    Args:
        network: starting weights.
        config: of the run.
        class_weights: float32 (C,) for the loss, or None.
        steps: optimiser steps of the whole run.

    Attributes:
        history: epochs so far; kept in checkpoints.
    """

    class_weights: Optional[torch.Tensor]

    def __init__(self, network: Network, config: TrainConfig, class_weights: Optional[torch.Tensor],
                 steps: int) -> None:
        super().__init__()
        self.network = network.to(memory_format=torch.channels_last) if config.run.channels_last else network
        self.average = WeightAverage(self.network, config.run.average_decay) if config.run.average_decay else None
        self.config = config
        self.steps = steps
        # Before several processes agree on whose gradients they share.
        set_trained(self.network, config.network.train_from, False, config.network.batch_norm == 'frozen')
        self._start = StartingPoint(self.network, config.loss.distill, config.optimizer.l2_sp)
        self.history: List[EpochRecord] = []
        self.register_buffer('class_weights', class_weights, persistent=False)
        self._mixer = BatchMixer(config.augment, network.architecture.num_classes)
        self._generator = torch.Generator()

    @property
    def kept(self) -> Network:
        """The network that is judged and kept: the average, or the network itself."""
        return self.network if self.average is None else self.average.network

    def configure_optimizers(self) -> 'OptimizerLRScheduler':
        """Optimiser and a schedule that is stepped after each batch."""
        optimizer = build_optimizer(self.network, self.config.optimizer)
        schedule = self.config.schedule
        warmup = round(schedule.warmup_epochs * self.steps / self.config.run.epochs)

        def factor(step: int) -> float:
            return factor_at(schedule.name, min(step, self.steps - 1), self.steps, warmup=warmup,
                             final=schedule.final_factor, drops=schedule.drops)
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {'optimizer': optimizer, 'lr_scheduler': {'scheduler': scheduler, 'interval': 'step'}}

    def on_fit_start(self) -> None:
        """Have what is kept of the starting network where the network is."""
        self._start.to(self.device)

    def on_train_epoch_start(self) -> None:
        """Freeze, unfreeze, begin to count."""
        network = self.config.network
        set_trained(self.network, network.train_from, self.current_epoch < network.head_epochs,
                    network.batch_norm == 'frozen')
        self._generator.manual_seed(seed_of(self.config.run.seed, self.current_epoch, self.global_rank, 1))
        self._loss_sum = torch.zeros((), dtype=torch.float64, device=self.device)
        self._pictures = 0
        self._judged: List[Tuple[torch.Tensor, torch.Tensor]] = []
        self._began = self._last_batch_s = time.monotonic()
        self._waiting_s = 0.0

    def on_train_batch_start(self, batch: Items, batch_index: int) -> None:
        """Seed the dropout of the epoch; count how long the pictures took to come."""
        if batch_index == 0:
            # Not sooner: beginning to read draws a number, which Lightning does after the start of an epoch, but before
            # it in the first epoch of a run that was resumed.
            torch.manual_seed(seed_of(self.config.run.seed, self.current_epoch, self.global_rank))
        self._waiting_s += time.monotonic() - self._last_batch_s

    def training_step(self, batch: Items, batch_index: int) -> torch.Tensor:
        """Loss of a batch, whose outliers come last."""
        pictures = self._ordered(batch.pictures)
        count = self.network.architecture.num_classes
        known = int((batch.targets != NO_CLASS).sum())
        targets = batch.targets[:known]
        if self.config.augment.enabled and self._mixer.is_active:
            mixed, shares = self._mixer(pictures[:known], targets, self._generator)
            pictures = mixed if known == len(pictures) else self._ordered(torch.cat([mixed, pictures[known:]]))
        else:
            shares = soft_targets(targets, count)
        shares = soft_targets(shares, count, self.config.loss.smoothing)
        found = self.network(pictures)
        loss = focal_cross_entropy(found.logits[:known], shares, self.class_weights, self.config.loss.focal_gamma)
        if known < len(pictures):
            loss = loss + self.config.loss.outlier_exposure * uniform_divergence(found.logits[known:])
        for penalty in self._start.penalties(pictures, found):
            loss = loss + penalty
        self._loss_sum += loss.detach().double() * known
        self._pictures += known
        if batch_index % _CHECK_EVERY == 0 or self.device.type == 'cpu':
            self._check(loss.detach(), f'step {batch_index + 1}')
        self.log('loss', loss.detach())
        return loss

    def _ordered(self, pictures: torch.Tensor) -> torch.Tensor:
        return pictures.contiguous(memory_format=torch.channels_last) if self.config.run.channels_last else pictures

    def _check(self, loss: torch.Tensor, where: str, limit: float = math.inf) -> None:
        if not float(loss) < limit:
            raise TrainingError(
                f'the loss is {float(loss):.4g} in epoch {self.current_epoch + 1}, {where}: the weights have run away. '
                f'Lower optimizer.learning_rate (now {self.config.optimizer.learning_rate:g}), lengthen '
                'schedule.warmup_epochs, or set run.gradient_clip and run.precision: float32; then --restart')

    def on_train_batch_end(self, outputs: 'STEP_OUTPUT', batch: Items, batch_index: int) -> None:
        """Move the average."""
        if self.average is not None:
            self.average.update(self.network)
        self._last_batch_s = time.monotonic()

    def validation_step(self, batch: Items, batch_index: int) -> None:
        """Judge the kept weights on a batch of the early-stop split."""
        logits = self.kept(self._ordered(batch.pictures)).logits.float()
        self._judged.append((logits.cpu(), batch.targets.cpu()))

    def on_train_epoch_end(self) -> None:
        """Write the epoch into the history; the early-stop split has been judged by now."""
        loss = self._loss_sum / max(self._pictures, 1)
        self._check(loss, 'on average', _RUN_AWAY * math.log(self.network.architecture.num_classes))
        nll, accuracy = math.nan, math.nan
        if self._judged:
            logits, targets = (torch.cat(parts).numpy() for parts in zip(*self._judged))
            if not np.isfinite(logits).all():
                self._check(torch.tensor(math.nan), 'on the early-stop split')
            nll, accuracy = nll_at_best_temperature(logits, targets), float((logits.argmax(-1) == targets).mean())
        optimizer = self.optimizers()
        assert not isinstance(optimizer, list)
        rate = optimizer.param_groups[-1]['lr']
        self.history.append(EpochRecord(self.current_epoch, float(loss), nll, accuracy, rate,
                                        time.monotonic() - self._began, self._waiting_s))
        self.log_dict({'epoch_loss': float(loss), 'early_stop_nll': nll, 'early_stop_accuracy': accuracy,
                       'learning_rate': rate})

    def on_save_checkpoint(self, checkpoint: Dict[str, Any]) -> None:
        """Keep the history."""
        checkpoint['history'] = as_rows(self.history)

    def on_load_checkpoint(self, checkpoint: Dict[str, Any]) -> None:
        """Take the history up again."""
        self.history = from_rows(checkpoint['history'])
