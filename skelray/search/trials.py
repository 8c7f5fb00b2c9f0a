"""The trials of a sweep's samples: made by its space from their parameters, each once."""

from __future__ import annotations

import optuna

from skelray.search.sample import Sample, Seed
from skelray.search.space import asked
from skelray.study.scale import Scale
from skelray.study.sweep import Sweep
from skelray.trial import Trial


class Trials:
    """Keeps what the space of a sweep makes of each sample at a scale."""

    def __init__(self, sweep: Sweep, scale: Scale) -> None:
        self.sweep, self.scale = sweep, scale
        self._made: dict[int, dict[Seed, Trial]] = {}

    def of_new(self, sample: Sample) -> list[Trial]:
        """Makes what is trained for a new sample, under each seed. Raises UserError, with its line, if the space fails."""
        point = optuna.trial.FixedTrial(sample.params)
        seeds = self.sweep.seeds_at(self.scale) or (None,)
        made = [asked(sample.number, self.sweep.searched, point, self.scale, seed) for seed in seeds]
        self._made[sample.number] = {trial.seed: trial for trial in made}
        return made

    def searched(self, sample: Sample, seed: Seed | None = None) -> Trial:
        """Returns what is trained for a sample under a seed, the first by default: without the test split."""
        seed = first_seed(sample) if seed is None else seed
        made = self._made.setdefault(sample.number, {})
        if seed not in made:
            point = optuna.trial.FixedTrial(sample.params)
            made[seed] = asked(sample.number, self.sweep.searched, point, self.scale, seed)
        return made[seed]

    def final(self, sample: Sample, seed: Seed | None = None) -> Trial:
        """Returns the trial with its evaluations on the test split."""
        seed = first_seed(sample) if seed is None else seed
        return asked(sample.number, self.sweep.trial, optuna.trial.FixedTrial(sample.params), self.scale, seed)

    def clear(self) -> None:
        """Forgets all trials: samples of these numbers may be others now."""
        self._made.clear()


def first_seed(sample: Sample) -> Seed:
    """Returns the seed under which a sample is trained first."""
    return next(iter(sample.trials))
