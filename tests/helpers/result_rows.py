"""Rows of a results table for tests."""

from datetime import UTC, datetime

import pandas as pd

from skelray.results.schema import COLUMNS

PLAIN = {
    "study": "arrangement",
    "trial": "t0",
    "arm": "[BA, NA, Mask]",
    "cell": "{}",
    "benchmark": "ntu60",
    "protocol": "xsub",
    "stream": "joint",
    "backbone": "stgcn",
    "method": "hiclr",
    "evaluation": "linear",
    "target": None,
    "target_protocol": None,
    "metric": "top1",
    "value": 0.75,
    "published": None,
    "parameters": None,
    "published_parameters": None,
    "seed": 0,
    "epochs": 300,
    "epoch": 300,
    "status": "done",
    "error": "",
    "seconds": 12.5,
    "started": datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC),
    "device": "cpu",
    "version": "0.1.0",
    "commit": "abc",
    "data": "f00d",
    "spec": "{}",
}


def row(**changes):
    """A row of a trial that is done; a failed one has no value."""
    if changes.get("status") == "failed":
        changes = {"value": float("nan"), "error": "diverged: the loss is NaN at epoch 3", **changes}
    return PLAIN | changes


def seeds(*values, **changes):
    """One row a seed; None is a trial that failed."""
    name = f"{changes.get('arm', 'arm')}/{changes.get('protocol', 'xsub')}/{changes.get('benchmark', '')}"
    return [
        row(
            trial=f"{name}/{seed}",
            seed=seed,
            **changes,
            **({"status": "failed"} if value is None else {"value": value}),
        )
        for seed, value in enumerate(values)
    ]


def frame(rows):
    """The rows as ``results.load`` gives them, in the order given."""
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(
        dict.fromkeys(("published", "value", "parameters", "published_parameters"), float)
    )
