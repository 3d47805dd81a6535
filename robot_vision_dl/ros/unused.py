"""What a node was given and does not use: misspelt parameters, and parameter files for other nodes.

rcl leaves out in silence what no node declares, so that a misspelt limit would be no limit.
"""
import sys
from difflib import get_close_matches
from typing import List, Optional, Sequence

from rclpy.node import Node

from ..core.errors import ConfigError
from ..core.text.parameter_file import is_of_ros, read_parameters
from ..core.text.printable import printable
from .compat import given_parameters
from .start import parameter_files

_MOST_CHARACTERS = 100  # of a name for which a likely one is looked for; that takes the square of it
_MOST_NAMED = 10


def warn_of_unused(node: Node, arguments: Optional[Sequence[str]] = None) -> None:
    """Warn once of each file, and once of all parameters, that the node was given in vain.

    Args:
        node: has declared its parameters.
        arguments: of the process; None: ``sys.argv``.
    """
    files = dict.fromkeys(parameter_files(sys.argv if arguments is None else arguments))
    for path in files:
        try:
            read_parameters(path, node.get_fully_qualified_name())
        except ConfigError as error:  # rcl took it; what it has for no node, or has in two ways, is worth a word
            node.get_logger().warning(f'parameter file {error}')
    unused = [name for name in given_parameters(node)
              if not node.has_parameter(name) and not is_of_ros(name)]
    if unused:
        known = sorted(node.get_parameters_by_prefix(''))  # all; Humble has no list_parameters()
        named = ', '.join(_named(name, known) for name in unused[:_MOST_NAMED])
        more = f' and {len(unused) - _MOST_NAMED} more' if len(unused) > _MOST_NAMED else ''
        node.get_logger().warning(f'this node has no parameter {named}{more}; what was given for it has no effect')


def _named(name: str, known: List[str]) -> str:
    shown = printable(name, _MOST_CHARACTERS)
    if len(name) > _MOST_CHARACTERS:
        return shown
    # The group is often left out, or a wrong one given.
    within = [other for other in known if other.rpartition('.')[2] == name.rpartition('.')[2]]
    near = get_close_matches(name, known, 1, 0.7) or within[:1]
    return shown + (f' (did you mean {near[0]}?)' if near else '')
