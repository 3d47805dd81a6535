"""Bags of the frames that the node was unsure about: conversion and diagnostics.

Which frames, and how they are written, is in :mod:`robot_vision_dl.core.recording.recorder`.
"""
from dataclasses import replace
from typing import Dict, List, Mapping, Sequence, Tuple

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.serialization import serialize_message

from ..core import types
from ..core.config import ClassifierConfig, RecordDoubtsConfig
from ..core.recording import message_definitions as kinds
from ..core.recording.doubts import Decided
from ..core.recording.mcap_writer import RecordedMessage
from ..core.recording.recorder import QUEUE_FULL, DoubtAccount, DoubtRecorder
from ..core.regions.detection_cdr import encode_detections
from ..core.regions.results import ObjectResults
from ..core.runtime.engine_thread import Timing
from ..core.types import Result
from . import messages, object_messages
from .messages import key_values

REASON = 'recorded_because'
"""Key of the value that says why a frame was recorded, in its ``~/<camera>/uncertainty``."""
_NO_PICTURE = types.Picture(np.empty((0, 0), np.uint8), types.ColorOrder.MONO)


class DoubtOutput:
    """Records frames of a node's cameras, with what the node decides about them under the node's own topics.

    Args:
        node_name: fully qualified.
        config: of the node.
        images: topic of each camera's images.
        detections: topic of each camera's detections; empty: whole pictures are decided.
    """

    def __init__(self, node_name: str, config: ClassifierConfig, images: Mapping[str, str],
                 detections: Mapping[str, str]) -> None:
        self._node_name = node_name
        self._images, self._detections = dict(images), dict(detections)
        self._image_type = kinds.IMAGE if config.image_transport == 'raw' else kinds.COMPRESSED_IMAGE
        self._recorder = DoubtRecorder(config.record_doubts)
        self._overloaded = 0

    def configure(self, config: RecordDoubtsConfig) -> None:
        """Take over changed settings."""
        self._recorder.configure(config)

    def stop(self) -> str:
        """Write what waits, and close the bag; what was recorded in a line, empty where nothing was to be."""
        self._recorder.stop()
        account = self._recorder.account()
        return f'doubts: {_told(account)}' if account.folder else ''

    def look_at(self, result: Result, timing: Timing, config: ClassifierConfig) -> None:
        """Record a frame if it is worth it; called on the engine's thread."""
        if not self._recorder.is_on:
            return
        decision, frame, camera = result.decision, result.frame, result.camera
        reasons = self._recorder.reasons(frame.camera, [Decided('', decision.label, decision.outcome)],
                                         camera is not None and camera.fault is not None, timing.decided_s)
        if reasons:
            kept = replace(result, frame=_without_picture(frame))
            self._recorder.add(reasons, len(frame.serialized), lambda: self._of_picture(
                frame.serialized, kept, timing, reasons, config.top_k))

    def look_at_objects(self, result: ObjectResults, timing: Timing) -> None:
        """Record a frame if one of its objects is worth it; called on the engine's thread."""
        if not self._recorder.is_on:
            return
        frame, camera = result.frame, result.camera
        # Of an object that was not looked at, the model was not asked.
        decided = [Decided(one.track, one.decision.label, one.decision.outcome) for one in result.objects
                   if not one.refusal]
        reasons = self._recorder.reasons(frame.camera, decided, camera is not None and camera.fault is not None,
                                         timing.decided_s)
        if reasons:
            kept = replace(result, frame=_without_picture(frame))
            self._recorder.add(reasons, len(frame.serialized), lambda: self._of_objects(
                frame.serialized, kept, timing, reasons))

    def _of_picture(self, image: bytes, result: Result, timing: Timing, reasons: Sequence[str], top_k: int
                    ) -> List[RecordedMessage]:
        camera, time_ns = result.frame.camera, result.frame.received_ns
        base = f'{self._node_name}/{camera}'
        why = messages.uncertainty(result, self._node_name, timing)
        return [RecordedMessage(self._images[camera], self._image_type, time_ns, image),
                RecordedMessage(f'{base}/decision', kinds.CLASSIFICATION, time_ns, messages.decision(result, False)),
                RecordedMessage(f'{base}/classification', kinds.CLASSIFICATION, time_ns,
                                messages.classification(result, top_k, False)),
                self._reason(base, time_ns, why, reasons)]

    def _of_objects(self, image: bytes, result: ObjectResults, timing: Timing, reasons: Sequence[str]
                    ) -> List[RecordedMessage]:
        camera, time_ns = result.frame.camera, result.frame.received_ns
        base = f'{self._node_name}/{camera}'
        why = object_messages.uncertainty(result, self._node_name, timing)
        return [RecordedMessage(self._images[camera], self._image_type, time_ns, image),
                RecordedMessage(self._detections[camera], kinds.DETECTIONS, time_ns,
                                encode_detections(result.detections)),
                RecordedMessage(f'{base}/detections', kinds.DETECTIONS, time_ns,
                                object_messages.detections(result, False)),
                self._reason(base, time_ns, why, reasons)]

    def _reason(self, base: str, time_ns: int, why: DiagnosticArray, reasons: Sequence[str]) -> RecordedMessage:
        if not why.status:  # a picture without objects, drawn at random
            why.status = [DiagnosticStatus(name=f'{self._node_name}: {base.rpartition("/")[2]}', message='no objects')]
        why.status[0].values = [*why.status[0].values, *key_values({REASON: ', '.join(reasons)})]
        return RecordedMessage(f'{base}/uncertainty', kinds.DIAGNOSTICS, time_ns, bytes(serialize_message(why)))

    def report(self) -> Tuple[DiagnosticStatus, str]:
        """What was recorded since activation; and what is wrong, with its remedy, or an empty text."""
        account = self._recorder.account()
        overloaded, self._overloaded = account.dropped[QUEUE_FULL] - self._overloaded, account.dropped[QUEUE_FULL]
        trouble = account.trouble
        if overloaded and not trouble:
            trouble = (f'{overloaded} frames were left out, which the disk is too slow for: raise '
                       'record_doubts.max_waiting_mb, or record_doubts.min_interval_s')
        values: Dict[str, object] = {
            'folder': account.folder, 'written': account.frames, 'written_mb': account.bytes / 1e6,
            'dropped': sum(account.dropped.values()), 'waiting': account.waiting, 'bags': account.bags,
            'on_disk_mb': account.bytes_on_disk / 1e6}
        values.update({f'written_{reason}': count for reason, count in sorted(account.written.items())})
        values.update({f'dropped_{reason}': count for reason, count in sorted(account.dropped.items()) if count})
        told = _told(account)
        return DiagnosticStatus(
            level=DiagnosticStatus.WARN if trouble else DiagnosticStatus.OK, name=f'{self._node_name}: doubts',
            message=f'{trouble}; {told}' if trouble else told, hardware_id='classifier',
            values=key_values(values)), trouble


def _without_picture(frame: types.Frame) -> types.Frame:
    """The message alone is kept in memory."""
    return replace(frame, picture=_NO_PICTURE, serialized=b'')


def _told(account: DoubtAccount) -> str:
    dropped = sum(account.dropped.values())
    return (f'{account.frames} frames written, {account.bytes / 1e6:.1f} MB, to {account.folder}'
            f'{f"; {dropped} left out" if dropped else ""}')
