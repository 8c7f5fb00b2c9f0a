"""The best sample of a sweep, from its table, as a study file that measures it beside where the search started."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

import optuna

from skelray.checks import UserError
from skelray.identity.canonical import canonical
from skelray.names import HELD_OUT
from skelray.search.from_table import ReadSample, Row, samples_from_rows
from skelray.search.space import trial_of_point
from skelray.study.python import nearest_published, study_source
from skelray.study.scale import Scale
from skelray.study.sweep import Sweep
from skelray.trial import Trial


def best_sample(told: Sequence[ReadSample]) -> ReadSample:
    """Returns the sample with the best last reading of those that ran to their end; the earlier of equals.

    After a race it is one of those with the most seeds, as one lucky seed of another is no better.
    Raises UserError where none has run to its end.
    """
    done = [sample for sample in told if sample.status == "done" and sample.readings]
    if not done:
        raise UserError("no sample of this sweep has run to its end, so none is the best yet")
    return max(done, key=lambda sample: (sample.seeds, sample.value or 0.0, -sample.number))


def best_as_python(name: str, sweep: Sweep, scale: Scale, rows: Iterable[Row]) -> str:
    """Returns a study, as Python at the published scale, of where the search started and the best that it found.

    A sweep without a published setting starts from the nearest of the papers'.

    name, rows: of the table. Raises UserError where the space makes another trial of the sample's parameters than the table
    has.
    """
    rows = [row for row in rows if row["metric"] == HELD_OUT]
    told = samples_from_rows(rows)
    found = best_sample(told)
    row = next(row for row in rows if row["arm"] == found.arm)
    point = optuna.trial.FixedTrial(dict(found.params))
    _check_same(name, row, _made_now(name, found, sweep, scale))
    trial = sweep.space(point)
    first = next((sample.params for sample in told if sample.arm == "published"), None)
    baseline, base = (
        nearest_published(trial) if first is None else ("published", sweep.space(optuna.trial.FixedTrial(dict(first))))
    )
    value = f"{100 * (found.value or 0.0):.1f} %"
    says = f"{name}: {found.arm}, the best of {len(told)} samples by held-out {row['evaluation']} ({value})."
    if found.arm == "published":
        says += "\n\nNo sample was better than the published setting, so this is its only arm.\n"
    return study_source(base, baseline, trial, f"best of {name}", says)


OTHER_FORM = (
    "the table is of an earlier form of the study file, or of another scale; give the options of its run, or run it again"
)


def _made_now(name: str, found: ReadSample, sweep: Sweep, scale: Scale) -> Trial:
    """Returns the trial that the space makes of a sample's parameters. Raises UserError where it does not take them."""
    try:
        return trial_of_point(found.number, sweep.searched, optuna.trial.FixedTrial(dict(found.params)), scale)
    except UserError as error:
        raise UserError(f"space() does not take the parameters of {found.arm} of {name} ({error}): {OTHER_FORM}") from error


def _check_same(name: str, row: Row, trial: Trial) -> None:
    stored, now = json.loads(row["spec"]), canonical(trial)
    if differ := sorted(field for field in now if field != "seed" and stored.get(field) != now[field]):
        raise UserError(f"{row['arm']} of {name} has another {differ[0]} than space() gives it now: {OTHER_FORM}")
