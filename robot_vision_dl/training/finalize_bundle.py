"""Trained weights -> a bundle: calibrated, tested once, with a card."""
import hashlib
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Callable, Dict, List, Optional

import numpy as np

from ..core.bundles.bundle import Bundle
from ..core.bundles.bundle_writer import save_bundle
from ..core.bundles.calibration_figures import count_of
from ..core.bundles.model_card import render_card
from ..core.bundles.trust_limits import trust_limits
from ..core.networks.device import resolve_device
from ..core.networks.network import Network
from ..core.regions.crop import CROP_MARGIN
from ..core.types import UNKNOWN
from ..core.uncertainty.calibrate import NO_SCORE, Calibration, calibrate
from ..core.uncertainty.camera.probe_fit import Seen
from ..core.uncertainty.ood.base import linear_head
from ..core.uncertainty.ood.combined import LEAST_REFERENCE
from ..core.uncertainty.ood.pictures import Pictures
from ..data.crops import margin_of
from ..data.dataset import targets_of
from ..data.division import Part
from ..data.learned_pictures import LearnedPictures, fingerprints
from ..data.objects import count_objects, groups_of
from ..data.recording_paths import expand
from ..evaluation.camera_fit import fit_camera
from ..evaluation.predict import FrameOutputs, Predictor, spread, to_spoil
from ..evaluation.tested import Tested, test_figures, tested_on
from .baselines import baseline_predictions, majority
from .card import Findings, card_files, card_notes
from .checkpoint import best_network
from .config import TrainConfig
from .config_file import as_file
from .config_paths import anywhere
from .doubts import doubts
from .features import frozen_features
from .history import EpochRecord, kept_epoch
from .initial_weights import starting_identity, starting_pictures
from .provenance import software
from .trainable_layers import describe_extent, extent_of
from .training_data import TrainingData

_REFERENCE = 1000  # training pictures that Laplace and scores are fitted to; kNN keeps them, 2 MB for 512 features


def finish(config: TrainConfig, config_text: str, data: TrainingData, network: Network, history: List[EpochRecord],
           folder: Path, target: Path, fingerprint: str, say: Callable[[str], None]) -> Bundle:
    """Calibrate the best weights of the run in ``folder``, test them, write the bundle to ``target``."""
    device = resolve_device(config.run.device)
    trained = _as_stored(best_network(network, folder, config.run.trainings), data, config.output.half)

    predictor = Predictor(trained, data.preprocessing, device)

    def outputs(indices: np.ndarray) -> FrameOutputs:
        return predictor.frames(data.store, indices, data.class_names)
    reference = spread(data.indices[Part.TRAIN], _REFERENCE)
    spoilt = sum(map(len, to_spoil(len(reference), data.preprocessing.channels).values()))
    say(f'calibrating on {len(data.indices[Part.CALIBRATION])} frames: the network runs over these, and over '
        f'{len(reference)} that it was trained on' + (
            f', {spoilt} times as a camera at fault gives them, too' if trained.architecture.stages else ''))
    held_out, seen_before = outputs(data.indices[Part.CALIBRATION]), outputs(reference)
    calibration = replace(_calibrate(config, trained, held_out, seen_before, data, predictor), device=device.type)
    calibration = replace(calibration, metrics={**calibration.metrics, **count_objects(
        data.store.frames[index] for index in data.indices[Part.CALIBRATION])})
    seen = data.indices[Part.TRAIN]
    objects = len(np.unique(groups_of(data.store.frames[index] for index in seen)))
    camera, note = fit_camera(data.store.camera[seen], data.store.camera[held_out.indices],
                              data.store.selection_report.repeats_s, objects, _of_stages(
                                  data, predictor, held_out, seen_before, config.run.seed), np.concatenate([
                                      groups_of(data.store.frames[index] for index in seen),
                                      np.full(len(held_out.indices), -1)]))
    calibration = replace(calibration, camera=camera, notes=(*calibration.notes, *filter(None, [note])))
    say(f'calibrated on {len(held_out.targets)} frames{count_of(calibration.metrics)}: temperature '
        f'{calibration.temperature:.3f}, NLL {calibration.metrics["nll_plain"]:.4f} -> {calibration.metrics["nll"]:.4f}'
        + (f'; Laplace {calibration.metrics["nll_laplace"]:.4f}' if calibration.laplace is not None else ''))
    for note in calibration.notes:
        say(f'note: {note}')
    if 'unknown' in calibration.metrics.get('ood_auroc', {}):
        say(describe_unknown(calibration))
    tested = None
    if len(data.indices[Part.TEST]):
        tested = tested_on(data.store, outputs(data.indices[Part.TEST]), calibration, data.class_names,
                           data.preprocessing, _baselines(config, data, folder))
        say(describe_test(tested))
    doubtful = doubts(data.class_names, history, *((tested.calibrated, tested.baselines) if tested else ()))
    found = Findings(
        split=data.split, leakage=data.leakage, recordings=len({frame.recording for frame in data.store.frames}),
        history=history, keep=config.run.keep, tested=tested, notes=config.output.notes, doubts=doubtful)
    provenance = _provenance(config, data, network, folder, fingerprint, history)
    metrics = {'calibration': calibration.metrics, **(test_figures(tested) if tested else {})}
    card = render_card(config.name, trained.architecture, data.class_names, data.preprocessing, calibration, provenance,
                       card_notes(found))
    files = {**card_files(found), **_learned(config, data).card_file(), 'train.yaml': config_text.encode(),
             'settings.yaml': as_file(config).encode(), 'split.json': (folder / 'split.json').read_bytes()}
    bundle = save_bundle(
        target, trained, data.class_names, data.preprocessing, name=config.name, calibration=calibration,
        abstain_cost=config.output.abstain_cost, metrics=metrics, provenance=provenance, card=card, card_files=files,
        half=config.output.half, overwrite=True)
    for text in doubtful:
        say(f'warning: {text}')
    for limit in trust_limits(bundle):
        if limit.what not in data.told:
            say(f'warning: {limit.under(bundle.name)}')
    return bundle


def settings_hash(config: TrainConfig) -> str:
    """SHA-256 of all settings, as they are kept with the bundle; the same from whichever folder a file is read."""
    return hashlib.sha256(as_file(anywhere(config)).encode()).hexdigest()


def describe_unknown(calibration: Calibration) -> str:
    """What became of the frames labelled unknown that did not choose the score."""
    m = calibration.metrics
    score = calibration.ood_reason or ('' if calibration.ood is None else calibration.ood.name)
    return (f'frames labelled unknown: {score}; of '
            f'{m["foreign_pictures"]["unknown"]} that did not choose it {m["unknown_rate"]["unknown"]:.3f} are called '
            f'unknown at false_unknown_rate {m["unknown_rate_at"]:.4g}')


def describe_test(tested: Tested) -> str:
    """What the test split showed."""
    test = tested.calibrated
    recalls = ', '.join(f'{name} {value:.3f}' for name, value in zip(test.class_names, test.by_class.recall))
    lines = [f'test, {test.pictures} frames: accuracy {test.accuracy:.3f}, balanced {test.balanced_accuracy:.3f}, NLL '
             f'{test.nll:.4f}, ECE {test.ece:.4f} (floor {test.ece_floor:.4f})', f'  recall: {recalls}']
    if tested.by_track is not None:
        lines.append(f'  by track: {tested.by_track[0]:.3f} of {tested.by_track[1]}')
    return '\n'.join([*lines, *(f'  {name}: {value:.3f}' for name, value in tested.baselines.items())])


def _as_stored(network: Network, data: TrainingData, half: bool) -> Network:
    """The network as a bundle gives it back, so that what is calibrated is what will run."""
    with tempfile.TemporaryDirectory() as folder:
        stored = save_bundle(Path(folder) / 'network', network, data.class_names, data.preprocessing, half=half
                             ).load_single_network()
    assert isinstance(stored, Network)
    return stored


def _calibrate(config: TrainConfig, trained: Network, held_out: FrameOutputs, reference: FrameOutputs,
               data: TrainingData, predictor: Predictor) -> Calibration:
    def outputs(indices: np.ndarray) -> FrameOutputs:
        return predictor.frames(data.store, indices, data.class_names)
    strange = spread(np.sort(np.concatenate(
        [data.strange[part] for part in (Part.TRAIN, Part.EARLY_STOP, Part.CALIBRATION)])), _REFERENCE)
    ood_pictures: Optional[Dict[str, Pictures]] = None
    if len(strange) > 1:  # one half chooses, the other is reported on
        seen = outputs(strange)
        ood_pictures = {UNKNOWN: Pictures.of(seen.logits, seen.features, stages=seen.stages)}
    ood = None if config.output.ood == NO_SCORE else config.output.ood
    head = linear_head(trained.head)

    def known(seen: FrameOutputs) -> Pictures:
        return seen.pictures(groups_of(data.store.frames[index] for index in seen.indices))
    standard = None
    if ood is not None and len(data.indices[Part.EARLY_STOP]) >= LEAST_REFERENCE:
        # Nothing was fitted to them but the number of epochs.
        standard = known(outputs(spread(data.indices[Part.EARLY_STOP], _REFERENCE)))
    corrupted = None
    if ood is not None:
        corrupted = predictor.corrupted(data.store, spread(data.indices[Part.CALIBRATION], _REFERENCE),
                                        data.class_names, config.run.seed)
    return calibrate(held_out.logits, held_out.features, held_out.targets, ood=ood, alpha=config.output.alpha,
                     corrupted=corrupted, seed=config.run.seed, stages=held_out.stages,
                     stage_names=trained.architecture.stages,
                     reference=known(reference), standard=standard, head=head, ood_pictures=ood_pictures,
                     objects=groups_of(data.store.frames[index] for index in held_out.indices))


def _of_stages(data: TrainingData, predictor: Predictor, held_out: FrameOutputs, some: FrameOutputs, seed: int
               ) -> Optional[Seen]:
    """What the network's stages say of some training pictures, also spoilt, and of those held out after them."""
    if not held_out.stages:
        return None
    seen = data.indices[Part.TRAIN]
    places = spread(np.arange(len(seen)), _REFERENCE)
    spoilt = predictor.spoilt(data.store, some.indices, data.class_names, seed)
    return Seen(np.concatenate([places, len(seen) + np.arange(len(held_out.indices))]),
                np.concatenate([np.concatenate(one.stages, axis=1) for one in (some, held_out)]),
                {name: (places[of], features) for name, (of, features) in spoilt.items()}, tuple(
                    one.shape[1] for one in some.stages))


def _learned(config: TrainConfig, data: TrainingData) -> LearnedPictures:
    """The pictures that the model has learned from; also those that its start had."""
    taught = fingerprints(data.store, np.concatenate([data.indices[Part.TRAIN], data.exposed]))
    if data.outliers is not None:
        taught = np.concatenate([taught, fingerprints(data.outliers.store, data.outliers.indices)])
    fitted = fingerprints(data.store, np.concatenate([
        data.indices[Part.EARLY_STOP], data.indices[Part.CALIBRATION],
        *(data.strange[part] for part in (Part.TRAIN, Part.EARLY_STOP, Part.CALIBRATION))]))
    return LearnedPictures.of(taught, fitted) | starting_pictures(config.network)


def _baselines(config: TrainConfig, data: TrainingData, folder: Path) -> Dict[str, float]:
    """Accuracy on the test split by name of the baseline; nothing is chosen by it."""
    if not config.output.baselines:
        return {}
    if not config.network.pretrained:
        trained, tested = (targets_of(data.store, data.indices[part], data.class_names)
                           for part in (Part.TRAIN, Part.TEST))
        return {'majority class': round(float(np.mean(majority(trained, len(tested)) == tested)), 4)}
    found = frozen_features(config, data, folder)
    train, test = found[Part.TRAIN], found[Part.TEST]
    predictions = baseline_predictions(train.features, train.targets, found.get(Part.EARLY_STOP), test.features,
                                       len(data.class_names))
    return {name: round(float(np.mean(called == test.targets)), 4) for name, called in predictions.items()}


def _trained(config: TrainConfig, data: TrainingData, network: Network) -> str:
    extent = extent_of(config.network, data)
    return describe_extent(network, extent) if config.network.pretrained else extent.train_from


def _held(config: TrainConfig, data: TrainingData) -> Dict[str, str]:
    """What the loss had beside the classes, where it had anything."""
    loss, found = config.loss, {}
    held = [f'{name} {value:g}' for name, value in (('loss.distill', loss.distill),
                                                    ('optimizer.l2_sp', config.optimizer.l2_sp)) if value]
    if held:
        found['held near the start'] = ', '.join(held)
    used = [f'{len(data.exposed)} frames labelled unknown of the training part'] if len(data.exposed) else []
    if data.outliers is not None:
        names = sorted({frame.recording for frame in data.outliers.store.frames})
        used.append(f'{len(data.outliers.indices)} pictures of data.outliers ({", ".join(names)})')
    if used:
        found['outliers'] = (f'{" and ".join(used)}, learned from (loss.outlier_exposure {loss.outlier_exposure:g}); '
                             'they chose no score and are in no figure')
    return found


def _provenance(config: TrainConfig, data: TrainingData, network: Network, folder: Path, fingerprint: str,
                history: List[EpochRecord]) -> Dict[str, str]:
    sources = sorted({source for item in (config.data.labels.sources,) for source in item})
    margin = margin_of(expand(config.data.bags))
    return {
        'command': 'robot-vision train card/settings.yaml',
        'start': starting_identity(config.network),
        'trained': _trained(config, data, network),
        **_held(config, data),
        'data_sha256': data.store.data_hash,
        'frames': str(len(data.store)),
        'recordings': ', '.join(sorted({frame.recording for frame in data.store.frames})),
        'labels': ', '.join(sources),
        **({} if data.frozen is None else {'frozen': 'not learned from: ' + ', '.join(
            Path(name).name or name for name in config.data.frozen)}),
        **({} if margin is None else {CROP_MARGIN: f'{margin:g}'}),
        'split_sha256': hashlib.sha256((folder / 'split.json').read_bytes()).hexdigest(),
        'settings_sha256': settings_hash(config),
        'seed': str(config.run.seed),
        'epoch': f'{kept_epoch(history, config.run.keep).epoch + 1} of {len(history)}',
        'run': fingerprint,
        **software(),
    }
