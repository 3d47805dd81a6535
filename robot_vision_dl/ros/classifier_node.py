"""The classifier: a managed node from camera topics to decisions.

configure loads, verifies and warms the model; activate subscribes; deactivate stops and keeps the model; cleanup gives
it back. A model that is changed while the node runs is loaded beside the running one and swapped between two frames.
"""
import gc
import sys
import time
from functools import partial
from typing import Any, Dict, List, Optional, Tuple, Union

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from vision_msgs.msg import LabelInfo

from ..core.bundles.bundle import identity_of, is_changed
from ..core.bundles.bundle_search import check_source
from ..core.config import ClassifierConfig, with_values
from ..core.errors import BundleError
from ..core.networks.allocator import keep_freed_memory, return_freed_memory
from ..core.regions.results import ObjectResults
from ..core.runtime.engine import Engine
from ..core.runtime.engine_thread import Timing
from ..core.runtime.frame_counters import Account
from ..core.runtime.latest_load import LatestLoad
from ..core.runtime.object_engine import ObjectEngine, pairing_of
from ..core.runtime.object_pipeline import ObjectPipeline
from ..core.runtime.pipeline import Pipeline
from ..core.text.printable import printable
from ..core.types import Result
from . import messages, qos
from .camera import CameraInput, CameraOutput
from .compat import state_label
from .detection_health import DetectionHealth
from .detection_pairs import DetectionInput, DetectionPairs
from .diagnostics import CameraHealth, model_status
from .doubt_output import DoubtOutput
from .image_wait_set import ImageWaitSet
from .node_main import run_node
from .object_output import ObjectOutput
from .parameters import ConfigParameters
from .prior import PriorInput
from .spinning import reason_of
from .start import PrintableLogs
from .topic_watch import TopicWatch, watch_detections, watch_images

SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE
DROP_LOG_PERIOD_S, DOUBT_LOG_PERIOD_S = 5.0, 60.0
SETTLED_S = 2.0  # after a swap: by then a frame has come, and with it the end of the old model


class ClassifierNode(PrintableLogs, LifecycleNode):
    """See the module's docstring. Parameters are those of :class:`ClassifierConfig`."""

    def __init__(self, name: str = 'classifier', **node_arguments: Any) -> None:
        super().__init__(name, **node_arguments)
        self._pipeline: Optional[Pipeline] = None
        self._engine: Union[Engine, ObjectEngine, None] = None
        self._inputs: Dict[str, CameraInput] = {}
        self._detections: Dict[str, DetectionInput] = {}
        self._objects = ObjectPipeline(ClassifierConfig())  # names of tracks are not used twice while the node runs
        self._doubts: Optional[DoubtOutput] = None
        self._priors: List[PriorInput] = []
        self._outputs: Dict[str, Union[CameraOutput, ObjectOutput]] = {}
        self._health: List[Union[CameraHealth, DetectionHealth]] = []
        self._watches: Dict[Union[CameraHealth, DetectionHealth], TopicWatch] = {}
        # A model that was loaded takes over on the executor's thread, where parameters and transitions are.
        self._wake = self.create_guard_condition(self._on_loaded)
        self._loads: LatestLoad[Tuple[int, str, str], Pipeline] = LatestLoad(self._announce_loaded)
        self._configured = 0  # how often: what was wanted before a cleanup is not wanted after it
        self._reverting = False
        self._swapped_s = 0.0
        self._fault_said = ''
        self._failed = ''  # why the last transition was not made
        self._drop_logged: Dict[Tuple[str, str], List[float]] = {}
        self._config_parameters = ConfigParameters(
            self, ClassifierConfig, lambda: self._pipeline is not None, self._on_change, self._check_change)
        self._label_info = self.create_publisher(LabelInfo, '~/label_info', qos.LATCHED)
        self._diagnostics = self.create_publisher(DiagnosticArray, '/diagnostics', qos.RESULTS_OUT)
        # Wall time even under use_sim_time: a paused bag must not silence the diagnostics.
        self._timer = self.create_timer(1.0, self._report, clock=Clock(clock_type=ClockType.STEADY_TIME))

    @property
    def config(self) -> ClassifierConfig:
        """The parameters as they stand."""
        return self._config_parameters.config

    # Lifecycle. An exception here would end in error processing; a bad setting must leave the node where it was.

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load the model and offer the topics."""
        try:
            started = time.perf_counter()
            config = self._config_parameters.reread()
            self._pipeline = Pipeline.load(config)
            self._outputs = {camera: ObjectOutput(self, camera) if config.detection_topics else
                             CameraOutput(self, camera) for camera in config.cameras}
        except Exception as error:  # noqa: B902 - whatever it is, it is said, and the node keeps running
            self._release()
            self._failed = self._log_failure('cannot configure', error)
            return FAILURE
        self._failed = ''
        bundle = self._pipeline.bundle
        self._publish_label_info()
        self.get_logger().info(
            f'{bundle.name} ({len(bundle.class_names)} classes) is ready on {self._pipeline.device}, '
            f'{self._pipeline.precision}, {self._pipeline.backend.name}, after {time.perf_counter() - started:.1f} s')
        self._tell_backend(self._pipeline)
        for warning in self._pipeline.warnings:
            self.get_logger().warning(warning)
        # A full collection of garbage goes over all that torch has made, and the node stands still for a tenth of a
        # second. What is there now stays, so it need not be looked at again.
        gc.collect()
        gc.freeze()
        return super().on_configure(state)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Subscribe and start to decide."""
        try:
            config = self.config
            make = self._object_engine if config.detection_topics else self._image_engine
            engine = self._engine = make(config)
            self._doubts = DoubtOutput(
                self.get_fully_qualified_name(), config,
                {camera: source.topic for camera, source in self._inputs.items()},
                {camera: source.topic for camera, source in self._detections.items()})
            for camera, source in self._inputs.items():
                prior = PriorInput(
                    self, camera, lambda: engine.pipeline.bundle.class_names, partial(engine.expect, camera),
                    lambda: self.config.class_id_as_index)
                self._priors.append(prior)
                health = CameraHealth(camera, self.get_fully_qualified_name(), source, self._engine, prior)
                self._health.append(health)
                topic = config.image_topics[config.cameras.index(camera)]
                self._watches[health] = watch_images(self, topic, config.image_transport, source.topic,
                                                     [other for other in config.image_topics if other != topic])
            if isinstance(engine, ObjectEngine):
                for camera, detections in self._detections.items():
                    heard = DetectionHealth(camera, self.get_fully_qualified_name(), detections,
                                            self._inputs[camera], engine)
                    self._health.append(heard)
                    self._watches[heard] = watch_detections(self, detections.topic)
            self._engine.start()
        except Exception as error:  # noqa: B902
            self._stop()
            self._failed = self._log_failure('cannot activate', error)
            return FAILURE
        self._failed = ''
        self.get_logger().info('listening to ' + ', '.join(
            f'{source.topic} ({camera})' for camera, source in self._inputs.items()) + ''.join(
            f', objects of {source.topic}' for source in self._detections.values()))
        return super().on_activate(state)

    def _image_engine(self, config: ClassifierConfig) -> Engine:
        self._inputs = {camera: CameraInput(self, topic, config.image_transport)
                        for camera, topic in zip(config.cameras, config.image_topics)}
        return Engine(self._running, config, ImageWaitSet(self, self._inputs),
                      lambda: self.get_clock().now().nanoseconds, self._publish_result, self._log_drop,
                      self._is_watched)

    def _object_engine(self, config: ClassifierConfig) -> ObjectEngine:
        self._inputs = {camera: CameraInput(self, topic, config.image_transport, qos.IMAGES_TO_PAIR)
                        for camera, topic in zip(config.cameras, config.image_topics)}
        self._detections = {camera: DetectionInput(self, topic)
                            for camera, topic in zip(config.cameras, config.detection_topics)}
        pairs = DetectionPairs(self, {camera: (self._inputs[camera], self._detections[camera])
                                      for camera in config.cameras}, pairing_of(config), self._log_drop)
        return ObjectEngine(self._running, config, pairs, self._objects, lambda: self.get_clock().now().nanoseconds,
                            self._publish_objects, self._log_drop, self._is_watched)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop deciding; the model stays loaded."""
        self._stop()
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Give back the model and its memory."""
        self._release()
        return super().on_cleanup(state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop and give everything back."""
        self._stop()
        self._release()
        return super().on_shutdown(state)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Give everything back, so that the node can be configured anew."""
        self._stop()
        self._release()
        return SUCCESS

    def stop(self) -> None:
        """End cleanly from any state."""
        self._stop()
        self._release()

    def _stop(self) -> None:
        engine, self._engine = self._engine, None
        if engine is not None:
            engine.stop()  # before the subscriptions that it waits for go away
        doubts, self._doubts = self._doubts, None
        recorded = doubts.stop() if doubts is not None else ''
        for source in self._inputs.values():
            source.destroy()
        for detections in self._detections.values():
            detections.destroy()
        for prior in self._priors:
            prior.destroy()
        self._inputs, self._detections, self._priors = {}, {}, []
        self._health, self._watches = [], {}
        if engine is not None:
            for camera in self.config.cameras:
                account = engine.account(camera)
                line = f'{camera}: received {account.received}, decided {account.decided}, {_dropped(account)}'
                if isinstance(engine, ObjectEngine):
                    arrays = engine.detections_account(camera)
                    line += f'; detections received {arrays.received}, {_dropped(arrays)}'
                self._tell(line)
        if recorded:
            self._tell(recorded)

    def _tell(self, line: str) -> None:
        """In the log; after SIGINT nothing can be published any more, on /rosout neither."""
        if self.context.ok():
            self.get_logger().info(line)
        else:
            print(f'[{self.get_logger().name}] {line}', flush=True)

    def _release(self) -> None:
        for output in self._outputs.values():
            output.destroy()
        self._outputs = {}
        self._pipeline = None
        self._objects.forget_priors()
        self._configured += 1
        self._loads.drop()
        gc.unfreeze()
        gc.collect()
        if 'torch' in sys.modules:
            from ..core.networks.cuda import free_unused_memory
            free_unused_memory()
        return_freed_memory()

    def _log_failure(self, what: str, error: BaseException) -> str:
        line = f'{what}: {reason_of(error)}'
        self.get_logger().error(line)
        return line

    # Called on the engine's thread.

    def _is_watched(self, camera: str) -> bool:
        return self._outputs[camera].is_watched()

    def _publish_result(self, result: Result, timing: Timing) -> None:
        output = self._outputs[result.frame.camera]
        assert isinstance(output, CameraOutput)
        output.publish(result, timing, self.config)
        if self._doubts is not None:
            self._doubts.look_at(result, timing, self.config)

    def _publish_objects(self, result: ObjectResults, timing: Timing) -> None:
        output = self._outputs[result.frame.camera]
        assert isinstance(output, ObjectOutput)
        output.publish(result, timing, self.config)
        if self._doubts is not None:
            self._doubts.look_at_objects(result, timing)

    def _log_drop(self, camera: str, reason: str, sentence: str) -> None:
        """Log the first drop for a reason, then at most one line in some seconds with the count."""
        if not self.context.ok():
            return  # Ctrl-C came while the frame was in work; it is counted
        now = time.monotonic()
        entry = self._drop_logged.setdefault((camera, reason), [float('-inf'), 0])
        entry[1] += 1
        if now - entry[0] >= DROP_LOG_PERIOD_S:
            count = f' ({entry[1]} times since the last such line)' if entry[1] > 1 else ''
            self.get_logger().warning(f'{camera}: frame dropped, {reason}: {printable(sentence, 400)}{count}')
            entry[0], entry[1] = now, 0

    def _log_complaint(self, about: str, sentence: str, period_s: float = DROP_LOG_PERIOD_S) -> None:
        """Log what is wrong with the detections of a camera, or with something else, once in some seconds."""
        now = time.monotonic()
        entry = self._drop_logged.setdefault((about, 'complaint'), [float('-inf'), 0])
        if now - entry[0] >= period_s:
            entry[0] = now
            self.get_logger().warning(f'{about}: {printable(sentence, 600)}')

    # Parameters that change while the node runs.

    def _check_change(self, config: ClassifierConfig, names: List[str]) -> None:
        """Refuse what would fail later, as far as it can be known without loading a model; changes nothing."""
        if self._pipeline is None:
            return
        if names != ['model']:
            self._pipeline.settings(config)  # refuses a file of costs that cannot be used
        if 'model' in names and not self._runs(config.model):
            check_source(config.model)

    def _on_change(self, config: ClassifierConfig, names: List[str]) -> None:
        if self._pipeline is None:
            return  # configure will load what is wanted then
        if names != ['model']:
            (self._engine or self._pipeline).configure(config)
            if 'overlay.evidence' in names and self._pipeline.no_evidence:
                self.get_logger().warning(self._pipeline.no_evidence)
        if self._doubts is not None and any(name.startswith('record_doubts.') for name in names):
            self._doubts.configure(config.record_doubts)
        if 'model' not in names:
            return
        if self._runs(config.model):
            self._loads.drop()
        else:
            # The costs may change before it is there; those of then are judged when it takes over.
            plain = with_values(config, {'decision.costs_file': ''})
            self._loads.want((self._configured, config.model, identity_of(config.model)), lambda: Pipeline.load(plain))

    @property
    def _running(self) -> Pipeline:
        assert self._pipeline is not None  # to be asked for in a node that is configured
        return self._pipeline

    def _runs(self, model: str) -> bool:
        """Whether a model is what runs; one whose bundle was replaced by another in its place is not."""
        running, named = self._running.bundle, self._running.named
        if model != named.source:
            return False
        if self._reverting:
            return True
        if is_changed(named):
            return False
        try:
            return running is named or not is_changed(running)
        except BundleError:  # the int8 bundle beside it is gone
            return False

    def _announce_loaded(self) -> None:
        try:
            self._wake.trigger()
        except Exception:  # noqa: B902 - the node was destroyed meanwhile; nobody waits for the model
            pass

    def _on_loaded(self) -> None:
        """Let a model that was loaded take the old one's place, if it is still wanted; all of that, or nothing."""
        self._swapped_s = time.monotonic()  # one that was dropped leaves memory behind, too
        loaded = self._loads.take()
        if loaded is None:
            return
        pipeline, error = loaded.value, loaded.error
        if pipeline is not None:
            try:
                if self._engine is not None:
                    self._engine.replace_pipeline(pipeline)
                else:
                    pipeline.configure(self.config)
            except Exception as refusal:  # noqa: B902
                error = refusal
        if error is not None:
            self._keep_old_model(loaded.key[1], error)
            return
        assert pipeline is not None  # or there were an error
        self._pipeline = pipeline
        # From here on nothing can refuse it: what follows tells of it.
        self._publish_label_info()
        for warning in pipeline.warnings:
            self.get_logger().warning(warning)
        self.get_logger().info(f'now running {pipeline.bundle.name} ({len(pipeline.bundle.class_names)} classes), '
                               f'{pipeline.precision}')
        self._tell_backend(pipeline)

    def _tell_backend(self, pipeline: Pipeline) -> None:
        if self.config.backend == 'torch':
            return
        backend = pipeline.backend
        differs = '' if not backend.difference else (  # int8 is not run by torch
            f'; its results differ from those of torch by at most {backend.difference:.1e} of the largest')
        self.get_logger().info(f'backend {backend.name}: {backend.reason}{differs}')

    def _keep_old_model(self, failed: str, error: BaseException) -> None:
        """Say that a model could not take over, and let the parameter say again what runs."""
        self._log_failure(f'cannot load the model {printable(failed)}, the old one stays', error)
        if self.get_parameter('model').value != failed or failed == self._running.bundle.source:
            return
        self._reverting = True
        try:
            self.set_parameters([Parameter('model', value=self._running.bundle.source)])
        finally:
            self._reverting = False

    def _publish_label_info(self) -> None:
        self._label_info.publish(messages.label_info(self._running.bundle.class_names,
                                                     self.get_clock().now().to_msg()))

    def _report(self) -> None:
        state = state_label(self)
        array = DiagnosticArray()
        array.header.stamp = self.get_clock().now().to_msg()
        array.status = [model_status(self.get_fully_qualified_name(), state, self._pipeline, self.config,
                                     (self._loads.loading or (0, '', ''))[1], self._failed)]
        for camera in self._health:
            array.status.append(camera.report(self.config))
            if isinstance(camera, DetectionHealth) and camera.complaint:
                self._log_complaint(array.status[-1].hardware_id, camera.complaint)
        if self._doubts is not None and self.config.record_doubts.folder:
            status, trouble = self._doubts.report()
            array.status.append(status)
            if trouble:
                self._log_complaint('record_doubts', trouble, DOUBT_LOG_PERIOD_S)
        self._diagnostics.publish(array)
        fault = self._pipeline.fault if self._pipeline is not None else ''
        if fault and fault != self._fault_said:
            self.get_logger().error(fault)
        self._fault_said = fault
        if self._swapped_s and time.monotonic() - self._swapped_s > SETTLED_S:
            self._swapped_s = 0.0
            # Each load has a thread, and so a part of the heap, of its own; what the old model had goes back.
            gc.collect()
            return_freed_memory()
        for camera, watch in self._watches.items():
            if camera.has_heard():
                watch.heard()
            watch.look()


def _dropped(account: Account) -> str:
    return 'dropped ' + (', '.join(f'{count} {reason}' for reason, count in sorted(account.dropped.items())) or 'none')


def _autostart(node: ClassifierNode) -> None:
    if node.config.autostart and node.trigger_configure() == SUCCESS:
        node.trigger_activate()


def main(arguments: Optional[List[str]] = None) -> int:
    """Run the node until it is told to stop; exit code 2 for parameters that cannot be used."""
    keep_freed_memory()  # each image is copied more than once, into memory that the kernel would clear anew
    return run_node('classifier', ClassifierNode, arguments, _autostart, ClassifierNode.stop)


if __name__ == '__main__':
    sys.exit(main())
