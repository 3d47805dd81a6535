"""Over DDS: the model that was accepted last runs, whatever was being loaded in between."""
import itertools
import shutil

import numpy as np
import pytest
import torch

pytest.importorskip('rclpy', reason='rclpy is not installed')
pytest.importorskip('vision_msgs.msg', reason='vision_msgs is not installed')

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus  # noqa: E402
from fake_gpu import LOST, FakeGpu  # noqa: E402
from lifecycle_msgs.msg import Transition  # noqa: E402
from lifecycle_msgs.srv import ChangeState  # noqa: E402
from node_harness import BEST_EFFORT, NodeProcess, Peer, PreloadedChildren, environment, raw_image, small_bundle  # noqa: E402
from rcl_interfaces.msg import Parameter, ParameterValue  # noqa: E402
from rcl_interfaces.srv import GetParameters, SetParameters  # noqa: E402
from rclpy.qos import DurabilityPolicy, QoSProfile  # noqa: E402
from sensor_msgs.msg import Image  # noqa: E402
from vision_msgs.msg import Classification, LabelInfo  # noqa: E402

from robot_vision_dl.core.config import ClassifierConfig  # noqa: E402
from robot_vision_dl.core.runtime import gpu_path  # noqa: E402
from robot_vision_dl.core.runtime.gpu_path import ChosenGpu, GpuPath  # noqa: E402
from robot_vision_dl.core.runtime.pipeline import Pipeline  # noqa: E402
from robot_vision_dl.core.types import ColorOrder, Frame, Header, Picture  # noqa: E402
from robot_vision_dl.ros.diagnostics import model_status  # noqa: E402

SECOND = 1_000_000_000
SLOW = 'ensemble:' + ','.join(['squeezenet1_1_imagenet'] * 32)  # takes seconds to load
FIRST, SECOND_CLASSES = ['cup', 'mug', 'bowl'], ['left', 'right']
DEACTIVATE, CLEANUP, CONFIGURE, ACTIVATE = (
    Transition.TRANSITION_DEACTIVATE, Transition.TRANSITION_CLEANUP, Transition.TRANSITION_CONFIGURE,
    Transition.TRANSITION_ACTIVATE)


class Deployment:
    """A classifier with the model ``first``, and what it says."""

    def __init__(self, children, domain, folder):
        self.first = str(small_bundle(folder / 'first'))
        self.second = str(small_bundle(folder / 'second', SECOND_CLASSES, seed=1))
        self.peer = Peer(domain)
        self.node = NodeProcess(children, folder / 'node.log', 'run', '--model', self.first, '--image', '/cam',
                                '--device', 'cpu')
        self.labels = self.peer.listen(LabelInfo, '/classifier/label_info',
                                       QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL))
        self.reports = self.peer.listen(DiagnosticArray, '/diagnostics')
        self.decisions = self.peer.listen(Classification, '/classifier/camera/decision')
        self.peer.wait(lambda: self.labels and self.reports, 'the node')
        self._stamps = itertools.count(SECOND, SECOND // 10)
        self.images = self.peer.publisher(Image, '/cam', BEST_EFFORT)

    def set(self, name, value):
        kind = {'type': 4, 'string_value': value} if isinstance(value, str) else {'type': 3, 'double_value': value}
        return self.peer.call(SetParameters, '/classifier/set_parameters', SetParameters.Request(
            parameters=[Parameter(name=name, value=ParameterValue(**kind))])).results[0]

    def change(self, *transitions):
        for transition in transitions:
            assert self.peer.call(ChangeState, '/classifier/change_state',
                                  ChangeState.Request(transition=Transition(id=transition))).success

    def report(self):
        """The values of the model's status in a report that comes from now on."""
        self.reports.clear()
        self.peer.wait(lambda: self.reports, 'a report')
        status = next(one for one in self.reports[-1].status if one.name.endswith(': model'))
        return {**{item.key: item.value for item in status.values}, 'text': status.message}

    def when_settled(self):
        """The same, once nothing is being loaded any more."""
        while True:
            report = self.report()
            if 'loading' not in report:
                return report

    def is_running(self, model):
        """It is what the parameter says, what reports say, and what decides."""
        name = model.rsplit('/', 1)[-1]
        report = self.when_settled()
        running = self.peer.call(GetParameters, '/classifier/get_parameters', GetParameters.Request(names=['model']))
        assert running.values[0].string_value == model
        assert report['model'] == name and 'wanted_model' not in report, report
        classes = SECOND_CLASSES if name == 'second' else FIRST
        assert [one.class_name for one in self.labels[-1].class_map] == classes
        self.decisions.clear()
        self.peer.wait(lambda: self.images.publish(raw_image(next(self._stamps))) or len(self.decisions) > 2,
                       'decisions')
        assert self.decisions[-1].results[0].class_id in (*classes, 'uncertain', 'unknown')


@pytest.fixture
def deployment(ros_domain, tmp_path):
    with PreloadedChildren(environment(ros_domain)) as children:
        one = Deployment(children, ros_domain, tmp_path)
        yield one
        assert one.node.alive and 'Traceback' not in one.node.log
        one.peer.close()


def test_the_running_model_is_wanted_again_while_another_is_loaded(deployment):
    assert deployment.set('model', SLOW).successful
    assert deployment.set('model', deployment.first).successful
    assert deployment.report()['loading'] == SLOW
    deployment.is_running(deployment.first)
    assert 'now running' not in deployment.node.log


@pytest.mark.slow
def test_a_third_model_is_wanted_while_another_is_loaded(deployment):
    assert deployment.set('model', SLOW).successful
    refused = deployment.set('model', '/no/such/bundle')
    assert not refused.successful and '/no/such/bundle' in refused.reason
    assert deployment.set('model', deployment.second).successful
    report = deployment.report()
    assert report['loading'] == SLOW and report['model'] == 'first' and report['wanted_model'] == deployment.second
    assert deployment.second in report['text']
    assert deployment.set('model', deployment.first).successful
    assert deployment.set('model', deployment.second).successful
    deployment.is_running(deployment.second)
    assert deployment.node.log.count('now running') == 1


@pytest.mark.parametrize('transitions', [
    (CONFIGURE, ACTIVATE), pytest.param((), marks=pytest.mark.slow),
    pytest.param((CONFIGURE,), marks=pytest.mark.slow)])
def test_a_load_from_before_a_cleanup_is_dropped(transitions, deployment):
    assert deployment.set('model', SLOW).successful
    deployment.change(DEACTIVATE, CLEANUP)
    assert deployment.set('model', deployment.second).successful
    deployment.change(*transitions)
    assert deployment.report()['loading'] == SLOW
    deployment.when_settled()
    deployment.change(*(CONFIGURE, ACTIVATE)[len(transitions):])
    deployment.is_running(deployment.second)
    assert 'now running' not in deployment.node.log


@pytest.mark.slow
def test_a_load_goes_on_over_a_deactivation_and_the_newest_wish_runs(deployment):
    assert deployment.set('model', SLOW).successful
    deployment.change(DEACTIVATE)
    assert deployment.set('model', deployment.second).successful
    deployment.when_settled()
    deployment.change(ACTIVATE)
    deployment.is_running(deployment.second)


@pytest.mark.slow
def test_a_bundle_that_was_replaced_in_its_place_is_loaded_when_it_is_set_again(deployment):
    shutil.rmtree(deployment.first)
    shutil.copytree(deployment.second, deployment.first)
    assert deployment.set('model', deployment.first).successful
    deployment.peer.wait(lambda: len(deployment.labels) == 2, 'the other classes')
    assert [one.class_name for one in deployment.labels[-1].class_map] == SECOND_CLASSES
    shutil.rmtree(deployment.first)
    refused = deployment.set('model', deployment.first)
    assert not refused.successful and 'first' in refused.reason
    assert deployment.set('model', deployment.second).successful
    deployment.is_running(deployment.second)


@pytest.mark.slow
def test_a_model_that_fails_leaves_what_runs_though_a_file_of_the_settings_has_gone(deployment, tmp_path):
    costs = tmp_path / 'costs.yaml'
    costs.write_text('costs: {cup: {mug: 7}}\n')
    assert deployment.set('decision.costs_file', str(costs)).successful
    costs.unlink()
    assert deployment.set('model', deployment.second).successful
    deployment.peer.wait(lambda: 'the old one stays' in deployment.node.log, 'the refusal')
    deployment.is_running(deployment.first)
    refused = deployment.set('decision.costs_file', str(costs))  # the value that it has, but it is read again
    assert not refused.successful and 'costs.yaml' in refused.reason


def test_a_setting_that_no_frame_came_after_is_in_force_after_the_next_activation(deployment):
    assert deployment.set('decision.abstain_cost', 0.0).successful
    deployment.is_running(deployment.first)
    assert deployment.decisions[-1].results[0].class_id == 'uncertain'  # nothing is certain enough
    for _ in range(2):
        deployment.report()  # a second at least: no frame is on its way any more
    assert deployment.set('decision.abstain_cost', 1.0).successful
    deployment.change(DEACTIVATE, ACTIVATE)
    deployment.is_running(deployment.first)
    assert deployment.decisions[-1].results[0].class_id in FIRST  # everything is


def test_a_report_says_what_is_wanted_where_it_does_not_run(tmp_path):
    first = str(small_bundle(tmp_path / 'first'))
    pipeline = Pipeline.load(ClassifierConfig(model=first, device='cpu'))

    def said(wanted, loading):
        status = model_status('/classifier', 'active', pipeline, ClassifierConfig(model=wanted, device='cpu'), loading)
        return {item.key: item.value for item in status.values}.get('wanted_model'), status.message, status.level
    assert said(first, '')[0] is None and 'wanted' not in said(first, SLOW)[1]
    assert said('b', 'b')[0] == 'b' and said('b', 'b')[1].endswith('wanted: b, which is being loaded')
    assert said('b', 'c')[1].endswith('wanted: b, which is loaded next')
    assert 'set it again' in said('b', '')[1] and said('b', '')[2] == DiagnosticStatus.WARN


def test_a_node_that_could_not_start_is_an_error_in_the_report():
    why = 'cannot configure: no model is called no_such'
    status = model_status('/classifier', 'unconfigured', None, ClassifierConfig(), '', why)
    assert status.level == DiagnosticStatus.ERROR and status.message == f'{why}; unconfigured'
    assert model_status('/classifier', 'unconfigured', None, ClassifierConfig(), '').level == DiagnosticStatus.OK


def test_a_gpu_that_failed_is_an_error_in_the_report(tmp_path, monkeypatch):
    """The driver of the GPU is a stand-in, all else is real; the CPU goes on."""
    driver, config = FakeGpu(), ClassifierConfig(model=str(small_bundle(tmp_path / 'first')), backend='torch')
    monkeypatch.setattr(gpu_path, 'chosen_gpu', lambda bundle, config, threads: ChosenGpu(
        torch.device('cpu'), '', GpuPath(bundle, bundle.load_network(), 'float32', 1, driver=driver)))
    pipeline = Pipeline.load(config)
    assert model_status('/classifier', 'active', pipeline, config, '').level != DiagnosticStatus.ERROR
    driver.failures = {'replay': [LOST]}
    picture = Picture(np.full((48, 64, 3), 90, np.uint8), ColorOrder.RGB)
    assert len(pipeline.process([Frame('camera', Header(10 ** 9, ''), picture, 'rgb8')])) == 1
    status = model_status('/classifier', 'active', pipeline, config, '')
    assert status.level == DiagnosticStatus.ERROR
    assert 'illegal memory access' in status.message and 'start the node again' in status.message
