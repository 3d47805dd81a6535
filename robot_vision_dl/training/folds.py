"""Cross-validation: how much a result depends on which recordings were kept for the test."""
from dataclasses import dataclass, replace
from typing import Tuple

import numpy as np

from ..core.errors import ConfigError
from ..core.files.user_path import user_path
from ..core.text.table import aligned
from .config import TrainConfig
from .distributed import processes
from .run import train
from .training_data import Say

FIGURES = ('accuracy', 'balanced_accuracy', 'macro_f1', 'nll', 'brier', 'ece')


@dataclass(frozen=True)
class FoldTable:
    """Test figures of the folds; ``str()`` gives a table.

    Attributes:
        pictures: test frames of each fold.
        values: shape (folds, figures), in the order of :data:`FIGURES`.
    """

    pictures: Tuple[int, ...]
    values: np.ndarray

    def __str__(self) -> str:
        rows = [['fold', 'test frames', *FIGURES]]
        rows += [[str(number), str(count), *(f'{value:.4f}' for value in row)]
                 for number, (count, row) in enumerate(zip(self.pictures, self.values), 1)]
        for name, row in (('mean', self.values.mean(axis=0)), ('std', self.values.std(axis=0, ddof=1))):
            rows.append([name, '', *(f'{value:.4f}' for value in row)])
        return '\n'.join(aligned(rows))


def cross_validate(config: TrainConfig, config_text: str, count: int, *, restart: bool = False, say: Say = print
                   ) -> FoldTable:
    """Train and test ``count`` times; each recording is in the test part of exactly one fold.

    Folds that are finished are not trained again. Their bundles are in the folder of the runs, for looking at.

    Raises:
        ConfigError: ``count`` is less than two.
        RobotVisionError: as :func:`.run.train`.
    """
    if count < 2:
        raise ConfigError(f'--folds: at least 2 are needed, got {count}')
    if processes().world_size > 1:
        raise ConfigError('--folds: cannot be shared by several processes; run it without torchrun')
    pictures, values = [], []
    for number in range(count):
        name = f'{config.name}-fold{number + 1}of{count}'
        say(f'\nfold {number + 1} of {count}')
        models = str(user_path(config.output.runs) / f'{config.name}-folds')
        bundle = train(replace(config, name=name, output=replace(config.output, models=models)), config_text,
                       restart=restart, fold=(number, count), say=say)
        assert bundle is not None  # which only processes after the first are not given
        test = bundle.metrics['test']
        pictures.append(test['pictures'])
        values.append([test[figure] for figure in FIGURES])
    return FoldTable(tuple(pictures), np.array(values))
