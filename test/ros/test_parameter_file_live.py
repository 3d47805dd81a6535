"""Decisions of a live node and of `evaluate` under the same parameter files, frame by frame, over real DDS."""
import csv

import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')
pytest.importorskip('vision_msgs.msg', reason='vision_msgs is not installed')

from evaluation_samples import labelled_bag, small_model  # noqa: E402
from node_harness import RELIABLE, NodeProcess, Peer, PreloadedChildren, environment  # noqa: E402
from rcl_interfaces.srv import GetParameters  # noqa: E402
from rclpy.parameter import parameter_value_to_python  # noqa: E402
from sensor_msgs.msg import Image  # noqa: E402
from vision_msgs.msg import Classification  # noqa: E402

from robot_vision_dl.cli.main import main  # noqa: E402
from robot_vision_dl.core.config import ClassifierConfig, flat_options  # noqa: E402
from robot_vision_dl.data.bags.reader import open_bags  # noqa: E402
from robot_vision_dl.evaluation.deployment import deployment  # noqa: E402

ROBOT = """
classifier:
  ros__parameters: {decision: {abstain_cost: 0.65, false_unknown_rate: 0.0}}
/front/classifier:
  ros__parameters: {decision: {abstain_cost: 0.9}, fusion.enabled: off}
person_detector:
  ros__parameters: {top_k: 1, decision: {false_unknown_rate: 0.9}, model: /none}
"""
FILES = {  # name: (namespace of the node, file)
    'of several nodes': ('', ROBOT),
    'of several nodes, in a namespace': ('/front', ROBOT),
    'exponents and whole numbers': ('', '/**:\n  ros__parameters:\n'
                                        '    decision: {false_unknown_rate: 1e-3, abstain_cost: 1}\n'
                                        '    fusion: {correlation_time_s: 2, change_time_s: 010}\n'),
    'nested namespaces': ('/robot/front', '/robot:\n  front:\n    classifier:\n      ros__parameters:\n'
                                          '        decision.abstain_cost: 0.68\n        fusion.enabled: No\n'),
    'a later wildcard wins': ('/front', '/front/classifier:\n  ros__parameters: {decision.abstain_cost: 0.1}\n'
                                        '/*/classifier:\n  ros__parameters: {decision.abstain_cost: 0.7}\n'),
    'a later name wins': ('/front', '/**:\n  ros__parameters: {decision.abstain_cost: 0.7, fusion.enabled: false}\n'
                                    '/front/*:\n  ros__parameters: {decision: {abstain_cost: 0.05}}\n'),
    'a wildcard that is for others': ('/a/b', '/*/classifier:\n  ros__parameters: {decision.abstain_cost: 0.0}\n'
                                              '/a/**/classifier:\n  ros__parameters: {decision.abstain_cost: 0.66}\n'),
    'wildcards within': ('/a/b/c', '/a/*/c/classifier:\n  ros__parameters: {fusion.change_time_s: 0.5}\n'
                                   '/**/c/*:\n  ros__parameters: {decision: {abstain_cost: 0.62, hysteresis: 0}}\n'),
    'two spellings': ('', '/:\n  classifier:\n    ros__parameters: {fusion.enabled: true, decision.abstain_cost: 0.3}\n'
                          'classifier:\n  ros__parameters:\n'
                          '    decision: {abstain_cost: 0.69, false_unknown_rate: 0.5}\n'),
    'quoted, tagged, not ours': ('', '"/**":\n  ros__parameters:\n    use_sim_time: false\n    device: !!str cpu\n'
                                     '    precision: "float32"\n    regions_of_interest: "40x40+4+4"\n'
                                     '    decision: {false_unknown_rate: +.2, abstain_cost: .5e0}\n'),
}


def play(frames, namespace, arguments, children, peer, log):
    """(parameters as the node tells them, decisions) of a node that is shown a frame when the one before is decided."""
    heard = peer.listen(Classification, f'{namespace}/classifier/camera/decision', RELIABLE)
    process = NodeProcess(children, log, 'run', *arguments, *(['--namespace', namespace] if namespace else []))
    camera = peer.publisher(Image, '/camera/image_raw', RELIABLE)
    peer.wait(lambda: peer.node.count_publishers(f'{namespace}/classifier/camera/decision'), 'decisions')
    names = [flat.name for flat in flat_options(ClassifierConfig)]
    answer = peer.call(GetParameters, f'{namespace}/classifier/get_parameters', GetParameters.Request(names=names))
    for count, cdr in enumerate(frames, 1):
        camera.publish(cdr)
        peer.wait(lambda count=count: len(heard) >= count, f'decision {count}')
    assert process.alive
    peer.node.destroy_publisher(camera)
    values = {name: parameter_value_to_python(value) for name, value in zip(names, answer.values)}
    return values, [(message.results[0].class_id, message.results[0].score) for message in heard]


@pytest.mark.slow
def test_decisions_live_and_offline_are_equal(ros_domain, tmp_path):
    bag = labelled_bag(tmp_path / 'bag', 36)
    model = str(small_model(tmp_path / 'model'))
    reader, = open_bags([str(bag)])
    with reader:
        frames = [message.cdr for message in reader.messages(['/camera/image_raw'])]
    peer = Peer(ros_domain)
    seen = {}
    try:
        for number, (name, (namespace, text)) in enumerate(FILES.items()):
            path, out = tmp_path / f'{number}.yaml', tmp_path / f'report{number}'
            path.write_text(text)
            with PreloadedChildren(environment(ros_domain)) as children:
                values, live = play(frames, namespace, [
                    '--model', model, '--image', '/camera/image_raw', '--params-file', str(path)], children, peer,
                    tmp_path / f'{number}.log')
            node = f'{namespace}/classifier'
            config = deployment(str(path), [f'model={model}', 'image_topics=["/camera/image_raw"]'], node)
            for flat in flat_options(ClassifierConfig):
                ours = config
                for part in flat.name.split('.'):
                    ours = getattr(ours, part)
                value = values[flat.name]
                assert (tuple(value) if isinstance(value, list) else value) == ours, (name, flat.name)
            assert main(['evaluate', str(bag), '--model', model, '--labels', 'none', '--params-file', str(path),
                         '--node', node, '--out', str(out)]) == 0
            with open(out / 'frames.csv', encoding='utf-8', newline='') as file:
                rows = list(csv.DictReader(file))
            assert [row['decision'] for row in rows] == [label for label, _ in live], name
            assert [float(row['trust']) for row in rows] == pytest.approx([score for _, score in live], abs=1e-4), name
            seen[name] = tuple(label for label, _ in live)
    finally:
        peer.close()
    assert len(set(seen.values())) >= 5, seen  # the files do make a difference
