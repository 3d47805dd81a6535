"""A detector to try regions with: torchvision's, with its weights or a file of the user's own.

Nothing here is a detector of ours: network, decoding of boxes and non-maximum suppression are torchvision's, called as
its documentation has it (https://pytorch.org/vision/stable/models.html#object-detection).
"""
import pickle
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, Sequence, Tuple

import torch
from torch import nn

from ..config import ImageConfig, check_values, option
from ..errors import BundleError, ConfigError
from ..files.user_path import user_path
from ..networks.architecture import did_you_mean
from ..networks.architectures import torchvision_models
from ..networks.device import resolve_device
from ..networks.preprocess import as_tensor
from ..networks.state_file import read_state_file
from ..networks.threads import network_threads
from ..networks.weights import is_weights_name
from ..text.printable import printable
from ..types import ColorOrder, Header, Picture
from .detections import Box, Detection, Hypothesis

BACKGROUND = '__background__'
_CHANNELS = {ColorOrder.RGB: [0, 1, 2], ColorOrder.RGBA: [0, 1, 2], ColorOrder.BGR: [2, 1, 0],
             ColorOrder.BGRA: [2, 1, 0], ColorOrder.MONO: [0, 0, 0]}
_WITH_MORE_THAN_BOXES = ('maskrcnn_', 'keypointrcnn_')


@dataclass(frozen=True)
class DetectorConfig:
    """Parameters of the detector node."""

    image_topic: str = option('/camera/image_raw', 'topic of the camera, without the suffix of its transport',
                              at_configure=True)
    image_transport: str = option('raw', 'how pictures come', choices=('raw', 'compressed', 'compressedDepth'),
                                  at_configure=True)
    model: str = option('ssdlite320_mobilenet_v3_large', "name of one of torchvision's detectors of boxes",
                        at_configure=True)
    weights: str = option('DEFAULT', 'of torchvision by name, DEFAULT or COCO_V1, which are downloaded once; or a file '
                          'with a state dict of the model (.pth, .safetensors)', at_configure=True)
    class_names: Tuple[str, ...] = option((), 'classes of a file of weights, in the order of its labels from 1 on '
                                          '(0 is the background); empty: those of COCO', at_configure=True)
    device: str = option('auto', 'auto, cpu, cuda or cuda:<n>', at_configure=True)
    threads: int = option(0, 'CPU threads of the network; 0: one less than there are cores', minimum=0, maximum=1024,
                          at_configure=True)
    min_score: float = option(0.5, 'objects with a lower score are left out', minimum=0.0, maximum=1.0)
    max_detections: int = option(100, 'objects a picture, those with the highest scores', minimum=1, maximum=1000)
    stale_after_s: float = option(2.0, 'diagnostics call the camera stale without an image for this long', minimum=0.01,
                                  maximum=3600.0)
    image: ImageConfig = field(default_factory=ImageConfig)

    def __post_init__(self) -> None:
        check_values(self)
        if not self.image_topic:
            raise ConfigError('image_topic: which topic?')
        if self.class_names and is_weights_name(self.weights):
            raise ConfigError(f"class_names: torchvision's weights {printable(self.weights, 60)} have names of their "
                              'own; they are for a file of weights')


def list_detectors() -> Tuple[str, ...]:
    """Names of torchvision's detectors of boxes, sorted."""
    models = torchvision_models()
    return tuple(sorted(name for name in models.list_models(module=models.detection)
                        if not name.startswith(_WITH_MORE_THAN_BOXES)))


class Detector:
    """A network that finds objects in pictures; one thread runs it.

    Args:
        network: torchvision's, as its builder gives it.
        class_names: by label, the background first.
        device: that it is to run on.
        threads: of the CPU; 0: one less than there are cores.

    Attributes:
        class_names: as given.
        device: as given.
    """

    def __init__(self, network: nn.Module, class_names: Sequence[str], device: torch.device, threads: int = 0) -> None:
        self.class_names = tuple(class_names)
        self.device = device
        self._threads = threads
        self._network: Any = network.eval().requires_grad_(False).to(device)

    @classmethod
    def load(cls, config: DetectorConfig) -> 'Detector':
        """Build the network and load its weights.

        Raises:
            ConfigError: there is no such model or weights.
            BundleError: the weights cannot be had or read, or do not fit.
            DeviceError: the device is not there.
        """
        entry = _entry(config)
        device = resolve_device(config.device)
        if is_weights_name(config.weights):
            network, class_names = _with_weights_of_torchvision(config.model, entry), entry.meta['categories']
        else:
            class_names = [BACKGROUND, *config.class_names] if config.class_names else entry.meta['categories']
            network = _with_weights_of_file(config.model, user_path(config.weights), len(class_names))
        return cls(network, class_names, device, config.threads)

    def claim_thread(self) -> None:
        """Give the calling thread, which is to run the network, as many CPU threads as were chosen."""
        torch.set_num_threads(network_threads(self._threads))

    @torch.inference_mode()
    def __call__(self, picture: Picture, min_score: float = 0.5, most: int = 100) -> Tuple[Detection, ...]:
        """The objects in a picture, the highest score first.

        Args:
            picture: of any size; torchvision's own transform scales it to the network's.
            min_score: objects must have more.
            most: objects at most.

        Returns:
            Upright boxes with an area within the picture, in its pixels, each with a class name and a score in [0, 1];
            without ids and headers.
        """
        # Before non-maximum suppression, as the builder's arguments of these names: what scores less hides nothing.
        head = getattr(self._network, 'roi_heads', self._network)
        head.score_thresh, head.detections_per_img = min_score, most
        levels = as_tensor(picture).permute(2, 0, 1)[_CHANNELS[picture.order]]
        found: Dict[str, torch.Tensor] = self._network([levels.to(self.device).float().div_(255)])[0]
        objects = zip(found['boxes'].tolist(), found['labels'].tolist(), found['scores'].tolist())
        return tuple([
            Detection(Header(0, ''), (Hypothesis(self.class_names[label], score),), Box.of_corners(*corners))
            for corners, label, score in objects if corners[2] > corners[0] and corners[3] > corners[1]])


def _entry(config: DetectorConfig) -> Any:
    """torchvision's entry of weights (``WeightsEnum``) of the model; of a file the one whose classes it may have."""
    if config.model not in list_detectors():
        near = did_you_mean(config.model, list(list_detectors()))
        raise ConfigError(f'model: torchvision has no detector {printable(repr(config.model), 100)}{near}; there are '
                          f'{", ".join(list_detectors())}')
    entries = torchvision_models().get_model_weights(config.model)
    name = config.weights if is_weights_name(config.weights) else 'DEFAULT'
    if name not in entries.__members__ and name != 'DEFAULT':
        raise ConfigError(f'weights: torchvision has no {printable(name, 60)} for {config.model}; there are DEFAULT, '
                          f'{", ".join(entry.name for entry in entries)}')
    return getattr(entries, name)


def _with_weights_of_torchvision(name: str, entry: Any) -> nn.Module:
    try:
        network: nn.Module = torchvision_models().get_model_builder(name)(weights=entry, progress=False)
    except (OSError, RuntimeError, pickle.UnpicklingError, EOFError) as error:
        place = Path(torch.hub.get_dir()) / 'checkpoints' / entry.url.rsplit('/', 1)[-1]
        raise BundleError(f'{name} {entry.name}: the weights cannot be had ({error}); without a network, fetch them on '
                          f'another machine, `curl -O {entry.url}`, and put the file at {place}, or name it: '
                          'weights:=FILE') from error
    return network


def _with_weights_of_file(name: str, path: Path, classes: int) -> nn.Module:
    state = read_state_file(path)
    network: nn.Module = torchvision_models().get_model_builder(name)(
        weights=None, weights_backbone=None, num_classes=classes)
    wanted = network.state_dict()
    missing = [key for key in wanted if key not in state and not key.endswith('num_batches_tracked')]
    if missing:
        raise BundleError(f'{path}: is not of {name}: of its {len(wanted)} tensors {len(missing)} are not there, '
                          f'{missing[0]} for instance; the file has {printable(", ".join(list(state)[:3]), 200)}, ...')
    for key, tensor in wanted.items():
        if key in state and state[key].shape != tensor.shape:
            raise BundleError(f'{path}: does not fit {name} with {classes - 1} classes: {key} has the shape '
                              f'{tuple(state[key].shape)} and not {tuple(tensor.shape)}; name the classes of the file, '
                              'in the order of its labels, by class_names')
    # Old files have no counters of batches; layers that the builder freezes have none in new ones either.
    network.load_state_dict({key: state.get(key, tensor) for key, tensor in wanted.items()})
    return network
