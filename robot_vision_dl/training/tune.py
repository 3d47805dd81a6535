"""Search for better settings: trials of a study that survives being killed, judged by the early-stop split alone."""
import hashlib
import json
import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, Optional, Tuple

from ..core.errors import ConfigError
from ..core.files.user_path import user_path
from ..core.files.whole_files import locked_folder
from ..core.text.table import aligned
from ..core.text.yaml_text import parse_yaml
from ..data.division import Part
from .checkpoint import LAST, write_atomically
from .config import TrainConfig
from .config_file import MOST_BYTES, as_file, build_config
from .config_paths import anywhere
from .errors import TrainingError
from .history import EpochRecord, best_epoch
from .memory import told_when_full
from .run import learn
from .training_data import Say, fingerprint_of, prepare_data

STUDY, BEST = 'study.db', 'best.yaml'
_INTERRUPTED, _MADE_FOR = 'interrupted', 'made for'  # what trials, and a study, are marked with
_EPOCHS = ('run.epochs', 'schedule.warmup_epochs', 'network.head_epochs')
_KEYS = ({'low', 'high'}, {'low', 'high', 'log'}, {'low', 'high', 'step'}, {'choices'})


@dataclass(frozen=True)
class TrialRow:
    """One trial of a study: its number, how it ended, the least early-stop NLL (None: none was reached), its values."""

    number: int
    state: str
    nll: Optional[float]
    values: Mapping[str, Any]


@dataclass(frozen=True)
class StudyTable:
    """All trials, the best first; ``str()`` gives a table."""

    trials: Tuple[TrialRow, ...]

    def __str__(self) -> str:
        names = sorted({name for trial in self.trials for name in trial.values})
        rows: List[List[object]] = [['trial', 'state', 'early-stop NLL', *names]]
        for trial in self.trials:
            values = [trial.values.get(name, '') for name in names]
            rows.append([str(trial.number), trial.state, '' if trial.nll is None else f'{trial.nll:.4f}',
                         *(f'{value:.4g}' if isinstance(value, float) else str(value) for value in values)])
        return '\n'.join(aligned(rows))


def tune(config: TrainConfig, space: Mapping[str, Mapping[str, Any]], trials: int, say: Say = print) -> StudyTable:
    """Go on with the study of this name until it has ``trials`` trials that came to an end.

    Trials whose early-stop NLL is above the median of those before it, at the same epoch, are given up. Neither the
    calibration nor the test split is looked at. The best settings are written to ``best.yaml``, for
    ``robot-vision train``.

    Args:
        space: setting -> ``{low, high}`` with ``log: true`` or ``step``, or ``{choices: [...]}``.

    Raises:
        ConfigError: the space names a setting or has values that there cannot be, or Optuna is not installed.
        OutputError: another process goes on with this study now.
        TrainingError: no trial came to an end.
    """
    try:
        import optuna
    except ImportError as error:
        raise ConfigError(f'tuning needs Optuna ({error}); install it with `pip install "robot_vision_dl[tune]"`'
                          ) from error
    check_space(config, space)
    folder = user_path(config.output.runs) / f'{config.name}-tune'
    # Another process would take the trials of this one for killed, and do them in the same folders.
    with locked_folder(folder, 'this study'):
        return _tuned(config, space, trials, folder, say, optuna)


def _tuned(config: TrainConfig, space: Mapping[str, Mapping[str, Any]], trials: int, folder: Path, say: Say, optuna: Any
           ) -> StudyTable:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    logging.getLogger('alembic').setLevel(logging.WARNING)
    study = optuna.create_study(
        study_name=config.name, storage=f'sqlite:///{folder.resolve() / STUDY}', load_if_exists=True,
        pruner=optuna.pruners.MedianPruner(n_startup_trials=4))
    # Another seed when the study is taken up, or the same points would be tried again.
    study.sampler = optuna.samplers.TPESampler(seed=config.run.seed + len(study.trials))
    _check_made_for(study, config, space, folder)
    _take_up(study, optuna)

    def objective(trial: Any) -> float:
        chosen = {name: _suggest(trial, name, values) for name, values in space.items()}
        say(f'\ntrial {trial.number}: ' + ', '.join(f'{name} {value}' for name, value in chosen.items()))

        def report(record: EpochRecord) -> None:
            trial.report(record.nll, record.epoch)
            if trial.should_prune():
                raise optuna.TrialPruned
        try:
            # A trial that was killed is done again under another number, but goes on with its files.
            number = trial.user_attrs.get('files', trial.number)
            return _least_nll(with_changes(config, chosen), folder / f'trial-{number}', say, report)
        except KeyboardInterrupt:
            trial.set_user_attr(_INTERRUPTED, True)
            raise
        except TrainingError as error:  # weights that ran away are a result, too
            say(str(error))
            raise optuna.TrialPruned from error
    ended = (optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED)
    while sum(trial.state in ended for trial in study.trials) < trials:
        study.optimize(objective, n_trials=1)
    found = _table(study)
    if found.trials[0].state != 'complete':
        raise TrainingError(f'none of {len(found.trials)} trials came to an end; narrow the space, or see {folder}')
    best = with_changes(config, found.trials[0].values)
    write_atomically(folder / BEST, as_file(anywhere(best)).encode())
    say(f'\n{found}\n\nbest settings: {folder / BEST}')
    return found


def check_space(config: TrainConfig, space: Mapping[str, Any]) -> None:
    """Raise :class:`ConfigError` for a setting that is not there, or whose bounds or choices it cannot have."""
    if not isinstance(space, Mapping) or not space:
        raise ConfigError('tune.space: expected settings with bounds, e.g. optimizer.learning_rate: {low: 1e-4, high: '
                          f'1e-2, log: true}}, got {space!r:.60}')
    for name, values in space.items():
        if not isinstance(values, Mapping) or set(values) not in _KEYS:
            raise ConfigError(f'tune.space.{name}: expected low and high, with log: true or a step, or choices; got '
                              f'{values!r:.80}')
        if str(name).startswith(('data.', 'output.', 'input.')) or name == 'name':
            raise ConfigError(f'tune.space.{name}: cannot be tuned: trials must be judged on the same pictures')
        tried = values['choices'] if 'choices' in values else [values['low'], values['high']]
        if not isinstance(tried, list) or not tried:
            raise ConfigError(f'tune.space.{name}.choices: expected a list, got {tried!r:.60}')
        for value in tried:
            try:
                with_changes(config, {name: value})
            except ConfigError as error:
                raise ConfigError(f'tune.space: {error}') from error
        if 'choices' not in values and not (all(isinstance(item, (int, float)) for item in tried)
                                            and tried[0] <= tried[1]):
            raise ConfigError(f'tune.space.{name}: low must be a number and not above high, got {tried[0]!r} and '
                              f'{tried[1]!r}')
        if values.get('log') and not tried[0] > 0:
            raise ConfigError(f'tune.space.{name}: with log: true low must be above 0, got {tried[0]!r}')
        step = values.get('step', 1)
        if not (isinstance(step, (int, float)) and step > 0):
            raise ConfigError(f'tune.space.{name}: step must be above 0, got {step!r:.60}')
    _check_shortest(config, space)


def _check_shortest(config: TrainConfig, space: Mapping[str, Any]) -> None:
    """Refuse a space in which a trial of the fewest epochs could not have what takes the most of them."""
    ends = {name: values['choices'] if 'choices' in values else [values['low'], values['high']]
            for name, values in space.items() if name in _EPOCHS}
    if len(ends) > 1:
        worst = {name: (min if name == 'run.epochs' else max)(values) for name, values in ends.items()}
        try:
            with_changes(config, worst)
        except ConfigError as error:
            raise ConfigError(f'tune.space: {", ".join(f"{name} {value}" for name, value in worst.items())} is one of '
                              f'the trials that there may be: {error}') from error


def with_changes(config: TrainConfig, changes: Mapping[str, Any]) -> TrainConfig:
    """The config with some settings, by dotted names, replaced and all of them checked."""
    values = parse_yaml(as_file(config), 'settings', most_bytes=MOST_BYTES)
    for name, value in changes.items():
        *groups, last = name.split('.')
        place = values
        for group in groups:
            place = place.setdefault(group, {})
        place[last] = value
    return build_config(values)


def _suggest(trial: Any, name: str, values: Mapping[str, Any]) -> Any:
    if 'choices' in values:
        return trial.suggest_categorical(name, values['choices'])
    low, high = values['low'], values['high']
    options: Dict[str, Any] = {key: values[key] for key in ('log', 'step') if key in values}
    if isinstance(low, int) and isinstance(high, int):
        return trial.suggest_int(name, low, high, **options)
    return trial.suggest_float(name, low, high, **options)


def _least_nll(config: TrainConfig, folder: Path, say: Say, report: Callable[[EpochRecord], None]) -> float:
    data = prepare_data(config, folder, None, lambda text: None)
    if not len(data.indices[Part.EARLY_STOP]):
        raise ConfigError('data.split.early_stop: tuning is judged by the early-stop split, which is empty')
    with told_when_full(folder / LAST, config.run.batch_size):
        _, history = learn(config, as_file(config), data, folder, fingerprint_of(config, data), say, report)
    return best_epoch(history).nll


def _check_made_for(study: Any, config: TrainConfig, space: Mapping[str, Any], folder: Path) -> None:
    """Refuse a study that was made for other data, settings or space: its losses are no measure of these."""
    own = replace(config, output=TrainConfig().output)
    text = as_file(anywhere(own)) + json.dumps(space, sort_keys=True, default=str)
    digest = hashlib.sha256(text.encode()).hexdigest()
    if study.user_attrs.setdefault(_MADE_FOR, digest) != digest:
        raise ConfigError(f'{folder} has trials with other data, settings or another space, which are no measure of '
                          'these: choose another name for this study, or remove the folder')
    study.set_user_attr(_MADE_FOR, digest)


def _take_up(study: Any, optuna: Any) -> None:
    """Trials that were running when the process was killed or interrupted are to be done again, first of all."""
    newest = {trial.user_attrs.get('files', trial.number): trial for trial in study.trials}
    for files, trial in newest.items():
        killed = trial.state == optuna.trial.TrialState.RUNNING
        if killed:
            study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
        if trial.params and (killed or trial.user_attrs.get(_INTERRUPTED)):
            study.enqueue_trial(trial.params, {'files': files})


def _table(study: Any) -> StudyTable:
    rows = []
    for trial in study.trials:
        if trial.state.name in ('COMPLETE', 'PRUNED'):
            seen = [value for value in trial.intermediate_values.values() if value == value]
            rows.append(TrialRow(trial.number, trial.state.name.lower(), min(seen, default=trial.value), trial.params))
    rows.sort(key=lambda row: (row.state != 'complete', float('inf') if row.nll is None else row.nll))
    return StudyTable(tuple(rows))
