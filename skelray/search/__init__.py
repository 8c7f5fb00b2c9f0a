"""Searches under way: what a sweep proposes and stops, its ledger, and the search for fusion weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from skelray.search.optuna_study import study

__all__ = ["study"]


def __getattr__(name: str) -> Any:
    """Imports ``study`` when it is asked for: it brings torch, which readers of tables do without."""
    if name == "study":
        from skelray.search.optuna_study import study

        return study
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
