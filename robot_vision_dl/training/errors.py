"""What ends a training run."""
from ..core.errors import RobotVisionError


class TrainingError(RobotVisionError):
    """Training cannot go on; the message says why, what to do, and what is kept."""
