"""The exception tree. A message says what happened, which value was received, and what to do."""


class RobotVisionError(Exception):
    """Base of all errors that this package raises on purpose."""


class ConfigError(RobotVisionError, ValueError):
    """A setting has a value that cannot be used."""


class ImageError(RobotVisionError, ValueError):
    """An image message cannot be turned into a picture.

    Attributes:
        reason: short machine-readable name under which the frame is counted, e.g. ``truncated``.
    """

    def __init__(self, reason: str, message: str):
        super().__init__(message)
        self.reason = reason


class BundleError(RobotVisionError):
    """A model bundle is missing, damaged or does not fit the network."""


class DeviceError(RobotVisionError):
    """A compute device was asked for that is not there."""


class BagError(RobotVisionError):
    """A bag cannot be read or written."""
