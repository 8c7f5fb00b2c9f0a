"""What a sweep's stopping rule says of a reading: it is asked once, and its verdict is kept with the reading."""

from __future__ import annotations

import math
from dataclasses import replace

from skelray.checks import UserError
from skelray.contained import call_contained
from skelray.search.sample import Epoch, Sample, Seed
from skelray.search.space import study_code_error
from skelray.study.stopping.rule import PAUSE, STOP, Readings, Rule, Verdict, checked_verdict
from skelray.trial import Trial


def known(sample: Sample, seed: Seed, epoch: Epoch) -> Verdict | None:
    """Returns the verdict at a reading; None where it has not been made."""
    found = sample.verdicts.get(seed, {}).get(epoch)
    if found is None and sample.status in ("stopped", "paused", "failed"):  # under another of its seeds
        return PAUSE if sample.status == "paused" else STOP
    return found


def judged(rule: Rule, sample: Sample, trial: Trial, epoch: Epoch, readings: Readings) -> Verdict:
    """Returns the verdict at a sample's latest reading. readings: of the sample and of all that it is compared with.

    Raises UserError, with the line, where the rule fails.
    """
    every = trial.monitor.every if trial.monitor else rule.grace
    try:
        return call_contained(checked_verdict, replace(rule, grace=every), readings, sample.number, epoch)
    except Exception as error:
        raise study_code_error("the stopping rule", sample.number, error) from error


def check_finite(sample: Sample, epoch: int, value: float) -> None:
    """Raises UserError for a reading that is no number: a rung never sees it."""
    if not math.isfinite(value):
        raise UserError(f"the monitor reads {value} for sample {sample.number} at epoch {epoch}: a number is needed")
