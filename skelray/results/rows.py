"""Makes the rows of a study's tables from the study and its store."""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from skelray.checks import UserError
from skelray.evaluation import Evaluation, HasFused, Transfer, distinct_names, main_metric
from skelray.identity.canonical import canonical, digest
from skelray.names import PUBLISHED, column_name
from skelray.store.ensembles import StoredEnsemble
from skelray.store.store import Store, StoredTrial, evaluated
from skelray.study.cell import Cell, Fused, scalars
from skelray.study.quoted import Quoted
from skelray.trial import Trial

Row = dict[str, Any]
NOWHERE = {"target": None, "target_protocol": None}


def complete(trial: Trial, stored: StoredTrial) -> bool:
    """Returns whether the store holds every evaluation of a trial, or the encoder of a trial that evaluates nothing.

    Figures are written after their encoder, which may have been taken away since.
    """
    if not trial.evaluations:
        return stored.has_encoder(trial.epochs)
    with stored.listed_once():
        return all(stored.result(trial.epochs, canonical(evaluation)) is not None for evaluation in trial.evaluations)


def facts_of(study: str, arm: str, trial: Trial, id: str, data: str) -> Row:
    """Returns the columns that all rows of a trial in an arm share."""
    return {
        "study": study,
        "trial": id,
        "arm": arm,
        "benchmark": trial.benchmark,
        "protocol": trial.protocol,
        "stream": trial.stream,
        "backbone": type(trial.backbone).__name__.lower(),
        "method": type(trial.method).__name__.lower(),
        "seed": trial.seed,
        "epochs": trial.epochs,
        "data": data,
        "spec": json.dumps(canonical(trial), sort_keys=True),
        "error": "",
        "published": None,
    }


def cell_rows(
    study: str, cell: Cell, store: Store, data: str, stored: StoredTrial | None = None, parameters: float | None = None
) -> list[Row]:
    """Returns the rows of a cell: stored figures, why it failed, or none where it has not run.

    stored: its trial's place in the store, where it is known. parameters: millions, of one stream's encoder, or None.
    """
    trial, stored = cell.trial, stored or store.trial(cell.trial.id(data))
    told = {"cell": scalars(cell.coordinates), "parameters": parameters, "published_parameters": cell.params}
    facts = {**facts_of(study, cell.arm, trial, stored.id, data), **told}
    rows = []
    for name, evaluation in _named(trial):
        result = stored.result(trial.epochs, canonical(evaluation))
        if result is not None:
            rows += _measured({**facts, **_target(evaluation)}, trial, name, result, cell.published)
        elif (failure := stored.failure_of(trial.epochs, canonical(evaluation))) is not None:
            rows.append(failed_row({**facts, **_target(evaluation)}, trial, name, main_metric(evaluation), failure))
    return rows


def _named(trial: Trial) -> Iterator[tuple[str, Evaluation]]:
    return zip(distinct_names(trial.evaluations), trial.evaluations, strict=True)


def pictures(cell: Cell | Fused, stored: StoredTrial) -> dict[str, bytes]:
    """Returns the pictures that the evaluations of a cell or an ensemble drew, by the name of a file."""
    trial = cell.trial
    found: dict[str, bytes] = {}
    for called, evaluation in _named(trial):
        result = stored.result(trial.epochs, canonical(evaluation))
        for ending in (result or {}).get("files", ()):
            content = stored.picture(trial.epochs, canonical(evaluation), ending)
            protocol = "" if "protocol" in cell.coordinates else trial.protocol
            name = re.sub(r"[^\w.+-]+", "_", f"{protocol} {cell.name} {called}").strip("_")
            found |= {f"{name}.{ending}": content} if content is not None else {}
    return found


def fused_pictures(fused: Fused, store: Store, data: str) -> dict[str, bytes]:
    """Returns the pictures of streams side by side, by the name of a file."""
    return pictures(fused, ensemble_of(fused, store, data).stored)


def ensemble_of(fused: Fused, store: Store, data: str) -> StoredEnsemble:
    """Returns an ensemble's place in the store."""
    members = {cell.trial.stream: cell.trial.id(data) for cell in fused.members.values()}
    return StoredEnsemble(store, members, fused.ensemble)


def fused_rows(study: str, fused: Fused, store: Store, data: str, parameters: float | None = None) -> list[Row]:
    """Returns the rows of an ensemble: figures once all streams have scores, a failure if one of them failed.

    What reads streams side by side is only looked for: a job of its own makes it (``runner.fusing``).
    """
    trial, found = replace(fused.trial, stream=fused.ensemble.stream), ensemble_of(fused, store, data)
    told = {"ensemble": found.spec()}
    facts = {
        **facts_of(study, fused.arm, trial, found.id, data),
        "cell": scalars(fused.coordinates, weights=fused.ensemble.weights),
        "spec": json.dumps({**canonical(trial), **told}, sort_keys=True),
        "parameters": parameters,
        "published_parameters": fused.params,
    }
    rows = []
    for name, evaluation in _named(trial):
        main = main_metric(evaluation)
        if main != "top1" and not side_by_side(evaluation):  # nothing to fuse
            continue
        file = evaluated(trial.epochs, canonical(evaluation))
        try:
            result = found.stored_result(file) if side_by_side(evaluation) else found.result(file)
        except UserError as error:
            apart = {"cause": "streams differ", "line": str(error), "time": 0.0}
            rows.append(failed_row({**facts, **_target(evaluation)}, trial, name, main, apart))
            continue
        if result is not None:
            rows += _measured({**facts, **_target(evaluation)}, trial, name, result, fused.published)
        elif (failure := _failure_of(fused, store, data, evaluation, found.stored)) is not None:
            rows.append(failed_row({**facts, **_target(evaluation)}, trial, name, main, failure))
    return rows


def side_by_side(evaluation: Evaluation) -> bool:
    """Returns whether an evaluation reads an ensemble's streams side by side, from features that it keeps of each."""
    return isinstance(evaluation, HasFused) and evaluation.keep


def _failure_of(fused: Fused, store: Store, data: str, evaluation: Evaluation, own: StoredTrial) -> dict[str, Any] | None:
    """Returns why an ensemble has no figure: the failure of the first stream without one, or that its scores are lost.

    own: the ensemble's place, where it says that putting streams side by side failed.
    """
    for stream, cell in fused.members.items():
        stored, content = store.trial(cell.trial.id(data)), canonical(evaluation)
        failure, result = stored.failure_of(cell.trial.epochs, content), stored.result(cell.trial.epochs, content)
        if failure is not None and result is None:
            line = f"{stream}, {failure['cause']}: {failure['line']}"
            return {**failure, "cause": "stream failed", "line": line, "traceback": ""}
        had_scores = result is not None and "test" in result  # which says whose scores they are
        if had_scores and stored.arrays(evaluated(cell.trial.epochs, content)) is None:
            line = f"the store has no scores of {stream} any more: a run with another --store makes them again"
            return {"cause": "scores lost", "line": line, "time": 0.0}
    return own.failure_of(fused.trial.epochs, canonical(evaluation)) if side_by_side(evaluation) else None


def _target(evaluation: Evaluation) -> Row:
    """Returns what a transfer evaluates on."""
    if not isinstance(evaluation, Transfer):
        return dict(NOWHERE)
    return {"target": evaluation.benchmark, "target_protocol": evaluation.protocol}


def _measured(facts: Row, trial: Trial, name: str, result: dict[str, Any], published: Mapping[str, float]) -> list[Row]:
    return [
        {
            **facts,
            "evaluation": name,
            "metric": metric,
            "value": value,
            "epoch": trial.epochs,
            "published": published.get(column_name(name, metric)),
            "status": "done",
            "seconds": result["seconds"],
            "started": datetime.datetime.fromisoformat(result["started"]),
            **{key: result[key] for key in ("device", "version", "commit")},
        }
        for metric, value in result["metrics"].items()
    ]


def failed_row(facts: Row, trial: Trial, name: str, metric: str, failure: dict[str, Any]) -> Row:
    """Returns a row without a value. device, version, commit: of where it failed; empty where nobody has told."""
    return {
        **facts,
        "evaluation": name,
        "metric": metric,
        "value": float("nan"),
        "epoch": trial.epochs,
        "status": "failed",
        "error": f"{failure['cause']}: {failure['line']}\n{failure.get('traceback', '')}",
        "seconds": failure.get("seconds", 0.0),
        "started": datetime.datetime.fromtimestamp(failure.get("began", failure["time"]), datetime.UTC),
        **{key: failure.get(key, "") for key in ("device", "version", "commit")},
    }


def curve_rows(trial: Trial, stored: StoredTrial) -> list[Row]:
    """Returns every metric of every epoch of a trial that is stored."""
    return [
        {"trial": stored.id, "epoch": epoch, "metric": metric, "value": value, "seconds": seconds}
        for epoch, metrics, seconds in stored.history(trial.epochs)
        for metric, value in metrics.items()
    ]


def reference_row(study: str, one: Quoted) -> Row:
    """Returns the row of a number that is only published; nobody ran it, so it has no seed, time or machine."""
    reference, place = one.reference, {"benchmark": one.benchmark, "protocol": one.protocol}
    spec = {"reference": reference.label, **place, "stream": one.stream, "evaluation": one.name, "metric": one.metric}
    return {
        "study": study,
        "trial": digest(spec),
        "arm": reference.label,
        "cell": json.dumps(place),
        **place,
        "stream": one.stream,
        "backbone": reference.backbone,
        **dict.fromkeys(("method", "error", "device", "version", "commit", "data"), ""),
        "evaluation": one.name,
        **_target(one.evaluation),
        "metric": one.metric,
        "value": float("nan"),
        "published": one.published,
        "published_parameters": reference.params,
        **dict.fromkeys(("seed", "epochs", "epoch"), 0),
        "status": PUBLISHED,
        "seconds": 0.0,
        "started": datetime.datetime.fromtimestamp(0, datetime.UTC),
        "spec": json.dumps(spec, sort_keys=True),
    }
