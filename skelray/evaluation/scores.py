"""What an evaluation is: from a frozen encoder, a training set and a test set to scores (N_test, classes)."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from skelray.augment import to_stream
from skelray.data.dataset import SkeletonDataset

EMBED_BATCH = 64


class FrozenEncoder:
    """An encoder in evaluation mode without gradient; the features of each data set are extracted once.

    frames: sequences are resized to, None for as they are prepared. seed: of the trial; what an evaluation draws (the
    order of a probe's batches) is decided by it.
    """

    def __init__(
        self, encoder: nn.Module, stream: str, device: torch.device, frames: int | None = None, seed: int = 0
    ) -> None:
        self.encoder, self.stream, self.device = encoder, stream, device
        self.frames, self.seed = frames, seed
        self._features: dict[int, tuple[SkeletonDataset, Tensor]] = {}

    def features(self, data: SkeletonDataset) -> Tensor:
        """(N, dim) float32 on the device, before the projector."""
        if id(data) not in self._features:
            self._features[id(data)] = (data, self._extract(data))  # the data set stays, so that its id does
        return self._features[id(data)][1]

    def labels(self, data: SkeletonDataset) -> Tensor:
        """(N,) int64 on the device."""
        return torch.from_numpy(data.labels.copy()).to(self.device)

    @torch.no_grad()
    def _extract(self, data: SkeletonDataset) -> Tensor:
        was_training = self.encoder.training
        self.encoder.eval()
        features = []
        try:
            for start in range(0, len(data), EMBED_BATCH):
                positions = np.arange(start, min(start + EMBED_BATCH, len(data)))
                x = torch.from_numpy(data.batch(positions, self.frames)).to(self.device)
                present = x.ne(0).flatten(1, 3).any(dim=1)  # (N, M)
                features.append(self.encoder(to_stream(x, data.skeleton, self.stream), present).float())
        finally:
            self.encoder.train(was_training)
        return torch.cat(features)


class Evaluation(Protocol):
    """A frozen dataclass. name: how tables call it."""

    @property
    def name(self) -> str: ...

    def __call__(self, encoder: FrozenEncoder, train: SkeletonDataset, test: SkeletonDataset) -> Tensor:
        """(N_test, classes) scores; the larger, the likelier."""
        ...


def top(scores: Tensor, labels: Tensor, k: int = 1) -> float:
    """The share of samples whose label is among the k best scores; ties go to the lower class number."""
    best = torch.sort(scores, dim=1, descending=True, stable=True).indices[:, :k]
    return (best == labels.to(best.device)[:, None]).any(dim=1).double().mean().item()
