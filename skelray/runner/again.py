"""Runs the trial of a row of any table again, from nothing, and says whether its numbers are the same."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType

import pandas as pd

from skelray.checks import UserError
from skelray.data.dataset import load_splits as load_data
from skelray.evaluation import distinct_names
from skelray.machine import choose_device, provenance
from skelray.results.spec import trial_of
from skelray.results.tables import load
from skelray.runner.context import Settings
from skelray.runner.inline import run_inline
from skelray.runner.job import Listener
from skelray.runner.run import Run
from skelray.study.ablation import Ablation
from skelray.study.arm import Arm
from skelray.trial import Trial

NUMBER = ["evaluation", "metric", "epoch"]  # what tells the numbers of one trial apart
Showing = Callable[[Run], AbstractContextManager[Listener]]


@dataclass(frozen=True, eq=False)
class FoundTrial:
    """The rows of one trial at one length, the trial that their spec says, and how what is here differs."""

    id: str
    arm: str
    rows: pd.DataFrame
    trial: Trial
    differences: list[str] = field(default_factory=list)


def find_trial(beginning: str, settings: Settings, beside: ModuleType | None = None) -> FoundTrial:
    """Finds the trial in ``settings.results`` whose id begins so, at its longest.

    beside: the module of the study file that defines what is not of skelray. Raises UserError where there is none or are
    several, where the row is of an ensemble, or where spec or data are not those of the row.
    """
    table = load(None, settings.results)
    rows = table[table["trial"].str.startswith(beginning) & (table["status"] == "done")]
    ids = list(rows["trial"].unique())
    if not ids:
        raise UserError(
            f"no row in {settings.results} is of a trial {beginning!r} that is done; `skelray scores STUDY` lists ids"
        )
    if len(ids) > 1:
        raise UserError(f"{beginning!r} begins the ids of {len(ids)} trials, {', '.join(ids[:3])} ...: give more of it")
    rows = rows[rows["epochs"] == rows["epochs"].max()].drop_duplicates(NUMBER)
    row = rows.iloc[0]
    spec = json.loads(row["spec"])
    if "ensemble" in spec:
        members = ", ".join(part["trial"] for part in spec["ensemble"])
        raise UserError(f"{ids[0]} is an ensemble, which trains nothing: its trials are {members}")
    trial = trial_of(spec, beside)
    rows = rows[rows["evaluation"].isin(distinct_names(trial.evaluations))]
    if rows.empty:
        raise UserError(
            f"{ids[0]} was read while a search trained it, on held-out subjects, and evaluates nothing: run the search, or "
            f"the trial that it chose"
        )
    data = load_data(settings.data, trial.benchmark, trial.protocol).train.fingerprint
    if data != row["data"]:
        raise UserError(
            f"{ids[0]} is of {trial.benchmark} with fingerprint {row['data'][:12]}, and that in {settings.data} has "
            f"{data[:12]}: other data gives another number"
        )
    return FoundTrial(ids[0], row["arm"], rows, trial, _differences(row, trial.id(data), settings))


def _differences(row: pd.Series, id: str, settings: Settings) -> list[str]:
    """Returns what differs here from where a row was made, in a sentence each."""
    here = provenance(choose_device(settings.device)) | {"device": _described(settings)}
    told = [
        f"{name}: {row[name] or 'not known'} in the table, {here[name] or 'not known'} here"
        for name in ("version", "commit", "device")
        if row[name] != here[name]
    ]
    return told + ([f"id: {row['trial']} in the table, {id} by the code here"] if row["trial"] != id else [])


def _described(settings: Settings) -> str:
    device = choose_device(settings.device)
    if device.type != "cpu":
        return provenance(device)["device"]
    return f"cpu, {settings.threads} thread{'s' if settings.threads > 1 else ''}"


def settings_of_row(beginning: str, settings: Settings) -> Settings:
    """Returns the settings with the device, and on a CPU the threads, that a row was made with, unless they are given."""
    table = load(None, settings.results)
    made = table.loc[table["trial"].str.startswith(beginning) & (table["status"] == "done"), "device"]
    threads = re.fullmatch(r"cpu, (\d+) threads?", made.iloc[0]) if len(made) else None
    return replace(settings, device=settings.device or "cpu", threads=int(threads[1])) if threads else settings


def train_again(found: FoundTrial, settings: Settings, showing: Showing) -> pd.DataFrame:
    """Trains and evaluates the trial in a store of its own, which is removed.

    A row for each number that the table has: evaluation, metric, epoch, before and now (fractions 0..1; NaN where it failed
    now), and whether the two are the same.
    """
    study = Ablation(base=found.trial, arms=[Arm("again")], seeds=(found.trial.seed,))
    with TemporaryDirectory(prefix="skelray-again-") as folder:
        run = Run("again", study, None, replace(settings, store=f"{folder}/store", results=Path(folder) / "results"))
        with showing(run) as listener:
            run_inline(run, listener)
        now = load("again", Path(folder) / "results")
    both = found.rows.merge(now, on=NUMBER, how="left", suffixes=("", " now"))
    made = both[[*NUMBER, "value", "value now"]].set_axis([*NUMBER, "before", "now"], axis=1)
    return made.assign(same=made["before"] == made["now"])
