"""What in hours of recordings is worth labelling."""
