"""Small programs to copy from; each runs with `python -m robot_vision_dl.examples.<name>`."""
