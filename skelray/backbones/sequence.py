"""Sequence-to-sequence (S2S) encoders: a frozen dataclass that builds a module from (N, L, H) to (N, L, H)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from skelray.backbones.dropout import Dropout, check_share
from skelray.checks import UserError, check_whole


@runtime_checkable
class SequenceEncoder(Protocol):
    """A frozen dataclass, so that a trial can name it; one built module serves sequences of every length L."""

    def build(self, hidden_dim: int) -> nn.Module: ...


@dataclass(frozen=True)
class Transformer:
    """Post-norm layers without positions, as released. feedforward: the inner width, as wide as the layer if None."""

    heads: int = 4
    layers: int = 1
    feedforward: int | None = None
    dropout: float = 0.1

    def __post_init__(self) -> None:
        check_whole("heads", self.heads, 1)
        check_whole("layers", self.layers, 1)
        if self.feedforward is not None:
            check_whole("feedforward", self.feedforward, 1)
        check_share(self.dropout)

    def build(self, hidden_dim: int) -> nn.Module:
        if hidden_dim % self.heads:
            raise UserError(f"hidden_dim {hidden_dim} does not divide into {self.heads} heads")
        width = hidden_dim if self.feedforward is None else self.feedforward
        return nn.Sequential(*(TransformerLayer(hidden_dim, self.heads, width, self.dropout) for _ in range(self.layers)))


@dataclass(frozen=True)
class GRU:
    """Bidirectional, half of the features from each direction."""

    layers: int = 1

    def __post_init__(self) -> None:
        check_whole("layers", self.layers, 1)

    def build(self, hidden_dim: int) -> nn.Module:
        return Recurrence(nn.GRU, hidden_dim, self.layers)


@dataclass(frozen=True)
class LSTM:
    """Bidirectional, half of the features from each direction."""

    layers: int = 1

    def __post_init__(self) -> None:
        check_whole("layers", self.layers, 1)

    def build(self, hidden_dim: int) -> nn.Module:
        return Recurrence(nn.LSTM, hidden_dim, self.layers)


class Recurrence(nn.Module):
    """torch's recurrence of a kind; its outputs at every step, without the last states."""

    def __init__(self, kind: type[nn.GRU] | type[nn.LSTM], hidden_dim: int, layers: int) -> None:
        super().__init__()
        if hidden_dim % 2:
            raise UserError(f"hidden_dim {hidden_dim} does not divide into two directions")
        self.cells = kind(hidden_dim, hidden_dim // 2, layers, batch_first=True, bidirectional=True)

    def forward(self, x: Tensor) -> Tensor:
        outputs: Tensor = self.cells(x)[0]  # (N, L, H)
        return outputs


class TransformerLayer(nn.Module):
    """Attention, then two linear layers, each added to its input and normalised (Vaswani et al., NeurIPS 2017)."""

    def __init__(self, hidden_dim: int, heads: int, feedforward: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.attention_in = nn.Linear(hidden_dim, 3 * hidden_dim)  # queries, keys, values
        self.attention_out = nn.Linear(hidden_dim, hidden_dim)
        nn.init.zeros_(self.attention_in.bias)  # as torch's own attention
        nn.init.zeros_(self.attention_out.bias)
        self.norm1 = nn.LayerNorm(hidden_dim)
        self.linear1 = nn.Linear(hidden_dim, feedforward)
        self.linear2 = nn.Linear(feedforward, hidden_dim)
        self.norm2 = nn.LayerNorm(hidden_dim)
        self.dropout = Dropout(dropout)

    def attention(self, x: Tensor) -> Tensor:
        q, k, v = self.attention_in(x).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)  # (N, heads, L, H / heads)
        if self.training and self.dropout.p:  # torch's own attention draws its mask slowly on a CPU
            weights = torch.softmax(q @ k.mT / math.sqrt(k.shape[-1]), dim=-1)  # (N, heads, L, L)
            mixed = self.dropout(weights) @ v
        else:
            mixed = F.scaled_dot_product_attention(q, k, v)
        return self.attention_out(mixed.transpose(1, 2).flatten(2))  # (N, L, H)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm1(x + self.dropout(self.attention(x)))
        y = self.linear2(self.dropout(F.relu(self.linear1(x), inplace=True)))
        return self.norm2(x + self.dropout(y))
