"""A message to pixels: wire format, encodings, compressed files, depth, limits."""
