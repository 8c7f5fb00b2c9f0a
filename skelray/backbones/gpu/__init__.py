"""Forms of the backbones for a GPU, on the same parameters: few, large operations, several views in one pass."""

from skelray.backbones.gpu import dsta, recurrence, stgcn

__all__ = ["dsta", "recurrence", "stgcn"]
