"""What torchvision says of its weights: class names and preprocessing."""
from collections import Counter
from typing import Any, Dict, Sequence, Tuple

from ..networks.architectures import normalisation
from ..networks.preprocess import INTERPOLATIONS, Preprocessing
from ..networks.weights import torchvision_weights

_WITH_IMAGENET_NAMES = 'squeezenet1_1'


def torchvision_facts(name: str, entry: Any) -> Tuple[Tuple[str, ...], Preprocessing]:
    """Class names, made unique, and preprocessing of an entry of torchvision's weights."""
    transform = entry.transforms()
    crop = tuple(transform.crop_size) * (2 if len(transform.crop_size) == 1 else 1)
    given = transform.interpolation.value
    preprocessing = Preprocessing(resize=transform.resize_size[0], crop=crop,
                                  interpolation=given if given in INTERPOLATIONS else 'bilinear',
                                  **normalisation(name, transform.mean, transform.std))
    return unique_names(entry.meta['categories']), preprocessing


def imagenet_names() -> Tuple[str, ...]:
    """Names of ImageNet's 1 000 classes in the usual order, as torchvision has them, made unique."""
    return torchvision_facts(_WITH_IMAGENET_NAMES, torchvision_weights(_WITH_IMAGENET_NAMES))[0]


# ImageNet has a dog and a garment of this name; the meanings are those of their synsets.
_MEANINGS = {'Cardigan': 'Cardigan (dog)', 'cardigan': 'cardigan (garment)'}


def unique_names(names: Sequence[str]) -> Tuple[str, ...]:
    """The names; where some differ in case alone or not at all, with their meaning or a number in brackets."""
    total = Counter(name.lower() for name in names)
    seen: Dict[str, int] = Counter()
    unique = []
    for name in names:
        if total[name.lower()] > 1:
            seen[name.lower()] += 1
            name = _MEANINGS.get(name, f'{name} ({seen[name.lower()]})')
        unique.append(name)
    return tuple(unique)
