"""Frames -> results: the one way that the live node and the evaluation of a bag both take."""
from contextlib import nullcontext
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Collection, ContextManager, Dict, List, Mapping, Optional, Sequence, Tuple, Union

import numpy as np

from ..backends.backend import Backend
from ..backends.int8_choice import deployed_bundle, int8_beside
from ..backends.without_torch import backend_without_torch
from ..bundles.bundle import Bundle, load_bundle
from ..bundles.trust_limits import p_value_grid, trust_limits
from ..config import AUTO, FLOAT32, ClassifierConfig, camera_groups
from ..decision.costs import read_costs
from ..decision.decision import Policy
from ..decision.fusion import FALLBACK_TIMES
from ..errors import BundleError, ConfigError, RobotVisionError
from ..networks import torch_use
from ..networks.preprocess import HostPixels, Preprocessor, visible_region
from ..networks.threads import network_threads, on_a_thread
from ..regions.crop import CROP_MARGIN
from ..text.number_text import plain_float
from ..text.printable import printable
from ..types import Assessment, CameraCheck, ColorOrder, Decision, Frame, Picture, Result, ShownEvidence
from ..uncertainty.assess import AnyPrediction, Assessor
from ..uncertainty.attainable_rates import deciding_rate
from ..uncertainty.camera.bounds import CameraBounds, default_bounds
from ..uncertainty.camera.statistics import Look, look
from ..uncertainty.camera.watch import CameraWatch, frozen_after_s
from ..uncertainty.fusion_times import FusionTimes
from .batch import Batch, StopWatch
from .beliefs import Beliefs
from .evidence_choice import chosen_evidence
from .settings import Settings

if TYPE_CHECKING:
    import torch

    from ..uncertainty.dropout import DropoutSampler
    from .evidence_pass import EvidencePass
    from .gpu_path import GpuPath


class Pipeline:
    """A loaded model with everything that turns its output into decisions.

    Not thread-safe: one thread runs it, except for :meth:`infer`. It keeps a belief and the last decision for each
    camera; cameras of a group share the belief.

    Attributes:
        bundle: what runs.
        named: what was named, the same but where its int8 bundle runs.

    Args:
        bundle: the model and what is known about its errors.
        config: the deployment's choices.
    """

    def __init__(self, bundle: Bundle, config: ClassifierConfig) -> None:
        self.threads = network_threads(config.threads)
        torch_use.set_threads(self.threads)  # what is measured runs as it will
        batch = config.largest_batch
        self.named = bundle
        deployed = deployed_bundle(bundle, config, batch)
        self.bundle = bundle = deployed.bundle
        self.precision, run = deployed.precision, deployed.config
        self.device: Union[torch.device, torch_use.HostDevice] = torch_use.HostDevice()
        self.device_reason = ''
        self._dropout: Optional[DropoutSampler] = None
        self.gpu: Optional[GpuPath] = None
        self.preprocess: Union[Preprocessor, HostPixels] = Preprocessor(bundle.preprocessing)
        light = backend_without_torch(bundle, run, self.threads, batch)
        self.backend = self._with_torch(config, run, batch) if light is None else light
        if deployed.reason:
            self.backend = replace(self.backend, reason=f'{deployed.reason}; {self.backend.reason}')
        self.network = self.backend.forward
        self._takes_arrays = getattr(self.network, 'takes_arrays', False) and self.gpu is None
        self._assess = Assessor(bundle, self.precision)
        self._watches: Dict[str, CameraWatch] = {}
        self._evidence: Union[EvidencePass, str, None] = None  # or why there is none; None: it was not asked for
        self.camera_bounds: CameraBounds = bundle.camera or default_bounds()
        self._settings = self.settings(config)
        self._beliefs = Beliefs(bundle.class_names, self._times, self._settings)

    def _with_torch(self, config: ClassifierConfig, run: ClassifierConfig, batch: int) -> Backend:
        """The device, the network there, and what runs it; ``run`` is the config that devices are chosen with."""
        import torch

        from ..backends.choice import choose_backend
        from ..networks.precision import dtype_of
        from .gpu_path import chosen_gpu
        torch.set_num_threads(self.threads)
        bundle = self.bundle
        chosen = chosen_gpu(bundle, run, self.threads)
        self.device, self.device_reason, self.gpu = chosen.device, chosen.reason, chosen.gpu
        self.claim_thread()
        dtype = dtype_of(self.precision)
        # Convolutions of the CPU and of tensor cores are two to three times as fast with channels last.
        network = self.gpu.network if self.gpu else bundle.load_network(self.device, dtype).to(
            memory_format=torch.channels_last)
        self.preprocess = self.gpu.levels if self.gpu else Preprocessor(bundle.preprocessing, self.device, dtype)
        backend = choose_backend(config.backend, bundle, network, batch, plain=not config.dropout_samples,
                                 onnx_device=chosen.onnx_device, or_cpu=config.device == 'auto')
        if config.dropout_samples:
            self._dropout = _dropout_sampler(bundle, network, config.dropout_samples)
        return backend

    @property
    def warnings(self) -> List[str]:
        """What is not as it was wished for, and what keeps confidences from being probabilities, a sentence each."""
        bundle = self.bundle
        config, found = self._settings.config, list(self.gpu.notes if self.gpu else ())
        if self.no_evidence:
            found.append(self.no_evidence)
        if self.device_reason:
            found.append(f'runs on {self.device}, not on the GPU: {self.device_reason}')
        if config.detection_topics:
            found += margin_warnings(bundle.name, bundle.provenance.get(CROP_MARGIN), config.detections.margin)
        if not bundle.calibrated:
            return [f'{bundle.name} is not calibrated: its confidences are not probabilities, and nothing is called '
                    'unknown', *found]
        if bundle.precision != self.precision:
            found.append(f'{bundle.name} was calibrated at {bundle.precision} but runs at {self.precision}: '
                         'its confidences may be off; `robot-vision calibrate` fits them to what runs')
        runs_on = self.backend.device or self.device.type
        if bundle.device not in (None, runs_on):
            found.append(f'{bundle.name} was calibrated on {bundle.device} but runs on {runs_on}: its '
                         'confidences may be off a little; `robot-vision calibrate` fits them to what runs')
        return found + [limit.sentence for limit in trust_limits(bundle, config.decision)]

    @property
    def no_evidence(self) -> str:
        """Why overlays have no evidence although it is wished for, a sentence; empty: they have, or it is not."""
        return self._evidence if isinstance(self._evidence, str) else ''

    @property
    def unknown_rate(self) -> float:
        """A single frame is called unknown at a p-value below this; 0: none ever is. See :func:`deciding_rate`."""
        return self._settings.policy.false_unknown_rate

    @classmethod
    def load(cls, config: ClassifierConfig, bundle: Optional[Bundle] = None) -> 'Pipeline':
        """Load and verify ``config.model`` and run it once, so that the first frame is not slower than the others.

        Args:
            bundle: the model, where it is loaded already.
        """
        pipeline = on_a_thread(cls._load, config, bundle)
        pipeline.claim_thread()
        return pipeline

    @classmethod
    def _load(cls, config: ClassifierConfig, bundle: Optional[Bundle]) -> 'Pipeline':
        bundle = bundle or load_bundle(config.model)
        try:
            return cls._ready(bundle, config)
        except Exception as error:  # noqa: B902 - the bundle that was named may still be sound
            if config.precision != AUTO or not int8_beside(bundle):
                raise
            pipeline = cls._ready(bundle, replace(config, precision=FLOAT32))
            reason = f'not in int8: {printable(error, 400)}; {pipeline.backend.reason}'
            pipeline.backend = replace(pipeline.backend, reason=reason)
            return pipeline

    @classmethod
    def _ready(cls, bundle: Bundle, config: ClassifierConfig) -> 'Pipeline':
        try:
            pipeline = cls(bundle, config)
        except RobotVisionError:
            raise
        except Exception as error:  # noqa: B902 - whatever torch and numpy make of tables that pass for sound
            raise BundleError(f'{bundle.name}: cannot be made ready: {type(error).__name__}: '
                              f'{printable(error, 400)}') from error
        pipeline.warm_up()
        return pipeline

    def claim_thread(self) -> None:
        """Make the calling thread ready to run the network.

        It gets as many CPU threads as the deployment chose (:mod:`.threads`); on a GPU it runs each batch size once.
        """
        if self.gpu:
            with torch_use.without_gradients():
                self.gpu.warm_up()
        elif self.device.type == 'cpu':
            torch_use.set_threads(self.threads)

    @property
    def fault(self) -> str:
        """What is wrong with the device while the pipeline goes on, a sentence for people; empty: nothing."""
        fault: str = self.gpu.fault if self.gpu else getattr(self.network, 'fault', '')
        return fault

    def configure(self, config: ClassifierConfig) -> None:
        """Take over the settings that may change while running.

        Raises:
            ConfigError: a file that they name cannot be used; then nothing has changed.
        """
        self.take_over(self.settings(config))

    def settings(self, config: ClassifierConfig) -> Settings:
        """What a config means for this model; changes no decision, and may be asked for on any thread.

        Raises:
            ConfigError: a file that it names cannot be used.
        """
        times = self._times
        return Settings(config, self.policy(config),
                        config.fusion.resolved(times.correlation_time_s, times.change_time_s),
                        camera_groups(config.fusion.groups, config.cameras),
                        frozen_after_s(config.camera_faults, self.camera_bounds), self._evidence_of(config))

    def _evidence_of(self, config: ClassifierConfig) -> 'Union[EvidencePass, str, None]':
        """What works out evidence for overlays, or why it cannot be; made when it is first wished for."""
        if config.overlay.evidence == 'none':
            self._evidence = None
        elif self._evidence is None:
            from .evidence_pass import evidence_pass, reason_without  # which torch belongs to
            try:
                self._evidence = on_a_thread(evidence_pass, self.bundle, self.backend, self.gpu, self._dropout,
                                             self.threads)
            except Exception as error:  # noqa: B902 - of any runtime; overlays are the least that a deployment needs
                self._evidence = reason_without(self.bundle.name, error)
        return self._evidence

    def take_over(self, settings: Settings) -> None:
        """Decide by these settings of :meth:`settings` from now on; on the thread that runs the pipeline."""
        self._settings = settings
        self._beliefs.take_over(settings)

    @property
    def _times(self) -> FusionTimes:
        """What the bundle knows of how frames change, or what is so in general."""
        return self.bundle.fusion or FALLBACK_TIMES

    def policy(self, config: ClassifierConfig) -> Policy:
        """What acting and abstaining cost this model in a deployment."""
        wish = config.decision
        costs = read_costs(wish.costs_file, self.bundle.class_names) if wish.costs_file else None
        cost = self.bundle.abstain_cost if wish.abstain_cost < 0 else wish.abstain_cost
        if costs is not None and costs.abstain is not None and wish.abstain_cost < 0:
            cost = costs.abstain
        rate = deciding_rate(p_value_grid(self.bundle), wish.false_unknown_rate, wish.smallest_reachable_rate)
        return Policy(cost, rate, wish.hysteresis, costs)

    def expect(self, camera: str, named: Mapping[str, float]) -> None:
        """Take over a prior for what a camera sees, by class name; empty: nothing is expected any more.

        Raises:
            ConfigError: a name is no class, or the probabilities cannot be.
        """
        self._beliefs.expect(camera, named)

    def adopt_beliefs(self, other: 'Pipeline') -> None:
        """Carry on with the beliefs of the pipeline that this one replaces, where both mean the same classes."""
        self._beliefs.adopt(other._beliefs)
        self._watches = other._watches

    def network_input(self, prepared: 'torch.Tensor') -> 'torch.Tensor':
        """What ``network`` takes, (B, C, H, W) on its device, of what ``preprocess`` gave."""
        return self.gpu.runner.normalised(prepared.to(str(self.device))) if self.gpu else prepared

    def warm_up(self) -> None:
        """Run the network on a grey picture and on noise: the first runs allocate and choose algorithms.

        Raises:
            BundleError: it cannot be run on pictures as its bundle describes them, or says nothing about them.
        """
        height, width = self.bundle.preprocessing.crop
        grey = np.full((height, width, 3), 128, np.uint8)
        noise = np.random.default_rng(0).integers(0, 256, grey.shape, np.uint8)
        try:
            with torch_use.without_gradients():
                for pixels in (grey, noise):
                    # Tables that do not fit the network, and weights that overflow, are found here and not frame by
                    # frame.
                    batch = Batch([], self._input_of([Picture(pixels, ColorOrder.RGB)]))
                    self.infer(batch)
                    for assessment in self._assessments(batch):
                        if not np.isfinite(assessment.probabilities).all():
                            raise BundleError('its probabilities are not numbers')
                # A runtime that computes on a GPU plans for each size of a batch when it first comes.
                for count in range(2, 1 + (self._settings.config.largest_batch if self.backend.device else 1)):
                    self.infer(Batch([], self._input_of([Picture(noise, ColorOrder.RGB)] * count)))
        except Exception as error:  # noqa: B902 - whatever torch makes of it
            raise BundleError(f'{self.bundle.name}: cannot be run on a picture of {width} x {height} pixels: '
                              f'{printable(error, 400)}') from error

    def reset(self) -> None:
        """Forget what all cameras saw, as if just loaded."""
        self._beliefs.reset()
        self._watches.clear()

    def forget(self, camera: str) -> None:
        """Forget what one camera saw, and the cameras that share its belief."""
        self._beliefs.forget(camera)
        self._watches.pop(camera, None)

    @property
    def abstain_cost(self) -> float:
        """Cost of saying ``uncertain``, where a wrong label costs 1: the deployment's, or else the bundle's."""
        return self._settings.policy.abstain_cost

    def process(self, frames: Sequence[Frame], watched: Collection[str] = ()) -> List[Result]:
        """Assess frames in one forward pass, then fuse and decide each in the order given.

        Args:
            frames: at least one; frames of one camera in the order of their stamps.
            watched: cameras whose overlay somebody watches.
        """
        with torch_use.without_gradients():
            batch = self.prepare(frames)
            self.watch(batch, [place for place, frame in enumerate(frames) if frame.camera in watched])
            self.infer(batch)
            return self.finish(batch)

    # The three thirds are for callers that are in torch's inference mode: to enter it costs 20 us each time, with cold
    # caches.

    def prepare(self, frames: Sequence[Frame], pixels: 'Optional[torch.Tensor]' = None, looks: bool = True) -> Batch:
        """The first third of :meth:`process`: the network's input, and a look for faults of the cameras.

        Args:
            pixels: what ``preprocess`` made of the pictures, where that was done elsewhere.
            looks: whether :meth:`finish` will follow, which needs them.
        """
        watch = StopWatch()
        if pixels is None:
            seen = [frame.seen for frame in frames]
            batch = Batch(frames, self._input_of(seen))
        else:
            batch = Batch(frames, pixels)
        batch.stage_ms['preprocess'] = watch.elapsed_ms()
        if looks and self._settings.config.camera_faults.enabled:
            watch = StopWatch()
            batch.looks = [self._look(frame) for frame in frames]
            batch.stage_ms['camera'] = watch.elapsed_ms()
        return batch

    def _input_of(self, pictures: Sequence[Picture]) -> 'Union[np.ndarray, torch.Tensor]':
        if self.gpu:
            return self.gpu.prepare(pictures)
        assert isinstance(self.preprocess, Preprocessor)
        return self.preprocess.arrays(pictures) if self._takes_arrays else self.preprocess(pictures)

    def watch(self, batch: Batch, places: Sequence[int]) -> None:
        """Have the evidence worked out for the frames in these places, where the deployment wishes that."""
        if places and self._settings.evidence is not None:
            batch.watched, batch.evidence = frozenset(places), self._settings.evidence

    def infer(self, batch: Batch) -> None:
        """The second third: the forward pass. It may run beside the other two of other batches, on another thread."""
        with torch_use.without_gradients():  # torch may have come in since the thread began
            self._infer(batch)

    def _infer(self, batch: Batch) -> None:
        watch = StopWatch()
        if batch.evidence is not None and not isinstance(batch.evidence, str):
            pixels = batch.pixels
            given, batch.maps, batch.mc_logits = batch.evidence(
                torch_use.tensor_of(pixels) if isinstance(pixels, np.ndarray) else pixels)
            if isinstance(given, np.ndarray):
                batch.packed = given
            else:
                batch.prediction = given
        elif self.gpu:
            assert not isinstance(batch.pixels, np.ndarray)
            batch.packed = self.gpu.run(batch.pixels)
        else:
            batch.prediction, batch.mc_logits = (self._with_dropout(batch.pixels) if self._dropout
                                                 else (self.network(batch.pixels), None))
        batch.stage_ms['forward'] = watch.elapsed_ms()

    def _with_dropout(self, pixels: Any) -> Tuple[AnyPrediction, Any]:
        assert self._dropout is not None
        with self._arithmetic():
            return self._dropout(pixels)

    def _arithmetic(self) -> ContextManager[Any]:
        """That of the deployment's precision, for what torch runs on a GPU outside of :class:`.gpu_path.GpuPath`."""
        if self.device.type != 'cuda':
            return nullcontext()
        from ..networks.cuda import arithmetic
        return arithmetic(self.precision)

    def finish(self, batch: Batch, cameras: Optional[Sequence[Optional[CameraCheck]]] = None) -> List[Result]:
        """The last third: what the prediction means.

        ``cameras``: what there is to say about the cameras, where that was looked at elsewhere.
        """
        assessments = self._assessments(batch)
        watch = StopWatch()
        results = self.conclude(batch.frames, assessments, batch.stage_ms, batch.looks, cameras)
        batch.stage_ms['decide'] = watch.elapsed_ms()
        if batch.watched:
            watch = StopWatch()
            results = [replace(result, evidence=self._shown(batch, place, result)) if place in batch.watched else result
                       for place, result in enumerate(results)]
            batch.stage_ms['evidence'] = watch.elapsed_ms()
        return results

    def _shown(self, batch: Batch, place: int, result: Result) -> Optional[ShownEvidence]:
        if batch.maps is None:
            return ShownEvidence(None, note=batch.evidence if isinstance(batch.evidence, str) else '')
        return chosen_evidence(self._settings.config.overlay.evidence, result, batch.maps, place)

    def conclude(self, frames: Sequence[Frame], assessments: Sequence[Assessment],
                 stage_ms: Optional[Dict[str, float]] = None, looks: Sequence[Look] = (),
                 cameras: Optional[Sequence[Optional[CameraCheck]]] = None) -> List[Result]:
        """Fuse and decide, from what is known about each frame on its own; the last part of :meth:`finish`.

        Args:
            stage_ms: what the results show of the times of stages; it may still grow.
            looks: at the pictures, where that was done before.
            cameras: what there is to say about the cameras, where the pictures are not here.
        """
        results, stages = [], MappingProxyType({} if stage_ms is None else stage_ms)
        for place, (frame, assessment) in enumerate(zip(frames, assessments)):
            check = cameras[place] if cameras is not None else self._check_camera(
                frame, looks[place] if looks else None, assessment.fault_sums)
            posterior, unknown, decision = self._beliefs.update(frame, assessment, check)
            region = self._looked_at(frame)
            results.append(Result(frame, assessment, posterior, decision, self.bundle.class_names, region, stages,
                                  len(frames), unknown, check))
        return results

    def _look(self, frame: Frame) -> Look:
        return look(frame.seen, self.camera_bounds.needs_colours)

    def _check_camera(self, frame: Frame, found: Optional[Look], passed: Optional[np.ndarray]
                      ) -> Optional[CameraCheck]:
        """Whether the frame's camera is at fault; None: that is not asked."""
        settings = self._settings
        if not settings.config.camera_faults.enabled:
            return None
        watch = self._watches.setdefault(frame.camera, CameraWatch())
        return watch.check(self._look(frame) if found is None else found, frame.seen, frame.time_ns,
                           self.camera_bounds, settings.frozen_after_s, settings.fusion.reset_gap_s, passed)

    def remembered(self, frame: Frame) -> Tuple[np.ndarray, float, Decision]:
        """What is still believed of a frame that was not looked at; see :meth:`.beliefs.Beliefs.remembered`."""
        return self._beliefs.remembered(frame)

    def _looked_at(self, frame: Frame) -> Tuple[int, int, int, int]:
        """(top, left, bottom, right) of what the network sees, in pixels of the whole picture."""
        seen = frame.seen
        top, left, bottom, right = visible_region(self.bundle.preprocessing, seen.height, seen.width)
        down, along = (frame.region.y_offset, frame.region.x_offset) if frame.region else (0, 0)
        return top + down, left + along, bottom + down, right + along

    def assess(self, frames: Sequence[Frame], pixels: 'Optional[torch.Tensor]' = None,
               stage_ms: Optional[Dict[str, float]] = None) -> List[Assessment]:
        """What each frame says on its own; nothing is fused or remembered. Arguments as for :meth:`prepare`.

        ``stage_ms`` takes up how long each stage took, in milliseconds.
        """
        return self._assess_alone(frames, pixels, stage_ms)[0]

    def assess_with_features(self, frames: Sequence[Frame], pixels: 'Optional[torch.Tensor]' = None,
                             stage_ms: Optional[Dict[str, float]] = None
                             ) -> Tuple[List[Assessment], AnyPrediction]:
        """As :meth:`assess`, and what the network gave, with its features; on a GPU by a second forward pass."""
        found, batch = self._assess_alone(frames, pixels, stage_ms)
        if batch.prediction is None:
            assert not isinstance(batch.pixels, np.ndarray)
            with torch_use.without_gradients(), self._arithmetic():
                batch.prediction = self.network(self.network_input(batch.pixels))
        assert batch.prediction is not None
        return found, batch.prediction

    def _assess_alone(self, frames: Sequence[Frame], pixels: 'Optional[torch.Tensor]',
                      stage_ms: Optional[Dict[str, float]]) -> Tuple[List[Assessment], Batch]:
        with torch_use.without_gradients():
            batch = self.prepare(frames, pixels, looks=False)
            self.infer(batch)
            found = self._assessments(batch)
        if stage_ms is not None:
            stage_ms.update(batch.stage_ms)
        return found, batch

    def _assessments(self, batch: Batch) -> List[Assessment]:
        watch = StopWatch()
        if self.gpu:
            assert batch.packed is not None
            found = self.gpu.assess(batch.packed)
        else:
            assert batch.prediction is not None
            found = self._assess(batch.prediction, batch.mc_logits)
        batch.stage_ms['uncertainty'] = watch.elapsed_ms()
        return found


def _dropout_sampler(bundle: Bundle, network: Any, samples: int) -> 'DropoutSampler':
    from ..networks.graph_network import GraphNetwork
    from ..networks.network import Network
    from ..uncertainty.dropout import DropoutSampler
    if isinstance(network, GraphNetwork):
        raise ConfigError(f'{bundle.name}: dropout_samples needs layers that can be told to drop, and this '
                          f'network is a file ({bundle.architecture.name}); set it to 0. Its Laplace '
                          'approximation, where its head is linear, gives the mutual information')
    if not isinstance(network, Network):
        raise ConfigError(f'{bundle.name}: dropout_samples is for a single network, and this is an ensemble, '
                          'whose members give the mutual information; set it to 0')
    return DropoutSampler(network, samples)


def margin_warnings(name: str, trained: Any, margin: float) -> List[str]:
    """What is wrong with a bundle for objects, by the margin that it was trained with; None: it saw whole pictures."""
    as_number = plain_float(str(trained))
    if as_number is None:
        return [f'{name} was not trained on objects that were cut out of pictures: its confidences may be off, and too '
                'many objects unknown; `robot-vision crop` makes pictures to train and calibrate on']
    if abs(as_number - margin) > 1e-6:
        return [f'{name} was trained on objects that were cut out with a margin of {as_number:g}, and '
                f'detections.margin is {margin:g}; set it to {as_number:g}']
    return []
