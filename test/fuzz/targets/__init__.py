"""One kind of input a file."""
from .bags import BagTarget
from .bundles import BundleTarget
from .messages import MessageTarget
from .texts import TextTarget

TARGETS = {kind.name: kind for kind in (MessageTarget, BundleTarget, BagTarget, TextTarget)}
