"""Fine-tune a network on what a robot recorded, calibrate it, write the bundle."""
