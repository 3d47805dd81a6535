"""One kind of input a file."""
from .bags import BagTarget
from .messages import MessageTarget
from .texts import TextTarget

TARGETS = {kind.name: kind for kind in (MessageTarget, BagTarget, TextTarget)}
