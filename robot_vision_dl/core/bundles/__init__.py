"""A model on disk: format, load and verify, write, card."""
