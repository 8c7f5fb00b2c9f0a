"""Makes the rows of a sweep's samples: a row for each reading of each of its seeds."""

from __future__ import annotations

import datetime
import json

from skelray.identity.canonical import canonical
from skelray.names import HELD_OUT, SEARCH
from skelray.results.rows import NOWHERE, Row, facts_of, failed_row
from skelray.search.sample import Sample, Seed
from skelray.search.search import Search
from skelray.store.store import Store
from skelray.trial import Trial


def sample_rows(study: str, search: Search, sample: Sample, store: Store) -> list[Row]:
    """Returns the readings of a sample under each of its seeds, the racing ones too; nothing where it is under way.

    A reading after which the sample went on is "done", the one at which it was stopped or left waiting "stopped"; a failure
    stands after what was read before it. ``spec`` holds the trial and, under "search", what the parameters were drawn from
    and the further objectives.
    """
    if sample.status == "running":
        return []
    seeds = (*sample.trials, *sorted(sample.raced))
    return [row for seed in seeds for row in _rows_of(study, search, sample, seed, store)]


def _rows_of(study: str, search: Search, sample: Sample, seed: Seed, store: Store) -> list[Row]:
    trial = search.trial(sample, seed)
    stored, readings = store.trial(trial.id(search.data)), sample.readings.get(seed, {})
    if seed in sample.raced:
        readings = {trial.epochs: sample.raced[seed]}
    facts, history, rows = _facts(study, search, sample, trial, stored.id), stored.history(trial.epochs), []
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
    if sample.status != "failed":
        return rows
    failure = stored.failure(trial.epochs)
    if failure is None and len(sample.trials) > 1:  # it failed under another seed
        return rows
    unknown = {"cause": "error", "line": "no record of why", "time": sample.started}
    failed = failed_row(facts, trial, search.sweep.monitor.name, HELD_OUT, failure or unknown)
    return [*(row for row in rows if row["epoch"] < trial.epochs), failed]


def _facts(study: str, search: Search, sample: Sample, trial: Trial, id: str) -> Row:
    drawn = {"distributions": sample.distributions, "figures": sample.figures}
    return {
        **facts_of(study, search.arm_label(sample), trial, id, search.data),
        "cell": json.dumps(sample.params, sort_keys=True),
        "spec": json.dumps({**canonical(trial), SEARCH: drawn}, sort_keys=True),
        "evaluation": search.sweep.monitor.name,
        "metric": HELD_OUT,
        **NOWHERE,
    }
