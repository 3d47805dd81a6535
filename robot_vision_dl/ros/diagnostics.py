"""``/diagnostics``, once a second: does each camera get through, and with what model."""
import os
import time
from typing import Any, Counter, Dict, Mapping, Optional, Tuple

import numpy as np
from diagnostic_msgs.msg import DiagnosticStatus

from ..core.bundles.trust_limits import p_value_grid, trust_limits
from ..core.config import ClassifierConfig
from ..core.networks.torch_use import HostDevice
from ..core.regions.stamp_pairing import NO_DETECTIONS
from ..core.runtime.engine_thread import EngineThread
from ..core.runtime.frame_counters import RATE_LIMITED, REPLACED, Account
from ..core.runtime.pipeline import Pipeline
from ..core.text.printable import printable
from ..core.uncertainty.attainable_rates import rate_in_force
from ..core.uncertainty.camera.watch import frozen_after_s
from .camera import CameraInput
from .messages import key_values
from .prior import PriorInput

_ORDINARY = (REPLACED, RATE_LIMITED, NO_DETECTIONS)


def resident_memory_mb() -> float:
    """Memory of this process that is in RAM, in MB."""
    with open('/proc/self/statm') as statm:
        pages = int(statm.read().split()[1])
    return pages * os.sysconf('SC_PAGE_SIZE') / 1e6


class CameraHealth:
    """Watches one camera between two reports."""

    def __init__(self, camera: str, node_name: str, source: CameraInput, engine: EngineThread, prior: PriorInput
                 ) -> None:
        self._camera = camera
        self._name = f'{node_name}: camera {camera}'
        self._source = source
        self._engine = engine
        self._prior = prior
        self._before = Account()
        self._stood_still = 0
        self._before_s = time.monotonic()
        self._last_arrival_s = self._before_s
        self._heard = False

    def has_heard(self) -> bool:
        """Whether something has come between the last two reports."""
        return self._heard

    def report(self, config: ClassifierConfig) -> DiagnosticStatus:
        """What happened since the last report; counts are since activation."""
        now_s = time.monotonic()
        account = self._engine.account(self._camera)
        timings = self._engine.timings_since(self._camera, self._before_s)
        elapsed_s = max(now_s - self._before_s, 1e-6)
        arrived = account.received - self._before.received
        newly_dropped = account.dropped - self._before.dropped
        self._heard = arrived > 0
        if arrived:
            self._last_arrival_s = now_s
        silent_s = now_s - self._last_arrival_s
        values = {
            'topic': self._source.topic,
            'publishers': self._source.publishers(),
            'rate_in_hz': arrived / elapsed_s,
            'rate_out_hz': (account.decided - self._before.decided) / elapsed_s,
            'received': account.received,
            'decided': account.decided,
            'lost_in_transport': self._source.lost,
            'priors_refused': self._prior.refused,
            'dropped': sum(account.dropped.values()),
        }
        stood_still, self._stood_still = self._stood_still, self._engine.standing_still(self._camera)
        if self._stood_still:
            values['stamps_standing_still'] = self._stood_still
        for reason, count in sorted(account.dropped.items()):
            values[f'dropped_{reason}'] = count
        if timings:
            ages = [timing.age_ms for timing in timings]
            values['frame_age_ms_p50'] = float(np.percentile(ages, 50))
            values['frame_age_ms_max'] = max(ages)
            values['batch_size_mean'] = sum(timing.batch_size for timing in timings) / len(timings)
            values['decode_ms_mean'] = sum(timing.decode_ms for timing in timings) / len(timings)
            # Where no object was there to be looked at, the network was not asked.
            for stage in {stage: None for timing in timings for stage in timing.stage_ms}:
                took = [timing.stage_ms[stage] for timing in timings if stage in timing.stage_ms]
                values[f'{stage}_ms_mean'] = sum(took) / len(took)
        check = None if silent_s > config.stale_after_s else self._engine.last_check(self._camera)
        if check is not None:
            values['camera_state'] = check.state
            if check.fault is not None:
                values['camera_fault_reason'] = check.reason
            if check.p_value is not None:
                values['camera_p_value'] = check.p_value
        level, text = self._judge(config, values, silent_s, newly_dropped)
        if self._stood_still > stood_still:
            level, text = max(level, DiagnosticStatus.WARN), (
                f'{text}; {self._stood_still - stood_still} images had the stamp of one long before, so that their '
                'time is that of arrival: mend their driver')
        if check is not None and check.fault is not None:
            level, text = DiagnosticStatus.ERROR, f'camera at fault: {check.state} ({check.reason}); {text}'
        self._before, self._before_s = account, now_s
        return DiagnosticStatus(level=level, name=self._name, message=text, hardware_id=self._camera,
                                values=key_values(values))

    def _judge(self, config: ClassifierConfig, values: Mapping[str, Any], silent_s: float, newly_dropped: Counter[str]
               ) -> Tuple[bytes, str]:
        if silent_s > config.stale_after_s:
            if not values['publishers']:
                return DiagnosticStatus.STALE, f'stale: nobody publishes on {values["topic"]}'
            return DiagnosticStatus.STALE, (f'stale: no frame for {silent_s:.1f} s although somebody publishes on '
                                            f'{values["topic"]}; try `robot-vision doctor {values["topic"]}`')
        bad = {reason: count for reason, count in newly_dropped.items() if reason not in _ORDINARY}
        if bad:
            return DiagnosticStatus.WARN, 'frames that cannot be used: ' + ', '.join(
                f'{count} {reason}' for reason, count in sorted(bad.items()))
        if newly_dropped[REPLACED]:
            return DiagnosticStatus.WARN, (f'slower than the camera: {newly_dropped[REPLACED]} frames replaced by '
                                           f'newer ones, {values["rate_out_hz"]:.1f} of '
                                           f'{values["rate_in_hz"]:.1f} Hz decided')
        return DiagnosticStatus.OK, f'{values["rate_out_hz"]:.1f} Hz decided'


def trust_values(pipeline: Pipeline, config: ClassifierConfig) -> Dict[str, object]:
    """At what rate unknown is wished for, at what rate it can be said at all, and at what rate it is said."""
    grid, wish = p_value_grid(pipeline.bundle), config.decision
    in_force = rate_in_force(grid, wish.false_unknown_rate, wish.smallest_reachable_rate)
    return {'false_unknown_rate': wish.false_unknown_rate,
            'smallest_false_unknown_rate': 'none' if grid is None else grid.smallest,
            'false_unknown_rate_in_force': in_force, 'can_say_unknown': in_force > 0,
            'camera_bounds_pictures': pipeline.camera_bounds.pictures if config.camera_faults.enabled else 'off',
            'camera_frozen_after_s': frozen_after_s(config.camera_faults, pipeline.camera_bounds)}


def model_status(node_name: str, state: str, pipeline: Optional[Pipeline], config: ClassifierConfig,
                 loading: str, failed: str = '') -> DiagnosticStatus:
    """The node itself: lifecycle state, model, device and memory.

    ``loading`` is the model that is being read at the moment, ``config.model`` the one that is wanted, and ``failed``
    says why the last transition was not made.
    """
    values = {'state': state, 'memory_mb': resident_memory_mb()}
    level, text = DiagnosticStatus.OK, state
    if pipeline is not None:
        values.update(model=pipeline.bundle.name, bundle_id=pipeline.bundle.identity, device=str(pipeline.device),
                      precision=pipeline.precision, backend=pipeline.backend.name,
                      backend_reason=pipeline.backend.reason, classes=len(pipeline.bundle.class_names),
                      calibrated=pipeline.bundle.calibrated)
        if not isinstance(pipeline.device, HostDevice) and pipeline.device.type == 'cuda' and not pipeline.fault:
            from ..core.networks.cuda import tensors_mb
            values['gpu_memory_mb'] = tensors_mb(pipeline.device)
        text = f'{state}: {pipeline.bundle.name} on {pipeline.device}'
        if not pipeline.bundle.calibrated:
            level, text = DiagnosticStatus.WARN, text + ', not calibrated: confidences are not probabilities'
        values.update(trust_values(pipeline, config))
        limits = trust_limits(pipeline.bundle, config.decision)  # settings as they stand, before the next frame too
        if limits:
            values['cannot_promise'] = ', '.join(dict.fromkeys(limit.what for limit in limits))
        values['overlay_evidence'] = config.overlay.evidence
        if pipeline.no_evidence and config.overlay.evidence != 'none':
            values['overlay_evidence'] = f'{config.overlay.evidence}, but {pipeline.no_evidence}'
            text += f'; {pipeline.no_evidence}'
        if limits:
            level, text = DiagnosticStatus.WARN, '; '.join([text, *(
                limit.under(pipeline.bundle.name) for limit in limits)])
        if config.model != pipeline.bundle.source:
            values['wanted_model'] = config.model
            text = f'{text}; wanted: {printable(config.model)}'
            if loading:
                text += ', which is being loaded' if loading == config.model else ', which is loaded next'
            else:
                level, text = DiagnosticStatus.WARN, text + ', which is not being loaded: set it again'
        if pipeline.fault:
            level, text = DiagnosticStatus.ERROR, f'{pipeline.fault}; {text}'
    if loading:
        values['loading'] = loading
    if failed:
        level, text = DiagnosticStatus.ERROR, f'{failed}; {text}'
    return DiagnosticStatus(level=level, name=f'{node_name}: model', message=text, hardware_id='classifier',
                            values=key_values(values))

