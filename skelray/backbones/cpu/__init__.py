"""Forms of the backbones that are faster on a CPU, by the same parameters; what each file gains: ``benchmarks/``."""

from skelray.backbones.cpu import dsta, stgcn

__all__ = ["dsta", "stgcn"]
