"""What torchvision says of its weights: class names and preprocessing."""
from collections import Counter
from typing import Any, Dict, Sequence, Tuple

from ..networks.architectures import normalisation
from ..networks.preprocess import Preprocessing


def torchvision_facts(name: str, entry: Any) -> Tuple[Tuple[str, ...], Preprocessing]:
    """Class names, made unique, and preprocessing of an entry of torchvision's weights."""
    transform = entry.transforms()
    crop = tuple(transform.crop_size) * (2 if len(transform.crop_size) == 1 else 1)
    preprocessing = Preprocessing(resize=transform.resize_size[0], crop=crop,
                                  **normalisation(name, transform.mean, transform.std))
    return unique_names(entry.meta['categories']), preprocessing


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
