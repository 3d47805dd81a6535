"""What is too long and thin to be looked at."""
MAX_ASPECT_RATIO = 64
"""Longer side over shorter side. A picture of one row would grow out of memory when its height is resized."""


def strip_of(height: int, width: int) -> str:
    """``a strip of 1920 x 4 pixels; sides may differ ...``; empty for what is none."""
    if max(height, width) <= MAX_ASPECT_RATIO * min(height, width):
        return ''
    return f'a strip of {width} x {height} pixels; sides may differ by a factor of up to {MAX_ASPECT_RATIO}'
