"""A race of a search's best samples over further seeds: who is still in it, and what it needs next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from skelray.results.verdicts import judge
from skelray.search.sample import Sample, Seed
from skelray.search.search import Search
from skelray.study.racing import Racing

OUT = ("helps", "equivalent")  # what the leader beside another is, for the other to be out


@dataclass(frozen=True)
class Standing:
    """The state of a race.

    leader: the best of those left. missing: trials that the next seed needs; none if the race is over.
    """

    leader: Sample | None
    racers: Sequence[Sample]
    missing: Sequence[tuple[Sample, Seed]] = ()


def race_standing(search: Search, racing: Racing) -> Standing:
    """Returns the state of the race by what the ledger has; the same whenever it is asked. A racer that failed is out."""
    last = {n: search.trial(s).epochs for n, s in search.samples.items() if s.status == "done"}
    done = [s for n, s in sorted(search.samples.items()) if n in last and s.value is not None]
    left = sorted(done, key=lambda s: (-(s.value or 0.0), s.number))[: racing.best]
    seeds = list(left[0].trials) if left else []
    read = {s.number: [s.readings[seed][last[s.number]] for seed in s.trials] for s in left}
    while len(left) > 1:
        left = _left(left, read, racing.margin)
        if len(left) == 1 or len(seeds) >= racing.seeds:
            break
        seed = max(seeds) + 1
        if missing := [(s, seed) for s in left if seed not in s.raced and seed not in s.lost_seeds]:
            return Standing(left[0], left, missing)
        left = [s for s in left if seed in s.raced]  # who failed is out
        for sample in left:
            read[sample.number].append(sample.raced[seed])
        seeds.append(seed)
    return Standing(left[0] if left else search.best(), left)


def _left(racers: Sequence[Sample], read: Mapping[int, Sequence[float]], margin: float) -> list[Sample]:
    """Returns the leader, then those that it is not yet known to be better than, or as good as."""
    leader, *others = sorted(racers, key=lambda s: (-sum(read[s.number]) / len(read[s.number]), s.number))
    if len(read[leader.number]) < 2:
        return [leader, *others]
    verdicts = judge([(read[leader.number], read[other.number]) for other in others], margin)
    return [leader, *(other for other, verdict in zip(others, verdicts, strict=True) if verdict.word not in OUT)]
