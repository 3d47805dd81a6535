"""From camera images to labels that a robot may act on."""

__version__ = '0.2.0'
