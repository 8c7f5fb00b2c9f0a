"""Backbones: a frozen dataclass that builds an encoder from (N, C, T, V, M) to (N, dim)."""

from skelray.backbones.stgcn import STGCN

__all__ = ["STGCN"]
