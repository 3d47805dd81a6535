"""What ``robot-vision bench`` measures, each figure beside its floor."""
