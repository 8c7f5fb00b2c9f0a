"""Searches under way: what a sweep proposes and stops, its ledger, and the search for fusion weights."""
