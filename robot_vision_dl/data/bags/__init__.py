"""Recordings: which files belong together, reading, damage and limits, writing, playing."""
