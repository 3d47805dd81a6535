"""A round of improvement: train, calibrate, compare with the installed model, and install what is no worse.

All that is done lies in the folder of the round, which follows from the inputs, so the same command goes on where it
was killed. What is installed changes at one moment, at the end, by an exchange of two folders.
"""
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Callable, Iterator, List, Mapping, Optional, Tuple

from ..core.bundles.bundle import Bundle, load_bundle
from ..core.errors import ConfigError
from ..core.files.whole_files import locked_folder, whole_folder
from ..core.machine import utc_now
from ..core.text.printable import printable
from ..data.learned_pictures import is_learned
from ..evaluation.evaluator import Evaluation, evaluate
from ..evaluation.no_worse import GateResult, describe_new_classes, gates_json, judge
from ..evaluation.output import REPORT, OutputFolder
from ..evaluation.paired_frames import NEW, OLD
from ..evaluation.work import Progress
from ..training.config_file import as_file
from ..training.run import train
from .improvement_plan import Plan
from .installation import check_place, install
from .model_history import INSTALLED, REFUSED, Entry, add, read_history, trained

START = 'start'
Say = Callable[[str], None]


@dataclass(frozen=True)
class Outcome:
    """What a round came to.

    Attributes:
        installed: whether the new model is in place now.
        model: the bundle that is in place.
        candidate: the new bundle in the folder of the round; None: nothing was to be done.
        gates: by figure, old against new.
        new_classes: sentences about frames of classes that only the new one knows.
        report: of the comparison, an HTML file.
    """

    installed: bool
    model: Bundle
    candidate: Optional[Bundle] = None
    gates: Tuple[GateResult, ...] = ()
    new_classes: Tuple[str, ...] = ()
    report: Optional[Path] = None

    def refusals(self, allow_undecided: bool) -> List[GateResult]:
        """Gates that keep the new model from being installed."""
        return [gate for gate in self.gates if not gate.holds(allow_undecided)]


def is_done(plan: Plan) -> bool:
    """Whether what is installed came of the same data, frozen recordings and settings already."""
    last = read_history(plan.installed)[-1]
    return last.what == INSTALLED and last.round == plan.round and last.model == plan.old.identity


def check_decidable(plan: Plan) -> None:
    """Raise :class:`ConfigError` where a gate cannot be decided whatever the new model is like, and has to be."""
    if not plan.undecidable or plan.wish.allow_undecided:
        return
    reasons = '; '.join(f'{name}: {reason}' for name, reason in plan.undecidable.items())
    raise ConfigError(
        f'{len(plan.undecidable)} of {len(plan.wish.margins)} gates could not be decided, so that no new model would '
        f'be installed: {reasons}. Freeze more labelled recordings; leave gates out with --without '
        f'{" ".join(plan.undecidable)}; or let values decide without intervals with --allow-undecided')


def improve(plan: Plan, say: Say = print, progress: Progress = lambda _name, _done: None, workers: int = 1) -> Outcome:
    """Carry out a round, or what is left of it.

    Args:
        say: is called with a line or several about each stage.
        progress: is called with (recording, frames) while old and new are compared.
        workers: processes that share the frozen recordings.

    Raises:
        RobotVisionError: of whatever kind fits; the message is for the user. What is installed is as it was.
    """
    if is_done(plan):
        return Outcome(True, plan.old)
    check_decidable(plan)
    check_place(plan.installed)  # before hours are spent
    with locked_folder(plan.folder, 'this round'):
        candidate = _train(plan, say)
        say('comparing old and new on the frozen recordings')
        evaluation = evaluate(plan.wish.frozen, [str(plan.folder / START), str(candidate.folder)], plan.options,
                              workers=workers, progress=progress, recordings=plan.recordings, names=(OLD, NEW))
        for line in _flattered(evaluation):
            say(line)
        old, new = (evaluation.tables[name] for name in (OLD, NEW))
        gates = tuple(judge(old, new, plan.wish.margins, seed=plan.options.run.seed))
        report = _write_report(plan, evaluation, gates)
        outcome = Outcome(False, plan.old, candidate, gates, tuple(describe_new_classes(old, new)), report)
        refused = outcome.refusals(plan.wish.allow_undecided)
        entry = _entry(plan, candidate, gates, REFUSED if refused else INSTALLED)
        if refused:
            add(plan.installed, entry)
            return outcome
        assert candidate.folder is not None
        model = install(candidate.folder, plan.installed, entry)
    return Outcome(True, model, candidate, gates, outcome.new_classes, report)


def _train(plan: Plan, say: Say) -> Bundle:
    """The candidate; from a copy of what is installed, which somebody may replace meanwhile."""
    start = plan.folder / START
    if not start.is_dir():
        with whole_folder(start) as work:
            shutil.copytree(plan.installed, work, dirs_exist_ok=True)
    if load_bundle(start.absolute()).identity != plan.old.identity:
        raise ConfigError(f'{start}: is not the model that is installed; remove {plan.folder} and begin anew')
    config = plan.config
    if config.network.pretrained == str(plan.installed):
        config = replace(config, network=replace(config.network, pretrained=str(start.absolute())))
    bundle = train(config, as_file(config), say=say)
    assert bundle is not None  # this is the only process
    return bundle


def _flattered(evaluation: Evaluation) -> Iterator[str]:
    """Lines about frozen recordings of which a model has learned pictures, whatever their names."""
    for name, which in ((OLD, 'the installed model'), (NEW, 'the new model')):
        figures = evaluation.metrics['models'][name]['model']['learned_pictures']
        found = [] if figures is None else [
            f'{printable(recording, 60)} ({count} of {every} frames)'
            for recording, (count, every) in figures['recordings'].items() if is_learned(count, every)]
        if found:
            more = f' and {len(found) - 8} more' if len(found) > 8 else ''
            yield (f'{which} has learned from pictures like those of {", ".join(found[:8])}{more} (perceptual hash): '
                   'it is judged too well on them')


def _write_report(plan: Plan, evaluation: Evaluation, gates: Tuple[GateResult, ...]) -> Path:
    evaluation.metrics['gates'] = gates_json(gates, NEW, plan.wish.allow_undecided)
    with OutputFolder(plan.folder / 'report') as out:
        evaluation.write(out.work)
        out.commit()
    return plan.folder / 'report' / REPORT


def _entry(plan: Plan, candidate: Bundle, gates: Tuple[GateResult, ...], what: str) -> Entry:
    said = trained(candidate)
    labelled_by: Mapping[str, int] = plan.wish.labelled_by
    return Entry(
        what, candidate.identity, plan.old.identity, utc_now(), plan.round, said.recordings, said.frames, said.classes,
        plan.new_classes, dict(labelled_by), tuple(one.name for one in plan.recordings),
        tuple(gate.as_json() for gate in gates), said.test)
