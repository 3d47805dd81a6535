"""From what a model was unsure about to labels, and from labels to a better model."""
