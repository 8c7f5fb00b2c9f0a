"""What is raised where a part does not keep its contract."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any

from skelray.identity.canonical import canonical


class ContractBroken(AssertionError):
    """A part breaks its contract: one sentence with what it did and what was asked of it."""


def require(kept: bool, said: str) -> None:
    """Raises ContractBroken where something does not hold."""
    if not kept:
        raise ContractBroken(said)


def check_settings(part: Any) -> None:
    """Raises ContractBroken for what is no frozen dataclass, UserError for one that no study can be known by."""
    name = type(part).__name__
    require(is_dataclass(part) and not isinstance(part, type), f"{name} is no dataclass: give it its settings as fields")
    require(type(part).__dataclass_params__.frozen, f"{name} is not frozen: write @dataclass(frozen=True)")
    require(hash(part) == hash(part) or not fields(part), f"{name} has no hash")
    canonical(part)
