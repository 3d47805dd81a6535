"""Scores of what is out of distribution, one a file; p-values; which score is chosen."""
