"""Makes the rows of a sweep's samples: a row for each reading of each of its seeds."""

from __future__ import annotations

import datetime
import json

from skelray.identity.canonical import canonical
from skelray.names import HELD_OUT, SEARCH
from skelray.results.rows import NOWHERE, Row, facts_of, failed_row
from skelray.search.sample import Sample, Seed
from skelray.search.search import Search
from skelray.store.store import StoredTrial
from skelray.trial import Trial


def sample_rows(study: str, search: Search, sample: Sample, seed: Seed, stored: StoredTrial, data: str) -> list[Row]:
    """The readings of a sample under a seed, none where it is under way; of one that failed, its failure after them.

    A reading after which the sample went on is "done", the one at which it was stopped or left waiting "stopped". ``spec``
    holds the trial and, under "search", what the parameters were drawn from and the further objectives.
    """
    if sample.status == "running":
        return []
    trial = search.trial(sample, seed)
    facts = _facts(study, search, sample, trial, stored, data)
    readings = sample.readings.get(seed, {})
    history = stored.history(trial.epochs)
    rows = []
    for epoch, value in sorted(readings.items()):
        halted = sample.status in ("stopped", "paused") and epoch == max(readings)
        rows.append(
            {
                **facts,
                "value": value,
                "epoch": epoch,
                "status": "stopped" if halted else "done",
                "seconds": float(sum(seconds for at, _, seconds in history if at <= epoch)),
                "started": datetime.datetime.fromtimestamp(sample.started, datetime.UTC),
                **{key: sample.provenance.get(key, "") for key in ("device", "version", "commit")},
            }
        )
    if sample.status == "failed":
        known = stored.failure(trial.epochs)
        failure = known or {"cause": "error", "line": "no record of why", "time": sample.started}
        rows = [row for row in rows if row["epoch"] < trial.epochs]
        rows.append(failed_row(facts, trial, search.sweep.monitor.name, HELD_OUT, failure))
    return rows


def _facts(study: str, search: Search, sample: Sample, trial: Trial, stored: StoredTrial, data: str) -> Row:
    drawn = {"distributions": sample.distributions, "figures": sample.figures}
    return {
        **facts_of(study, search.arm(sample), trial, stored.id, data),
        "cell": json.dumps(sample.params, sort_keys=True),
        "spec": json.dumps({**canonical(trial), SEARCH: drawn}, sort_keys=True),
        "evaluation": search.sweep.monitor.name,
        "metric": HELD_OUT,
        **NOWHERE,
    }
