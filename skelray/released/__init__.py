"""Names and checkpoints of the released code: read safely, recognised, and put in our names."""
