"""Pictures with the boxes of a detector -> a decision for each object, fused along its track."""
import time
from dataclasses import replace
from typing import Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Set, Tuple

import numpy as np

from ..config import ClassifierConfig
from ..decision.decision import unfit
from ..decision.fusion import expected_from
from ..errors import ConfigError
from ..regions.association import Track, Tracker, TrackingConfig
from ..regions.crop import BOX_REASONS, BoxError, crop, seen_of, visible_part
from ..regions.detections import Box, Detection, DetectionArray
from ..regions.fitness import refusal_of_part, refusal_of_pixels
from ..regions.results import NOT_ITS_TURN, ObjectResult, ObjectResults
from ..regions.turns import Turns
from ..types import UNCERTAIN, CameraCheck, Decision, Frame, Header, Outcome, Picture, Result
from ..uncertainty.camera.bounds import default_bounds
from ..uncertainty.camera.statistics import look
from ..uncertainty.camera.watch import CameraWatch, frozen_after_s
from .pipeline import Pipeline


class FrameWithObjects(NamedTuple):
    """A picture and what a detector found in it; ``apart_ns`` is the detections' stamp minus the picture's."""

    frame: Frame
    detections: DetectionArray
    apart_ns: int = 0


class _Object:
    """One object on its way to a decision."""

    def __init__(self, detection: Detection, frame: Frame) -> None:
        self.detection = detection
        self.camera, self.time_ns, self.picture = frame.camera, frame.time_ns, frame.picture
        self.refusal, self.sentence, self.outside = '', '', 0.0
        self.track: Optional[Track] = None
        self.frame: Optional[Frame] = None
        self.seen: Optional[Box] = None
        self.result: Optional[Result] = None

    def refuse(self, reason: str, sentence: str) -> None:
        self.refusal, self.sentence = reason, sentence


class ObjectPipeline:
    """Follows and classifies the objects of some cameras. Not thread-safe, as :class:`.pipeline.Pipeline` is not.

    The pipeline that has the network is given with each call, since a model may be swapped between two of them; its
    beliefs are those of the tracks.

    Args:
        config: the deployment's choices; may be replaced between two calls.
    """

    def __init__(self, config: ClassifierConfig) -> None:
        self._trackers: Dict[str, Tracker] = {}
        self._turns: Dict[str, Turns] = {}
        self._watches: Dict[str, CameraWatch] = {}
        self._since_ns: Dict[str, int] = {}
        self._expected: Dict[str, Mapping[str, float]] = {}
        self._ending: List[str] = []  # tracks that end with the frame that they are in
        # Those that a bundle was fitted with are of what was cut out, and not of whole pictures.
        self._bounds = default_bounds()
        self.config = config

    @property
    def config(self) -> ClassifierConfig:
        """The deployment's choices."""
        return self._config

    @config.setter
    def config(self, config: ClassifierConfig) -> None:
        self._config = config
        wish = config.detections
        self._tracking = TrackingConfig(wish.least_overlap, wish.forget_after_s, wish.trust_ids)
        for tracker in self._trackers.values():
            tracker.config = self._tracking

    def expect(self, pipeline: Pipeline, camera: str, named: Mapping[str, float]) -> None:
        """Take over a prior for all objects that a camera sees; empty: nothing is expected any more.

        Raises:
            ConfigError: a name is no class, or the probabilities cannot be.
        """
        if named:
            expected_from(named, pipeline.bundle.class_names)
        self._expected[camera] = dict(named)
        for name in self._since_ns:
            if name.startswith(f'{camera}/'):
                pipeline.expect(name, named)

    def forget_priors(self) -> None:
        """Expect nothing any more."""
        self._expected.clear()

    def end(self, pipeline: Pipeline) -> None:
        """Forget all objects."""
        for name in self._since_ns:
            pipeline.forget(name)
        self._since_ns.clear()
        for tracker in self._trackers.values():
            tracker.reset()
        self._watches.clear()

    def process(self, pipeline: Pipeline, given: Sequence[FrameWithObjects], watched: Sequence[str] = ()
                ) -> List[ObjectResults]:
        """Decide all objects of some pictures, together.

        Args:
            given: at most one picture a camera; pictures of one camera in the order of their stamps.
            watched: cameras whose overlay somebody watches.
        """
        stage_ms: Dict[str, float] = {}
        began = time.perf_counter()
        checks = [self._check_camera(pipeline, one.frame) for one in given]
        stage_ms['camera'] = _ms_since(began)
        began = time.perf_counter()
        pictures = [self._objects(pipeline, one) for one in given]
        stage_ms['crop'] = _ms_since(began)
        chosen = [one for objects in pictures for one in objects if one.frame is not None]
        checked = [check for objects, check in zip(pictures, checks) for one in objects if one.frame is not None]
        for begin, end in chunks(len(chosen), self._config.max_batch):
            frames = [one.frame for one in chosen[begin:end] if one.frame is not None]
            batch = pipeline.prepare(frames, looks=False)
            pipeline.watch(batch, [place for place, one in enumerate(chosen[begin:end]) if one.camera in watched])
            pipeline.infer(batch)
            for one, result in zip(chosen[begin:end], pipeline.finish(batch, checked[begin:end])):
                one.result = result
            for stage, took_ms in batch.stage_ms.items():
                stage_ms[stage] = stage_ms.get(stage, 0.0) + took_ms
        results = [ObjectResults(
            one.frame, one.detections, tuple([self._concluded(pipeline, each, check) for each in objects]),
            pipeline.bundle.class_names, check, one.apart_ns, stage_ms, len(chosen))
            for one, objects, check in zip(given, pictures, checks)]
        self._forget(pipeline, self._ending)
        self._ending = []
        return results

    def _check_camera(self, pipeline: Pipeline, frame: Frame) -> Optional[CameraCheck]:
        wish = self._config.camera_faults
        if not wish.enabled:
            return None
        watch = self._watches.setdefault(frame.camera, CameraWatch())
        return watch.check(look(frame.picture, colours=False), frame.picture, frame.time_ns, self._bounds,
                           frozen_after_s(wish, pipeline.camera_bounds), self._config.fusion.reset_gap_s)

    def _objects(self, pipeline: Pipeline, one: FrameWithObjects) -> List[_Object]:
        """The objects of a picture, each followed, and with what is to be looked at or why nothing is."""
        frame, wish = one.frame, self._config.detections
        picture, camera = frame.picture, frame.camera
        objects = [_Object(detection, frame) for detection in one.detections.detections]
        usable = [self._is_usable(each, picture) for each in objects]
        tracker = self._trackers.get(camera)
        if tracker is None:
            tracker = self._trackers[camera] = Tracker(self._tracking)
        tracks = tracker.update(one.detections.detections, usable, frame.time_ns)
        for each, track in zip(objects, tracks):
            each.track = track
        keys: Set[int] = {track.key for track in tracks}
        ended = tracker.ended()
        self._forget(pipeline, [f'{camera}/{key}' for key in ended if key not in keys])
        self._ending += [f'{camera}/{key}' for key in ended if key in keys]
        for each in objects:
            if each.refusal not in BOX_REASONS:
                self._begin(pipeline, each)
        fit = [each for each in objects if not each.refusal]
        turns = self._turns.setdefault(camera, Turns())
        chosen = set(turns.choose([each.track.key for each in fit if each.track is not None], wish.max_objects))
        for place, each in enumerate(fit):
            assert each.track is not None
            if place not in chosen:
                each.refuse(NOT_ITS_TURN, f'not looked at in this frame, which has {len(fit)} objects of which '
                            f'{wish.max_objects} are (detections.max_objects); they take turns')
                continue
            cut = crop(picture, each.detection.box, pipeline.bundle.preprocessing, wish.margin)
            refusal = refusal_of_pixels(cut.picture, wish)
            if refusal.reason:
                each.refuse(*refusal)
                continue
            each.seen = seen_of(cut, pipeline.bundle.preprocessing)
            each.frame = Frame(track_name(camera, each.track), frame.header, cut.picture, frame.encoding,
                               frame.received_ns)
        return objects

    def _begin(self, pipeline: Pipeline, each: _Object) -> None:
        """Remember since when there is an object, and what is expected of it."""
        assert each.track is not None
        name = track_name(each.camera, each.track)
        if name not in self._since_ns:
            self._since_ns[name] = each.time_ns
            if self._expected.get(each.camera):
                try:
                    pipeline.expect(name, self._expected[each.camera])
                except ConfigError:  # meant for a model that was replaced in the meantime
                    del self._expected[each.camera]

    def _is_usable(self, each: _Object, picture: Picture) -> bool:
        """Whether a box can be followed; says of the object why it is not looked at, if so."""
        wish = self._config.detections
        try:
            part, each.outside = visible_part(each.detection.box, picture.width, picture.height)
        except BoxError as error:
            each.refuse(error.reason, str(error))
            return False
        each.refuse(*refusal_of_part(part, each.outside, wish))
        return True

    def _forget(self, pipeline: Pipeline, names: Sequence[str]) -> None:
        for name in names:
            self._since_ns.pop(name, None)
            pipeline.forget(name)

    def _concluded(self, pipeline: Pipeline, each: _Object, check: Optional[CameraCheck]) -> ObjectResult:
        assert each.track is not None
        decided = self._decided(pipeline, each, check)
        since_ns = self._since_ns.get(track_name(each.camera, each.track), each.time_ns)
        return ObjectResult(each.detection, each.track.name, decided.decision, decided.posterior, decided.unknown,
                            each.result.assessment if each.result is not None else None, each.refusal, each.outside,
                            (each.time_ns - since_ns) * 1e-9, each.track.note, each.seen,
                            each.result.evidence if each.result is not None else None)

    def _decided(self, pipeline: Pipeline, each: _Object, check: Optional[CameraCheck]) -> '_Decided':
        if each.result is not None:
            return _Decided(each.result.posterior, each.result.unknown_probability, each.result.decision)
        assert each.track is not None
        if each.refusal in BOX_REASONS:  # not followed either
            classes = len(pipeline.bundle.class_names)
            posterior, unknown = np.full(classes, 1 / classes, np.float32), 0.0
            decision = Decision(Outcome.UNCERTAIN, UNCERTAIN, 1 / classes, each.sentence, 0)
        else:
            frame = Frame(track_name(each.camera, each.track), Header(each.time_ns, ''), each.picture, '')
            posterior, unknown, decision = pipeline.remembered(frame)
            if each.refusal == NOT_ITS_TURN:
                decision = replace(decision, reason=f'{decision.reason} ({each.sentence})')
            else:
                best = int(posterior.argmax())
                decision = Decision(Outcome.UNCERTAIN, UNCERTAIN, float(posterior[best]), each.sentence, best)
        if check is not None and check.fault is not None:
            return _Decided(posterior, 1.0, unfit(check, decision.class_index))
        return _Decided(posterior, unknown, decision)


class _Decided(NamedTuple):
    posterior: np.ndarray
    unknown: float
    decision: Decision


def track_name(camera: str, track: Track) -> str:
    """What a track is called within a pipeline."""
    return f'{camera}/{track.key}'


def chunks(count: int, most: int) -> Iterator[Tuple[int, int]]:
    """Begin and end of the batches that ``count`` pictures go through the network in.

    Batches are as large as they may be and then powers of two, so that a runtime which prepares itself for each size
    meets few of them, and nothing is computed in vain.
    """
    begin = 0
    while begin < count:
        size = min(most, count - begin)
        if size < most:
            size = 1 << (size.bit_length() - 1)
        yield begin, begin + size
        begin += size


def _ms_since(began: float) -> float:
    return (time.perf_counter() - began) * 1e3
