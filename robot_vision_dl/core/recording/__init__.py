"""What a live node writes to the disk: bags of the frames that it was unsure about."""
