"""Topics and services of the nodes: names, types and QoS from the calls that make them, content from here.

The sources are read as text, so that neither rclpy nor message packages need be installed. A call that
:data:`CONTENT` does not know, or an entry without a call, is an error: nothing is left out, and nothing is invented.
"""
import ast
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, Iterator, List, Tuple

import robot_vision_dl

from .markdown import code, definition

ROS = Path(robot_vision_dl.__file__).parent / 'ros'
NODES = {
    'classifier': ('classifier_node', ('camera.py', 'classifier_node.py', 'prior.py')),
    'classifier with detections': ('classifier_node', ('object_output.py', 'detection_pairs.py')),
    'detector': ('detector_node', ('camera.py:CameraInput', 'detector_node.py')),
    'action_gate': ('action_gate_node', ('action_gate_node.py',)),
    'trainer': ('trainer_node', ('trainer_node.py',)),
    'player': ('`robot-vision play`', ('player.py',)),
}
CALLS = {'create_publisher': 'publishes', 'create_output': 'publishes', 'create_subscription': 'subscribes to',
         'create_client': 'calls', 'create_service': 'offers'}


@dataclass(frozen=True)
class Endpoint:
    """One topic or service of a node.

    Attributes:
        node: whose it is.
        how: publishes, subscribes to, calls or offers.
        name: as it is written, placeholders as ``<...>``.
        type: ``package/Type``, or an expression of the source.
        qos: in words; empty for services.
    """

    node: str
    how: str
    name: str
    type: str
    qos: str


# (node, name in the source) -> (name, type: empty where the source has it, content)
CONTENT: Dict[Tuple[str, str], Tuple[str, str, str]] = {
    ('classifier', '<name>'): (
        'each of `image_topics`, with the suffix of `image_transport`',
        'sensor_msgs/Image, sensor_msgs/CompressedImage',
        'pictures: `Image` in every encoding of sensor_msgs where `image_transport` is `raw`, else `CompressedImage` '
        '(JPEG, PNG, compressedDepth)'),
    ('classifier', '<self.topic>'): (
        '~/<camera>/prior', '', 'what a map or another sensor expects to be seen: probabilities of some classes or of '
        'all; the others share the rest. Holds until the next one, also for another model that has these classes; one '
        'without results takes everything back. Cameras of a group share it'),
    ('classifier', '~/<camera>/decision'): (
        '', '', '**what an action node reads**: one result, a class name, `uncertain` or `unknown`, with its '
        'probability'),
    ('classifier', '~/<camera>/classification'): (
        '', '', 'calibrated probabilities of this frame alone, best first, `top_k` of them'),
    ('classifier', '~/<camera>/uncertainty'): (
        '', '', 'why: level OK accepted, WARN uncertain, ERROR unknown, and the values below'),
    ('classifier', '~/<camera>/overlay'): (
        '', '', 'the picture with decision and trust drawn in; made only while somebody subscribes'),
    ('classifier', '~/<camera>/overlay/compressed'): ('', '', 'the same as JPEG'),
    ('classifier', '~/label_info'): ('', '', 'class table of the model, anew when the model changes'),
    ('classifier', '/diagnostics'): (
        '', '', 'once a second: for the node its state, model, device, memory and what its calibration cannot promise; '
        'for each camera rates, where each frame went, age and stage times'),
    ('classifier with detections', '<topic>'): (
        'each of `detection_topics`', '', 'what a detector found in the pictures of each camera: boxes in pixels of '
        'the picture, with the stamp of the picture that they were found in'),
    ('classifier with detections', '~/<camera>/detections'): (
        '', '', '**what an action node reads**, in the place of `~/<camera>/decision`: the array as it came, same '
        'header, order, count and boxes, with our decision as `results[0]` of each object, the hypotheses of the '
        "detector behind it, and in an `id` that was empty the name of the object's track"),
    ('classifier with detections', '~/<camera>/uncertainty'): (
        '', '', 'why, a status an object in the same order; in the place of the one of a whole picture'),
    ('detector', '<name>'): (
        '`image_topic`, with the suffix of `image_transport`', 'sensor_msgs/Image, sensor_msgs/CompressedImage',
        'pictures, as the classifier takes them'),
    ('detector', '~/detections'): (
        '', '', 'what was found in each picture, with its header: boxes in its pixels, a class and a score each; empty '
        'where nothing was found'),
    ('detector', '/diagnostics'): ('', '', 'once a second: where each image went, and how long the last one took'),
    ('action_gate', '<config.decision_topic>'): (
        '`decision_topic`', '', 'decisions to act on, unless `detections_topic` is given'),
    ('action_gate', '<config.detections_topic>'): (
        '`detections_topic`', '', 'decisions about objects, of which the one that `object` names is acted on'),
    ('action_gate', '<self._classes_topic>'): (
        '`label_info_topic`, or `label_info` of the node that decides', '', 'classes of the model, which the labels of '
        'the table must be'),
    ('action_gate', '~/action'): ('', '', 'name of the action, when it changes'),
    ('action_gate', 'cmd_vel'): ('', '', 'velocity of the action, `rate_hz` times a second, where the table gives one'),
    ('action_gate', '<action.trigger>'): ('`trigger` of an action', '', 'called when the action begins'),
    ('trainer', '~/progress'): ('', '', 'how far the run is: state, epoch, step, seconds left, loss, accuracy'),
    ('trainer', '/diagnostics'): ('', '', 'the same, once a second'),
    ('player', '<target>'): (
        'each topic of the bag, or what `--remap` names', 'as recorded', 'its messages at their time; latched topics '
        'and `/tf_static` are transient local'),
    ('player', '<CLOCK_TOPIC>'): ('/clock', '', 'time of the bag, with `--clock`'),
}


def _qos_names() -> Dict[str, str]:
    """What the profiles of ``ros/qos.py`` are, in words."""
    profiles: Dict[str, str] = {}
    for node in ast.parse((ROS / 'qos.py').read_text(encoding='utf-8')).body:
        if not isinstance(node, ast.Assign):
            continue
        name = getattr(node.targets[0], 'id', '')
        if isinstance(node.value, ast.Name) and node.value.id in profiles:
            profiles[name] = profiles[node.value.id]
        if isinstance(node.value, ast.Call) and getattr(node.value.func, 'id', '') == 'QoSProfile':
            given = {word.arg: ast.unparse(word.value).rpartition('.')[2] for word in node.value.keywords}
            words = [given['reliability'].lower().replace('_', ' '), given['durability'].lower().replace('_', ' '),
                     f'depth {given["depth"]}']
            profiles[name] = ', '.join(words)
    return profiles


def _name(node: ast.expr) -> str:
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return ''.join(part.value if isinstance(part, ast.Constant) else f'<{ast.unparse(part.value)}>'
                       for part in node.values)
    return f'<{ast.unparse(node)}>'


def calls(path: Path, within: str = '') -> Iterator[Tuple[str, str, str, str]]:
    """(how, name, type, QoS) of each topic and service that a source, or one class in it, makes."""
    tree = ast.parse(path.read_text(encoding='utf-8'))
    packages = {alias.asname or alias.name: node.module.partition('.')[0] for node in ast.walk(tree)
                if isinstance(node, ast.ImportFrom) and (node.module or '').endswith(('.msg', '.srv'))
                for alias in node.names}
    profiles = _qos_names()
    defaults = {argument.arg: ast.unparse(value) for function in ast.walk(tree) if isinstance(function, ast.FunctionDef)
                for argument, value in zip(function.args.args[::-1], function.args.defaults[::-1])}
    within_class = (node for node in ast.walk(tree) if isinstance(node, ast.ClassDef) and node.name == within)
    for node in ast.walk(next(within_class) if within else tree):
        if not isinstance(node, ast.Call):
            continue
        called, arguments = getattr(node.func, 'attr', ''), node.args
        if isinstance(node.func, ast.Name):
            called, arguments = node.func.id, node.args[1:]  # the node comes first
        if called not in CALLS or ast.unparse(arguments[0]) == 'message_type' and ast.unparse(arguments[1]) == 'topic':
            continue  # of the helper itself what calls it is listed
        kind = ast.unparse(arguments[0])
        kind = f'{packages[kind]}/{kind}' if kind in packages else kind
        texts = [defaults.get(text, text) for text in map(ast.unparse, arguments[2:])]
        named = [profiles[text.rpartition('.')[2]] for text in texts if text.rpartition('.')[2] in profiles]
        depth = [f'reliable, volatile, depth {text}' for text in texts if text.isdigit()]
        service = called in ('create_client', 'create_service')
        qos = '' if service else (named + depth + ['reliable, or best effort with `--qos best_effort`'])[0]
        yield CALLS[called], _name(arguments[1]), kind, qos


def endpoints() -> List[Endpoint]:
    """All of all nodes.

    Raises:
        ValueError: :data:`CONTENT` and the sources do not agree.
    """
    found: List[Endpoint] = []
    seen = set()
    for node, (_, files) in NODES.items():
        for file in files:
            path, _, within = file.partition(':')
            for how, name, kind, qos in calls(ROS / path, within):
                if (node, name) not in CONTENT:
                    raise ValueError(f'{file}: {node} {how} {name}, which CONTENT of '
                                     'docs/_ext/reference_pages/topics.py does not explain')
                seen.add((node, name))
                shown, given, _ = CONTENT[node, name]
                found.append(Endpoint(node, how, shown or name, given or kind, qos))
    if set(CONTENT) - seen:
        raise ValueError('docs/_ext/reference_pages/topics.py explains what no node has: '
                         f'{sorted(set(CONTENT) - seen)}')
    return found


def topics() -> str:
    """A section a node."""
    contents = {(node, shown or name): text for (node, name), (shown, _, text) in CONTENT.items()}
    order = list(contents)
    text = []
    for node, (executable, _) in NODES.items():
        text.append(f'## {node}\n\n' + (f'Executable `{executable}`.' if not executable.startswith('`') else
                                        f'Started by {executable}.') + '\n')
        own = sorted((end for end in endpoints() if end.node == node), key=lambda end: order.index((node, end.name)))
        for how in ('subscribes to', 'publishes', 'calls', 'offers'):
            ends = [end for end in own if end.how == how]
            if ends:
                text.append(f'### {node} {how}\n')
            for end in ends:
                kinds = ' or '.join(code(kind) if '/' in kind else kind for kind in end.type.split(', '))
                text.append(definition(end.name if '`' in end.name else code(end.name),
                                       f'{kinds}; {end.qos}' if end.qos else kinds, contents[node, end.name]))
    return '\n'.join(text)

