"""The overlays of a demo as one moving picture, for a page."""
import io
from typing import List, Tuple

from PIL import Image

WIDTH = 560
QUALITY = 65  # of WebP, 0 to 100
EVERY_S = 0.15
LAST_MS = 2000  # the last frame stays so long before it begins again


def animated_webp(frames: List[Tuple[int, bytes]], width: int = WIDTH, quality: int = QUALITY) -> bytes:
    """An endless animation at the pace of the stamps.

    Args:
        frames: (stamp in nanoseconds, JPEG) of each, at least one, in the order of time.
        width: of the result in pixels; pictures that are smaller keep their size.
        quality: of the compression, 0 to 100.

    Returns:
        A WebP file.
    """
    pictures = []
    for _, jpeg in frames:
        picture = Image.open(io.BytesIO(jpeg)).convert('RGB')
        if picture.width > width:
            size = width, round(picture.height * width / picture.width)
            picture = picture.resize(size, getattr(Image, 'Resampling', Image).LANCZOS)  # Pillow 9.1 moved its name
        pictures.append(picture)
    stamps = [stamp for stamp, _ in frames]
    durations = [round((later - stamp) * 1e-6) for stamp, later in zip(stamps, stamps[1:])] + [LAST_MS]
    file = io.BytesIO()
    pictures[0].save(file, 'WEBP', save_all=True, append_images=pictures[1:], duration=durations, loop=0,
                     quality=quality, method=4, minimize_size=True)
    return file.getvalue()
