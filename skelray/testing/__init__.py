"""Contracts as functions that a study's author can call on parts of their own: stopping rules, and samplers of a search."""

from skelray.testing.contract import ContractBroken
from skelray.testing.rules import check_rule
from skelray.testing.samplers import check_sampler

__all__ = ["ContractBroken", "check_rule", "check_sampler"]
