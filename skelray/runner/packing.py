"""Which trials train together on a device as lanes of one step, and in how many lanes."""

from __future__ import annotations

import gc
import logging
from collections.abc import Collection

import torch

from skelray.augment import CannotCapture
from skelray.engine.numbers import alike
from skelray.engine.pack import Pack
from skelray.training import Pretraining
from skelray.trial import Trial

log = logging.getLogger("skelray")
ALONE = "alone"


class Packing:
    """The pack of a device: one at a time, for trials of one structure, made when the first of them trains.

    most: lanes, or None for as many as gain. structure: of the trials that may join now, None for any.
    """

    def __init__(self, device: torch.device, most: int | None) -> None:
        self.device, self.most = device, most
        self.structure: str | None = None
        self.pack: Pack | None = None
        self._lanes: dict[str, int] = {}  # by structure, where found out

    @property
    def plain(self) -> bool:
        """Whether each trial trains by the plain loop, as on a CPU."""
        return self.most is None and self.device.type == "cpu"

    def structure_of(self, trial: Trial, data: str) -> str:
        """What trials that may share a pack have in common; one that can share none has it alone. data: fingerprint."""
        if self.plain:
            return ""
        try:
            return f"{alike(trial)} {data}"
        except CannotCapture:
            return f"{ALONE} {trial.id(data)}"

    @property
    def lanes(self) -> int:
        """How many trials may be under way: of a structure that has trained none yet a single one, which finds out."""
        return self._lanes.get(self.structure or "", 1)

    def open(self, structure: str) -> None:
        """Lets trials of a structure join, and no others. Nothing trains now."""
        if structure != self.structure:
            self.close()
            self.structure = structure

    def close(self) -> None:
        """Gives the pack's memory back."""
        if self.pack is not None:
            self.pack = None
            gc.collect()  # lanes and their pack name each other
            if self.device.type == "cuda":
                torch.cuda.empty_cache()

    def join(self, training: Pretraining) -> None:
        """Takes the training of a trial of this structure into the pack, or leaves it alone where no pack can serve it."""
        if self.plain:
            return
        training.static = True
        structure = self.structure or ""
        if structure not in self._lanes:
            self._lanes[structure] = self._found_out(training)
        while self._lanes[structure] > 1 and self.pack is None:
            self._make(training, structure)
        if self.pack is not None:
            training.join(self.pack)

    def train(self, trainings: Collection[Pretraining]) -> None:
        """Trains the next epoch of all of these, which are in the pack."""
        if self.pack is not None:
            self.pack.train({one.lane: one.epoch + 1 for one in trainings if one.lane is not None})

    def break_up(self, error: Exception) -> None:
        """After an error within an epoch of the pack: fewer lanes where memory was short, else each trial alone."""
        short = isinstance(error, (MemoryError, torch.OutOfMemoryError))
        structure = self.structure or ""
        self._lanes[structure] = self._lanes[structure] // 2 if short else 1
        told = "memory is short" if short else " ".join(str(error).split()) or type(error).__name__
        log.warning("a pack of trials breaks up (%s): they go on in packs of %d", told, self._lanes[structure])
        self.close()

    def _found_out(self, training: Pretraining) -> int:
        return 1 if (self.structure or "").startswith(ALONE) else self.most or 1

    def _make(self, training: Pretraining, structure: str) -> None:
        trial, lanes = training.trial, self._lanes[structure]
        try:
            self.pack = Pack(lanes, trial, training.data, training.model, self.device)
        except CannotCapture as reason:
            log.warning(
                "trials like %s train one by one, as no step serves several: %s", type(trial.method).__name__, reason
            )
            self._lanes[structure] = 1
        except torch.OutOfMemoryError:
            self._lanes[structure] = lanes // 2
            self.close()
