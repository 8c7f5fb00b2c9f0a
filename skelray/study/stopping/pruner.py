"""Any stateless pruner of Optuna as a stopping rule."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from skelray.checks import UserError, check_whole
from skelray.study.stopping.rule import ON, STOP, Readings, Verdict


@dataclass(frozen=True)
class Pruner:
    """Stops the samples that an Optuna pruner prunes. make: a function without arguments that builds it.

    The pruner sees every other sample as complete, with its readings as intermediate values by epoch, and is rebuilt for
    each verdict. A pruner with state of its own or in Optuna's study, as SuccessiveHalvingPruner and HyperbandPruner, would
    forget it: use ASHA and HyperBand.
    """

    make: Callable[[], Any]
    grace: int = 25

    def __post_init__(self) -> None:
        if not inspect.isfunction(self.make):
            raise UserError(f"make {self.make!r} is no function: write it with def, as a sweep is known by its source")
        check_whole("grace", self.grace, 1)

    def verdict(self, readings: Readings, sample: int, epoch: int) -> Verdict:
        import optuna
        from optuna.trial import TrialState, create_trial

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        study = optuna.create_study(direction="maximize")
        for number, own in sorted(readings.items()):
            read = {e: value for e, value in own.items() if not math.isnan(value)}
            if number != sample and read:
                study.add_trial(create_trial(value=read[max(read)], intermediate_values=read))
        mine = {e: value for e, value in readings[sample].items() if e <= epoch}
        study.add_trial(create_trial(state=TrialState.RUNNING, intermediate_values=mine))
        return STOP if self.make().prune(study, study.get_trials(deepcopy=False)[-1]) else ON
