"""Data of one's own: a table of joints and the file that describes it."""
