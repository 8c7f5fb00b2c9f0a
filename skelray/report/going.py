"""How the runs of a study go, in words: a line for the run, a table of the trials under way."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from skelray.report.table import NOTHING, Table, percent_text
from skelray.results.runs import RunningTrial, RunRecord

BARS = "▁▂▃▄▅▆▇█"


def headline(run: RunRecord, now: float) -> str:
    """Returns one line: how the run stands, what is done, what is left."""
    counts = [f"{run.finished.get('done', 0)} of {run.trials} trials done"]
    counts += [f"{count} {status}" for status, count in run.finished.items() if count and status != "done"]
    counts.append(f"{run.passed} of {run.epochs} epochs")
    if run.is_alive(now):
        counts.append(f"{duration(run.seconds_left())} left")
        counts += [run.load] if run.load else []
        state = f"running for {duration(now - run.began)}"
    else:
        state = run.state if run.state != "running" else f"no sign of it for {duration(now - run.seen)}"
    return f"{run.study}: {state} (process {run.process} on {run.host}); {', '.join(counts)}"


def trials_under_way(going: Sequence[RunningTrial]) -> Table:
    """Returns a row for each trial under way: epoch, loss, how it went, held-out accuracy, rate, time left."""
    header = ["trial", "losses", "epoch", "loss", "held-out", "s an epoch", "left"]
    rows = [
        [
            one.name,
            sparkline(one.losses),
            f"{one.epoch}/{one.epochs}",
            f"{one.losses[-1]:.3f}" if one.losses else NOTHING,
            NOTHING if one.held_out is None else percent_text(one.held_out),
            f"{one.seconds:.3g}" if one.epoch else NOTHING,
            duration((one.epochs - one.epoch) * one.seconds) if one.epoch else NOTHING,
        ]
        for one in going
    ]
    return Table("Trials under way.", header, rows, 2, pd.DataFrame([vars(one) for one in going]))


def sparkline(values: Sequence[float], most: int = 20) -> str:
    """Returns the last values as bars between their smallest and largest; what is no number is a blank."""
    shown = list(values)[-most:]
    finite = [value for value in shown if abs(value) < float("inf")]
    if not finite:
        return ""
    low, span = min(finite), (max(finite) - min(finite)) or 1.0
    return "".join(BARS[round((len(BARS) - 1) * (value - low) / span)] if value in finite else " " for value in shown)


def duration(seconds: float) -> str:
    """Returns a span of time in the two largest units that tell."""
    if not seconds < float("inf"):
        return "unknown time"
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = [f"{count} {unit}" for count, unit in ((days, "d"), (hours, "h"), (minutes, "min"), (seconds, "s")) if count]
    return " ".join(parts[:2]) or "0 s"
