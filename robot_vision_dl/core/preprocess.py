"""A batch of pictures -> the tensor that the network was trained on."""
from dataclasses import dataclass
from typing import Tuple

from .errors import ConfigError


@dataclass(frozen=True)
class Preprocessing:
    """What the weights expect of a picture; stored in the bundle, never chosen by a deployment.

    The shorter side is resized to ``resize`` pixels (bilinear, antialiased), the centre of ``crop`` (height, width)
    is cut out, values are scaled to 0..1 and normalised by ``mean`` and ``std`` per channel. This is torchvision's
    ``ImageClassification`` transform.

    Attributes:
        resize: shorter side in pixels; 0 resizes to ``crop`` directly, without keeping the aspect ratio.
        crop: (height, width) in pixels.
        mean, std: one value a channel; three channels are RGB, one is grey.
    """

    resize: int = 256
    crop: Tuple[int, int] = (224, 224)
    mean: Tuple[float, ...] = (0.485, 0.456, 0.406)
    std: Tuple[float, ...] = (0.229, 0.224, 0.225)

    def __post_init__(self):
        object.__setattr__(self, 'crop', tuple(self.crop))
        object.__setattr__(self, 'mean', tuple(self.mean))
        object.__setattr__(self, 'std', tuple(self.std))
        if len(self.mean) not in (1, 3) or len(self.std) != len(self.mean):
            raise ConfigError(f'preprocessing: mean and std need one or three values each, got {self.mean} and {self.std}')
        if min(self.std) <= 0:
            raise ConfigError(f'preprocessing: std must be positive, got {self.std}')
        if len(self.crop) != 2 or min(self.crop) < 1:
            raise ConfigError(f'preprocessing: crop must be (height, width), both at least 1, got {self.crop}')
        if self.resize and self.resize < max(self.crop):
            raise ConfigError(f'preprocessing: resize ({self.resize}) must be at least the crop {self.crop}, or 0')

    @property
    def channels(self) -> int:
        """3 for RGB, 1 for grey."""
        return len(self.mean)
