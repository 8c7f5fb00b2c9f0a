"""What a sweep says at its end: what it cost, what happened at each rung, and which parameter mattered there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import median

import pandas as pd

from skelray.report.figures.sweep import save_sweep_figures
from skelray.report.figures.sweep.importance import importance_shares
from skelray.report.going import duration
from skelray.report.table import NOTHING, Table, percent_text
from skelray.search.from_table import LEAST, ReadSample, read_epochs, samples_from_rows


def samples_of_sweep(frame: pd.DataFrame) -> list[ReadSample]:
    """Returns the samples of a sweep's table; none if the frame is of several studies, whose samples share names."""
    return samples_from_rows(frame.to_dict("records")) if len(set(frame["study"])) == 1 else []  # type: ignore[arg-type]


def redraw(found: Sequence[ReadSample], study: str, results: Path) -> Path:
    """Draws the figures of a sweep's table where they are older than its file, and returns the folder with them."""
    folder, table = results / "figures" / study, results / f"{study}.parquet"
    last = folder / "history.png"
    if not last.is_file() or last.stat().st_mtime < table.stat().st_mtime:
        save_sweep_figures(found, study, results)
    return folder


def summary_tables(found: Sequence[ReadSample]) -> list[Table | None]:
    """Returns the tables that stand below the samples of a sweep."""
    return [rungs_table(found), importance_table(found)]


def spending_sentence(found: Sequence[ReadSample]) -> str:
    """Returns a sentence on the epochs and hours that were spent, and what stopping saved of them."""
    spent, whole = sum(s.trained for s in found), sum(s.epochs * s.seeds for s in found if s.status != "failed")
    kept = sum(s.trained for s in found if s.status != "failed")
    seconds = sum(s.seconds for s in found)
    said = f"{len(found)} samples took {spent} epochs and {duration(seconds)} of training."
    if not whole or kept >= whole or not spent:
        return f"{said} None was stopped."
    saved = whole - kept
    share, time = f"{100 * saved / whole:.0f} %", duration(seconds * saved / spent)
    return f"{said} Stopping saved {saved} of {whole} epochs ({share}), about {time}."


def rungs_table(found: Sequence[ReadSample]) -> Table | None:
    """Returns a row for each rung: how many came, how many stopped there, median and best; None for a single rung."""
    epochs = read_epochs(found)
    if len(epochs) < 2:
        return None
    rows = []
    for epoch in epochs:
        there = [sample for sample in found if epoch in sample.readings]
        best = max(there, key=lambda sample: (sample.readings[epoch], -sample.number))
        stopped = sum(sample.status == "stopped" and max(sample.readings) == epoch for sample in there)
        values = [sample.readings[epoch] for sample in there]
        rows.append((epoch, len(there), stopped, median(values), max(values), best.arm))
    numbers = pd.DataFrame(rows, columns=["epoch", "samples", "stopped", "median", "best", "of"])
    cells = [[str(e), str(n), str(s), percent_text(m), percent_text(b), arm] for e, n, s, m, b, arm in rows]
    caption = f"Rungs: how many samples were read there and stopped, and top-1 in percent. {spending_sentence(found)}"
    return Table(caption, ["epoch", "samples", "stopped there", "median", "best", "of"], cells, 0, numbers)


def importance_table(found: Sequence[ReadSample]) -> Table | None:
    """Returns a row for each parameter, a column for each rung; None if no rung has enough samples."""
    frame = importance_shares(found)
    if frame.empty:
        return None
    wide = frame.pivot_table(index="parameter", columns="epoch", values="share", sort=False)
    wide = wide.sort_index(axis=1).sort_values(frame["epoch"].max(), ascending=False, kind="stable")
    some = set(frame.loc[frame["conditional"], "parameter"])
    counts = frame.drop_duplicates("epoch").set_index("epoch")["samples"]
    cells = [
        [f"{name} *" if name in some else str(name), *(NOTHING if v != v else f"{100 * v:.0f}" for v in line)]
        for name, line in zip(wide.index, wide.to_numpy().tolist(), strict=True)
    ]
    caption = (
        "Importance in percent at each rung, by PED-ANOVA: what sets the best tenth (five at least) of all samples that "
        f"came there apart. Rungs with fewer than {LEAST} are left out."
        + (" * Only some samples have this parameter." if some else "")
    )
    header = ["parameter", *(f"epoch {epoch} (n = {counts[epoch]})" for epoch in wide.columns)]
    return Table(caption, header, cells, 1, frame)
