"""How good a model is: figures, and pictures of them."""
