"""Decisions -> actions, with hysteresis and a safe action for whenever the robot should not act."""
import re
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Dict, Mapping, Optional, Sequence, Tuple

from ..config import check_values, option
from ..errors import ConfigError
from ..suggestions import did_you_mean
from ..text.printable import printable
from ..text.yaml_text import read_yaml
from ..types import RESERVED_NAMES

FASTEST = 1000.0
"""Largest velocity of a table, m/s and rad/s: a larger one is a slip of the pen."""


_ROUNDING = 1e-5  # of probabilities that are float32


@dataclass(frozen=True)
class Action:
    """What to do.

    Attributes:
        name: published as text.
        linear_x, angular_z: velocity in m/s and rad/s to command while the action lasts; None: no velocity.
        trigger: name of a ``std_srvs/Trigger`` service that is called once when the action begins; '' for none.
    """

    name: str
    linear_x: Optional[float] = None
    angular_z: Optional[float] = None
    trigger: str = ''


@dataclass(frozen=True)
class ActionTable:
    """Which label asks for which action, and what to do otherwise."""

    safe: Action
    by_label: Mapping[str, Action]


@dataclass(frozen=True)
class ActionGateConfig:
    """Parameters of the action gate."""

    decision_topic: str = option('classifier/camera/decision', 'vision_msgs/Classification to act on',
                                 at_configure=True)
    detections_topic: str = option('', 'vision_msgs/Detection2DArray of the classifier to act on one object of, in the '
                                   'place of decision_topic; empty: none', at_configure=True)
    object: str = option('nearest', 'the object of detections_topic that is acted on: nearest, largest, or id:NAME')
    actions_file: str = option('', 'YAML table label -> action; empty: config/actions.yaml of the package',
                               at_configure=True)
    label_info_topic: str = option('', 'vision_msgs/LabelInfo with the classes of the model, which the labels of the '
                                   'table must be; empty: label_info of the node that decides', at_configure=True)
    unknown_labels: str = option('warn', 'where a label of the table is no class of the model: warn; stop: the safe '
                                 'action until the classes are known and the table fits', choices=('warn', 'stop'))
    begin_confidence: float = option(0.6, 'a label begins its action at this confidence', minimum=0.0, maximum=1.0)
    keep_confidence: float = option(0.4, 'and keeps it down to this one', minimum=0.0, maximum=1.0)
    minimum_time_s: float = option(0.3, 'a label must hold this long before its action begins', minimum=0.0,
                                   maximum=60.0)
    silence_s: float = option(0.5, 'no decision for this long leads to the safe action', minimum=0.01, maximum=60.0)
    max_age_s: float = option(0.0, 'a decision about a picture that is older by its stamp leads to the safe action, as '
                              'does one without a stamp; 0: however old it is', minimum=0.0, maximum=3600.0)
    rate_hz: float = option(20.0, 'how often the gate looks at the clock and commands a velocity', minimum=1.0,
                            maximum=1000.0, at_configure=True)

    def __post_init__(self) -> None:
        check_values(self)
        if self.object not in ('nearest', 'largest') and not re.fullmatch('id:.+', self.object):
            raise ConfigError(f'object: must be nearest, largest or id:NAME, got {printable(repr(self.object), 100)}')
        if self.keep_confidence > self.begin_confidence:
            raise ConfigError(f'keep_confidence: must be at most begin_confidence ({self.begin_confidence:g}), '
                              f'got {self.keep_confidence:g}')


def load_actions(path: Path) -> ActionTable:
    """Read a table: ``safe: <action>`` and ``labels: {<label>: <action>}``, an action being a name or a mapping.

    Raises:
        ConfigError: the file cannot be read or has an entry that makes no sense.
    """
    where = f'action table {printable(path)!r}'
    try:
        content = read_yaml(path)
    except ConfigError as error:
        raise ConfigError(f'action table {error}') from error
    if not isinstance(content, dict) or set(content) != {'safe', 'labels'} or not isinstance(content['labels'], dict):
        raise ConfigError(f'{where} must have the two keys safe and labels')
    labels: Dict[str, Action] = {}
    for label, entry in content['labels'].items():
        if label.lower() in RESERVED_NAMES:
            raise ConfigError(f'{where}: {label!r} always leads to the safe action; remove it')
        labels[label] = _action(entry, f'{where}: labels: {printable(label)}')
    return ActionTable(_action(content['safe'], f'{where}: safe'), labels)


def _action(entry: Any, where: str) -> Action:
    if isinstance(entry, str) and entry:
        return Action(entry)
    keys = [f.name for f in fields(Action)]
    if not isinstance(entry, dict) or 'name' not in entry or set(entry) - set(keys):
        raise ConfigError(f'{where}: expected a name or the keys {", ".join(keys)}; got {printable(repr(entry))}')
    for key in ('name', 'trigger'):
        if key in entry and (not isinstance(entry[key], str) or not entry[key]):
            raise ConfigError(f'{where}: {key} must be a text, in quotes where it looks like something else; got '
                              f'{printable(repr(entry[key]))}')
    for key in ('linear_x', 'angular_z'):
        if key in entry and (type(entry[key]) not in (int, float) or not abs(entry[key]) <= FASTEST):
            raise ConfigError(f'{where}: {key}: a velocity must be a number in -{FASTEST:g}..{FASTEST:g}, got '
                              f'{printable(repr(entry[key]))}')
    return Action(**entry)


class ActionGate:
    """State of the gate. Times are seconds of any steady clock.

    Anything but a clear, lasting label (``unknown``, ``uncertain``, a label without an action, too little confidence,
    nothing there, silence) leads to the safe action at once; only the way back takes time. Where there are objects, the
    label must last for one and the same: with another one, the time begins anew.

    Attributes:
        knows_classes: whether the table has been compared with the classes of the model.
    """

    def __init__(self, table: ActionTable, config: ActionGateConfig) -> None:
        self.config = config
        self._table = table
        self._label: Optional[str] = None
        self._object: Optional[str] = ''
        self._nothing = ''
        self._since_s = 0.0
        self._heard_s = float('-inf')
        self._active = False
        self._unknown: Tuple[str, ...] = ()
        self.knows_classes = False

    def know(self, class_names: Sequence[str]) -> str:
        """Compare the table with the classes of the model, which may be told as names or as numbers.

        Returns:
            A sentence about labels that the model never says, or an empty text.
        """
        self.knows_classes = True
        known = {*class_names, *map(str, range(len(class_names)))}
        self._unknown = tuple(label for label in self._table.by_label if label not in known)
        if not self._unknown:
            return ''
        told = ', '.join(f'{printable(label)!r} ({did_you_mean(label, class_names)})' for label in self._unknown[:3])
        more = f' and {len(self._unknown) - 3} more' if len(self._unknown) > 3 else ''
        then = ('the safe action is taken until the table fits' if self.config.unknown_labels == 'stop'
                else 'they never begin an action')
        return f'no class of the model is called {told}{more}, as the action table has it; {then}'

    @property
    def acted_on(self) -> str:
        """Id of the object that the action is about; empty while the safe action is taken, or where there are none."""
        return self._object or '' if self._active else ''

    def hear(self, label: str, confidence: float, now_s: float, of_object: Optional[str] = '',
             age_s: Optional[float] = None) -> None:
        """Take in a decision.

        Args:
            label: class name, ``unknown`` or ``uncertain``.
            confidence: its probability; what is none is too little.
            now_s: when it was heard.
            of_object: id of the object that it is about, empty for a whole picture; None: the object cannot be told
                from others, so that no label lasts.
            age_s: of the picture, by its stamp; None: it has none.
        """
        too_old = self._too_old(age_s)
        if too_old:
            self.hear_nothing(too_old, now_s)
            return
        silent_s = now_s - self._heard_s
        self._heard_s, self._nothing = now_s, ''
        if label != self._label or of_object is None or of_object != self._object or silent_s > self.config.silence_s:
            self._label, self._object, self._since_s, self._active = label, of_object, now_s, False
        needed = self.config.keep_confidence if self._active else self.config.begin_confidence
        if label not in self._table.by_label or not needed <= confidence <= 1 + _ROUNDING:
            self._active = False
            self._since_s = now_s
        elif now_s - self._since_s >= self.config.minimum_time_s:
            self._active = True

    def _too_old(self, age_s: Optional[float]) -> str:
        limit = self.config.max_age_s
        if not limit:
            return ''
        if age_s is None:
            return f'its picture has no stamp, so nobody knows that it is no older than {limit:g} s (max_age_s)'
        if age_s < -limit:
            return f'its picture is {-age_s:.1f} s ahead of the clock, which max_age_s needs: set the clocks'
        return '' if age_s <= limit else f'its picture is {age_s:.1f} s old, more than {limit:g} s (max_age_s)'

    def hear_nothing(self, reason: str, now_s: float) -> None:
        """Take in that there is nothing to act on, and why."""
        self._heard_s, self._nothing = now_s, reason
        self._active, self._label = False, None

    def action(self, now_s: float) -> Tuple[Action, str]:
        """What to do now, and why."""
        if self.config.unknown_labels == 'stop' and (self._unknown or not self.knows_classes):
            self._active, self._label = False, None
            return self._table.safe, ('the action table does not fit the model' if self._unknown else
                                      'the classes of the model are not known yet')
        silent_s = now_s - self._heard_s
        if silent_s > self.config.silence_s:
            self._active, self._label = False, None
            return self._table.safe, 'no decision heard'
        if self._nothing:
            return self._table.safe, self._nothing
        told = f'{self._label}' + (f' (object {self._object})' if self._object else '')
        if self._active and self._label is not None:
            return self._table.by_label[self._label], told
        if self._label not in self._table.by_label:
            return self._table.safe, f'{told} has no action'
        if self._object is None and self.config.minimum_time_s > 0:
            return self._table.safe, f'{told} lasts for no object: it has no id of its own'
        return self._table.safe, f'{told} is not sure or not long enough'
