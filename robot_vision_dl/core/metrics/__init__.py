"""Figures of classifiers, each defined once, in numpy: for calibration, training, evaluation and benchmarks."""
