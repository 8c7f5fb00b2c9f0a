"""Searches under way: what a sweep proposes and stops, its ledger, and the search for fusion weights."""

from skelray.search.optuna_study import study

__all__ = ["study"]
