"""``/diagnostics`` of a camera's detections: do they come and find their images, and what became of the objects."""
import time
from collections import Counter
from typing import Dict, Tuple

from diagnostic_msgs.msg import DiagnosticStatus

from ..core.config import ClassifierConfig
from ..core.regions.results import NOT_ITS_TURN
from ..core.regions.stamp_pairing import IMAGE_REPLACED, LATE, NO_IMAGE, NO_STAMP, REPLACED
from ..core.runtime.frame_counters import Account
from ..core.runtime.object_engine import ObjectEngine
from .camera import CameraInput
from .detection_pairs import DetectionInput
from .messages import key_values

_SLOWER = 'slower than the detector'
_REMEDIES = {
    NO_STAMP: 'the detector leaves the stamp at zero: let it copy the header of its image',
    NO_IMAGE: 'no image has their stamp: let the detector copy the header of its image, or raise '
              'detections.tolerance_s; are both of the same camera and clock?',
    LATE: 'they come later than detections.deadline_s after their images: raise it',
    IMAGE_REPLACED: 'their images had to make room: raise detections.max_waiting_mb, or take compressed images',
}


class DetectionHealth:
    """Watches the detections of one camera between two reports.

    Attributes:
        complaint: what was wrong since the last report and what to do about it, for the log; empty: nothing was.
    """

    def __init__(self, camera: str, node_name: str, source: DetectionInput, images: CameraInput,
                 engine: ObjectEngine) -> None:
        self._camera = camera
        self._images, self._lost_before = images, 0
        self.complaint = ''
        self._name = f'{node_name}: detections {camera}'
        self._source = source
        self._engine = engine
        self._before, self._objects_before = Account(), Counter[str]()
        self._before_s = self._last_arrival_s = time.monotonic()
        self._heard = False

    def has_heard(self) -> bool:
        """Whether something has come between the last two reports."""
        return self._heard

    def report(self, config: ClassifierConfig) -> DiagnosticStatus:
        """What happened since the last report; counts are since activation."""
        now_s = time.monotonic()
        account, objects = self._engine.detections_account(self._camera), self._engine.objects(self._camera)
        elapsed_s = max(now_s - self._before_s, 1e-6)
        arrived = account.received - self._before.received
        self._heard = arrived > 0
        if arrived:
            self._last_arrival_s = now_s
        values: Dict[str, object] = {
            'topic': self._source.topic,
            'publishers': self._source.publishers(),
            'rate_in_hz': arrived / elapsed_s,
            'received': account.received,
            'decided': account.decided,
            'lost_in_transport': self._source.lost,
            'dropped': sum(account.dropped.values()),
            'objects_decided': objects['decided'],
        }
        values.update({f'dropped_{reason}': count for reason, count in sorted(account.dropped.items())})
        values.update({f'objects_{reason}': count for reason, count in sorted(objects.items()) if reason != 'decided'})
        level, text = self._judge(config, now_s - self._last_arrival_s, account.dropped - self._before.dropped,
                                  objects - self._objects_before, elapsed_s)
        # That it is too slow shows in the rates; it is not to fill the log.
        self.complaint = text if level == DiagnosticStatus.WARN and not text.startswith(_SLOWER) else ''
        self._before, self._objects_before, self._before_s = account, objects, now_s
        self._lost_before = self._images.lost
        return DiagnosticStatus(level=level, name=self._name, message=text, hardware_id=self._camera,
                                values=key_values(values))

    def _judge(self, config: ClassifierConfig, silent_s: float, dropped: 'Counter[str]', objects: 'Counter[str]',
               elapsed_s: float) -> Tuple[bytes, str]:
        topic = self._source.topic
        if silent_s > config.stale_after_s:
            if not self._source.publishers():
                return DiagnosticStatus.STALE, f'stale: nobody publishes on {topic}'
            return DiagnosticStatus.STALE, (f'stale: no detections for {silent_s:.1f} s although somebody publishes on '
                                            f'{topic}')
        lost = self._images.lost - self._lost_before
        bad = [f'{count} {reason}' + self._remedy(reason, lost)
               for reason, count in sorted(dropped.items()) if reason != REPLACED]
        rate = f'{objects["decided"] / elapsed_s:.1f} objects a second decided'
        if bad:
            return DiagnosticStatus.WARN, f'arrays that cannot be used: {", ".join(bad)}; {rate}'
        if dropped[REPLACED]:
            return DiagnosticStatus.WARN, f'{_SLOWER}: {dropped[REPLACED]} arrays replaced; {rate}'
        refused = [f'{count} {reason}' for reason, count in sorted(objects.items())
                   if reason not in ('decided', NOT_ITS_TURN)]
        told = rate + (f'; not looked at: {", ".join(refused)}' if refused else '')
        if refused and not objects['decided']:
            return DiagnosticStatus.WARN, ('no object can be looked at, the reason is in '
                                           f'~/{self._camera}/uncertainty: {told}')
        return DiagnosticStatus.OK, told

    def _remedy(self, reason: str, lost: int) -> str:
        if reason == NO_IMAGE and lost:
            return (f' ({lost} images were lost on their way, so that no detections can find them: see "No image '
                    'arrives" in the how-to on troubleshooting)')
        return f' ({_REMEDIES[reason]})' if reason in _REMEDIES else ''
