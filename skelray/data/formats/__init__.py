"""What raw data looks like: one file for each format, and the sources that hold its files."""
