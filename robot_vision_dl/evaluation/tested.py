"""What a test of a model showed, once, on pictures that took no part in it: figures, and how a card shows them."""
from dataclasses import dataclass, replace
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

import cv2
import numpy as np

from ..core.bundles.bundle import Bundle
from ..core.metrics.classification import ClassificationMetrics, classification_metrics, wilson_interval
from ..core.metrics.proper_scores import log_probability
from ..core.networks.preprocess import Preprocessing
from ..core.uncertainty.attainable_rates import reachable_rate
from ..core.uncertainty.calibrate import Calibration
from ..core.uncertainty.scaling import softmax
from ..data.cache import FrameStore
from ..data.contact_sheet import contact_sheet
from ..data.objects import groups_of, is_of_a_folder
from .calibrate_bundle import CalibrationOptions, Fitted
from .figures import confusion_figure, reliability_figure
from .predict import FrameOutputs, Predictor, labelled_outputs, labelled_store

CONFUSION, RELIABILITY, MISTAKES = TEST_FILES = ('confusion.png', 'reliability.png', 'mistakes.jpg')
"""In ``card/``."""
TEST_FIGURES = ('test', 'test_plain', 'baselines', 'by_track')
"""Keys of a bundle's ``metrics``."""
_SECTION = '## Test'
_MISTAKES, _COLUMNS = 24, 6


@dataclass(frozen=True)
class Tested:
    """What the test split showed.

    Attributes:
        calibrated, plain: with and without the temperature.
        baselines: accuracy by name.
        by_track: accuracy and number of tracks, see :func:`track_accuracy`; None where nobody says what is a track.
        unknown_rate: share of the frames, all of known classes, whose OOD p-value is below a rate, and that rate; None
            without an OOD score.
        mistakes: a sheet of frames that were called wrongly, JPEG; None if there are none.
        before: what the same frames show with the calibration that the bundle had; None: nobody asked.
    """

    calibrated: ClassificationMetrics
    plain: ClassificationMetrics
    baselines: Mapping[str, float]
    by_track: Optional[Tuple[float, int]]
    unknown_rate: Optional[Tuple[float, float]]
    mistakes: Optional[bytes]
    before: Optional[ClassificationMetrics] = None


def tested_on(store: FrameStore, outputs: FrameOutputs, calibration: Calibration, class_names: Sequence[str],
              preprocessing: Preprocessing, baselines: Mapping[str, float], had: Optional[Calibration] = None
              ) -> Tested:
    """What the calibrated network says of frames of ``store``, held against their labels.

    ``had``: a calibration of before, to compare with.
    """
    probabilities = calibration.probabilities(outputs.logits, outputs.features, outputs.stages)
    objects = groups_of([store.frames[place] for place in outputs.indices.tolist()])

    def judged(p: np.ndarray) -> ClassificationMetrics:
        return classification_metrics(p, outputs.targets, class_names, objects=objects)
    return Tested(
        calibrated=judged(probabilities), plain=judged(softmax(outputs.logits, 1.0)),
        before=None if had is None else judged(had.probabilities(outputs.logits, outputs.features, outputs.stages)),
        baselines=baselines,
        by_track=track_accuracy(store, outputs.indices, probabilities, outputs.targets),
        unknown_rate=unknown_rate(calibration, outputs),
        mistakes=mistakes_sheet(store, outputs.indices, probabilities, outputs.targets, class_names, preprocessing))


def tested_again(bundle: Bundle, data: Sequence[str], fitted: Fitted, options: CalibrationOptions
                 ) -> Tuple[Tested, str]:
    """A bundle that was calibrated anew, on labelled data that took no part in it; each picture counts once.

    Returns:
        What that showed, and how many of its pictures the model has learned from all the same, in words; empty: none.

    Raises:
        RobotVisionError: the data cannot be read, or no frame is of a class of the bundle.
    """
    store = labelled_store(bundle, data, every_s=options.every_s, topics=options.topics, pictures=options.pictures)
    known = np.array([place for place, frame in enumerate(store.frames) if frame.label in bundle.class_names], np.int64)
    seen = labelled_outputs(Predictor.of_bundle(bundle, options.device, options.precision), store, bundle.class_names,
                            chosen=known)
    first = np.sort(np.unique(np.stack([seen.pictures, seen.labels], axis=1), axis=0, return_index=True)[1])
    outputs = FrameOutputs(seen.logits[first], seen.features[first], seen.labels[first], known[first],
                           tuple(one[first] for one in seen.stages))
    had = None
    if bundle.calibrated and (bundle.density_aware is None or bundle.ood is None
                              or bundle.ood.stage_names == bundle.architecture.stages):
        had = replace(fitted.calibration, temperature=bundle.temperature or 1.0, vector=bundle.vector, ood=bundle.ood,
                      laplace=bundle.laplace, density_aware=bundle.density_aware)
    tested = tested_on(store, outputs, fitted.calibration, bundle.class_names, bundle.preprocessing, {}, had)
    return tested, fitted.learned.recognise(seen.fingerprints[first]).words()


def test_sentence(tested: Tested) -> str:
    """The figures of a test after a calibration in one line, beside those of the calibration before."""
    now, before = tested.calibrated, tested.before

    def beside(name: str) -> str:
        value = f'{getattr(now, name):.4f}'
        return value if before is None else f'{getattr(before, name):.4f} -> {value}'
    said = (f'test: accuracy {beside("accuracy")} of {now.pictures} frames, NLL {beside("nll")}, ECE {beside("ece")} '
            f'(floor {now.ece_floor:.4f})')
    return said if before is None else f'{said}; before -> after this calibration'


def with_test(notes: str, tested: Tested, taken: str) -> str:
    """A card's notes with this test in place of the one that they tell of, or at their end.

    Args:
        taken: how many of its pictures the model has learned from, in words; empty: none.
    """
    apart = f'; **{taken}, which flatters**' if taken else ', none of which took part in it'
    return _with_section(notes, test_lines(tested, f'judged after a calibration: {tested.calibrated.pictures} frames'
                                           + apart))


def without_test(notes: str, reason: str) -> str:
    """The notes with a sentence in place of a test that is of another network input."""
    return _with_section(notes, [_SECTION, '', f'Not tested: {reason}.', ''])


def _with_section(notes: str, said: Sequence[str]) -> str:
    lines = notes.splitlines()
    begin = lines.index(_SECTION) if _SECTION in lines else len(lines)
    end = next((number for number in range(begin + 1, len(lines)) if lines[number].startswith('## ')), len(lines))
    return '\n'.join([*lines[:begin], *([''] if begin == len(lines) else []), *said, *lines[end:]]).strip()


def unknown_rate(calibration: Calibration, outputs: FrameOutputs) -> Optional[Tuple[float, float]]:
    """See :attr:`Tested.unknown_rate`."""
    if calibration.ood is None or calibration.ood.scores is None:
        return None
    scores = calibration.ood.scores_of(outputs.pictures())
    rate = reachable_rate(len(calibration.ood.scores))
    return float(np.mean(calibration.ood.p_value(scores) <= rate)), rate


def test_figures(tested: Tested) -> Dict[str, Any]:
    """For ``metrics`` of a bundle."""
    figures: Dict[str, Any] = {'test': tested.calibrated.figures(), 'test_plain': tested.plain.figures()}
    if tested.baselines:
        figures['baselines'] = dict(tested.baselines)
    if tested.by_track is not None:
        figures['by_track'] = {'accuracy': round(tested.by_track[0], 4), 'tracks': tested.by_track[1]}
    return figures


def test_files(tested: Tested) -> Dict[str, bytes]:
    """Pictures that :func:`test_lines` refer to, by name."""
    title = f'test split, {tested.calibrated.pictures} pictures'
    files = {CONFUSION: confusion_figure(tested.calibrated.confusion, tested.calibrated.class_names, title),
             RELIABILITY: reliability_figure(
                 [('plain softmax', tested.plain.reliability), ('calibrated', tested.calibrated.reliability)], title)}
    if tested.mistakes is not None:
        files[MISTAKES] = tested.mistakes
    return files


def test_lines(tested: Tested, which: str) -> List[str]:
    """Markdown of a card's section on the test.

    Args:
        which: frames, in words.
    """
    test, plain = tested.calibrated, tested.plain
    low, high = wilson_interval(round(test.accuracy * test.pictures), test.pictures)
    lines = [_SECTION, '',
             f'{which[:1].upper()}{which[1:]}. Accuracy **{test.accuracy:.3f}** (95 % interval {low:.3f} to {high:.3f} '
             'if frames were independent; frames of a track are not, so it is wider), balanced '
             f'{test.balanced_accuracy:.3f}, macro F1 {test.macro_f1:.3f}.', '',
             '| class | frames | precision | recall | F1 |', '|---|---|---|---|---|']
    lines += [f'| {name} | {n} | {_number(p)} | {_number(r)} | {_number(f)} |'
              for name, p, r, f, n in zip(test.class_names, *test.by_class)]
    lines += ['', '| | plain softmax | calibrated |', '|---|---|---|',
              f'| negative log-likelihood, nats | {plain.nll:.4f} | {test.nll:.4f} |',
              f'| Brier score | {plain.brier:.4f} | {test.brier:.4f} |',
              f'| expected calibration error, 15 bins | {plain.ece:.4f} | {test.ece:.4f} |',
              f'| the same of perfectly calibrated predictions | {plain.ece_floor:.4f} | {test.ece_floor:.4f} |', '']
    if test.ece_floor_objects is not None and plain.ece_floor_objects is not None:
        lines.insert(-1, f'| and if frames of one object are right or wrong together | {plain.ece_floor_objects:.4f} '
                     f'| {test.ece_floor_objects:.4f} |')
    if tested.unknown_rate is not None:
        rate, epsilon = tested.unknown_rate
        lines += [f'Called unknown though of a known class, at false_unknown_rate {epsilon:.4g}: {rate:.4f}.', '']
    if tested.by_track is not None:
        accuracy, count = tested.by_track
        lines += [f'By track (one object before the camera each, {count} of them), called by the mean log-probability '
                  f'of its frames: accuracy **{accuracy:.3f}**.', '']
    if tested.baselines:
        lines += ['| the same test frames | accuracy |', '|---|---|']
        lines += [f'| {name} | {value:.3f} |' for name, value in tested.baselines.items()]
        lines += [f'| this model | **{test.accuracy:.3f}** |', '']
    lines += ['![Confusion matrix](card/confusion.png) ![Reliability diagram](card/reliability.png)', '']
    if tested.mistakes is not None:
        lines += ['What it called wrongly, most confident first (is > called, confidence):', '',
                  '![Mistakes](card/mistakes.jpg)', '']
    return lines


def _number(value: float) -> str:
    return '-' if value != value else f'{value:.3f}'


def track_accuracy(store: FrameStore, indices: np.ndarray, probabilities: np.ndarray, targets: np.ndarray
                   ) -> Optional[Tuple[float, int]]:
    """Share of tracks whose frames together are called rightly, and the number of tracks.

    The class of a track is the one with the largest mean log-probability over its frames.

    Returns:
        None if some frame belongs to no track, or is a picture of a folder, where nobody says which show the same.
    """
    members: Dict[Tuple[str, str, str], List[int]] = {}
    for place, index in enumerate(indices):
        frame = store.frames[int(index)]
        if frame.track is None or is_of_a_folder(frame):
            return None
        members.setdefault((frame.recording, frame.topic, frame.track), []).append(place)
    log_p = log_probability(probabilities)
    right = [log_p[places].mean(axis=0).argmax() == targets[places[0]] for places in members.values()]
    return float(np.mean(right)), len(right)


def mistakes_sheet(store: FrameStore, indices: np.ndarray, probabilities: np.ndarray, targets: np.ndarray,
                   class_names: Sequence[str], preprocessing: Preprocessing) -> Optional[bytes]:
    """The most confident mistakes as one JPEG, one a track; None if everything was right."""
    called = probabilities.argmax(axis=1)
    wrong = np.flatnonzero(called != targets)
    wrong = wrong[np.argsort(-probabilities[wrong, called[wrong]], kind='stable')]
    pictures, captions, seen = [], [], set()
    height, width = preprocessing.crop
    for place in wrong:
        frame = store.frames[int(indices[place])]
        track = (frame.recording, frame.track or frame.index)
        if track in seen:
            continue
        seen.add(track)
        pixels = store.pixels(int(indices[place]))
        top, left = (max(0, round((have - want) / 2)) for have, want in zip(pixels.shape, (height, width)))
        pixels = pixels[top:top + height, left:left + width]
        pictures.append(np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else np.ascontiguousarray(pixels))
        captions.append(f'{frame.label[:8]} > {class_names[called[place]][:8]} '
                        f'{probabilities[place, called[place]]:.2f}'.replace('0.', '.'))
        if len(pictures) == _MISTAKES:
            break
    if not pictures:
        return None
    sheet = contact_sheet(pictures, captions, _COLUMNS, side=160)
    return cv2.imencode('.jpg', cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR), (cv2.IMWRITE_JPEG_QUALITY, 85))[1].tobytes()
