"""What a search asks of all its samples at once, brought up to date with each record, so that no question reads them all."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Iterator

from skelray.search.sample import Epoch, Sample, Seed
from skelray.study.stopping.rule import PAUSE, Readings

MOST_ASKED = 32  # of the samples that wait at one epoch, how many are asked about, the best first; 1 of a bracket


class Progress:
    """Follows a ledger. next_number: the lowest that no sample has; running: the numbers of the samples under way.

    epochs, seconds: trained by all samples together, racers' further seeds among them. bracket: of a rule that has brackets,
    by a sample's number.
    """

    def __init__(self, bracket: Callable[[int], int] | None = None) -> None:
        self._bracket, self._most_asked = bracket or (lambda number: 0), MOST_ASKED if bracket is None else 1
        self.clear()

    def clear(self) -> None:
        """Forgets all samples."""
        self.next_number, self.running, self.epochs, self.seconds = 0, set[int](), 0, 0.0
        self._rungs: dict[int, dict[Epoch, float]] = {}
        self._started: dict[int, float] = {}
        self._before: set[int] = set()  # numbers of samples that started after the sample of the next number
        self._costs: dict[int, tuple[int, float]] = {}
        self._places: dict[int, tuple[Epoch, float]] = {}  # of paused samples: the epoch, and the reading's negative
        self._waiting: dict[Epoch, dict[int, list[tuple[float, int]]]] = {}  # by bracket: the best first, then the earliest

    def put(self, sample: Sample) -> None:
        """Takes in a sample as it is now."""
        number = sample.number
        self._rungs[number] = sample.rungs
        if sample.status == "running":
            self.running.add(number)
        else:
            self.running.discard(number)
        self._count(sample)
        self._wait(sample)
        if self._started.get(number) != sample.started:
            self._started[number] = sample.started
            for earlier in (number - 1, number):
                late = self._started.get(earlier, 0.0) > self._started.get(earlier + 1, float("inf"))
                (self._before.add if late else self._before.discard)(earlier)
        while self.next_number in self._started:
            self.next_number += 1

    def _count(self, sample: Sample) -> None:
        before = self._costs.get(sample.number, (0, 0.0))
        raced = len(sample.raced) * max(sample.rungs, default=0)
        now = self._costs[sample.number] = sample.epochs + raced, sample.seconds
        self.epochs += now[0] - before[0]
        self.seconds += now[1] - before[1]

    def _wait(self, sample: Sample) -> None:
        number = sample.number
        if (before := self._places.pop(number, None)) is not None:
            epoch, key = before
            there = self._waiting[epoch][self._bracket(number)]
            del there[bisect_left(there, (key, number))]
        if (waits := waiting_place(sample)) is not None:
            _, epoch = waits
            key = -sample.rungs[epoch]
            self._places[number] = epoch, key
            insort(self._waiting.setdefault(epoch, {}).setdefault(self._bracket(number), []), (key, number))

    def waiting(self) -> Iterator[int]:
        """Returns the numbers of paused samples that may be asked about again: those that came furthest first, then the
        best, then the earliest."""
        for _, brackets in sorted(self._waiting.items(), reverse=True):
            yield from (
                number for _, number in sorted(one for there in brackets.values() for one in there[: self._most_asked])
            )

    def readings(self, sample: Sample) -> Readings:
        """Returns the readings of a sample, and of all that it is compared with: those that were there when it started.

        A sample of a later number that started earlier was proposed when this one's line was lost, and is left out.
        """
        if not self._before and self.next_number == len(self._started):  # they started in the order of their numbers
            return {**self._rungs, sample.number: sample.rungs}
        later = {n for n, started in self._started.items() if n > sample.number and started < sample.started}
        return {n: rungs for n, rungs in self._rungs.items() if n not in later} | {sample.number: sample.rungs}

    def until(self, last: int, sample: Sample) -> Readings:
        """Returns the readings of a sample, and of all up to a number."""
        return {n: self._rungs[n] for n in range(last + 1) if n in self._rungs} | {sample.number: sample.rungs}


def waiting_place(sample: Sample) -> tuple[Seed, Epoch] | None:
    """Returns where a paused sample waits; None for any other."""
    waits = ((seed, epoch) for seed, own in sample.verdicts.items() for epoch, said in own.items() if said == PAUSE)
    return next(waits, None) if sample.status == "paused" else None
