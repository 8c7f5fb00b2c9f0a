"""The table of a population that Ray Tune trained by hand: a row for each held-out reading of each member.

A member of population-based training (Jaderberg et al., 2017) is no single setting: it has gone on from another's
weights, with other hyperparameters. Its checkpoint says which setting trained which epochs, and so does its row.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from ray import tune

from skelray.checks import UserError
from skelray.identity.canonical import digest
from skelray.names import HELD_OUT
from skelray.results.rows import NOWHERE, Row, facts_of, failed_row
from skelray.results.tables import write_table
from skelray.runner.trainables import STATE, TrialTrainable


def write_population(
    study: str,
    trainable: type[TrialTrainable],
    members: Iterable[tune.Result],
    mutated: Sequence[str],
    folder: Path | str = "results",
) -> Path:
    """Replaces the tables of ``study`` by those of a population's members; returns the path of the table.

    trainable: what trained them, each with a monitor and a checkpoint at its end. members: as ``Tuner.fit`` returns them.
    mutated: the names in their configs that changed on the way; their last values stand in ``cell``, and ``spec`` has the
    setting of each stretch of epochs under "trained". A member that failed is a failed row.
    """
    rows: list[Row] = []
    curves: dict[tuple[str, int, str], Row] = {}
    for number, member in enumerate(members):
        own, watched = _rows(study, trainable, member, mutated, number)
        rows += own
        curves |= {(row["trial"], row["epoch"], row["metric"]): row for row in watched}
    return write_table(study, rows, list(curves.values()), Path(folder))


def _rows(
    study: str, trainable: type[TrialTrainable], member: tune.Result, mutated: Sequence[str], number: int
) -> tuple[list[Row], list[Row]]:
    config = member.config or {}
    trial, state = trainable.trial_of(config), _state(member)
    id = digest({"trained": state["trained"], "data": state["data"], "epoch": state["epoch"], "member": number})
    facts = facts_of(study, f"member {number}", trial, id, state["data"])
    monitor = trial.monitor.evaluation.name if trial.monitor else ""
    facts |= {"cell": json.dumps({name: config[name] for name in mutated}, sort_keys=True), **NOWHERE}
    facts["spec"] = json.dumps({**json.loads(facts["spec"]), "trained": state["trained"]}, sort_keys=True)
    if member.error is not None:
        cause = str(member.error).strip().splitlines()
        told = {"cause": "error", "line": cause[-1] if cause else type(member.error).__name__, "time": 0.0}
        return [failed_row(facts, trial, monitor, HELD_OUT, told)], []
    if not state["history"]:
        raise UserError(f"member {number} has no checkpoint to read: CheckpointConfig(checkpoint_at_end=True) keeps one")
    told = {"evaluation": monitor, "metric": HELD_OUT, "status": "done", **state["source"]}
    told["started"] = datetime.datetime.fromisoformat(state["started"])
    rows, seconds = [], 0.0
    for epoch, metrics, took in state["history"]:
        seconds += took
        if HELD_OUT in metrics:
            rows.append({**facts, **told, "epoch": epoch, "value": metrics[HELD_OUT], "seconds": seconds})
    curves = [
        {"trial": id, "epoch": epoch, "metric": metric, "value": value, "seconds": took}
        for epoch, metrics, took in state["history"]
        for metric, value in metrics.items()
    ]
    return rows, curves


def _state(member: tune.Result) -> dict[str, Any]:
    """Returns what a member's last checkpoint tells of it; little, if there is none."""
    empty = {"trained": [], "data": "", "epoch": 0, "history": [], "source": {}, "started": ""}
    if member.checkpoint is None:
        return empty
    with member.checkpoint.as_directory() as folder:
        state = torch.load(Path(folder) / STATE, map_location="cpu", weights_only=True)
    return {name: state.get(name, nothing) for name, nothing in empty.items()}
