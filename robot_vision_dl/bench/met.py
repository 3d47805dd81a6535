"""What the live pipeline decides of pictures each on its own, and of frames of recordings fused over time."""
from dataclasses import replace
from itertools import islice
from typing import Any, Dict, Iterable, List, NamedTuple, Optional, Sequence

import numpy as np
import torch

from ..core.bundles.bundle import Bundle
from ..core.config import CameraFaultConfig, ClassifierConfig, DecisionConfig
from ..core.runtime.pipeline import Pipeline
from ..core.types import Assessment, CameraCheck, ColorOrder, Frame, Header, OodResult, Outcome, Picture
from ..core.uncertainty.camera.bounds import default_bounds
from ..core.uncertainty.camera.statistics import NAMES, Look
from ..evaluation.labelled_outputs import LabelledOutputs
from ..evaluation.predict import Outputs, as_arrays
from .published import Outcomes

_BATCH = 32
_RATE_HZ = 10.0
_CODES = {Outcome.ACCEPTED: 0, Outcome.UNCERTAIN: 1, Outcome.UNKNOWN: 2}
_NOTHING = Picture(np.zeros((2, 2, 3), np.uint8), ColorOrder.RGB)
"""In the place of a picture that was assessed before."""


class Met(NamedTuple):
    """Of n pictures: what the network gave, and what would be decided of each as a first frame.

    Attributes:
        outputs: logits, features, stages.
        outcomes: bool (n,) each.
    """

    outputs: Outputs
    outcomes: Outcomes


def pipeline_of(bundle: Bundle, device: str = 'auto', precision: str = 'float32',
                abstain_cost: Optional[float] = None) -> Pipeline:
    """The live pipeline of a bundle with all settings as they come, but for where it runs.

    Args:
        abstain_cost: None: that of the bundle.
    """
    decision = DecisionConfig() if abstain_cost is None else DecisionConfig(abstain_cost=abstain_cost)
    return Pipeline(bundle, ClassifierConfig(device=device, precision=precision, backend='torch', decision=decision))


@torch.inference_mode()
def meet(pipeline: Pipeline, pictures: Iterable[Picture]) -> Met:
    """Show pictures to the pipeline, each to a camera of its own, in one pass each."""
    rest, number = iter(pictures), 0
    parts: List[List[np.ndarray]] = []
    codes: List[int] = []
    for some in iter(lambda: list(islice(rest, _BATCH)), []):
        pipeline.reset()
        batch = pipeline.prepare([_frame(f'{number + place}', picture, 1) for place, picture in enumerate(some)])
        pipeline.infer(batch)
        results = pipeline.finish(batch)
        assert batch.prediction is not None
        parts.append(as_arrays(batch.prediction))
        codes += [_CODES[result.decision.outcome] for result in results]
        number += len(some)
    pipeline.reset()
    return Met(Outputs.joined(parts), outcomes_of(np.array(codes)))


def over_time(pipeline: Pipeline, outputs: LabelledOutputs, assessed: Sequence[Assessment], places: np.ndarray,
              cameras: Optional[Sequence[CameraCheck]] = None) -> Outcomes:
    """What is decided of frames of recordings, each recording from its beginning and in the order of its stamps.

    Args:
        outputs: of all frames, for names of recordings and times.
        assessed: of the frames ``places``, what each says on its own.
        places: those that the camera sees, int64 (k,).
        cameras: what each picture says about the camera; None: nothing is asked.

    Returns:
        bool (k,) each; all three false for a picture of a folder, which has no time.
    """
    codes = np.full(len(places), -1)
    of_recording: Dict[str, List[int]] = {}
    for row, place in enumerate(places.tolist()):
        if outputs.times_ns[place]:
            of_recording.setdefault(outputs.recordings[place], []).append(row)
    for rows in of_recording.values():
        rows.sort(key=lambda row: int(outputs.times_ns[places[row]]))
        pipeline.reset()
        frames = [_frame('camera', _NOTHING, int(outputs.times_ns[places[row]])) for row in rows]
        results = pipeline.conclude(frames, [assessed[row] for row in rows], cameras=[
            None if cameras is None else cameras[row] for row in rows])
        codes[rows] = [_CODES[result.decision.outcome] for result in results]
    pipeline.reset()
    return outcomes_of(codes)


def with_score(assessed: Sequence[Assessment], method: str, scores: np.ndarray, p_values: np.ndarray
               ) -> List[Assessment]:
    """The same frames with another OOD score (n,) and its p-values (n,)."""
    return [replace(one, ood=OodResult(method, float(score), float(p)))
            for one, score, p in zip(assessed, scores, p_values)]


def camera_checks(bundle: Bundle, outputs: LabelledOutputs, places: np.ndarray, assessed: Sequence[Assessment]
                  ) -> List[CameraCheck]:
    """What the picture of each of the frames ``places``, and what the network made of it, says about its camera."""
    bounds, split = bundle.camera or default_bounds(), len(NAMES)
    nothing = np.zeros(0, np.uint8)
    found = (bounds.judge(Look(row[:split], row[split:], nothing), passed=one.fault_sums)
             for row, one in zip(outputs.camera[places], assessed))
    return [CameraCheck(one.fault, one.reason, one.p_value) for one in found]


@torch.inference_mode()
def meet_frozen(pipeline: Pipeline, pictures: Sequence[Picture]) -> Outcomes:
    """What is decided at last of a camera that gives the same picture again and again under new stamps.

    Returns:
        bool (n,) each: of the frame at which each picture has been there for twice as long as the default allows.
    """
    count = round(2 * CameraFaultConfig().frozen_after_s * _RATE_HZ) + 1
    codes = []
    for picture in pictures:
        pipeline.reset()
        assessment, = pipeline.assess([_frame('camera', picture, 1)])
        for number in range(count):
            result, = pipeline.conclude([_frame('camera', picture, 1 + round(number * 1e9 / _RATE_HZ))], [assessment])
        codes.append(_CODES[result.decision.outcome])
    pipeline.reset()
    return outcomes_of(np.array(codes))


def alone(assessed: Sequence[Assessment], abstain_cost: float, false_unknown_rate: float,
          cameras: Optional[Sequence[CameraCheck]] = None) -> Outcomes:
    """What is decided of frames by themselves; unknown, too, is what a camera at fault shows."""
    sure = np.array([one.probabilities.max() >= 1 - abstain_cost for one in assessed], bool)
    unknown = np.array([one.ood is not None and one.ood.p_value is not None and one.ood.p_value <= false_unknown_rate
                        for one in assessed], bool)
    if cameras is not None:
        unknown |= np.array([one.fault is not None for one in cameras], bool)
    return Outcomes(sure & ~unknown, ~sure & ~unknown, unknown)


def outcomes_of(codes: np.ndarray) -> Outcomes:
    """From codes (n,), 0 to 2 in the order of :class:`Outcomes`."""
    return Outcomes(codes == 0, codes == 1, codes == 2)


def shares(outcomes: Outcomes) -> Dict[str, Any]:
    """n and the share of each outcome, of the frames that have one."""
    decided = outcomes.accepted | outcomes.uncertain | outcomes.unknown
    n = int(decided.sum())
    return {'n': n, **{key: float(part.sum() / n) if n else None for key, part in outcomes._asdict().items()}}


def _frame(camera: str, picture: Picture, time_ns: int) -> Frame:
    return Frame(camera, Header(time_ns, ''), picture, 'rgb8', time_ns)

