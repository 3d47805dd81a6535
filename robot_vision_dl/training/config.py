"""Settings of a training run: the only home of their defaults.

As in ``core/config.py`` every field carries its description and range, and values are checked when a config is made.
Where frames and labels come from, how frames are chosen, split and varied is configured by ``data/``, whose groups are
part of :class:`TrainConfig`.
"""
from dataclasses import dataclass, field
from typing import Tuple

from ..core.config import check_values, option
from ..core.errors import ConfigError
from ..core.uncertainty.calibrate import AUTO
from ..core.uncertainty.ood.part import COMBINED, OOD_METHODS
from ..data.augmentation.config import AugmentConfig
from ..data.prepare import DataConfig
from ..data.statistics import WEIGHTINGS
from .schedule import SCHEDULES


@dataclass(frozen=True)
class NetworkConfig:
    """What is trained."""

    architecture: str = option('efficientnet_lite0', 'see `robot-vision models architectures`; or timm:NAME')
    pretrained: str = option(
        'efficientnet_lite0_imagenet', 'weights to start from: a model bundle, a file (.pth, .safetensors; relative to '
        "this file), DEFAULT (also for timm) or another name of torchvision's weights; empty: random weights")
    head: str = option(
        'linear', 'last layer of random weights: linear, or as the architecture has it; a new head on pretrained '
        'weights is linear', choices=('linear', 'native'))
    head_start: str = option(
        'probe', 'a new linear head on pretrained weights starts as: probe, the best linear classifier of the features '
        'that the weights give (Kumar et al. 2022); random', choices=('probe', 'random'))
    dropout: float = option(-1.0, 'probability before the head; -1: as the architecture has it', minimum=-1.0,
                            maximum=0.99)
    train_from: str = option(
        'auto', 'all; head; the first layer of the backbone that is trained, e.g. layer4: those before it stay as '
        'they are; after:layer3: what comes after that layer; or auto: head where there are fewer than 50 objects a '
        'class to train on, else what comes after the last of the stages, all where there are none')
    stages: Tuple[str, ...] = option(
        ('auto',), 'layers in the middle whose outputs, averaged over the picture, OOD scores may read beside the '
        'features: names as for train_from, in the order in which they run; auto: on pretrained weights those that are '
        'usual for the architecture; [] none')
    batch_norm: str = option(
        'trained', 'mean and variance of BatchNorm in the layers that are trained: trained, those of each batch while '
        'training and their average afterwards; frozen, those that the pretrained weights came with',
        choices=('trained', 'frozen'))
    head_epochs: int = option(0, 'epochs at the beginning in which only the head is trained', minimum=0, maximum=10000)

    def __post_init__(self) -> None:
        check_values(self, 'network.')
        if not self.pretrained and self.batch_norm == 'frozen':
            raise ConfigError('network.batch_norm: frozen, but random weights (network.pretrained is empty) come with '
                              'no statistics; set it to trained')
        if not self.pretrained and (self.head_epochs or self.train_from not in ('all', 'auto')):
            raise ConfigError('network: random weights must be trained, so train_from must be all and head_epochs 0 '
                              f'where pretrained is empty, got {self.train_from!r} and {self.head_epochs}')


@dataclass(frozen=True)
class InputConfig:
    """What the network sees of a picture."""

    resize: int = option(-1, 'shorter side in pixels; 0: straight to the crop; -1: as the weights want it', minimum=-1,
                         maximum=4096)
    crop: int = option(-1, 'side of the square that is cut out of the centre; -1: as the weights want it', minimum=-1,
                       maximum=4096)
    channels: int = option(3, '3: RGB, 1: grey', minimum=1, maximum=3)
    normalise: str = option(
        'weights', 'mean and standard deviation: those of the weights, or those of the training pictures',
        choices=('weights', 'data'))

    def __post_init__(self) -> None:
        check_values(self, 'input.')
        if self.channels == 2:
            raise ConfigError('input.channels: must be 1 or 3, got 2')


@dataclass(frozen=True)
class LossConfig:
    """What is minimised."""

    smoothing: float = option(0.0, 'label smoothing: share of each label that is spread over all classes', minimum=0.0,
                              maximum=0.9)
    focal_gamma: float = option(
        0.0, 'focal loss: pictures that are right already count less, the larger this is; 0: cross-entropy',
        minimum=0.0, maximum=10.0)
    outlier_exposure: float = option(
        0.5, 'weight of outlier exposure, where there are outliers (data.outliers, and frames of the training part '
        'labelled unknown): of them the network is to say that no class is likelier than another; 0: they are not '
        'learned from', minimum=0.0, maximum=100.0)
    outlier_share: float = option(0.25, 'outliers in a batch for each picture of a class', minimum=0.01, maximum=4.0)
    distill: float = option(
        0.0, 'weight of the distance of the features (and of stages that are trained) from those of the starting '
        'network, 1 - cos; 0: none; costs a forward pass more a step', minimum=0.0, maximum=1000.0)
    balance: str = option(
        'none', 'what is done about classes of different size: none; loss: rare classes weigh more; sampler: they are '
        'drawn more often', choices=('none', 'loss', 'sampler'))
    weighting: str = option('inverse', 'weight of a class with n pictures, for balance: 1/n, 1/sqrt(n), or 1 over the '
                            'effective number of pictures', choices=WEIGHTINGS[1:])

    def __post_init__(self) -> None:
        check_values(self, 'loss.')


@dataclass(frozen=True)
class OptimizerConfig:
    """How the weights move."""

    name: str = option('adamw', 'rule', choices=('sgd', 'nesterov', 'adagrad', 'rmsprop', 'adam', 'adamw'))
    learning_rate: float = option(1e-3, 'at the peak of the schedule', minimum=1e-9, maximum=100.0)
    backbone_factor: float = option(
        1.0, 'the learning rate of the backbone is this times that of the head', minimum=0.0, maximum=100.0)
    weight_decay: float = option(0.01, 'of matrices and convolutions; biases and norms have none', minimum=0.0,
                                 maximum=10.0)
    l2_sp: float = option(
        0.0, 'L2-SP: weight of half the squared distance of the backbone from its start (Li et al. 2018), in '
        'place of its weight decay; 0: none', minimum=0.0, maximum=1000.0)
    momentum: float = option(0.9, 'of sgd, nesterov and rmsprop; the first beta of adam and adamw', minimum=0.0,
                             maximum=0.9999)
    second_momentum: float = option(0.999, 'the second beta of adam and adamw', minimum=0.0, maximum=0.999999)

    def __post_init__(self) -> None:
        check_values(self, 'optimizer.')
        if self.name == 'nesterov' and self.momentum == 0:
            raise ConfigError('optimizer.momentum: nesterov needs momentum, got 0')


@dataclass(frozen=True)
class ScheduleConfig:
    """How the learning rate changes over the run."""

    name: str = option('cosine', 'shape', choices=SCHEDULES)
    warmup_epochs: float = option(0.5, 'linear rise at the beginning; one_cycle has its own', minimum=0.0,
                                  maximum=1000.0)
    final_factor: float = option(0.01, 'the learning rate ends at this times its peak', minimum=1e-9, maximum=1.0)
    drops: int = option(2, 'how often `step` lowers it', minimum=1, maximum=100)

    def __post_init__(self) -> None:
        check_values(self, 'schedule.')


@dataclass(frozen=True)
class RunConfig:
    """The run itself."""

    epochs: int = option(12, 'times that every training picture is seen', minimum=1, maximum=100000)
    batch_size: int = option(32, 'pictures a step, over all processes together', minimum=1, maximum=65536)
    patience: int = option(
        0, 'stop when the early-stop split has not become better for so many epochs; 0: never', minimum=0,
        maximum=100000)
    keep: str = option(
        'best', 'whose weights are kept: best, those of the epoch with the least early-stop NLL; last, those of the '
        'last epoch, which suits a schedule that ends near 0 and an early-stop split that is small',
        choices=('best', 'last'))
    average_decay: float = option(
        0.999, 'of the moving average of the weights, which is what is judged and kept; 0: no average', minimum=0.0,
        maximum=0.999999)
    trainings: int = option(
        1, 'so many trainings from the same pretrained weights and the same head, each with another seed; the mean of '
        'their weights is kept, which costs nothing when the model runs (model soup, Wortsman et al. 2022)', minimum=1,
        maximum=100)
    gradient_clip: float = option(1.0, 'longest gradient; 0: no limit', minimum=0.0, maximum=1e6)
    precision: str = option(
        'float32', 'of the forward and backward pass; weights are float32 always',
        choices=('float32', 'bfloat16', 'float16'))
    channels_last: bool = option(True, 'memory order of convolutions; faster on most CPUs and GPUs')
    seed: int = option(0, 'of everything random; the same seed gives the same weights on a CPU', minimum=0,
                       maximum=2**31 - 1)
    device: str = option('auto', 'auto, cpu, cuda or cuda:<n>; auto takes a GPU where there is one')
    threads: int = option(0, 'CPU threads of the network; 0: as PyTorch chooses', minimum=0, maximum=1024)
    workers: int = option(0, 'processes that prepare pictures; 0: the training process does it', minimum=0,
                          maximum=256)
    sanity_check: bool = option(
        True, 'before training: the loss must begin near ln C, and a few pictures must be learnable by heart')

    def __post_init__(self) -> None:
        check_values(self, 'run.')


@dataclass(frozen=True)
class OutputConfig:
    """What becomes of it."""

    models: str = option('models', 'folder that the bundle is written to')
    runs: str = option('runs', 'folder of checkpoints and logs')
    half: bool = option(True, 'store weights as float16: half the size; calibrated and tested as stored')
    ood: str = option(
        'auto', 'OOD score; auto: combined, from all stages of the network and what its head sees, unless frames '
        'labelled unknown, those outside the test part, show another one to be clearly better',
        choices=(AUTO, COMBINED, *sorted(OOD_METHODS), 'none'))
    alpha: float = option(0.1, 'error rate of conformal sets', minimum=0.001, maximum=0.5)
    abstain_cost: float = option(0.5, 'cost of "uncertain" where a wrong label costs 1', minimum=0.0, maximum=1.0)
    baselines: bool = option(True, 'majority class, k-nearest neighbours and linear probe beside the result')
    notes: str = option('', 'Markdown for the card: purpose, limits, attribution; a text, or the name of a .md '
                        'file beside this one')

    def __post_init__(self) -> None:
        check_values(self, 'output.')


@dataclass(frozen=True)
class TrainConfig:
    """Everything that a run depends on, beside the data."""

    name: str = option('my_model', 'of the bundle, of its folder and of the folder of the run')
    data: DataConfig = field(default_factory=DataConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    network: NetworkConfig = field(default_factory=NetworkConfig)
    input: InputConfig = field(default_factory=InputConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    run: RunConfig = field(default_factory=RunConfig)
    output: OutputConfig = field(default_factory=OutputConfig)

    def __post_init__(self) -> None:
        check_values(self)
        if not self.name or not self.name.replace('_', 'a').replace('-', 'a').isalnum():
            raise ConfigError(f'name: must be made of letters, digits, _ and -, got {self.name!r}')
        if not self.network.pretrained and (self.loss.distill or self.optimizer.l2_sp):
            raise ConfigError('loss.distill and optimizer.l2_sp hold a network near pretrained weights, and '
                              f'network.pretrained is empty; must be 0, got {self.loss.distill:g} and '
                              f'{self.optimizer.l2_sp:g}')
        if self.network.head_epochs >= self.run.epochs and self.network.head_epochs:
            raise ConfigError(f'network.head_epochs: must be less than run.epochs ({self.run.epochs}), got '
                              f'{self.network.head_epochs}; network.train_from: head trains the head alone')
        if self.schedule.name != 'one_cycle' and self.schedule.warmup_epochs >= self.run.epochs:
            raise ConfigError(f'schedule.warmup_epochs: must be less than run.epochs ({self.run.epochs}), got '
                              f'{self.schedule.warmup_epochs:g}, or the learning rate only rises; lower it, or train '
                              'for more epochs')
