"""Backbones: frozen dataclasses that build encoders from (N, C, T, V, M) to (N, dim)."""

from skelray.backbones.dsta import DSTA
from skelray.backbones.hierarchical import Hierarchical
from skelray.backbones.sequence import GRU, LSTM, Transformer
from skelray.backbones.stgcn import STGCN

__all__ = ["DSTA", "GRU", "LSTM", "STGCN", "Hierarchical", "Transformer"]
