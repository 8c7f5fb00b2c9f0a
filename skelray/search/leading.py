"""Which samples lead a search: the best, and the Pareto front where there are further objectives."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from skelray.search.sample import Sample


def best(samples: Iterable[Sample]) -> Sample | None:
    """Returns the finished sample with the best last reading; the earlier of equals."""
    return max(_done(samples), key=lambda s: s.value or 0.0, default=None)


def front(samples: Iterable[Sample], objectives: Sequence[str]) -> list[Sample]:
    """Returns the finished samples that no other beats in accuracy and in every further objective."""
    done = _done(samples)
    values = {s.number: (-(s.value or 0.0), *(s.figures[name] for name in objectives)) for s in done}
    return [s for s in done if not any(_beats(other, values[s.number]) for other in values.values())]


def _done(samples: Iterable[Sample]) -> list[Sample]:
    found = [s for s in samples if s.status == "done" and s.value is not None]
    return sorted(found, key=lambda s: s.number)


def _beats(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    """Returns whether one point is nowhere larger, and somewhere smaller."""
    return one != other and all(a <= b for a, b in zip(one, other, strict=True))
