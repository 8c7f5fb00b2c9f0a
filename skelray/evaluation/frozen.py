"""A trial's encoders as evaluations get them: frozen, with the features of each data set extracted once."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping

import numpy as np
import torch
from torch import Tensor, nn

from skelray.augment import WHOLE, Augmentation, Draws, View, to_stream, view_of
from skelray.checks import UserError
from skelray.data.dataset import SkeletonDataset, Splits
from skelray.evaluation.scores import Diverged

EMBED_BATCH = 64
Load = Callable[[str, str], Splits]  # a benchmark's splits under a protocol; DataError where it is not prepared


class FrozenEncoder:
    """The encoders of a trial in evaluation mode without gradient; the features of each data set are extracted once.

    encoders: one for each stream. clip: what of a sequence they read. frames: sequences are resized to, None for as they
    are prepared. seed: of the trial; what an evaluation draws (the order of a probe's batches) is decided by it.
    projectors: from an encoder's feature to its embedding, where the method has one for each stream. autocast: precision
    of what an evaluation trains. fresh: makes the encoders as they were before training. load: reads other benchmarks.
    """

    def __init__(
        self,
        encoders: Mapping[str, nn.Module],
        device: torch.device,
        clip: Augmentation = WHOLE,
        frames: int | None = None,
        seed: int = 0,
        *,
        projectors: Mapping[str, nn.Module] | None = None,
        autocast: torch.dtype | None = None,
        fresh: Callable[[], Mapping[str, nn.Module]] | None = None,
        load: Load | None = None,
    ) -> None:
        self.encoders, self.device = encoders, device
        self.clip, self.frames, self.seed = clip, frames, seed
        self.projectors, self.autocast, self.load = projectors or {}, autocast, load
        self._fresh = fresh
        self._features: dict[int, tuple[SkeletonDataset, list[Tensor]]] = {}

    def by_stream(self, data: SkeletonDataset) -> list[Tensor]:
        """(N, dim) float32 on the device for each stream, before the projector."""
        if id(data) not in self._features:
            self._features[id(data)] = (data, self._extract(data))  # the data set stays, so that its id does
        return self._features[id(data)][1]

    @torch.no_grad()
    def projected(self, data: SkeletonDataset) -> list[Tensor]:
        """(N, D) float32 on the device for each stream, after the projector. Raises UserError where there is none."""
        if self.projectors.keys() != self.encoders.keys():
            raise UserError('this method has no projector of an encoder\'s whole feature: evaluate with layer="encoder"')
        heads = [self.projectors[stream] for stream in self.encoders]
        features, training = self.by_stream(data), [head.training for head in heads]
        try:
            return [head.eval()(f).float() for head, f in zip(heads, features, strict=True)]
        finally:
            for head, mode in zip(heads, training, strict=True):
                head.train(mode)

    def features(self, data: SkeletonDataset) -> Tensor:
        """(N, S dim): the streams side by side, divided by their number, so that what is linear in them is a mean."""
        streams = self.by_stream(data)
        return streams[0] if len(streams) == 1 else torch.cat(streams, dim=1) / len(streams)

    def labels(self, data: SkeletonDataset) -> Tensor:
        """(N,) int64 on the device."""
        return torch.from_numpy(data.labels.copy()).to(self.device)

    def trainable(self, fresh: bool = False) -> dict[str, nn.Module]:
        """Copies of the encoders, to be trained; fresh: with the weights they had before any training."""
        if fresh and self._fresh is None:
            raise UserError("these encoders came without their backbone, so none can be made with fresh weights")
        encoders = self._fresh() if fresh and self._fresh else copy.deepcopy(dict(self.encoders))
        return {stream: encoder.to(self.device) for stream, encoder in encoders.items()}

    def view(self, data: SkeletonDataset, positions: np.ndarray, draws: Draws) -> View:
        """The sequences at these positions, whole; ``clip`` gives what an encoder reads of them."""
        return view_of(data, positions, draws, self.frames)

    @torch.no_grad()
    def _extract(self, data: SkeletonDataset) -> list[Tensor]:
        training = {stream: encoder.training for stream, encoder in self.encoders.items()}
        features: dict[str, list[Tensor]] = {stream: [] for stream in self.encoders}
        try:
            for view in self.batches(data):
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

    def batches(self, data: SkeletonDataset) -> Iterator[View]:
        """Clipped views of all samples in their order."""
        draws = Draws(self.seed, 0, self.device)
        for start in range(0, len(data), EMBED_BATCH):
            positions = np.arange(start, min(start + EMBED_BATCH, len(data)))
            yield self.clip(self.view(data, positions, draws))
