"""The generated benchmark: a figure, its motions, and the cameras that see it."""
