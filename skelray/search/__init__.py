"""Searches under way: the ledger of a sweep, and the search for fusion weights."""
