"""How far a prediction can be trusted: one method a file."""
