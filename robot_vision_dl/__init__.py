"""From camera images to labels that a robot may act on.

``from robot_vision_dl import Classifier`` classifies pictures without ROS; see :mod:`robot_vision_dl.classifier`.
"""
from typing import TYPE_CHECKING, Any, List

if TYPE_CHECKING:
    from .classifier import Classification, Classifier

__version__ = '0.2.0'
__all__ = ['Classification', 'Classifier', '__version__']


def __getattr__(name: str) -> Any:
    """Import torch only for those who ask for what needs it (PEP 562)."""
    if name not in ('Classification', 'Classifier'):
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    try:
        from . import classifier
    except ImportError as error:
        from .core.requirements import explained
        problem = explained(error)
        if problem is None:
            raise
        raise problem from error
    return getattr(classifier, name)


def __dir__() -> List[str]:
    return sorted({*globals(), *__all__})
