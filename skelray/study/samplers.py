"""What proposes the samples of a sweep."""

from __future__ import annotations

from dataclasses import dataclass

from skelray.checks import check_whole


@dataclass(frozen=True)
class TPE:
    """Optuna's tree-structured Parzen estimator, its options pinned; sample n is decided by (seed, n, results so far)."""

    seed: int = 0
    startup: int = 10

    def __post_init__(self) -> None:
        check_whole("seed", self.seed, 0, 4000)  # times a million: what numpy's generators take
        check_whole("startup", self.startup, 0)
