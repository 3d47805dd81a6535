"""A name to a network with features and logits; its input, device and threads."""
