"""The layers after a frozen trunk trained again, without some classes or on some frames, on maps computed once.

What ``training/`` does in hours for one network is done here for each of many, so it is less: one
learning rate for all layers that are trained, a few views of each picture instead of new ones in each epoch, AdamW and
one cycle whatever the recipe says. The head starts as a linear probe and features are held near the pretrained ones
(``loss.distill``), as they are there.
"""
import time
from pathlib import Path
from typing import Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from ..core.bundles.bundle import Bundle
from ..core.errors import ConfigError
from ..core.networks.network import Network, restore_network
from ..core.networks.split_network import Tail, Trunk, check_cut, layer_after
from ..core.networks.stages import usual_stages
from ..core.text.notes import to_stderr
from ..core.text.progress import Progress
from ..core.text.text_file import read_text
from ..core.uncertainty.ood.base import LinearHead
from ..data.augmentation.augment import TrainTransform
from ..data.augmentation.config import AugmentConfig
from ..data.cache import FrameStore
from ..data.dataset import EvalTransform, FrameDataset
from ..evaluation.predict import Outputs
from ..training.baselines import linear_probe
from ..training.config_file import MOST_BYTES, parse_config
from ..training.freeze import AFTER, ALL, HEAD, keep_statistics
from ..training.starting_point import feature_distance

SETTINGS = 'card/settings.yaml'
_BATCH = 32
_GRADIENT_CLIP = 1.0
_MOST_BYTES = 6 << 30
"""Of maps that are kept."""


class Recipe(NamedTuple):
    """How the networks of all rounds are trained.

    Attributes:
        train_from: first layer of the backbone that is trained; ``head``: the head alone.
        epochs: times that every picture is seen.
        views: random views of each picture, beside the picture as it is.
        augment: how views are made.
        smoothing: of the labels.
        learning_rate: at the peak.
        weight_decay: of AdamW.
        seed: of everything random.
        distill: weight of the distance to the features of the start.
        keep_statistics: those of BatchNorm stay as they are.
    """

    train_from: str
    epochs: int
    views: int
    augment: AugmentConfig
    smoothing: float
    learning_rate: float
    weight_decay: float
    seed: int = 0
    distill: float = 0.0
    keep_statistics: bool = False


class Retrained(NamedTuple):
    """A network that was trained again, on all pictures.

    Attributes:
        outputs: by name of the part, logits over the classes that it was trained on.
        head: of the network.
        accuracy: on the pictures that it was trained on, as they are.
    """

    outputs: Dict[str, Outputs]
    head: LinearHead
    accuracy: float


def recipe_of(bundle: Bundle, start: Network, file: Optional[Path], train_from: str, epochs: int, views: int, seed: int
              ) -> Recipe:
    """The recipe of a file, or that kept with the bundle, or else the defaults; as far as it is followed.

    Args:
        train_from: instead of the recipe's; empty: that of the recipe, and where it names no layer, the one after the
            last of the stages that are usual for the architecture.

    Raises:
        ConfigError: the file cannot be used, or no layer is known to begin with.
    """
    from ..training.config import TrainConfig
    path = file or (bundle.folder / SETTINGS if bundle.folder is not None else None)
    config = TrainConfig()
    if path is not None and (file or path.is_file()):  # its data need not be here
        config = parse_config(read_text(path, most_bytes=MOST_BYTES), str(path))
    layer = train_from or config.network.train_from
    if layer.startswith(AFTER):
        Trunk(start, layer[len(AFTER):])  # refuses what is none
        layer = layer_after(start, layer[len(AFTER):])
    elif layer in (ALL, 'auto'):
        stages = [*bundle.architecture.stages, *usual_stages(bundle.architecture.name)]
        layer = next(filter(None, (layer_after(start, stage) for stage in reversed(stages))), '')
        if not layer:
            raise ConfigError(f'--train-from: no layer of {bundle.architecture.name} is known to begin with; name the '
                              'first one that is trained, or head')
        to_stderr(f'trained from {layer} on: all layers would have to be trained on pictures instead of maps')
    rate = config.optimizer.learning_rate if config.optimizer.name in ('adam', 'adamw') else 5e-4
    return Recipe(layer, epochs, views, config.augment, config.loss.smoothing, rate, config.optimizer.weight_decay,
                  seed, config.loss.distill, config.network.batch_norm == 'frozen')


def with_stages(start: Network, stages: Sequence[str]) -> Network:
    """The same network giving these stages."""
    from dataclasses import replace
    return restore_network(replace(start.architecture, stages=tuple(stages)), start.state_dict())


class Retrainer:
    """Trains a network for each set of classes that is left out, or of frames that are labelled.

    Args:
        start: with the pretrained weights, and the stages that are wanted.
        stores: frames of each part, with labels of ``class_names`` or ``unknown``; ``reference`` is trained on.
        bundle: whose input and classes these are.
        device: where it all happens.
    """

    def __init__(self, start: Network, stores: Mapping[str, FrameStore], bundle: Bundle, recipe: Recipe,
                 device: torch.device) -> None:
        self._recipe, self._device, self._start = recipe, device, start.to(device).eval()
        self._frozen: Dict[str, Outputs] = {}
        self._maps: Dict[str, torch.Tensor] = {}
        self._views: List[torch.Tensor] = []
        self._start_tail: Optional[Tail] = None
        plain = EvalTransform(bundle.preprocessing)
        datasets = {name: FrameDataset(store, range(len(store)), bundle.class_names, plain)
                    for name, store in stores.items()}
        self._targets, self._classes = datasets['reference'].targets, len(bundle.class_names)
        if recipe.train_from != HEAD:
            first = torch.stack([datasets['reference'][0].picture, datasets['reference'][1].picture]).to(device)
            check_cut(self._start, recipe.train_from, first)
            each = Trunk(self._start, recipe.train_from)(first)[0].numel() * 2
            needed = each * (sum(map(len, datasets.values())) + recipe.views * len(datasets['reference']))
            if needed > _MOST_BYTES:
                raise ConfigError(f'--train-from {recipe.train_from}: the maps that go into it would take '
                                  f'{needed / 1e9:.1f} GB; name a later layer, fewer --views or head')
        for name, dataset in datasets.items():
            self._frozen[name], maps = self._seen(dataset)
            if maps is not None:
                self._maps[name] = maps
        if recipe.train_from != HEAD:
            changed = FrameDataset(stores['reference'], range(len(stores['reference'])), bundle.class_names,
                                   TrainTransform(recipe.augment, bundle.preprocessing), recipe.seed)
            self._views = [self._maps['reference'], *(self._view(changed, view) for view in range(recipe.views))]

    def frozen(self, part: str) -> np.ndarray:
        """Penultimate features (n, F) of the pretrained network."""
        return self._frozen[part].features

    def without(self, gone: Sequence[int]) -> Retrained:
        """A network for all classes but those with the numbers ``gone``, trained without their pictures."""
        kept = np.flatnonzero((self._targets >= 0) & ~np.isin(self._targets, gone))
        classes = [index for index in range(self._classes) if index not in gone]
        numbers = np.full(self._classes, -1)
        numbers[classes] = np.arange(len(classes))
        return self._retrained(kept, numbers[self._targets[kept]], len(classes), self._recipe.seed)

    def on(self, places: np.ndarray, targets: np.ndarray, seed: int) -> Retrained:
        """A network for all classes, trained on frames of ``reference``.

        Args:
            places: of the frames, int64 (m,).
            targets: what they are labelled, int64 (m,), whatever the store says.
            seed: of this training.
        """
        return self._retrained(places, targets, self._classes, seed)

    def _retrained(self, kept: np.ndarray, y: np.ndarray, classes: int, seed: int) -> Retrained:
        features = self._frozen['reference'].features
        weight, bias, _ = linear_probe(features[kept], y, None, classes)
        if self._recipe.train_from == HEAD:
            outputs = {name: one._replace(logits=(one.features @ weight.T + bias).astype(np.float32))
                       for name, one in self._frozen.items()}
            head = LinearHead(torch.from_numpy(weight), torch.from_numpy(bias))
        else:
            tail = self._trained(kept, y, weight, bias, seed)
            outputs = {name: self._of_tail(tail, name) for name in self._maps}
            layer = _linear(tail)
            head = LinearHead(layer.weight.detach().float().cpu(), layer.bias.detach().float().cpu())
        right = outputs['reference'].logits[kept].argmax(axis=1) == y
        return Retrained(outputs, head, float(right.mean()))

    def seconds(self, rounds: int, classes: int) -> float:
        """About how long so many rounds will take, by a few steps of one."""
        if self._recipe.train_from == HEAD:
            return 0.0
        n = int((self._targets >= 0).sum())
        tail = self._tail(classes)
        optimizer = self._optimizer(tail)
        took = []
        for _ in range(4):
            began = time.perf_counter()
            self._step(tail, optimizer, np.arange(min(_BATCH, n)), np.zeros(min(_BATCH, n), np.int64), 0)
            took.append(time.perf_counter() - began)
        step = float(np.median(took[1:]))
        passes = sum(len(one.features) for one in self._frozen.values()) / _BATCH / 3  # forward only
        return rounds * (self._recipe.epochs * n / _BATCH + passes) * step

    def _tail(self, classes: int) -> Tail:
        tail = Tail(self._start, self._recipe.train_from)
        tail.network.replace_head(classes)
        tail.to(self._device).to(memory_format=torch.channels_last).train()
        if self._recipe.keep_statistics:
            keep_statistics(tail)
        return tail

    def _optimizer(self, tail: Tail) -> torch.optim.Optimizer:
        matrices = [one for one in tail.parameters() if one.ndim > 1]
        others = [one for one in tail.parameters() if one.ndim <= 1]
        return torch.optim.AdamW([{'params': matrices, 'weight_decay': self._recipe.weight_decay},
                                  {'params': others, 'weight_decay': 0.0}], lr=self._recipe.learning_rate)

    def _step(self, tail: Tail, optimizer: torch.optim.Optimizer, rows: np.ndarray, targets: np.ndarray, view: int
              ) -> None:
        maps = self._views[view][rows].to(self._device).float().contiguous(memory_format=torch.channels_last)
        found = tail(maps)
        loss = functional.cross_entropy(found.logits, torch.from_numpy(targets).to(self._device),
                                        label_smoothing=self._recipe.smoothing)
        if self._recipe.distill:
            if self._start_tail is None:
                self._start_tail = Tail(self._start, self._recipe.train_from).to(self._device).eval()
            with torch.no_grad():
                start = self._start_tail(maps)
            loss = loss + self._recipe.distill * feature_distance(found, start)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(tail.parameters(), _GRADIENT_CLIP)
        optimizer.step()

    def _trained(self, kept: np.ndarray, y: np.ndarray, weight: np.ndarray, bias: np.ndarray, seed: int) -> Tail:
        recipe, rng = self._recipe, np.random.default_rng(seed)
        torch.manual_seed(seed)
        tail = self._tail(len(bias))
        with torch.no_grad():
            _linear(tail).weight.copy_(torch.from_numpy(weight))
            _linear(tail).bias.copy_(torch.from_numpy(bias))
        optimizer = self._optimizer(tail)
        starts = range(0, len(kept) - 1, _BATCH)  # a batch of one has no variance
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, recipe.learning_rate,
                                                       total_steps=recipe.epochs * len(starts))
        with Progress('training', 'steps', recipe.epochs * len(starts)) as show:
            for epoch in range(recipe.epochs):
                order = rng.permutation(len(kept))
                for number, begin in enumerate(starts):
                    places = order[begin:begin + _BATCH]
                    self._step(tail, optimizer, kept[places], y[places], int(rng.integers(len(self._views))))
                    schedule.step()
                    show(epoch * len(starts) + number + 1)
        return tail.eval()

    @torch.inference_mode()
    def _of_tail(self, tail: Tail, part: str) -> Outputs:
        maps, frozen = self._maps[part], self._frozen[part]
        found = [tail(maps[begin:begin + _BATCH].to(self._device).float()) for begin in range(0, len(maps), _BATCH)]
        logits, features, *after = (torch.cat(columns).float().cpu().numpy() for columns in zip(
            *((one.logits, one.features, *one.stages) for one in found)))
        before = frozen.stages[:len(frozen.stages) - len(after)]
        return Outputs(logits, features, (*before, *after))

    @torch.inference_mode()
    def _seen(self, dataset: FrameDataset) -> Tuple[Outputs, Optional[torch.Tensor]]:
        """What the pretrained network gives for pictures as they are, and the maps that go into the tail."""
        trunk = None if self._recipe.train_from == HEAD else Trunk(self._start, self._recipe.train_from)
        kept, parts = [], []
        with Progress('running the pretrained network', 'frames', len(dataset)) as show:
            for begin in range(0, len(dataset), _BATCH):
                pixels = self._pixels(dataset, begin)
                maps, found = (None, self._start(pixels)) if trunk is None else trunk.with_prediction(pixels)
                parts.append((found.logits, found.features, *found.stages))
                if maps is not None:
                    kept.append(maps.half().cpu())
                show(min(begin + _BATCH, len(dataset)))
        logits, features, *stages = (torch.cat(columns).float().cpu().numpy() for columns in zip(*parts))
        return Outputs(logits, features, tuple(stages)), torch.cat(kept) if kept else None

    @torch.inference_mode()
    def _view(self, dataset: FrameDataset, view: int) -> torch.Tensor:
        """Maps of another random view of each picture."""
        dataset.set_epoch(view)
        trunk = Trunk(self._start, self._recipe.train_from)
        kept = []
        with Progress(f'view {view + 1} of {self._recipe.views}', 'frames', len(dataset)) as show:
            for begin in range(0, len(dataset), _BATCH):
                kept.append(trunk(self._pixels(dataset, begin)).half().cpu())
                show(min(begin + _BATCH, len(dataset)))
        return torch.cat(kept)

    def _pixels(self, dataset: FrameDataset, begin: int) -> torch.Tensor:
        items = dataset.__getitems__(range(begin, min(begin + _BATCH, len(dataset))))
        return torch.stack([item.picture for item in items]).to(self._device).contiguous(
            memory_format=torch.channels_last)


def _linear(tail: Tail) -> nn.Linear:
    """The head, which :meth:`~..core.networks.network.Network.replace_head` made."""
    assert isinstance(tail.network.head, nn.Linear)
    return tail.network.head
