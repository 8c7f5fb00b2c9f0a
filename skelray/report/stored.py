"""What a store holds, as a table: a row for each study, a column for each kind of file."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from skelray.report.going import duration
from skelray.report.table import NOTHING, Table
from skelray.results import tables
from skelray.store.inventory import KINDS, Entry, inventory, size_text, total_size
from skelray.store.store import Store

NOBODY = "(in no table)"


def stored_table(root: str, results: Path) -> Table:
    """Sizes by study and kind, and when anything of it was last written. A trial of several studies counts for each."""
    entries = inventory(Store(root))
    studies: dict[str, set[str]] = {}
    for study in tables.list_tables(results):
        for id in tables.load(study, results)["trial"].unique():
            studies.setdefault(id, set()).add(study)
    names = sorted({study for some in studies.values() for study in some})
    of_study = {name: [one for one in entries if name in studies.get(one.trial, ())] for name in names}
    of_study[NOBODY] = [one for one in entries if one.trial not in studies]
    lines = [_line(name, some) for name, some in (*of_study.items(), ("all", entries)) if some or name == "all"]
    rows = [
        [str(line["study"]), str(line["trials"]), *(_size(line[kind]) for kind in (*KINDS, "all")), _age(line["written"])]
        for line in lines
    ]
    header = ["study", "trials", *KINDS, "all", "last written"]
    return Table(f"What lies in {root}.", header, rows, 1, pd.DataFrame(lines))


def _line(name: str, entries: Iterable[Entry]) -> dict[str, str | float]:
    some = list(entries)
    sizes = {kind: total_size(one for one in some if one.kind == kind) for kind in KINDS}
    trials = len({one.trial for one in some if one.trial})
    latest = max((one.written for one in some), default=float("nan"))
    return {"study": name, "trials": trials, **sizes, "all": total_size(some), "written": latest}


def _size(size: str | float) -> str:
    return size_text(float(size)) if size else NOTHING


def _age(written: str | float) -> str:
    return f"{duration(max(0.0, time.time() - float(written)))} ago" if written == written else NOTHING
