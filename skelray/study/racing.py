"""Racing: further seeds for the best samples of a sweep, until the best is known."""

from __future__ import annotations

from dataclasses import dataclass

from skelray.checks import check_number, check_whole


@dataclass(frozen=True)
class Racing:
    """Races the ``best`` samples of a search over more seeds, as F-race does (Birattari et al., GECCO 2002).

    Seed by seed the leader is compared with each racer, paired, on held-out subjects; a racer that is worse, or within
    ``margin`` (a fraction), is eliminated. It ends when the leader is alone, or with ``seeds`` seeds of each racer.
    """

    best: int = 3
    seeds: int = 10
    margin: float = 0.01

    def __post_init__(self) -> None:
        check_whole("best", self.best, 2, 100)
        check_whole("seeds", self.seeds, 2, 1000)
        check_number("margin", self.margin, 0)
