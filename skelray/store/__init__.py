"""Encoders, scores and checkpoints by content id."""
