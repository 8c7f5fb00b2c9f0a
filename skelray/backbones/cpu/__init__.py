"""Faster forms of the backbones for a CPU, on the same parameters; ``benchmarks/`` measures the gain of each file."""

from skelray.backbones.cpu import dsta, stgcn

__all__ = ["dsta", "stgcn"]
