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
from .detection_pairs import DetectionInput
from .messages import key_values

_REMEDIES = {
    NO_STAMP: 'the detector leaves the stamp at zero: let it copy the header of its image',
    NO_IMAGE: 'no image has their stamp: let the detector copy the header of its image, or raise '
              'detections.tolerance_s; are both of the same camera and clock?',
    LATE: 'they come later than detections.deadline_s after their images: raise it',
    IMAGE_REPLACED: 'their images had to make room: raise detections.max_waiting_mb, or take compressed images',
}


class DetectionHealth:
    """Watches the detections of one camera between two reports."""

    def __init__(self, camera: str, node_name: str, source: DetectionInput, engine: ObjectEngine) -> None:
        self._camera = camera
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
        self._before, self._objects_before, self._before_s = account, objects, now_s
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
        bad = [f'{count} {reason}' + (f' ({_REMEDIES[reason]})' if reason in _REMEDIES else '')
               for reason, count in sorted(dropped.items()) if reason != REPLACED]
        rate = f'{objects["decided"] / elapsed_s:.1f} objects a second decided'
        if bad:
            return DiagnosticStatus.WARN, f'arrays that cannot be used: {", ".join(bad)}; {rate}'
        if dropped[REPLACED]:
            return DiagnosticStatus.WARN, f'slower than the detector: {dropped[REPLACED]} arrays replaced; {rate}'
        refused = [f'{count} {reason}' for reason, count in sorted(objects.items())
                   if reason not in ('decided', NOT_ITS_TURN)]
        return DiagnosticStatus.OK, rate + (f'; not looked at: {", ".join(refused)}' if refused else '')
