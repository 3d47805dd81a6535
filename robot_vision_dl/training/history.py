"""What was seen epoch by epoch."""
import math
from dataclasses import astuple, dataclass
from typing import Any, List, Sequence


@dataclass(frozen=True)
class EpochRecord:
    """One epoch.

    Attributes:
        epoch: from 0.
        loss: mean over the training pictures, as changed at random, nats.
        nll, accuracy: of the weights that are kept (the average, if there is one), on the early-stop split, the
            former at the temperature that suits it best; NaN without one.
        learning_rate: of the head, at the end.
        seconds: wall time.
        waiting_s: part of it in which the network waited for pictures.
    """

    epoch: int
    loss: float
    nll: float
    accuracy: float
    learning_rate: float
    seconds: float
    waiting_s: float = float('nan')


def best_epoch(history: Sequence[EpochRecord]) -> EpochRecord:
    """The first epoch of at least one with the least early-stop NLL; the last where there is no early-stop split."""
    judged = [record for record in history if record.nll == record.nll]
    return min(judged, key=lambda record: record.nll) if judged else history[-1]


def kept_epoch(history: Sequence[EpochRecord], keep: str) -> EpochRecord:
    """The epoch whose weights are kept, as ``run.keep`` says."""
    return history[-1] if keep == 'last' else best_epoch(history)


def is_over(history: Sequence[EpochRecord], epochs: int, patience: int) -> bool:
    """Whether all epochs are done, or the best one is ``patience`` (0: never mind) epochs ago."""
    if len(history) >= epochs:
        return True
    return bool(patience and history and history[-1].epoch - best_epoch(history).epoch >= patience)


def as_rows(history: Sequence[EpochRecord]) -> List[List[float]]:
    """For a checkpoint."""
    return [list(astuple(record)) for record in history]


def from_rows(rows: Sequence[Sequence[Any]]) -> List[EpochRecord]:
    """From a checkpoint."""
    return [EpochRecord(*row) for row in rows]


def describe(record: EpochRecord, is_best: bool, epochs: int) -> str:
    """A line about an epoch."""
    judged = '' if math.isnan(record.nll) else f'   early-stop NLL {record.nll:.4f}  accuracy {record.accuracy:.3f}'
    return (f'epoch {record.epoch + 1:>3}/{epochs}   loss {record.loss:.4f}{judged}   rate {record.learning_rate:.2g}'
            f'   {record.seconds:.1f} s, {record.waiting_s:.1f} of them waiting for pictures'
            f'{"   best" if is_best else ""}')
