"""How far each study is, who runs it, and who works on what in the store."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from skelray.checks import UserError
from skelray.names import PUBLISHED
from skelray.report.going import duration
from skelray.report.table import NOTHING, Table
from skelray.results import runs, tables
from skelray.results.runs import RunRecord
from skelray.store.claims import claims
from skelray.store.store import Store

ENDED = ("done", "stopped", "failed")


def studies_table(results: Path, now: float) -> Table:
    """Returns a row for each study with a table or a run: trials by how they ended, and the state of its latest run."""
    lines = [_study(name, results, now) for name in sorted({*tables.list_tables(results), *runs.studies(results)})]
    rows = [
        [str(line["study"]), str(line["run"]), _whole(line["trials"]), *(_whole(line[status]) for status in ENDED)]
        for line in lines
    ]
    header = ["study", "run", "trials", *ENDED]
    said = "Studies" if rows else "No study has a table or a run"
    return Table(f"{said} in {results}.", header, rows, 2, pd.DataFrame(lines, columns=header))


def _study(name: str, results: Path, now: float) -> dict[str, str | int | None]:
    """Returns a study's row. trials: as its latest run plans them; None if no run says. The others: trials in the table."""
    latest = max(runs.read_records(name, results), key=lambda run: (run.is_alive(now), run.seen), default=None)
    line: dict[str, str | int | None] = {"study": name, "trials": latest.trials if latest else None}
    line |= dict.fromkeys(ENDED) | {"run": _run(latest, now)}
    if name not in tables.list_tables(results):
        return line
    try:
        frame = tables.load(name, results)
    except UserError as error:
        return line | {"run": f"{line['run']}; {error}"}
    own = frame[frame["status"] != PUBLISHED].groupby("trial")["status"].agg(set)
    for status in ENDED:  # a trial of which anything failed has failed
        worse = ENDED[ENDED.index(status) + 1 :]
        line[status] = int(sum(status in some and not some & set(worse) for some in own))
    return line


def _run(run: RunRecord | None, now: float) -> str:
    if run is None:
        return NOTHING
    who = f"process {run.process} on {run.host}"
    if run.is_alive(now):
        return (
            f"runs for {duration(now - run.began)} ({who}), {len(run.going)} under way, {duration(run.seconds_left())} left"
        )
    if run.state == "running":
        return f"dead ({who}): no sign of it for {duration(now - run.seen)}"
    return f"{run.state} {duration(now - run.seen)} ago ({who})"


def claims_table(root: str, now: float) -> Table:
    """Returns a row for each trial and each search that a process has claimed in the store."""
    store = Store(root)
    found = claims(store)
    rows = [
        [one.what, f"process {one.process} on {one.host}", _held(one.alive, one.since, store.local, now)] for one in found
    ]
    header = ["what", "who", "since"]
    said = "Claimed" if found else "Nothing is claimed"
    return Table(f"{said} in {root}.", header, rows, 3, pd.DataFrame(found))


def _held(alive: bool, since: float, local: bool, now: float) -> str:
    span = duration(max(0.0, now - since))
    if alive:
        return f"for {span}" if local else f"renewed {span} ago"
    return f"dead: not renewed for {span}"


def nodes_table(nodes: Iterable[Mapping[str, Any]]) -> Table:
    """Returns a row for each node that a cluster has or had. nodes: as ``ray.nodes`` tells them."""
    lines = [
        {
            "node": f"{node['NodeManagerHostname']} ({node['NodeManagerAddress']})",
            "state": "alive" if node["Alive"] else "gone",
            **{kind: int(node["Resources"].get(kind, 0)) for kind in ("CPU", "GPU")},
            "memory": f"{node['Resources'].get('memory', 0) / 2**30:.1f} GiB",
        }
        for node in nodes
    ]
    header = ["node", "state", "CPU", "GPU", "memory"]
    rows = [[str(value) for value in line.values()] for line in lines]
    return Table("Nodes of the cluster.", header, rows, 2, pd.DataFrame(lines, columns=header))


def _whole(count: str | int | None) -> str:
    return NOTHING if count is None else str(count)
