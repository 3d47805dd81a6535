"""The RViz and Foxglove files show what the node publishes, and nothing else."""
import importlib
import json
import re
from pathlib import Path

import numpy as np
import pytest
import yaml
from dds_domain import locked_domain

from robot_vision_dl.core import types
from robot_vision_dl.core.runtime.engine_thread import Timing
from robot_vision_dl.ros import messages

CONFIG = Path(__file__).resolve().parents[1] / 'config'
LAYOUT = json.loads((CONFIG / 'foxglove_layout.json').read_text())
RVIZ = yaml.safe_load((CONFIG / 'robot_vision.rviz').read_text())
PANELS = LAYOUT['configById']
# A message path of Foxglove: topic, then fields with indices, slices and filters.
PATH = re.compile(r'(?P<topic>(?:/\w+)+)(?P<fields>(?:\.\w+(?:\[[\d:]+\])?(?:\{\w+=="\w+"\})?)*)')


@pytest.fixture(scope='module')
def published(ros_domain):
    """Topic -> type of everything that the real node publishes with the names of its defaults."""
    import rclpy

    from robot_vision_dl.ros.camera import CameraOutput
    from robot_vision_dl.ros.classifier_node import ClassifierNode
    # Services of a lifecycle node stay as long as the process: not in the domain in which other tests look for them.
    with locked_domain() as domain:
        assert domain != ros_domain
        context = rclpy.Context()
        rclpy.init(args=[], context=context, domain_id=domain)
        try:
            node = ClassifierNode(context=context)
            CameraOutput(node, node.config.cameras[0])
            found = dict(node.get_publisher_names_and_types_by_node(node.get_name(), node.get_namespace()))
            node.destroy_node()
            return {topic: kinds[0] for topic, kinds in found.items()}
        finally:
            context.try_shutdown()


def message_paths():
    """Every message path or topic in the layout, with its panel."""
    for name, panel in PANELS.items():
        for series in panel.get('paths', []):
            yield name, series['value']
        for key in ('topicPath', 'topicToRender', 'path'):
            if key in panel:
                yield name, panel[key]
        if 'imageMode' in panel:
            yield name, panel['imageMode']['imageTopic']


def leaves(node):
    """Panels of a (part of a) mosaic."""
    return [node] if isinstance(node, str) else leaves(node['first']) + leaves(node['second'])


def type_at(kind, fields):
    """Type of the value that a path's fields lead to, e.g. ``double``."""
    for field in re.findall(r'\.(\w+)', re.sub(r'\{.*?\}', '', fields)):
        package, *_, name = kind.split('/')
        known = getattr(importlib.import_module(f'{package}.msg'), name).get_fields_and_field_types()
        assert field in known, f'{kind} has no field {field}, only {", ".join(known)}'
        kind = re.sub(r'^sequence<(.+)>$', r'\1', known[field])
    return kind


def test_layout_is_a_whole_mosaic():
    assert sorted(leaves(LAYOUT['layout'])) == sorted(PANELS)

    def check(node):
        if not isinstance(node, str):
            assert node['direction'] in ('row', 'column') and 0 < node['splitPercentage'] < 100
            check(node['first'])
            check(node['second'])
    check(LAYOUT['layout'])
    assert {name.partition('!')[0] for name in PANELS} == {
        'Image', 'StateTransitions', 'Plot', 'Indicator', 'RawMessages', 'DiagnosticStatusPanel', 'DiagnosticSummary'}


def test_layout_names_only_what_the_node_publishes(published):
    paths = list(message_paths())
    assert len(paths) > 10
    for panel, path in paths:
        match = PATH.fullmatch(path)
        assert match, f'{panel}: {path}'
        assert match['topic'] in published, f'{panel}: {match["topic"]} is not among {sorted(published)}'
        leaf = type_at(published[match['topic']], match['fields'])
        if panel.startswith(('Plot', 'StateTransitions', 'Indicator')):
            # A plot takes numbers, and strings that are numbers.
            assert leaf in ('double', 'octet', 'string'), f'{panel}: {path} is of type {leaf}'
        elif panel.startswith('Diagnostic'):
            assert leaf == 'diagnostic_msgs/msg/DiagnosticArray'
        elif panel.startswith('Image'):
            assert leaf == 'sensor_msgs/msg/CompressedImage'


def result(outcome):
    """A result in which everything optional is there."""
    header = types.Header(1, 'camera')
    frame = types.Frame('camera', header, types.Picture(np.zeros((2, 2), np.uint8), types.ColorOrder.MONO), 'mono8')
    probabilities = np.array([0.75, 0.25], np.float32)
    assessment = types.Assessment(np.zeros(2, np.float32), probabilities, 0.5, 0.25, 0.25,
                                  types.OodResult('energy', 1.0, 0.5), (0,), False)
    decision = types.Decision(outcome, 'cup', 0.75, 'cup .75', 0)
    stages = {'preprocess': 1.0, 'forward': 2.0, 'uncertainty': 0.5, 'decide': 0.25}
    return types.Result(frame, assessment, probabilities, decision, ('cup', 'mug'), (0, 0, 48, 64), stages)


def test_layout_plots_values_that_are_there_and_are_numbers():
    timing = Timing(decided_s=1.0, age_ms=3.0, decode_ms=0.5, batch_size=1, stage_ms={})
    values = {pair.key: pair.value for pair in messages.uncertainty(
        result(types.Outcome.ACCEPTED), '/classifier', timing).status[0].values}
    keys = [key for panel, path in message_paths() if panel.startswith('Plot')
            for key in re.findall(r'key=="(\w+)"', path)]
    assert len(keys) > 4
    for key in keys:
        assert np.isfinite(float(values[key])), key


def test_indicator_tells_the_outcomes_by_their_levels():
    [panel] = [panel for name, panel in PANELS.items() if name.startswith('Indicator')]
    timing = Timing(decided_s=1.0, age_ms=3.0, decode_ms=0.5, batch_size=1, stage_ms={})
    levels = {}
    for outcome in types.Outcome:
        level = messages.uncertainty(result(outcome), '/classifier', timing).status[0].level
        levels[str(level[0] if isinstance(level, bytes) else level)] = outcome.value
    assert {rule['rawValue']: rule['label'] for rule in panel['rules']} == levels
    assert all(rule['operator'] == '=' for rule in panel['rules'])


def test_status_panel_selects_the_camera_of_the_default():
    [panel] = [panel for name, panel in PANELS.items() if name.startswith('DiagnosticStatusPanel')]
    timing = Timing(decided_s=1.0, age_ms=3.0, decode_ms=0.5, batch_size=1, stage_ms={})
    message = messages.uncertainty(result(types.Outcome.UNKNOWN), '/classifier', timing)
    assert panel['selectedHardwareId'] == message.status[0].hardware_id


def test_rviz_shows_the_overlay_that_the_node_publishes(published):
    displays = RVIZ['Visualization Manager']['Displays']
    topics = [display['Topic'] for display in displays]
    assert [topic['Value'] for topic in topics] == ['/classifier/camera/overlay']
    for display in displays:
        assert published[display['Topic']['Value']] == 'sensor_msgs/msg/Image'
        assert display['Class'] == 'rviz_default_plugins/Image'
        # Compatible with any publisher, and never behind.
        assert display['Topic']['Reliability Policy'] == 'Best Effort'
        assert display['Topic']['Durability Policy'] == 'Volatile' and display['Topic']['Depth'] == 1
