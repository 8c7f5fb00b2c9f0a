"""The best sample of a sweep, from its table, as a study file that measures it beside where the search started."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import optuna

from skelray.checks import UserError
from skelray.identity.canonical import canonical
from skelray.names import HELD_OUT
from skelray.search.space import asked
from skelray.study.python import nearest, study_source
from skelray.study.scale import Scale
from skelray.study.sweep import Sweep

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Found:
    """A sample that ran to its end. value: its last held-out accuracy, the mean over its seeds; of: samples there are."""

    arm: str
    params: Mapping[str, Any]
    value: float
    row: Row
    of: int


def best(rows: Iterable[Row]) -> Found:
    """The sample with the best last reading of those that ran to their end; the earlier of equals.

    rows: of a sweep's table. Raises UserError where no sample has ended.
    """
    last: dict[str, dict[str, Row]] = {}  # by sample, then by trial, of which there is one for each seed
    for row in sorted((row for row in rows if row["metric"] == HELD_OUT), key=lambda row: row["epoch"]):
        last.setdefault(row["arm"], {})[row["trial"]] = row
    done = {arm: list(seeds.values()) for arm, seeds in last.items() if all(r["status"] == "done" for r in seeds.values())}
    if not done:
        raise UserError("no sample of this sweep has run to its end, so none is the best yet")
    values = {arm: fmean(row["value"] for row in seeds) for arm, seeds in done.items()}
    arm = min(done, key=lambda arm: (-values[arm], _number(arm)))
    return Found(arm, json.loads(done[arm][0]["cell"]), values[arm], done[arm][0], len(last))


def _number(arm: str) -> int:
    return 0 if arm == "published" else int(arm.rpartition(" ")[2])


def source(name: str, sweep: Sweep, scale: Scale, rows: Iterable[Row]) -> str:
    """Python of a study at the published scale: where the search started, which is the nearest published setting if it says
    nothing else, and the best that it found.

    name, rows: of the table. Raises UserError where the space makes another trial of the sample's parameters than the table
    has.
    """
    rows = list(rows)
    found = best(rows)
    number, point = _number(found.arm), optuna.trial.FixedTrial(dict(found.params))
    _check_same(name, found, asked(number, sweep.searched, point, scale))
    trial = sweep.space(point)
    first = next((json.loads(row["cell"]) for row in rows if row["arm"] == "published" and row["metric"] == HELD_OUT), None)
    baseline, base = nearest(trial) if first is None else ("published", sweep.space(optuna.trial.FixedTrial(first)))
    says = f"{name}: {found.arm}, the best of {found.of} by held-out {found.row['evaluation']} ({100 * found.value:.1f} %)."
    return study_source(base, baseline, trial, f"best of {name}", says)


def _check_same(name: str, found: Found, trial: Any) -> None:
    stored, now = json.loads(found.row["spec"]), canonical(trial)
    if differ := sorted(field for field in now if field != "seed" and stored.get(field) != now[field]):
        raise UserError(
            f"{found.arm} of {name} has another {differ[0]} than space() gives it now: the table is of an earlier form of "
            "the study file, or of another scale; give the options of its run, or run it again"
        )
