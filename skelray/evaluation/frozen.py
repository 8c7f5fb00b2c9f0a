"""A trial's encoders for evaluations: frozen, with the features of each data set extracted once."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping

import numpy as np
import torch
from torch import Tensor, nn

from skelray.augment import IDENTITY, Augmentation, CannotCapture, Draws, View, view_of
from skelray.backbones.encode import encode
from skelray.checks import UserError
from skelray.data.dataset import SkeletonDataset, Splits
from skelray.engine.resident import Resident


class Diverged(ArithmeticError):
    """A trained or measured value is no longer finite."""


EMBED_BATCH, DEVICE_BATCH = 64, 1024  # sequences embedded at a time; the latter where they lie on a CUDA device
Load = Callable[[str, str], Splits]  # a benchmark's splits under a protocol; DataError where it is not prepared


class FrozenEncoder:
    """The encoders of a trial in evaluation mode without gradient; the features of each data set are extracted once.

    encoders: one for each stream. clip: the part of a sequence that they read. frames: sequences are resized to this length,
    None as prepared. seed: the trial's; it decides what an evaluation draws, such as the order of a probe's batches.
    projectors: from an encoder's feature to its embedding, if the method has one for each stream. autocast: precision of
    what an evaluation trains. mask_values: (1,) of each stream, 0 if missing. fresh: makes encoders and mask values as they
    were before training. load: reads other benchmarks.
    """

    def __init__(
        self,
        encoders: Mapping[str, nn.Module],
        device: torch.device,
        clip: Augmentation = IDENTITY,
        frames: int | None = None,
        seed: int = 0,
        *,
        projectors: Mapping[str, nn.Module] | None = None,
        autocast: torch.dtype | None = None,
        mask_values: Mapping[str, Tensor] | None = None,
        fresh: Callable[[], tuple[Mapping[str, nn.Module], Mapping[str, Tensor]]] | None = None,
        load: Load | None = None,
    ) -> None:
        self.encoders, self.device = encoders, device
        self.clip, self.frames, self.seed = clip, frames, seed
        self.projectors, self.autocast, self.load = projectors or {}, autocast, load
        self.mask_values = self._masks(mask_values or {})
        self._fresh = fresh
        self._whole: FrozenEncoder | None = None  # of which this is one stream
        self.keeps_data = device.type == "cuda"  # on the device, for every evaluation
        self._residents: dict[int, tuple[SkeletonDataset, Resident | None]] = {}
        self._features: dict[int, tuple[SkeletonDataset, list[Tensor]]] = {}

    def single_stream(self, stream: str) -> FrozenEncoder:
        """Returns one of the streams as an encoder of its own, which shares this one's features."""
        make = self._fresh

        def fresh() -> tuple[Mapping[str, nn.Module], Mapping[str, Tensor]]:
            encoders, masks = make() if make is not None else ({}, {})
            return {stream: encoders[stream]}, {name: value for name, value in masks.items() if name == stream}

        one = FrozenEncoder(
            {stream: self.encoders[stream]},
            self.device,
            self.clip,
            self.frames,
            self.seed,
            projectors={name: head for name, head in self.projectors.items() if name == stream},
            autocast=self.autocast,
            mask_values={stream: self.mask_values[stream]},
            fresh=None if make is None else fresh,
            load=self.load,
        )
        one._whole = self
        return one

    def by_stream(self, data: SkeletonDataset) -> list[Tensor]:
        """Returns the features of each stream, (N, dim) float32 on the device, before the projector."""
        if id(data) not in self._features:
            self._features[id(data)] = (data, self._extract(data))  # the data set stays, so that its id does
        return self._features[id(data)][1]

    @torch.no_grad()
    def projected(self, data: SkeletonDataset) -> list[Tensor]:
        """Returns the embeddings of each stream, (N, D) float32 on the device. Raises UserError without projectors."""
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
        """Returns (N, S dim): the streams side by side, divided by their number, so that a linear map of them is a mean."""
        streams = self.by_stream(data)
        return streams[0] if len(streams) == 1 else torch.cat(streams, dim=1) / len(streams)

    def labels(self, data: SkeletonDataset) -> Tensor:
        """Returns the labels, (N,) int64 on the device."""
        return torch.from_numpy(data.labels.copy()).to(self.device)

    def trainable(self, fresh: bool = False) -> tuple[dict[str, nn.Module], dict[str, Tensor]]:
        """Returns copies of encoders and mask values for training; fresh: as they were before pretraining."""
        if fresh and self._fresh is None:
            raise UserError("these encoders came without their backbone, so none can be made with fresh weights")
        encoders, masks = self._fresh() if fresh and self._fresh else (copy.deepcopy(dict(self.encoders)), self.mask_values)
        return {stream: encoder.to(self.device) for stream, encoder in encoders.items()}, self._masks(masks)

    def _masks(self, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Returns copies of the mask values on the device; 0 for a stream that has none."""
        zero = torch.zeros(1)
        return {stream: values.get(stream, zero).detach().clone().to(self.device) for stream in self.encoders}

    def view(self, data: SkeletonDataset, positions: np.ndarray, draws: Draws) -> View:
        """Returns the whole sequences at these positions; ``clip`` cuts what an encoder reads."""
        if self.keeps_data and (there := self._resident(data)) is not None:
            return there.view(torch.as_tensor(positions, dtype=torch.int64).to(self.device), draws)
        return view_of(data, positions, draws, self.frames)

    def _resident(self, data: SkeletonDataset) -> Resident | None:
        """Returns the data set on the device, None if it does not fit."""
        if id(data) not in self._residents:
            try:
                self._residents[id(data)] = (data, Resident(data, self.frames, self.device))
            except CannotCapture:
                self._residents[id(data)] = (data, None)
        return self._residents[id(data)][1]

    @torch.no_grad()
    def _extract(self, data: SkeletonDataset) -> list[Tensor]:
        if self._whole is not None:
            return [self._whole.by_stream(data)[list(self._whole.encoders).index(stream)] for stream in self.encoders]
        training = {stream: encoder.training for stream, encoder in self.encoders.items()}
        features: dict[str, list[Tensor]] = {stream: [] for stream in self.encoders}
        try:
            for view in self.batches(data):
                for stream, encoder in self.encoders.items():
                    features[stream].append(encode(encoder.eval(), view, stream, self.mask_values[stream]).float())
        finally:
            for stream, encoder in self.encoders.items():
                encoder.train(training[stream])
        whole = [torch.cat(parts) for parts in features.values()]
        if not all(f.isfinite().all() for f in whole):
            raise Diverged("the encoder's features are not numbers")
        return whole

    def batches(self, data: SkeletonDataset) -> Iterator[View]:
        """Yields clipped views of all samples in their order."""
        draws = Draws(self.seed, 0, self.device)
        size = DEVICE_BATCH if self.keeps_data else EMBED_BATCH
        for start in range(0, len(data), size):
            positions = np.arange(start, min(start + size, len(data)))
            yield self.clip(self.view(data, positions, draws))
