"""What becomes of a picture in training: one warp, colours, blur, noise."""
