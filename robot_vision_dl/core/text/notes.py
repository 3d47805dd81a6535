"""What commands say beside their result."""
import sys


def to_stderr(sentence: str) -> None:
    """Tell the user, without mixing it into what programs read."""
    print(f'note: {sentence}', file=sys.stderr)
