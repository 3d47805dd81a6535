"""Labels in, a calibrated model's word about all frames out: how ``bench loop`` trains again.

:class:`CachedLearner` trains the layers after a frozen trunk, or the head alone, on maps that are computed once.
:class:`WholeLearner` runs the whole training, as ``robot-vision train`` does.
"""
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Dict, Mapping, NamedTuple, Protocol, Sequence

import cv2
import numpy as np

from ..core.bundles.bundle import Bundle
from ..core.config import DecisionConfig
from ..core.networks.device import resolve_device
from ..core.uncertainty.calibrate import calibrate
from ..core.uncertainty.ood.pictures import Pictures
from ..data.cache import FrameStore
from ..data.division import SplitConfig
from ..data.picture_index import FolderPicture
from ..data.picture_list import write_list
from ..data.selection import SelectionConfig
from ..evaluation.predict import Outputs, Predictor, spread
from ..labelling.mining.job import embedding_of
from ..training.config import TrainConfig
from .near import Start
from .published import published
from .retraining import Recipe, Retrainer, with_stages

FRAMES = 'reference'
"""The part of the data whose frames are labelled, trained on, and judged."""
_REFERENCE = 1000  # training frames that scores are fitted to, as in training


class Labelled(NamedTuple):
    """Frames and what they are labelled, int64 (m,) each; ``groups``: number of each frame's interval."""

    places: np.ndarray
    targets: np.ndarray
    groups: np.ndarray


class Judged(NamedTuple):
    """What a model that was trained again says.

    Attributes:
        probabilities: calibrated, float64 (n, C), of all frames.
        p_values: of "known", (n,).
        features: what frames are compared by, (n, F), see :func:`~..labelling.mining.job.embedding_of`.
        foreign: share of accepted pictures of each group of no class.
    """

    probabilities: np.ndarray
    p_values: np.ndarray
    features: np.ndarray
    foreign: Mapping[str, float]


class Learner(Protocol):
    """Trains and calibrates."""

    what: str
    """How, in words."""

    def learn(self, train: Labelled, calibration: Labelled, seed: int) -> Judged:
        """A model that is trained on some frames and calibrated on others, and what it says of all."""


class CachedLearner:
    """Trains what comes after the trunk on maps that are computed once.

    Args:
        bundle: whose classes, input and kind of calibration these are.
        start: the pretrained network.
        stores: frames by part: :data:`FRAMES`, and one for each group of pictures of no class.
    """

    def __init__(self, bundle: Bundle, start: Start, stores: Mapping[str, FrameStore], recipe: Recipe, device: str
                 ) -> None:
        self._bundle = bundle
        self._trainer = Retrainer(with_stages(start.network, bundle.architecture.stages), stores, bundle, recipe,
                                  resolve_device(device))
        self.what = (f'a linear head on the frozen features of {start.name}' if recipe.train_from == 'head' else
                     f'{start.name} from {recipe.train_from} on, {recipe.epochs} epochs, {recipe.views + 1} views of '
                     'each frame on cached maps') + '; calibrated anew, without corrupted pictures'

    def learn(self, train: Labelled, calibration: Labelled, seed: int) -> Judged:
        """See :class:`Learner`."""
        bundle = self._bundle
        found = self._trainer.on(train.places, train.targets, seed)
        frames = found.outputs[FRAMES]

        def pictures(one: Labelled) -> Pictures:
            at = one.places
            return Pictures.of(frames.logits[at], frames.features[at], one.targets, tuple(s[at] for s in frames.stages),
                               one.groups)
        held_out, few = pictures(calibration), spread(np.arange(len(train.places)), _REFERENCE)
        z, f, stages = held_out.arrays()
        fitted = calibrate(
            z, f, calibration.targets, ood='combined', seed=seed, stages=stages, groups=calibration.groups,
            stage_names=bundle.architecture.stages, head=found.head,
            reference=pictures(Labelled(*(column[few] for column in train))))
        model = replace(bundle, temperature=fitted.temperature, vector=fitted.vector, laplace=fitted.laplace,
                        ood=fitted.ood, conformal=None, density_aware=None)
        return _judged(model, found.outputs)


class WholeLearner:
    """Runs the whole training of a recipe; takes as long as that takes.

    Args:
        bundle: whose classes and input these are.
        config: the recipe; its data are not used.
        stores: as for :class:`CachedLearner`.
    """

    def __init__(self, bundle: Bundle, config: TrainConfig, stores: Mapping[str, FrameStore], device: str) -> None:
        self._bundle, self._config, self._stores, self._device = bundle, config, stores, device
        self.what = (f'the whole training of {bundle.name}: {config.network.pretrained}, train_from '
                     f'{config.network.train_from}, {config.run.epochs} epochs, {config.run.trainings} trainings')

    def learn(self, train: Labelled, calibration: Labelled, seed: int) -> Judged:
        """See :class:`Learner`."""
        with tempfile.TemporaryDirectory() as folder:
            model = self._trained(train, calibration, seed, Path(folder))
            predictor = Predictor.of_bundle(model, self._device)
            outputs = {}
            for name, store in self._stores.items():
                found = predictor.frames(store, range(len(store)), model.class_names)
                outputs[name] = Outputs(found.logits, found.features, found.stages)
            return _judged(model, outputs)

    def _trained(self, train_on: Labelled, calibration: Labelled, seed: int, folder: Path) -> Bundle:
        """Frames as pictures, each interval a track, in a recording for training and one for calibration."""
        from ..training.run import train
        store, names, listed = self._stores[FRAMES], self._bundle.class_names, []
        (folder / 'pictures').mkdir()
        for part, one in (('labelled', train_on), ('calibrating', calibration)):
            for place, target, group in zip(*(column.tolist() for column in one)):
                path = folder / 'pictures' / f'{place:07d}.png'
                pixels = store.pixels(place)
                cv2.imwrite(str(path), pixels[..., ::-1] if pixels.shape[2] == 3 else pixels)
                listed.append(FolderPicture(path, names[target], part, '/camera', track=f'interval_{group}'))
        write_list(folder / 'list.csv', listed, folder)
        config = self._config
        data = replace(
            config.data, bags=(str(folder / 'list.csv'),), early_stop=(), calibration=('calibrating',), test=(),
            outliers=(), image_topics=(), class_names=names,
            selection=SelectionConfig(every_s=0.0, duplicate_distance=-1, least=0),
            split=SplitConfig(train=0.9, early_stop=0.0, calibration=0.1, test=0.0),
            cache=replace(config.data.cache, folder=str(folder / 'cache')))
        output = replace(config.output, models=str(folder / 'models'), runs=str(folder / 'runs'), baselines=False,
                         notes='')
        run = replace(config.run, seed=seed, device=self._device, sanity_check=False)
        bundle = train(replace(config, name='loop', data=data, output=output, run=run), '', say=lambda text: None)
        assert bundle is not None  # which only processes after the first are not given
        return bundle


def _judged(model: Bundle, outputs: Mapping[str, Outputs]) -> Judged:
    """As the model publishes it, each frame on its own."""
    cost, rate = model.abstain_cost, DecisionConfig().false_unknown_rate
    foreign: Dict[str, float] = {}
    for name, one in outputs.items():
        if name != FRAMES:
            foreign[name] = float(published(model, *one).outcomes(cost, rate).accepted.mean())
    frames = outputs[FRAMES]
    found = published(model, *frames)
    return Judged(found.probabilities, found.p_values, embedding_of(frames.features, frames.stages), foreign)


def labelled(places: Sequence[np.ndarray], targets: Sequence[int], groups: Sequence[int]) -> Labelled:
    """Frames of intervals: the frames of each, its target and its number."""
    counts = [len(own) for own in places]
    return Labelled(np.concatenate([*places, np.zeros(0, np.int64)]).astype(np.int64), np.repeat(targets, counts),
                    np.repeat(groups, counts))
