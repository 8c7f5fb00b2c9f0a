"""Forms of the backbones for a GPU, on the same parameters: few, large operations, several views in one pass."""

from skelray.backbones.gpu import dsta, stgcn

__all__ = ["dsta", "stgcn"]
