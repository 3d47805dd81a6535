"""What a picture itself says about the camera that took it: statistics, bounds, faults, repeats."""
