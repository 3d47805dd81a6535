"""The page of ``robot-vision label``: a server on this machine alone."""
