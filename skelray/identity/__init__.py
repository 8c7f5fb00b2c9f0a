"""What an id covers: the canonical form of a study's values, and all that their code reads."""
