"""How large a picture may be, checked before anything is allocated for it."""
from ..aspect_ratio import strip_of
from ..config import ImageConfig
from ..errors import ImageError


def check_size(height: int, width: int, config: ImageConfig) -> None:
    """Refuse a picture by what its header says.

    Raises:
        ImageError: ``empty``: no pixels. ``too_large``: more than ``config.max_megapixels``. ``aspect_ratio``: a
            strip.
    """
    if height < 1 or width < 1:
        raise ImageError('empty', f'the image is {width} x {height} pixels; does the camera driver run?')
    if height * width > config.max_megapixels * 1e6:
        raise ImageError('too_large', f'the image claims {width} x {height} pixels, more than '
                                      f'{config.max_megapixels:g} megapixels; raise image.max_megapixels if that is '
                                      'meant')
    strip = strip_of(height, width)
    if strip:
        raise ImageError('aspect_ratio', f'the image is {strip}')
