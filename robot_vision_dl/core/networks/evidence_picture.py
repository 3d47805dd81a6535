"""Evidence as a picture: a map laid over what the network saw."""
import cv2
import numpy as np

FOR = (0, 94, 213)
AGAINST = (178, 114, 0)
"""BGR: vermilion speaks for the class, blue against it (Okabe and Ito 2008)."""
_STRONGEST = 0.75  # how much of the picture the colour hides where the map is at its limit
_GREY = 0.75  # how far the picture under a map loses its colours, which would be taken for evidence


def laid_over(picture: np.ndarray, values: np.ndarray, limit: float) -> np.ndarray:
    """A map over a picture: vermilion where it is positive, blue where it is negative.

    Args:
        picture: uint8 (H, W, 3), BGR.
        values: float32 (h, w), enlarged to the picture.
        limit: that gets the strongest colour; maps that are to be compared share it. 0: all is empty.

    Returns:
        uint8 (H, W, 3), BGR.
    """
    height, width = picture.shape[:2]
    large = cv2.resize(np.ascontiguousarray(values, np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    share = np.clip(large / limit, -1, 1) if limit > 0 else np.zeros_like(large)
    grey = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)[..., None].astype(np.float32)
    under = picture * (1 - _GREY) + grey * _GREY
    strength = _STRONGEST * np.abs(share)[..., None] ** 0.7
    colour = np.where(share[..., None] > 0, np.array(FOR, np.float32), np.array(AGAINST, np.float32))
    return np.clip(under * (1 - strength) + colour * strength, 0, 255).astype(np.uint8)


def of_width(picture: np.ndarray, width: int) -> np.ndarray:
    """A picture, uint8 (H, W, 3), as it is shown ``width`` pixels wide."""
    height, before = picture.shape[:2]
    how = cv2.INTER_AREA if before > width else cv2.INTER_LINEAR
    return cv2.resize(picture, (width, max(1, round(height * width / before))), interpolation=how)
