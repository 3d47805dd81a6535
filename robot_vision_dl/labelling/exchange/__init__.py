"""Labels of a queue to other programs and back, one format a file."""
