"""The samplers of a sweep: Optuna's, each with its options pinned.

Sample n is decided by (seed, n, results so far) alone. A sampler is therefore rebuilt for each draw, and what Optuna's
own keep between draws is in the ledger.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, ClassVar

from skelray.checks import MOST_SEED, UserError, check_whole

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler


@dataclass(frozen=True)
class Sampler:
    """A sampler's settings; a study may define its own frozen dataclass of this kind.

    several: whether it takes several objectives. reads_stopped: whether it learns from stopped samples; to one that reads
    only complete ones they appear complete, with their last reading. exhaustive: whether it knows which points are left, so
    that none has to be drawn at random.
    """

    several: ClassVar[bool] = True
    reads_stopped: ClassVar[bool] = False
    exhaustive: ClassVar[bool] = False

    seed: int = 0

    def __post_init__(self) -> None:
        check_whole("seed", self.seed, 0, MOST_SEED)

    def build(self, draw: int) -> BaseSampler:
        """Builds Optuna's sampler for one draw.

        draw: 32 bits from the seed and the sample's number, which decide all randomness.
        """
        raise NotImplementedError(f"{type(self).__name__} has no build(draw)")


@dataclass(frozen=True)
class TPE(Sampler):
    """The tree-structured Parzen estimator (Bergstra et al., NeurIPS 2011; multivariate: Falkner et al., ICML 2018).

    Parameters that occur together are modelled together, so that a space may have conditions. startup: random samples
    before.
    """

    reads_stopped: ClassVar[bool] = True

    startup: int = 10

    def __post_init__(self) -> None:
        super().__post_init__()
        check_whole("startup", self.startup, 0)

    def build(self, draw: int) -> BaseSampler:
        from optuna.samplers import TPESampler

        return TPESampler(
            seed=draw,
            n_startup_trials=self.startup,
            n_ei_candidates=24,
            multivariate=True,
            group=True,
            constant_liar=True,
        )


@dataclass(frozen=True)
class Random(Sampler):
    """Uniform over the space, without learning from results."""

    def build(self, draw: int) -> BaseSampler:
        from optuna.samplers import RandomSampler

        return RandomSampler(seed=draw)


@dataclass(frozen=True)
class Grid(Sampler):
    """Every point of the space once, in an order that the seed decides; then the sweep ends.

    The space suggests categories, whole numbers, and floats with a ``step``; conditions are followed.
    """

    exhaustive: ClassVar[bool] = True

    def build(self, draw: int) -> BaseSampler:
        from optuna.samplers import BruteForceSampler

        return BruteForceSampler(seed=draw)


@dataclass(frozen=True)
class CMAES(Sampler):
    """CMA-ES (Hansen, 2016) over numbers; categories are drawn at random. Needs the extra ``cmaes``.

    population: samples of a generation; None: 4 + 3 ln(parameters), as in the paper. startup: random samples before.
    """

    several: ClassVar[bool] = False

    population: int | None = None
    startup: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        check_whole("startup", self.startup, 1)
        if self.population is not None:
            check_whole("population", self.population, 4)
        if find_spec("cmaes") is None:
            raise UserError("CMAES needs the package cmaes: pip install 'skelray[samplers]'")

    def build(self, draw: int) -> BaseSampler:
        from optuna.samplers import CmaEsSampler, RandomSampler

        return CmaEsSampler(
            seed=draw,
            n_startup_trials=self.startup,
            popsize=self.population,
            independent_sampler=RandomSampler(seed=draw),
            warn_independent_sampling=False,
        )


@dataclass(frozen=True)
class GP(Sampler):
    """A Gaussian process with log expected improvement (Ament et al., NeurIPS 2023); readings count as noisy.

    startup: random samples before. It uses scipy and torch, which skelray has.
    """

    startup: int = 10

    def __post_init__(self) -> None:
        super().__post_init__()
        check_whole("startup", self.startup, 1)

    def build(self, draw: int) -> BaseSampler:
        from optuna.samplers import GPSampler, RandomSampler

        return GPSampler(
            seed=draw,
            n_startup_trials=self.startup,
            deterministic_objective=False,
            independent_sampler=RandomSampler(seed=draw),
            warn_independent_sampling=False,
        )


@dataclass(frozen=True)
class QMC(Sampler):
    """A scrambled Sobol sequence: it fills the space more evenly than random points; the seed decides the scrambling.

    Parameters that are not in every trial are drawn at random.
    """

    def build(self, draw: int) -> BaseSampler:
        from optuna.samplers import QMCSampler, RandomSampler

        return QMCSampler(
            qmc_type="sobol",
            scramble=True,
            seed=self.seed % 2**32,  # one sequence for all samples
            independent_sampler=RandomSampler(seed=draw),
            warn_independent_sampling=False,
        )


@dataclass(frozen=True)
class NSGAII(Sampler):
    """NSGA-II (Deb et al., IEEE TEVC 2002): generations that approach the Pareto front of several objectives."""

    population: int = 20

    def __post_init__(self) -> None:
        super().__post_init__()
        check_whole("population", self.population, 2)

    def build(self, draw: int) -> BaseSampler:
        from optuna.samplers import NSGAIISampler

        return NSGAIISampler(seed=draw, population_size=self.population)


def _nothing(draw: int) -> BaseSampler:
    raise UserError("OptunaSampler(make=...): a function that builds a sampler of Optuna's is needed")


@dataclass(frozen=True)
class OptunaSampler(Sampler):
    """Any sampler of Optuna or OptunaHub: make(draw) builds it, with its randomness decided by ``draw``.

    It is rebuilt for each draw. Its state belongs into the system attributes of trials and studies, where Optuna's own keep
    theirs.
    """

    make: Callable[[int], BaseSampler] = _nothing

    def __post_init__(self) -> None:
        super().__post_init__()
        if not inspect.isfunction(self.make):
            raise UserError(f"make {self.make!r} is no function: write it with def, as a sweep is known by its source")

    def build(self, draw: int) -> BaseSampler:
        return self.make(draw)
