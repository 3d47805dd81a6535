"""The exception tree. A message says what happened, which value was received, and what to do."""
import errno
import os
from typing import Optional


class RobotVisionError(Exception):
    """Base of all errors that this package raises on purpose."""


class ConfigError(RobotVisionError, ValueError):
    """A setting has a value that cannot be used."""


class RequirementError(RobotVisionError):
    """A Python package that this one needs is not installed or too old; the message has the command for it."""


IMAGE_REASONS = (
    'truncated',  # the message, its pixels or its JPEG or PNG file end too early
    'malformed',  # the serialized bytes are no image message
    'stamp',  # a time that builtin_interfaces/Time cannot hold, or a negative one
    'empty',  # no pixels, or no data
    'too_large',  # more than image.max_megapixels
    'aspect_ratio',  # a strip of pixels
    'encoding',  # an encoding that is not known, or whose numbers have no meaning as a picture
    'step',  # rows shorter than their pixels
    'compressed',  # neither JPEG nor PNG nor compressedDepth, or damaged
    'no_valid_depth',  # a depth image without a single reading
    'region',  # smaller than the region of interest
)
"""Every value of :attr:`ImageError.reason`."""


class ImageError(RobotVisionError, ValueError):
    """An image message cannot be turned into a picture.

    Attributes:
        reason: one of :data:`IMAGE_REASONS`, under which the frame is counted.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class BundleError(RobotVisionError):
    """A model bundle is missing, damaged or does not fit the network."""


class DeviceError(RobotVisionError):
    """A compute device was asked for that is not there."""


class BagError(RobotVisionError):
    """A bag cannot be read or written."""


class DataError(RobotVisionError):
    """Frames cannot be stored, or are not enough for what is asked of them."""


class OutputError(RobotVisionError):
    """A file or folder cannot be written: the disk is full, the folder read-only, or another writer has it."""


class MachineError(RobotVisionError):
    """The machine, not the data, keeps something from being read: see :func:`is_about_machine`."""


_ABOUT_MACHINE = frozenset(
    getattr(errno, name) for name in (
        'ENOSPC', 'EDQUOT', 'EROFS', 'EACCES', 'EPERM', 'EMFILE', 'ENFILE', 'EIO', 'ENOMEM', 'EFBIG', 'EBUSY',
        'ETXTBSY', 'ENODEV', 'ENXIO', 'ESTALE', 'ETIMEDOUT', 'EREMOTEIO', 'EHOSTDOWN', 'ENOTCONN', 'ENOLCK', 'EAGAIN')
    if hasattr(errno, name))


def is_about_machine(error: OSError) -> bool:
    """Whether an error tells of the machine and not of the data.

    A full disk, a quota, a read-only folder, a lack of permission, memory or file handles, a disk or network drive that
    fails. What was being read or written may be sound: it is never to be called damaged, skipped or kept in part.
    """
    return error.errno in _ABOUT_MACHINE


def raise_about_machine(error: BaseException, what: object) -> None:
    """Raise :class:`MachineError` if an error, or one that led to it, is about the machine.

    For the places that take whatever goes wrong for damage: libraries wrap what the system told them.

    Args:
        what: was being read or written.
    """
    if isinstance(error, MachineError):
        raise error
    seen = set()
    cause: Optional[BaseException] = error
    while cause is not None and id(cause) not in seen:
        if isinstance(cause, OSError) and cause.errno is not None and is_about_machine(cause):
            place = '' if cause.filename is None else f' at {os.fsdecode(cause.filename)}'
            raise MachineError(f'{what}: {os.strerror(cause.errno).lower()}{place}; this is about the machine and says '
                               'nothing of the data: mend it and start again') from error
        seen.add(id(cause))
        cause = cause.__cause__ or cause.__context__


def first_line(error: BaseException) -> str:
    """What an error of a library says first; its kind, where it says nothing."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
