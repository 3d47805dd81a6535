"""A float32 bundle and labelled pictures -> an int8 bundle that is calibrated as what it is, and judged beside it."""
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional, Sequence, Tuple

import numpy as np
import torch

from ..core.backends.int8_choice import MADE_OF
from ..core.backends.quantise import Quantised, quantise
from ..core.bundles.arithmetic import ONNX_RUNTIME, is_int8
from ..core.bundles.bundle import Bundle
from ..core.bundles.bundle_writer import save_bundle
from ..core.bundles.model_card import TESTED
from ..core.bundles.score_origin import is_score_of_others
from ..core.errors import BundleError, DataError
from ..core.text.notes import to_stderr
from ..core.uncertainty.attainable_rates import MIN_PICTURES
from ..core.uncertainty.calibrate import AUTO, NO_SCORE, Calibration, FittedBefore
from ..core.uncertainty.camera.bounds import CameraBounds
from ..data.assignment import assign
from ..data.cache import FrameStore
from ..data.dataset import EvalTransform, FrameDataset
from ..data.learned_pictures import LearnedPictures, learned_pictures
from ..data.selection import SAME_PICTURE, duplicate_groups
from .beside_float import Loss, figures, folder_megabytes, loss, times_ms
from .calibrate_bundle import (
    MOST_CORRUPTED,
    CalibrationOptions,
    calibration_provenance,
    fit_bundle,
    fitted_before,
)
from .labelled_outputs import LabelledOutputs
from .predict import Predictor, foreign_pictures, labelled_outputs, labelled_store, spread

MOST_RANGED = 300
"""Pictures that the ranges of activations rest on; more take longer and change little."""
JUDGED_SHARE = 1 / 3
PAYS = 1.5
"""What is not this many times as quick as float32 by ONNX Runtime does not pay."""
MOST_FPR95 = 0.02
"""By which the share of foreign pictures that pass may grow without a word."""


@dataclass(frozen=True)
class QuantiseOptions:
    """How.

    Attributes:
        test: labelled data to compare on; empty: a third of the data, by recording, near-duplicates together.
        reference: labelled data that the network was trained on, for what a calibration fits to such.
        ood_pictures: folders of pictures of no class.
        most_loss: of accuracy, in 0..1; see :func:`refusal`.
        weight_bits, tries, runtime: see :func:`~..core.backends.quantise.quantise`.
        topics, every_s, pictures, seed: as of :class:`~.calibrate_bundle.CalibrationOptions`.
    """

    test: Sequence[str] = ()
    reference: Sequence[str] = ()
    ood_pictures: Sequence[str] = ()
    most_loss: float = 0.005
    weight_bits: Optional[int] = None
    tries: int = 24
    runtime: Optional[str] = None
    topics: Sequence[str] = ()
    every_s: float = 0.2
    pictures: Optional[str] = None
    seed: int = 0


@dataclass(frozen=True)
class Int8Bundle:
    """What becomes of a bundle in int8.

    Attributes:
        quantised: the network.
        calibration: fitted to it.
        outputs: of it, on the pictures that it was calibrated on.
        metrics: of the bundle, by part: ``calibration``, ``float32``, ``int8``.
        provenance: of the bundle.
        loss: of accuracy.
        notes: what the user should know, a sentence each.
        learned: the pictures that the model has learned from, in float32 and in int8.
    """

    quantised: Quantised
    calibration: Calibration
    outputs: LabelledOutputs
    metrics: Dict[str, Any]
    provenance: Dict[str, Any]
    loss: Loss
    notes: Tuple[str, ...]
    learned: LearnedPictures


def int8_bundle(bundle: Bundle, data: Sequence[str], options: QuantiseOptions) -> Int8Bundle:
    """Quantise, calibrate and judge.

    Both are calibrated on the same pictures, as the float32 bundle is, and judged on others. Where its OOD score
    was fitted to pictures apart from its calibration, that score is kept, and calibrated on what the int8 network says;
    any other is fitted anew.

    Args:
        bundle: one model in float32.
        data: labelled pictures that it was not trained on: bags, folders, lists.

    Raises:
        BundleError: it loses more than ``options.most_loss``, or it cannot be quantised.
        RobotVisionError: the data cannot be read or are too few, or something is not installed.
    """
    if bundle.members:
        raise BundleError(f'{bundle.name}: is an ensemble; quantise each of its members')
    if is_int8(bundle):
        raise BundleError(f'{bundle.name}: is an int8 network already; quantise the bundle that it was made of')
    where = {'every_s': options.every_s, 'topics': options.topics, 'pictures': options.pictures}
    store = labelled_store(bundle, data, **where)  # type: ignore[arg-type]
    if options.test:
        fitted, test_store = np.arange(len(store)), labelled_store(bundle, options.test, **where)  # type: ignore[arg-type]
        judged = np.arange(len(test_store))
    else:
        fitted, judged = divided(store, bundle.class_names, options.seed)
        test_store = store
    ranged = spread(np.array([place for place in fitted.tolist() if store.frames[place].label in bundle.class_names],
                             np.int64), MOST_RANGED)
    to_stderr(f'quantising with {len(ranged)} pictures')
    made = quantise(bundle, lambda: _pictures(store, ranged, bundle), options.weight_bits, options.tries,
                    options.runtime)
    wish, before = as_the_float(bundle, options), fitted_before(bundle)
    if bundle.ood is not None and is_score_of_others(bundle):
        # The scores are of what the float network says.
        before = FittedBefore(replace(bundle.ood, scores=None), bundle.density_aware, before.scaling)
    with tempfile.TemporaryDirectory() as folder:
        plain = save_bundle(Path(folder) / 'int8', made.network, bundle.class_names, bundle.preprocessing,
                            abstain_cost=bundle.abstain_cost)
        rows, said, found = [], [], []
        for number, one in enumerate((bundle, plain)):
            run = Predictor.of_bundle(one, 'cpu')
            outputs, copies = labelled_outputs(run, store, bundle.class_names, MOST_CORRUPTED, options.seed, fitted,
                                               spoilt=not wish.reference).each_once()
            fit = fit_bundle(one, outputs, wish, copies, before)
            calibration = replace(fit.calibration, fusion=bundle.fusion,
                                  camera=_camera(bundle, fit.calibration, number == 1))
            calibrated = save_bundle(
                Path(folder) / f'calibrated{number}', one.load_single_network(), bundle.class_names,
                bundle.preprocessing, calibration=calibration, abstain_cost=bundle.abstain_cost, camera=bundle.camera)
            tested, of_test = labelled_outputs(run, test_store, bundle.class_names, chosen=judged).each_once()
            foreign = {Path(path).name: run.pictures(foreign_pictures(path)) for path in options.ood_pictures}
            row, told = figures(calibrated, tested, foreign)
            rows.append(row)
            said.append(told)
            found.append((calibration, outputs, tested, folder_megabytes(calibrated.folder or Path(folder))))
        calibration, outputs, tested, size = found[1]
        learned = fit.learned | learned_pictures(bundle)
        taken = LearnedPictures.of(learned.trained_on, outputs.fingerprints).recognise(tested.fingerprints).words()
    for row, ms, megabytes in zip(rows, times_ms(
            [(made.float32, None), (made.network.file_bytes(), options.runtime)], made.network.facts.outputs,
            bundle), (
            found[0][3] if bundle.folder is None else folder_megabytes(bundle.folder), size)):
        row.update(ms=round(ms, 3), megabytes=round(megabytes, 2))
    lost = loss(said[0], said[1], tested.labels[tested.known], options.most_loss)
    refused = refusal(lost, options.most_loss)
    if refused:
        raise BundleError(
            f'{bundle.name}: int8 {refused} ({rows[0]["accuracy"]:.4f} -> {rows[1]["accuracy"]:.4f} on {lost.pictures} '
            f'held-out pictures), more than --most-loss {options.most_loss:g}; give more and more varied DATA, raise '
            '--tries (more layers stay float32), or accept the loss with a larger --most-loss. Nothing was written')
    rows[1].update(pictures_lost=lost.lost, pictures_won=lost.won, expected_loss=round(lost.expected, 5),
                   loss_at_least=round(lost.at_least, 5), loss_at_most=round(lost.at_most, 5),
                   most_loss=options.most_loss)
    metrics = {'calibration': calibration.metrics, 'float32': rows[0], 'int8': rows[1]}
    provenance = {**_kept_provenance(bundle), **calibration_provenance(outputs), MADE_OF: bundle.identity,
                  'quantised': _in_words(made), 'judged_on': f'{lost.pictures} pictures, {test_store.data_hash[:12]}'}
    notes = tuple(_notes(rows, lost, options, taken))
    return Int8Bundle(made, calibration, outputs, metrics, provenance, lost, notes, learned)


def refusal(lost: Loss, margin: float) -> str:
    """Why an int8 network is not written, in words; empty: it may be.

    It is refused where it loses more than the margin for certain, or by what float32 itself believes. Of few pictures
    neither the one nor the other depends on which of them happened to be right.
    """
    if lost.at_least > margin:
        return f'loses at least {lost.at_least:.4f} of accuracy with 95 % confidence'
    if lost.expected > margin:
        return (f'names classes that are less probable by the float32 network, which costs {lost.expected:.4f} of '
                'accuracy')
    return ''


def divided(store: FrameStore, class_names: Sequence[str], seed: int) -> Tuple[np.ndarray, np.ndarray]:
    """Places of the frames to fit to, and of those to judge on: no recording and no near-duplicates in both.

    Raises:
        DataError: there are too few pictures or recordings.
    """
    names: Dict[str, int] = {}
    of_folder = np.array([not frame.topic for frame in store.frames], bool)
    groups = np.array([names.setdefault(frame.recording, len(names)) for frame in store.frames], np.int64)
    groups[of_folder] = len(names) + duplicate_groups(store.hashes[of_folder], SAME_PICTURE)
    groups = np.unique(groups, return_inverse=True)[1].reshape(-1)
    classes = {name: number for number, name in enumerate(class_names)}
    counts = np.zeros((int(groups.max()) + 1, len(classes) + 1), np.int64)
    labels = np.array([classes.get(frame.label or '', len(classes)) for frame in store.frames])
    np.add.at(counts, (groups, labels), 1)
    remedy = 'give more DATA, or other labelled data to judge on with --test'
    if len(counts) < 2:
        raise DataError(f'one recording cannot be divided into pictures to fit to and others to judge on; {remedy}')
    # A class of one group is in one part only, and so are most classes of ImageNet: these count as one.
    alone = (counts > 0).sum(0) < 2
    counts = np.column_stack([counts[:, ~alone], counts[:, alone].sum(1)])
    parts = assign(counts, (1 - JUDGED_SHARE, JUDGED_SHARE), seed)[groups]
    fitted, judged = np.flatnonzero(parts == 0), np.flatnonzero(parts == 1)
    for what, places in (('fit to', fitted), ('judge on', judged)):
        known = int((labels[places] < len(classes)).sum())
        if known < MIN_PICTURES:
            raise DataError(f'{known} pictures to {what} are fewer than {MIN_PICTURES}; {remedy}')
    return fitted, judged


def as_the_float(bundle: Bundle, options: QuantiseOptions) -> CalibrationOptions:
    """A calibration of the kinds that the float32 bundle has: score of unknowns, sets, scaling."""
    score = AUTO if not bundle.calibrated else NO_SCORE if bundle.ood is None else '+'.join(
        map(str, bundle.ood.all_parts))
    sets = bundle.conformal
    return CalibrationOptions(
        reference=options.reference, device='cpu', ood=score, topics=options.topics, every_s=options.every_s,
        conformal=sets.method if sets else 'lac', alpha=sets.alpha if sets else 0.1, pictures=options.pictures,
        scaling=AUTO if not bundle.calibrated else 'vector' if bundle.vector is not None else 'temperature',
        seed=options.seed, ood_pictures=options.ood_pictures)


def _camera(bundle: Bundle, calibration: Calibration, is_int8: bool) -> Optional[CameraBounds]:
    """What the float32 bundle knows of its camera; what a network's stages tell is each network's own."""
    if bundle.camera is None or not is_int8:
        return bundle.camera or calibration.camera
    return replace(bundle.camera, probe=None if calibration.camera is None else calibration.camera.probe)


def _pictures(store: FrameStore, places: np.ndarray, bundle: Bundle) -> Iterator[torch.Tensor]:
    """What the network sees of frames."""
    frames = FrameDataset(store, places, bundle.class_names, EvalTransform(bundle.preprocessing))
    return (frames[place].picture for place in range(len(frames)))


def _kept_provenance(bundle: Bundle) -> Dict[str, Any]:
    """Of the float32 bundle, but for its calibration and what made its files."""
    gone = ('created', 'robot_vision_dl', 'torch', 'python', 'calibration_sha256', 'calibration_pictures',
            'calibrated_from', 'calibrated', 'calibrated_by', TESTED)
    return {'float32' if name == 'command' else name: value for name, value in bundle.provenance.items()
            if name not in gone}


def _in_words(made: Quantised) -> str:
    kept = f'; float32: {", ".join(made.float_layers)}' if made.float_layers else ''
    return (f'{made.layers - len(made.float_layers)} of {made.layers} layers int8 with weights of {made.weight_bits} '
            f'bits, run by {made.network.facts.runtime or ONNX_RUNTIME}; ranges ({made.ranges}) from {made.pictures} '
            f'pictures, biases corrected, divergence {made.divergence:.4f} nats on {made.held_out}{kept}')


def _notes(rows: Sequence[Dict[str, Any]], lost: Loss, options: QuantiseOptions, taken: str) -> List[str]:
    notes = [f'of those that both were judged on: {taken}, which flatters both'] if taken else []
    ratio = rows[0]['ms'] / rows[1]['ms']
    if ratio < PAYS:
        notes.append(f'it does not pay here: a pass takes {rows[1]["ms"]:.2f} ms in int8 and {rows[0]["ms"]:.2f} ms in '
                     f'float32 (ONNX Runtime, one thread), less than {PAYS:g} times; `precision: auto` takes an int8 '
                     'bundle that lies beside the float32 one wherever it is quicker at all, so remove it, or set '
                     '`precision` to float32')
    for name, before, after in ((name, before, rows[1]['fpr95'][name]) for name, before in rows[0].get(
            'fpr95', {}).items() if name in rows[1].get('fpr95', {})):
        if after - before > MOST_FPR95:
            notes.append(f'more pictures of {name} pass: FPR95 {after:.4f} instead of {before:.4f}; keep the float32 '
                         'bundle where unknown things matter')
    if lost.at_most > options.most_loss:
        notes.append(_not_told(lost, options))
    return notes


def _not_told(lost: Loss, options: QuantiseOptions) -> str:
    return (f'by right and wrong answers alone, {lost.pictures} pictures cannot tell a loss of {options.most_loss:g}: '
            f'with 95 % confidence on either side it is between {lost.at_least:.4f} and {lost.at_most:.4f}; some '
            f'{max(lost.needed, 2 * lost.pictures)} would tell (--test)')
