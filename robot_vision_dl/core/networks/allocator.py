"""What becomes of memory that is freed."""
import ctypes

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of malloc.h
_KEPT_BYTES = 1 << 30


def keep_freed_memory() -> bool:
    """Tell the C library to keep up to 1 GiB of freed memory for what is asked for next, instead of giving it back.

    A step of training frees the maps of every layer and asks for as much again, and so does the live node with images.
    glibc gives large pieces back to the kernel at once, which then clears each page anew: a third of the time of a step
    on a CPU, and half of what a 1920x1080 image takes beside the network.

    Returns:
        Whether it could be told; only glibc can.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    return bool(mallopt(_M_MMAP_THRESHOLD, _KEPT_BYTES) and mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES))


def return_freed_memory() -> None:
    """Give what is kept back to the kernel, as far as the C library can."""
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (OSError, AttributeError):
        pass
