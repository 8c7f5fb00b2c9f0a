"""The user's own data: a table of joints and the file that describes it."""
