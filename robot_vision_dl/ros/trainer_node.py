"""The trainer: labelled bags to a model bundle, as a node of a launch file.

What it does is :func:`robot_vision_dl.training.run.train`, as ``robot-vision train`` does it; this file says how far it
is, on the latched topic ``~/progress`` (``diagnostic_msgs/DiagnosticStatus``) and on ``/diagnostics``. It ends when the
bundle is there. SIGINT or SIGTERM ends it too: the last finished epoch is kept, and the same node goes on from there.
"""
import math
import sys
import threading
import time
from typing import Any, Dict, List, Optional

import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.clock import Clock, ClockType
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from ..core.errors import ConfigError, RobotVisionError
from ..core.files.user_path import user_path
from ..core.text.text_file import read_text
from ..training.config_file import load_config
from ..training.history import EpochRecord
from ..training.node_config import TrainerConfig
from . import qos
from .diagnostics import resident_memory_mb
from .messages import key_values
from .parameters import ConfigParameters, flat_values
from .spinning import spin, start_failed
from .start import PrintableLogs, init
from .stop_signals import StopSignals
from .unused import warn_of_unused

PROGRESS_PERIOD_S = 0.5
READING, TRAINING, FINISHING, DONE, INTERRUPTED, FAILED = (
    'reading', 'training', 'finishing', 'done', 'interrupted', 'failed')


class TrainerNode(PrintableLogs, Node):
    """Tells how far a run is; :meth:`train` carries it out. Parameters are those of :class:`TrainerConfig`."""

    def __init__(self, stop: StopSignals, name: str = 'trainer', **node_arguments: Any) -> None:
        super().__init__(name, **node_arguments)
        self._stop = stop
        self.config: TrainerConfig = ConfigParameters(
            self, TrainerConfig, lambda: True, lambda _config, _names: None, self._refuse).config
        self._lock = threading.Lock()
        self._values: Dict[str, Any] = {'state': READING}
        self._text = READING
        self._epochs = 0
        self._began_s = 0.0
        self._steps_before: Optional[int] = None
        self._published_s = float('-inf')
        self._progress = self.create_publisher(DiagnosticStatus, '~/progress', qos.LATCHED)
        self._diagnostics = self.create_publisher(DiagnosticArray, '/diagnostics', qos.RESULTS_OUT)
        # Wall time: nothing here has to do with a simulation.
        self.create_timer(1.0, self._diagnose, clock=Clock(clock_type=ClockType.STEADY_TIME))
        self._publish()

    def _refuse(self, config: TrainerConfig, names: List[str]) -> None:
        values, current = flat_values(config), flat_values(self.config)
        for name in names:
            if values[name] != current[name]:
                raise ConfigError(f'{name}: cannot change while the run is on; start the node anew')

    def train(self) -> None:
        """Carry out the run, on the caller's thread.

        Raises:
            RobotVisionError: of whatever kind fits; the message is for the user.
            KeyboardInterrupt: a signal came.
        """
        config = self.config
        if not config.config:
            raise ConfigError('config: which file? Set the parameter config to a YAML file; `robot-vision train '
                              '--defaults` prints one to start from')
        path = user_path(config.config)
        run = load_config(path, config.changes)
        text = read_text(path)
        from ..training.run import train
        self._epochs = run.run.epochs * run.run.trainings
        self._tell(READING, f'{run.name}: reading bags', epochs=self._epochs, run=run.name)
        bundle = train(run, text, restart=config.restart, overwrite=config.overwrite, say=self._say,
                       frames_read=lambda count: self._tell(READING, f'{run.name}: {count} frames read', frames=count),
                       report=self._on_epoch, on_step=self._on_step)
        assert bundle is not None  # which only processes after the first are not given
        self._tell(DONE, f'{run.name}: done, {bundle.source}', bundle=bundle.source, now=True)

    def fail(self, reason: str) -> None:
        """Say that the run could not be carried out."""
        self.get_logger().error(reason)
        self._tell(FAILED, reason, now=True)

    def interrupted(self) -> None:
        """Say that a signal ended the run."""
        text = 'interrupted; started again, it goes on after the last finished epoch'
        self.get_logger().info(text)
        self._tell(INTERRUPTED, text, now=True)

    def _say(self, lines: str) -> None:
        self._stop.heed()
        for line in lines.splitlines():
            self.get_logger().info(line)

    def _on_step(self, epoch: int, step: int, steps: int) -> None:
        now_s, done = time.monotonic(), epoch * steps + step
        if self._steps_before is None:
            self._began_s, self._steps_before = now_s, done  # an interrupted run begins further on
        left = self._epochs * steps - done
        made = done - self._steps_before
        eta_s = (now_s - self._began_s) / made * left if made else math.nan
        self._tell(TRAINING, f'epoch {epoch + 1} of {self._epochs}, step {step} of {steps}', epoch=epoch + 1,
                   step=step, steps=steps, eta_s=eta_s)

    def _on_epoch(self, record: EpochRecord) -> None:
        last = record.epoch + 1 == self._epochs
        self._tell(FINISHING if last else TRAINING, f'epoch {record.epoch + 1} of {self._epochs} is done',
                   epochs_done=record.epoch + 1, loss=record.loss, early_stop_nll=record.nll,
                   early_stop_accuracy=record.accuracy, learning_rate=record.learning_rate,
                   epoch_s=record.seconds, now=True)

    def _tell(self, state: str, text: str, now: bool = False, **values: Any) -> None:
        """Take over what is known, and publish it, not more often than people can read."""
        if state not in (INTERRUPTED, FAILED):
            self._stop.heed()
        with self._lock:
            self._values.update(values, state=state)
            self._text = text
        if now or time.monotonic() - self._published_s > PROGRESS_PERIOD_S:
            self._publish()

    def _status(self) -> DiagnosticStatus:
        with self._lock:
            values, text = {**self._values, 'memory_mb': resident_memory_mb()}, self._text
        level = {FAILED: DiagnosticStatus.ERROR, INTERRUPTED: DiagnosticStatus.WARN}.get(values['state'],
                                                                                       DiagnosticStatus.OK)
        return DiagnosticStatus(level=level, name=f'{self.get_fully_qualified_name()}: run', message=text,
                                hardware_id='trainer', values=key_values(values))

    def _publish(self) -> None:
        self._published_s = time.monotonic()
        self._progress.publish(self._status())

    def _diagnose(self) -> None:
        array = DiagnosticArray(status=[self._status()])
        array.header.stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(array)


def main(arguments: Optional[List[str]] = None) -> int:
    """Carry out the run; exit code 2 for settings that cannot be used, 1 for a run that failed, 0 else."""
    # Signals end the training loop, which is on the main thread, in its own way.
    stop = StopSignals(insist=True)
    node = executor = None
    try:
        init(arguments, signal_handler_options=SignalHandlerOptions.NO)
        executor = SingleThreadedExecutor()
        node = TrainerNode(stop)
        warn_of_unused(node, arguments)
        threading.Thread(target=_spin, args=(node, executor), name='executor', daemon=True).start()
        node.train()
    except KeyboardInterrupt:
        if node is not None:
            node.interrupted()
    except ConfigError as error:
        return _failed(node, error, 2)
    except RobotVisionError as error:
        return _failed(node, error, 1)
    except Exception as error:  # noqa: B902 - of rcl, above all: a parameter file that it cannot read
        if node is not None:
            raise
        return start_failed('trainer', error)
    finally:
        if node is not None:
            node.get_logger().debug('leaving')
            _let_them_hear(node)
        if executor is not None:
            executor.shutdown()
        rclpy.try_shutdown()
    return 0


def _failed(node: Optional[TrainerNode], error: Exception, code: int) -> int:
    if node is None:
        start_failed('trainer', error)
    else:
        node.fail(str(error))
    return code


def _let_them_hear(node: TrainerNode) -> None:
    """The last words are acknowledged by those who listen, or they take too long."""
    node._progress.wait_for_all_acked(rclpy.duration.Duration(seconds=2))


def _spin(node: TrainerNode, executor: SingleThreadedExecutor) -> None:
    try:
        spin(node, executor)
    except ExternalShutdownException:
        pass


if __name__ == '__main__':
    sys.exit(main())
