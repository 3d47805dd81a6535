"""Sphinx extension: fills pages with what is generated from the code."""


def setup(app) -> dict:
    """Called by Sphinx."""
    return {'version': '1', 'parallel_read_safe': True, 'parallel_write_safe': True}
