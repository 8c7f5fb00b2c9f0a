"""Which trials train together on a device as lanes of one step, and in how many lanes."""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

import torch

from skelray.augment import CannotCapture
from skelray.bench.lanes import keep_lanes, known_rates, measured
from skelray.engine.lane_rate import LaneRate, best, doubled, lane_rates
from skelray.engine.numbers import shape_digest
from skelray.engine.pack import Pack
from skelray.runner.decisions import Decisions
from skelray.training import Pretraining
from skelray.trial import Trial

log = logging.getLogger("skelray")
ALONE = "alone"


class Packing:
    """The pack of a device: one at a time, for trials of one structure, made when the first of them trains.

    most: lanes; None: no packs, as no card has shown yet that they gain, and empty lanes cost. On a CUDA device as many are
    taken, up to ``most``, as are measured to gain from it; the measurements are kept with the figures of `skelray bench`
    in results. alike: how many trials of a structure are left, so that no lane stands empty for want of them. structure: of
    the trials that may join now, None before any has.
    """

    def __init__(
        self,
        device: torch.device,
        most: int | None,
        results: Path | None,
        decisions: Decisions,
        alike: Callable[[str], int],
    ) -> None:
        self.device, self.most, self.results, self.decisions, self.alike = device, most, results, decisions, alike
        self.measures = device.type == "cuda"
        self.structure: str | None = None
        self.pack: Pack | None = None

    @property
    def plain(self) -> bool:
        """Whether each trial trains alone."""
        return self.most is None or (self.most == 1 and self.measures)

    def structure_of(self, trial: Trial, data: str) -> str:
        """Returns what trials of one pack have in common; a trial that can share none has it alone. data: fingerprint."""
        return "" if self.plain else structure_of(trial, data)

    @property
    def lanes(self) -> int:
        """How many trials may be under way: of a structure that has trained none yet a single one, which finds out."""
        return 1 if self.plain else self.decisions.lanes(self.structure or "", self.most or 1) or 1

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
        if self.most == 1:
            return
        if self.decisions.lanes(self.structure or "", self.most or 1) is None:
            self._decide(self._found_out(training))
        while self.lanes > 1 and self.pack is None:
            self._make(training)
        if self.pack is not None:
            training.join(self.pack)

    def train(self, trainings: Collection[Pretraining]) -> None:
        """Trains the next epoch of all of these, which are in the pack."""
        if self.pack is not None:
            self.pack.train({one.lane: one.epoch + 1 for one in trainings if one.lane is not None})

    def break_up(self, error: Exception) -> None:
        """Recovers from an error within an epoch of the pack: fewer lanes if memory was short, else each trial alone."""
        short = isinstance(error, (MemoryError, torch.OutOfMemoryError))
        self._decide(self.lanes // 2 if short else 1)
        told = "memory is short" if short else " ".join(str(error).split()) or type(error).__name__
        log.warning("a pack of trials breaks up (%s): they go on in packs of %d", told, self.lanes)
        self.close()

    def _decide(self, lanes: int) -> None:
        self.decisions.keep(self.structure or "", max(lanes, 1))

    def _found_out(self, training: Pretraining) -> int:
        """Returns the number that gains, spread over the packs that the remaining trials need one after the other."""
        structure, most = self.structure or "", self.most or 1
        if structure.startswith(ALONE) or (alike := self.alike(structure)) <= 1:
            return 1
        lanes = self._measured(training, min(most, alike)) if self.measures else min(most, alike)
        return -(-alike // -(-alike // lanes))

    def _measured(self, training: Pretraining, most: int) -> int:
        """Returns the number that gains, up to the most, by what was measured here before, if anything was."""
        trial = training.trial
        known, ceiling = ([], 0) if self.results is None else known_rates(trial, self.device, self.results)
        found = best(rate for rate in known if rate.lanes <= most)
        if known and (found < known[-1].lanes or most <= ceiling):
            return found
        new: list[LaneRate] = []

        def rates() -> Iterator[LaneRate]:
            for rate in lane_rates(trial, training.data, training.model, self.device, doubled(most)):
                new.append(rate)
                yield rate

        try:
            found = best(rates())
        except Exception as error:
            _tell_alone(trial, error)
            return 1
        if self.results is not None:
            keep_lanes([measured(trial, rate, self.device, most) for rate in new], self.results)
        return found

    def _make(self, training: Pretraining) -> None:
        trial, lanes = training.trial, self.lanes
        try:
            self.pack = Pack(lanes, trial, training.data, training.model, self.device)
        except torch.OutOfMemoryError:
            self._decide(lanes // 2)
            self.close()
        except Exception as error:
            _tell_alone(trial, error)
            self._decide(1)


def structure_of(trial: Trial, data: str) -> str:
    """Returns what trials of one pack have in common; a trial that can share none has it alone. data: fingerprint."""
    try:
        return f"{shape_digest(trial)} {data}"
    except CannotCapture:
        return f"{ALONE} {trial.id(data)}"


def _tell_alone(trial: Trial, error: Exception) -> None:
    """Says why a pack cannot be; what is wrong with the trial itself shows when it trains alone."""
    why = " ".join(str(error).split()) or type(error).__name__
    log.warning("trials of %s train one by one, as no step serves several: %s", type(trial.method).__name__, why)
