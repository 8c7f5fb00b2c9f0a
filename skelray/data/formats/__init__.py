"""Formats of raw data, one file each, and the sources that hold them."""
