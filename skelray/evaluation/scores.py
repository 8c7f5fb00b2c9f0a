"""What an evaluation is: from a frozen encoder, a training set and a test set to scores (N_test, classes)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from skelray.augment import WHOLE, Augmentation, Draws, to_stream, view_of
from skelray.data.dataset import SkeletonDataset

EMBED_BATCH = 64


class Diverged(ArithmeticError):
    """What is trained or measured is no longer a number."""


class FrozenEncoder:
    """The encoders of a trial in evaluation mode without gradient; the features of each data set are extracted once.

    encoders: one for each stream. clip: what of a sequence they read. frames: sequences are resized to, None for as they
    are prepared. seed: of the trial; what an evaluation draws (the order of a probe's batches) is decided by it.
    """

    def __init__(
        self,
        encoders: Mapping[str, nn.Module],
        device: torch.device,
        clip: Augmentation = WHOLE,
        frames: int | None = None,
        seed: int = 0,
    ) -> None:
        self.encoders, self.device = encoders, device
        self.clip, self.frames, self.seed = clip, frames, seed
        self._features: dict[int, tuple[SkeletonDataset, list[Tensor]]] = {}

    def by_stream(self, data: SkeletonDataset) -> list[Tensor]:
        """(N, dim) float32 on the device for each stream, before the projector."""
        if id(data) not in self._features:
            self._features[id(data)] = (data, self._extract(data))  # the data set stays, so that its id does
        return self._features[id(data)][1]

    def features(self, data: SkeletonDataset) -> Tensor:
        """(N, S dim): the streams side by side, divided by their number, so that what is linear in them is a mean."""
        streams = self.by_stream(data)
        return streams[0] if len(streams) == 1 else torch.cat(streams, dim=1) / len(streams)

    def labels(self, data: SkeletonDataset) -> Tensor:
        """(N,) int64 on the device."""
        return torch.from_numpy(data.labels.copy()).to(self.device)

    @torch.no_grad()
    def _extract(self, data: SkeletonDataset) -> list[Tensor]:
        training = {stream: encoder.training for stream, encoder in self.encoders.items()}
        draws = Draws(self.seed, 0, self.device)
        features: dict[str, list[Tensor]] = {stream: [] for stream in self.encoders}
        try:
            for start in range(0, len(data), EMBED_BATCH):
                positions = np.arange(start, min(start + EMBED_BATCH, len(data)))
                view = self.clip(view_of(data, positions, draws, self.frames))
                for stream, encoder in self.encoders.items():
                    x = to_stream(view.x, view.skeleton, stream)
                    features[stream].append(encoder.eval()(x, view.present).float())
        finally:
            for stream, encoder in self.encoders.items():
                encoder.train(training[stream])
        whole = [torch.cat(parts) for parts in features.values()]
        if not all(f.isfinite().all() for f in whole):
            raise Diverged("the encoder's features are not numbers")
        return whole


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
