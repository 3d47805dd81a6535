"""What a deployment's choices mean for one model."""
from dataclasses import dataclass
from typing import TYPE_CHECKING, Mapping, Tuple, Union

from ..config import ClassifierConfig, FusionConfig
from ..decision.decision import Policy

if TYPE_CHECKING:
    from .evidence_pass import EvidencePass


@dataclass(frozen=True)
class Settings:
    """What a config means for a model, ready to be used; see :meth:`.pipeline.Pipeline.settings`.

    Attributes:
        config: the deployment's choices.
        policy: what acting and abstaining cost.
        fusion: with times in the place of those that are left to the bundle.
        groups: by camera, those that share a belief; a camera of none is its own group.
        frozen_after_s: a camera that sends the same picture for so long is frozen.
        evidence: what works out evidence for overlays, or why it cannot be; None: it is not wished for.
    """

    config: ClassifierConfig
    policy: Policy
    fusion: FusionConfig
    groups: Mapping[str, Tuple[str, ...]]
    frozen_after_s: float
    evidence: 'Union[EvidencePass, str, None]' = None

    def group_of(self, camera: str) -> Tuple[str, ...]:
        """The cameras that share the belief of this one, itself among them."""
        return self.groups.get(camera, (camera,))
