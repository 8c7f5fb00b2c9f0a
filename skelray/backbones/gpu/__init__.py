"""Forms of the backbones for a GPU, by the same parameters: few and large operations, several views in one pass."""

from skelray.backbones.gpu import dsta, stgcn

__all__ = ["dsta", "stgcn"]
