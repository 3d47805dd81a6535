"""What timm says of its weights: preprocessing and classes."""
import math
from typing import Any, Mapping, NamedTuple, Tuple

from ..networks.preprocess import INTERPOLATIONS, Preprocessing
from ..networks.timm_networks import timm_weights
from .torchvision_facts import imagenet_names, unique_names


class TimmFacts(NamedTuple):
    """What timm says of a network and its weights.

    Attributes:
        preprocessing: what the weights expect.
        class_names: of the weights, made unique; empty: they have no last layer, or timm does not know the names.
        repository: where the weights are, on Hugging Face's hub, or an address; empty: there are none.
        license: of the weights, as timm states it; may be empty.
    """

    preprocessing: Preprocessing
    class_names: Tuple[str, ...]
    repository: str
    license: str


def timm_facts(name: str) -> TimmFacts:
    """What timm says of the weights of ``name``: those of its tag, or the usual ones.

    Raises:
        ConfigError: timm has no such network, or its pictures are larger than any that can be made here.
    """
    values = timm_weights(name)
    from timm.data import resolve_model_data_config
    config = resolve_model_data_config(None, pretrained_cfg=values or {'num_classes': 0})
    _, height, width = config['input_size']
    resize = math.floor(min(height, width) / config['crop_pct'])
    if config['crop_mode'] == 'squash' and config['crop_pct'] == 1:
        resize = 0
    if resize and resize < max(height, width):
        resize = 0
    # The others of timm's are `random`, of training, and `lanczos`, of which bicubic is the nearest.
    interpolation = config['interpolation'] if config['interpolation'] in INTERPOLATIONS else 'bicubic'
    preprocessing = Preprocessing(resize, (height, width), tuple(config['mean']), tuple(config['std']), interpolation)
    repository = str(values.get('hf_hub_id') or values.get('url') or '')
    return TimmFacts(preprocessing, _class_names(values), repository, str(values.get('license') or ''))


def _class_names(values: Mapping[str, Any]) -> Tuple[str, ...]:
    from timm.data import ImageNetInfo, infer_imagenet_subset
    subset = infer_imagenet_subset(values)
    if subset is None:
        return ()
    if subset == 'imagenet-1k':
        return imagenet_names()  # the same classes under the same names, wherever a network is from
    return unique_names([name.split(',')[0] for name in ImageNetInfo(subset).label_descriptions()])
