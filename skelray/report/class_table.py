"""Tables of single classes, from stored scores, and of the rows of a study whose scores there are."""

from __future__ import annotations

import pandas as pd

from skelray.report.table import Table, percent_text
from skelray.results.scores import Scores


def per_class_table(scores: Scores) -> Table:
    """Makes a table of each class's top-1 and top-5, worst first, and what its samples are most often taken for."""
    frame = scores.per_class().sort_values("top1", kind="stable")
    rows = []
    for row in frame.to_dict("records"):
        confused = f"{row['confused']} {percent_text(row['share'])}" if row["confused"] else ""
        rows.append([row["class"], confused, str(row["samples"]), percent_text(row["top1"]), percent_text(row["top5"])])
    caption = (
        f"{len(scores.labels)} samples, top-1 {percent_text(scores.top())}, top-5 {percent_text(scores.top(5))}, in percent."
    )
    return Table(caption, ["class", "most often taken for", "samples", "top-1", "top-5"], rows, 2, frame.reset_index())


def confusion_table(scores: Scores, k: int) -> Table:
    """Returns the confusion matrix: rows are true classes, columns, numbered like the rows, what they are taken for."""
    matrix = scores.confusion(k)
    rows = [
        [str(number), name, *(str(count) if count else "" for count in line)]
        for number, (name, line) in enumerate(zip(scores.classes, matrix.to_numpy().tolist(), strict=True))
    ]
    told = "" if k == 1 else f" A class among the {k} best counts as recognised."
    caption = f"Samples of each class (rows) by the class they are taken for (columns, by number).{told}"
    return Table(caption, ["", "class", *map(str, range(len(rows)))], rows, 2, matrix.reset_index())


def trials_table(frame: pd.DataFrame) -> Table:
    """Returns the done rows of a study by trial id."""
    names = ["trial", "arm", "benchmark", "protocol", "stream", "epochs", "seed", "evaluation"]
    done = frame[(frame["status"] == "done") & (frame["metric"] == "top1")]
    rows = [[*(str(row[name]) for name in names), percent_text(row["value"])] for row in done.to_dict("records")]
    return Table("Trials and ensembles, and top-1 in percent.", [*names, "top-1"], rows, len(names), done[[*names, "value"]])
