"""What is believed of what each camera sees, and how what a frame says becomes a decision."""
from contextlib import suppress
from typing import Dict, Mapping, Optional, Sequence, Tuple

import numpy as np

from ..decision.decision import decide, unfit
from ..decision.fusion import BayesFilter, expected_from
from ..errors import ConfigError
from ..types import Assessment, CameraCheck, Decision, Frame
from ..uncertainty.fusion_times import FusionTimes
from .settings import Settings


class Beliefs:
    """A belief for each group of cameras, and the last decision of each camera.

    Args:
        class_names: C, of the model.
        times: how its frames change, for what the deployment leaves open.
        settings: to decide by.
    """

    def __init__(self, class_names: Sequence[str], times: FusionTimes, settings: Settings) -> None:
        self._class_names, self._times, self._settings = class_names, times, settings
        self._filters: Dict[Tuple[str, ...], BayesFilter] = {}
        self._decisions: Dict[str, Tuple[int, Decision]] = {}  # the last of each sound camera, and when in ns
        self._priors: Dict[str, Mapping[str, float]] = {}  # the last of each group, by the camera that it came for

    def take_over(self, settings: Settings) -> None:
        """Decide by these settings from now on."""
        self._settings = settings
        for belief in self._filters.values():
            belief.config, belief.times = settings.fusion, self._times

    def adopt(self, other: 'Beliefs') -> None:
        """Carry on with the beliefs of others, which share them from then on, where both mean the same classes.

        Where they do not, what is expected is carried over as far as it names classes that there still are.
        """
        if other._class_names == self._class_names:
            self._filters, self._decisions, self._priors = other._filters, other._decisions, other._priors
            self.take_over(self._settings)
            return
        for camera, named in other._priors.items():
            with suppress(ConfigError):
                self.expect(camera, named)

    def reset(self) -> None:
        """Forget what all cameras saw."""
        self._filters.clear()
        self._decisions.clear()
        self._priors.clear()

    def forget(self, camera: str) -> None:
        """Forget what one camera saw, and the cameras that share its belief."""
        group = self._settings.group_of(camera)
        self._filters.pop(group, None)
        for member in group:
            self._decisions.pop(member, None)
            self._priors.pop(member, None)

    def expect(self, camera: str, named: Mapping[str, float]) -> None:
        """Take over a prior for what a camera sees, and those of its group, by class name; empty: nothing is expected.

        Raises:
            ConfigError: a name is no class, or the probabilities cannot be.
        """
        self._belief_of(camera).expect(expected_from(named, self._class_names) if named else None)
        for member in self._settings.group_of(camera):
            self._priors.pop(member, None)
        if named:
            self._priors[camera] = dict(named)

    def remembered(self, frame: Frame) -> Tuple[np.ndarray, float, Decision]:
        """What is still believed of a frame that was not looked at: posterior (C,), unknown's, and the decision.

        Where nothing was decided within ``fusion.reset_gap_s``, nothing is. What was never looked at is not remembered.
        """
        settings = self._settings
        if settings.group_of(frame.camera) not in self._filters:
            classes = len(self._class_names)
            nothing = np.full(classes, 1 / classes, np.float32)
            return nothing, 0.0, decide(nothing, self._class_names, settings.policy)
        before = self._decision_before(frame)
        belief = self._belief_of(frame.camera)
        posterior = belief.at(frame.time_ns)
        unknown = belief.unknown_probability(settings.policy.false_unknown_rate) if before else 0.0
        return posterior, unknown, decide(posterior, self._class_names, settings.policy, None, unknown, before)

    def update(self, frame: Frame, assessment: Assessment, check: Optional[CameraCheck]
               ) -> Tuple[np.ndarray, float, Decision]:
        """Take up what a frame says: posterior (C,), unknown's, and the decision.

        Args:
            assessment: of the frame on its own.
            check: of its camera; None: that was not asked.
        """
        settings = self._settings
        belief = self._belief_of(frame.camera)
        if check is not None and check.fault is not None:
            # Such a picture tells nothing about what the camera looks at: what was believed goes on without it.
            posterior = belief.at(frame.time_ns)
            return posterior, 1.0, unfit(check, int(posterior.argmax()))
        epsilon = settings.policy.false_unknown_rate
        ood, unknown = assessment.ood, 0.0
        p_value = None if ood is None else ood.p_value
        if p_value is not None:
            belief.update_ood(p_value, frame.time_ns, frame.camera)
            unknown = belief.unknown_probability(epsilon)
        if p_value is not None and p_value < epsilon:
            # What is none of the classes says nothing about which class it is.
            posterior = belief.at(frame.time_ns)
        else:
            cameras = len(settings.group_of(frame.camera))
            share = 1.0 if settings.fusion.group_independent else 1.0 / cameras
            posterior = belief.update(assessment.probabilities, frame.time_ns, frame.camera, share)
        decision = decide(posterior, self._class_names, settings.policy, ood, unknown, self._decision_before(frame))
        self._decisions[frame.camera] = frame.time_ns, decision
        return posterior, unknown, decision

    def _belief_of(self, camera: str) -> BayesFilter:
        group = self._settings.group_of(camera)
        belief = self._filters.get(group)
        if belief is None:
            belief = self._filters[group] = BayesFilter(len(self._class_names), self._settings.fusion,
                                                        times=self._times)
        return belief

    def _decision_before(self, frame: Frame) -> Optional[Decision]:
        """The last decision of the frame's camera; None where the belief, too, would begin afresh since then."""
        time_ns, decision = self._decisions.get(frame.camera, (0, None))
        return decision if 0 <= (frame.time_ns - time_ns) * 1e-9 <= self._settings.fusion.reset_gap_s else None
