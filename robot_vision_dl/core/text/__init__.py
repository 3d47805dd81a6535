"""What a person wrote, read within bounds, and what is shown of it."""
