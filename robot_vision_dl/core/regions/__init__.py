"""Objects in a picture: boxes of a detector, what is cut out for each, and which track each belongs to."""
