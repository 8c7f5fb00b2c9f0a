"""What an id covers: the canonical form of what a study names, and all that its code reads."""
