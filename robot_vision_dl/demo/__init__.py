"""What ``robot-vision demo`` shows."""
