"""What a bag becomes."""
