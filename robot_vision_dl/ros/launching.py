"""What the launch files share: arguments that are held against what they may be, and an end of all that comes once."""
import runpy
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Tuple

from launch.actions import (
    DeclareLaunchArgument,
    EmitEvent,
    GroupAction,
    IncludeLaunchDescription,
    RegisterEventHandler,
)
from launch.event_handlers import OnProcessExit
from launch.events import Shutdown
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration

from ..core.resources import share_directory
from ..core.suggestions import did_you_mean

_FLAGS = {**dict.fromkeys(('true', '1', 'yes', 'on'), True), **dict.fromkeys(('false', '0', 'no', 'off'), False)}

Arguments = Sequence[Tuple[str, Optional[str], str]]
"""(name, default or None where it must be given, description) of each."""


def declarations(arguments: Arguments) -> List[Any]:
    """The actions that declare arguments."""
    return [DeclareLaunchArgument(name, description=text, **({} if default is None else {'default_value': default}))
            for name, default, text in arguments]


def values(arguments: Arguments, context: Any) -> Dict[str, str]:
    """What was given for each, or its default."""
    return {name: LaunchConfiguration(name).perform(context) for name, _, _ in arguments}


def flag(name: str, text: str) -> bool:
    """Whether an argument says yes.

    Raises:
        RuntimeError: it says neither yes nor no.
    """
    try:
        return _FLAGS[text.strip().lower()]
    except KeyError:
        raise RuntimeError(f'{name}:={text}: must be true or false (or 1, yes, on; 0, no, off)') from None


def given_flags(names: Sequence[str], given: Dict[str, str]) -> Dict[str, bool]:
    """The flags among ``names`` that were given; one that is left empty stays as a parameter file, or the node, has it.

    Raises:
        RuntimeError: one says neither yes nor no.
    """
    return {name: flag(name, given[name]) for name in names if given[name]}


def parameter_files(path: str) -> List[str]:
    """The ``parameters`` of a node that an argument ``params_file`` makes; launch only warns where it is no file.

    Raises:
        RuntimeError: it is no file.
    """
    if path and not Path(path).is_file():
        raise RuntimeError(f'params_file:={path}: no such file; name a ROS parameter file, or leave it out')
    return [path] if path else []


def number(name: str, text: str) -> float:
    """What an argument says that is a number.

    Raises:
        RuntimeError: it is none.
    """
    try:
        return float(text)
    except ValueError:
        raise RuntimeError(f'{name}:={text}: must be a number') from None


def end_with(process: Any, reason: str) -> Any:
    """End all when one process has ended by itself; launch does not bear to be ended twice."""
    def on_exit(_event: Any, context: Any) -> List[Any]:
        return [] if context.is_shutdown else [EmitEvent(event=Shutdown(reason=reason))]
    return RegisterEventHandler(OnProcessExit(target_action=process, on_exit=on_exit))


def classifier(**arguments: Any) -> Any:
    """``classifier.launch.py`` for a launch file that includes it, once or several times (``docs/how-to/compose.md``).

    Launch configurations of the including file do not become its arguments, nor its own those of what follows. What
    ``PushRosNamespace``, ``SetParameter`` and ``SetRemap`` have set holds for it.

    Args:
        arguments: of that launch file, as texts or substitutions; each of the others has its default.

    Raises:
        RuntimeError: the launch file has no such argument.
    """
    path = str(share_directory() / 'launch' / 'classifier.launch.py')
    defaults = {name: default for name, default, _ in runpy.run_path(path)['ARGUMENTS']}
    for name in arguments:
        if name not in defaults:
            raise RuntimeError(f'classifier.launch.py has no argument {name!r}; {did_you_mean(name, list(defaults))}')
    # Not forwarding=False: namespace, parameters and remappings from outside are launch configurations, too.
    return GroupAction([IncludeLaunchDescription(PythonLaunchDescriptionSource(path),
                                                 launch_arguments={**defaults, **arguments}.items())])
