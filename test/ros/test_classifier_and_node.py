"""The Python API decides as the node does: the same frames, one over DDS and one by a call."""
from functools import partial

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')
pytest.importorskip('vision_msgs.msg', reason='vision_msgs is not installed')

from diagnostic_msgs.msg import DiagnosticArray  # noqa: E402
from evaluation_samples import small_model  # noqa: E402
from labelled_samples import pattern  # noqa: E402
from node_harness import NodeProcess, PreloadedChildren, environment, raw_image  # noqa: E402
from sensor_msgs.msg import Image  # noqa: E402
from vision_msgs.msg import Classification  # noqa: E402

from robot_vision_dl import Classifier  # noqa: E402

SECOND = 1_000_000_000
STEP_NS = SECOND // 8
FRAMES = 24


def stamp_of(message):
    return message.header.stamp.sec * SECOND + message.header.stamp.nanosec


def test_a_sequence_is_decided_as_by_the_node(peer, ros_domain, tmp_path):
    model = small_model(tmp_path / 'model')
    frames = [pattern(seed) for seed in range(FRAMES)]
    # Without hysteresis, whose memory goes on after a gap: some frames more are sent before those that are compared.
    classifier = Classifier(model, device='cpu', threads=1, decision={'abstain_cost': 0.3, 'hysteresis': 0.0})
    sequence = classifier.sequence()
    with PreloadedChildren(environment(ros_domain)) as children:
        node = NodeProcess(
            children, tmp_path / 'node.log', 'run', '--image', '/cam', '--model', str(model), '--device', 'cpu',
            '--node-name', 'eye', '--ros-args', '-p', 'threads:=1', '-p', 'decision.abstain_cost:=0.3',
            '-p', 'decision.hysteresis:=0.0')
        decisions = peer.listen(Classification, '/eye/camera/decision')
        classifications = peer.listen(Classification, '/eye/camera/classification')
        uncertainties = peer.listen(DiagnosticArray, '/eye/camera/uncertainty')
        camera = peer.publisher(Image, '/cam')
        peer.wait(lambda: all(peer.node.count_publishers(f'/eye/camera/{name}') for name in (
            'decision', 'classification', 'uncertainty')), 'the topics of the node')

        def said_of(stamp_ns):
            found = [[each for each in heard if stamp_of(each) == stamp_ns]
                     for heard in (decisions, classifications, uncertainties)]
            return [each[0] for each in found] if all(found) else None

        def publish(stamp_ns, pixels):
            camera.publish(raw_image(stamp_ns, data=np.ascontiguousarray(pixels).reshape(-1), height=48, width=64))

        def heard_early():
            publish(SECOND, frames[0])
            peer.listen_for(0.3)
            return said_of(SECOND)

        # The two ends of a topic do not learn of each other at once.
        peer.wait(heard_early, 'the first decision')
        seen = set()
        for index, pixels in enumerate(frames):
            stamp_ns = 100 * SECOND + index * STEP_NS
            publish(stamp_ns, pixels)
            decision, classification, uncertainty = peer.wait(partial(said_of, stamp_ns), f'frame {index}')
            ours = sequence(pixels, stamp_ns * 1e-9, color='bgr')
            assert [(result.class_id, result.score) for result in decision.results] == [(ours.label, ours.confidence)]
            assert [(result.class_id, result.score) for result in classification.results] == list(ours.top)
            status = uncertainty.status[0]
            assert status.message == f'{ours.decision.value}: {ours.why}'
            values = {item.key: item.value for item in status.values}
            assert values['ood_p_value'] == f'{ours.ood_p_value:.6g}'
            assert values['predictive_entropy'] == f'{ours.entropy:.6g}'
            assert values['conformal_set'] == ', '.join(ours.conformal_set)
            seen.add(ours.decision.value)
        assert node.alive
    assert seen == {'accepted', 'uncertain', 'unknown'}
