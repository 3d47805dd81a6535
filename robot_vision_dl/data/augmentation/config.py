"""How training pictures are changed: settings, their ranges and what they mean."""
from dataclasses import dataclass

from ...core.config import check_values, option


@dataclass(frozen=True)
class AugmentConfig:
    """How training pictures are changed. Flips are off: where left and right matter, a flip makes the label wrong."""

    enabled: bool = option(True, 'change training pictures at random; false: as in evaluation')
    crop_scale_min: float = option(
        0.5, "smallest share of the picture's area that is cut out and scaled up; 1: the whole picture", minimum=0.01,
        maximum=1.0)
    crop_ratio_max: float = option(1.333, 'aspect ratio of what is cut out is within 1/this..this, relative to the '
                                   "network's input", minimum=1.0, maximum=4.0)
    horizontal_flip: float = option(0.0, 'probability of swapping left and right', minimum=0.0, maximum=1.0)
    vertical_flip: float = option(0.0, 'probability of swapping top and bottom', minimum=0.0, maximum=1.0)
    rotation_deg: float = option(10.0, 'turned by up to so many degrees either way', minimum=0.0, maximum=180.0)
    shift: float = option(0.05, 'moved by up to this share of height and width', minimum=0.0, maximum=0.5)
    shear_deg: float = option(0.0, 'sheared by up to so many degrees either way', minimum=0.0, maximum=45.0)
    zoom: float = option(0.1, 'scaled by 1/(1+this)..1+this about the centre', minimum=0.0, maximum=2.0)
    brightness: float = option(0.2, 'factor is within 1-this..1+this', minimum=0.0, maximum=1.0)
    contrast: float = option(0.2, 'factor is within 1-this..1+this', minimum=0.0, maximum=1.0)
    saturation: float = option(0.2, 'factor is within 1-this..1+this', minimum=0.0, maximum=1.0)
    hue: float = option(0.0, 'moved by up to this share of the colour circle; slower than all the rest together',
                        minimum=0.0, maximum=0.5)
    grayscale: float = option(0.0, 'probability of taking the colours away', minimum=0.0, maximum=1.0)
    blur: float = option(0.2, 'probability of a Gaussian blur of 0.1 to blur_sigma', minimum=0.0, maximum=1.0)
    blur_sigma: float = option(1.5, 'of the strongest blur, in pixels', minimum=0.1, maximum=20.0)
    noise: float = option(0.2, 'probability of Gaussian noise', minimum=0.0, maximum=1.0)
    noise_sigma: float = option(0.03, 'of the strongest noise, where white is 1', minimum=0.0, maximum=1.0)
    augmix: bool = option(False, 'AugMix (Hendrycks et al. 2020): mixtures of chains of changes')
    augmix_severity: int = option(3, 'of AugMix', minimum=1, maximum=10)
    erasing: float = option(0.1, 'probability of covering a rectangle by the mean colour', minimum=0.0, maximum=1.0)
    erasing_max: float = option(0.2, 'largest share of the picture that is covered', minimum=0.02, maximum=0.9)
    mixup: float = option(0.0, 'alpha of mixup (Zhang et al. 2018); 0: off', minimum=0.0, maximum=10.0)
    cutmix: float = option(0.0, 'alpha of CutMix (Yun et al. 2019); 0: off; with mixup, one of both at random',
                           minimum=0.0, maximum=10.0)

    def __post_init__(self) -> None:
        check_values(self, 'augment.')
