"""What the executables in ``lib/robot_vision_dl`` run: a node, or one line that says which package it lacks."""
import importlib
import signal
import sys

from ..core.errors import RequirementError
from ..core.requirements import DISTRIBUTIONS, check, explained
from .stop_signals import StartSignals

# Some are imported late, in the middle of the work: all are asked for at the start.
NEEDS = {
    'action_gate_node': ('numpy', 'yaml'),
    'classifier_node': ('numpy', 'cv2', 'PIL', 'yaml', 'safetensors', 'torch'),
    'detector_node': ('numpy', 'cv2', 'PIL', 'yaml', 'safetensors', 'torch', 'torchvision'),
    'trainer_node': tuple(DISTRIBUTIONS),
}
"""What each node cannot do without: keys of :data:`~robot_vision_dl.core.requirements.DISTRIBUTIONS`."""


def run(module: str) -> int:
    """Run ``main()`` of a module of this package, one of :data:`NEEDS`, and return the exit code.

    Exit code 2 where a package is missing or too old that nodes cannot do without, 0 where a signal ended it before it
    was a node: launch takes another code for a death.
    """
    signals = StartSignals()
    try:
        check(NEEDS[module])
        main = importlib.import_module(f'.{module}', __package__).main
        signals.heed()
        return int(main())
    except KeyboardInterrupt:
        return 0
    except RequirementError as error:
        return _say(module, error)
    except ImportError as error:
        problem = explained(error)
        if signals.asked:
            return 0  # what is imported may make another error of the interruption
        if problem is None:
            raise
        return _say(module, problem)
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Python itself would end by it, while it exits


def _say(module: str, error: RequirementError) -> int:
    name = module[:-len('_node')] if module.endswith('_node') else module
    try:
        from .spinning import start_failed  # by the logger of ROS 2, so that it is in its logs, too
    except ImportError:
        print(f'[{name}]: {error}', file=sys.stderr)
        return 2
    return start_failed(name, error)
