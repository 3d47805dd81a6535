"""What a frame shows, and when: formats, topics, times."""
