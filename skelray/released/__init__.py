"""Checkpoints of the released code: read safely, recognised, and translated to our names."""
