"""What a sweep's stopping rule says of a reading: it is asked once, and its verdict is kept with the reading."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import replace

from skelray.checks import UserError
from skelray.contained import contained
from skelray.search.sample import Epoch, Sample, Seed
from skelray.search.space import failing
from skelray.study.stopping.rule import PAUSE, STOP, Rule, Verdict, asked
from skelray.trial import Trial

MOST_ASKED = 32  # of the samples that wait at one epoch, how many are asked about, the best first


def known(sample: Sample, seed: Seed, epoch: Epoch) -> Verdict | None:
    """The verdict at a reading; None where it has not been made."""
    found = sample.verdicts.get(seed, {}).get(epoch)
    if found is None and sample.status in ("stopped", "paused", "failed"):  # under another of its seeds
        return PAUSE if sample.status == "paused" else STOP
    return found


def judged(rule: Rule, sample: Sample, trial: Trial, epoch: Epoch, rivals: Iterable[Sample]) -> Verdict:
    """The verdict at a sample's latest reading, which it has. Raises UserError, with the line, where the rule fails."""
    every = trial.monitor.every if trial.monitor else rule.grace
    readings = {rival.number: rival.rungs for rival in rivals} | {sample.number: sample.rungs}
    try:
        return contained(asked, replace(rule, grace=every), readings, sample.number, epoch)
    except Exception as error:
        raise failing("the stopping rule", sample.number, error) from error


def check_finite(sample: Sample, epoch: int, value: float) -> None:
    """Raises UserError for a reading that is no number: a rung never sees it."""
    if not math.isfinite(value):
        raise UserError(f"the monitor reads {value} for sample {sample.number} at epoch {epoch}: a number is needed")


def waiting(samples: Iterable[Sample]) -> list[tuple[Sample, Seed, Epoch]]:
    """The paused samples that may be asked about again, with where they wait: those that came furthest first, then the
    best, then the earliest."""
    found = [(sample, *_place(sample)) for sample in samples if sample.status == "paused"]
    found.sort(key=lambda one: (-one[2], -one[0].rungs[one[2]], one[0].number))
    return list(_first_at_each(found))


def _place(sample: Sample) -> tuple[Seed, Epoch]:
    """Returns where a paused sample waits."""
    return next((seed, epoch) for seed, own in sample.verdicts.items() for epoch, said in own.items() if said == PAUSE)


def _first_at_each(found: Iterable[tuple[Sample, Seed, Epoch]]) -> Iterator[tuple[Sample, Seed, Epoch]]:
    counts: dict[Epoch, int] = {}
    for one in found:
        counts[one[2]] = counts.get(one[2], 0) + 1
        if counts[one[2]] <= MOST_ASKED:
            yield one
