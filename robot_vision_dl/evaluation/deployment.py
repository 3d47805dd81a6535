"""The deployment's settings from a ROS parameter file of the node and from ``NAME=VALUE`` texts."""
from typing import Any, Callable, Dict, Iterable, Optional, Sequence

from ..core.config import ClassifierConfig, flat_options, with_values
from ..core.errors import ConfigError
from ..core.suggestions import did_you_mean
from ..core.text.parameter_file import is_of_ros, parameter_value, read_parameters
from ..core.text.printable import printable
from ..data.labels.labels import camera_topic

NODE = '/classifier'
"""Full name of the node unless it is started with another."""


def deployment(params_file: Optional[str] = None, changes: Sequence[str] = (), node: str = NODE,
               tell: Callable[[str], None] = lambda sentence: None) -> ClassifierConfig:
    """Defaults, then what the file has for the node, then the changes.

    Parameters of the file that are none of the classifier's own (``use_sim_time``, ``qos_overrides``) are passed over,
    as the node does; those that no node has are told.

    Args:
        node: full name of the node that the file is read for.
        tell: takes a sentence for the user.

    Raises:
        ConfigError: the file or a change cannot be used.
    """
    known = {flat.name: flat for flat in flat_options()}
    config = ClassifierConfig()
    if params_file:
        given = read_parameters(params_file, '/' + node.strip('/'))
        for name in given:
            if name not in known and not is_of_ros(name):
                tell(f'{printable(params_file)}: {printable(name)}: the node has no such parameter and passes it over; '
                     f'{did_you_mean(name, known)}')
        try:
            config = with_values(config, {name: value for name, value in given.items() if name in known})
        except ConfigError as error:
            raise ConfigError(f'{printable(params_file)}: {error}') from error
    values: Dict[str, Any] = {}
    for text in changes:
        name, equals, value = text.partition('=')
        if not equals or name not in known:
            raise ConfigError(f'--set {printable(text)!r}: '
                              + (did_you_mean(name, known) if equals else 'expected NAME=VALUE'))
        values[name] = _parsed(value, known[name].default)
    return with_values(config, values)


def unseen(config: ClassifierConfig, node: str, images: Iterable[str]) -> str:
    """A sentence where the node under ``config`` would subscribe to none of the image topics; else an empty text.

    Names are those without remapping, of which a parameter file says nothing: the default says nothing either.

    Args:
        node: its full name; topics that do not begin with a slash are of its namespace.
        images: image topics of the bags, in whatever transport.
    """
    if config.image_topics == ClassifierConfig().image_topics:
        return ''
    space = '/' + node.strip('/').rpartition('/')[0]
    wanted = {camera_topic(name if name.startswith('/') else f'{space.rstrip("/")}/{name}')
              for name in config.image_topics if not name.startswith('~')}
    there = {camera_topic('/' + name.lstrip('/')) for name in images}
    if not wanted or wanted & there:
        return ''
    return ('image_topics: the node under these parameters would not see these bags: it would subscribe to '
            f'{printable(", ".join(sorted(wanted)))}, and in them there is '
            f'{printable(", ".join(sorted(there)), 300)}; they are judged all the same')


def _parsed(text: str, default: Any) -> Any:
    """A value of the type of its default where the text can be one; what cannot is refused by the config."""
    if isinstance(default, str):
        return text
    try:
        return parameter_value(text)
    except ConfigError:
        return text
