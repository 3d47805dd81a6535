"""Where a model is, by its path or name, and whether it could be one: without reading weights."""
from pathlib import Path
from typing import List

from ..errors import BundleError, ConfigError, RobotVisionError
from ..networks.architecture import TIMM, did_you_mean
from ..resources import share_directory
from ..text.printable import printable
from . import bundle_format as fmt

TORCHVISION = 'torchvision:'
ENSEMBLE = 'ensemble:'
MOST_MEMBERS = 32


def check_source(path_or_name: str) -> None:
    """Refuse what surely is no bundle, by its name and its ``bundle.json``: quickly, and without reading weights.

    Raises:
        BundleError: as of :func:`~.bundle.load_bundle`.
    """
    if path_or_name.startswith((TORCHVISION, TIMM)):
        return  # asks torchvision or timm, whose import takes seconds
    if path_or_name.startswith(ENSEMBLE):
        members = [name.strip() for name in path_or_name[len(ENSEMBLE):].split(',')]
        for member in members[:MOST_MEMBERS]:
            if not member.startswith((TORCHVISION, TIMM, ENSEMBLE)):
                fmt.read_description(find_bundle(member, suggest=False), ask_torchvision=False)
        return
    fmt.read_description(find_bundle(path_or_name, suggest=False), ask_torchvision=False)


def list_bundles() -> List[Path]:
    """Folders of the bundles in the package's ``models/``, sorted by name; they are not verified."""
    return sorted(path.parent for path in (share_directory() / 'models').glob(f'*/{fmt.DESCRIPTION}'))


def check_own(source: str, folder: Path, remedy: str) -> None:
    """That a bundle which is going to be changed was named by its path.

    Args:
        source, folder: as it was named, and what :func:`find_bundle` found.
        remedy: what to do instead, for the error.

    Raises:
        BundleError: it was named as one that the package ships, which whoever else uses the package runs, too.
    """
    if Path(source).expanduser() != folder:
        raise BundleError(f'{printable(source)}: is a model that the package ships ({printable(folder)}), and is not '
                          f'changed by its name; {remedy}')


def find_bundle(source: str, suggest: bool = True) -> Path:
    """The folder that a bundle's path or name means; what lies in it is not looked at.

    Args:
        source: a path or a name.
        suggest: also name the nearest of torchvision's networks in the error, which takes its import: seconds, and
            180 MB.

    Raises:
        BundleError: there is no such folder and no such name.
    """
    shown = printable(repr(source))
    try:
        path = Path(source).expanduser()
        if (path / fmt.DESCRIPTION).is_file() or (path.is_dir() and len(path.parts) > 1) or path.is_absolute():
            return path
    except (OSError, RuntimeError, ValueError) as error:  # too long; a user that is not there; a NUL
        reason = getattr(error, 'strerror', None) or printable(error)
        raise BundleError(f'no model bundle {shown}: it cannot be the path of a folder ({reason})') from error
    try:
        models = share_directory() / 'models'
        known = [folder.name for folder in list_bundles()]
    except RobotVisionError:
        raise BundleError(f'no model bundle {shown}: there is no such folder, and the package is installed without '
                          'its models') from None
    if source in known:
        return models / source
    here = Path('models') / source
    if (here / fmt.DESCRIPTION).is_file():
        # A bare name does not mean another model in another folder; a robot would not notice.
        raise BundleError(f'no model bundle {shown} in {models}, but there is {printable(here)}: give its path')
    known_to_torchvision = _known_to_torchvision() if suggest else []
    nearest = (did_you_mean(source, known) or did_you_mean(TORCHVISION + source, known_to_torchvision, cutoff=0.9))
    raise BundleError(f'no model bundle {shown}{nearest or "."} There are {", ".join(known) or "none"} in {models}; '
                      'a model may also be a folder, torchvision:<architecture>, or timm:<name>')


def _known_to_torchvision() -> List[str]:
    from ..networks.architectures import list_architectures
    try:
        return [TORCHVISION + name for name in list_architectures()]
    except ConfigError:
        return []
