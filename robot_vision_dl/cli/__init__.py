"""The ``robot-vision`` command: one file a command."""
