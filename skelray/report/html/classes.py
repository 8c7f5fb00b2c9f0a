"""Per-class accuracy and confusion of any two rows side by side, seeds taken together; from stored scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from skelray.report.html.blocks import Paragraph, Section, Widget
from skelray.report.html.material import Material
from skelray.report.html.stored import Answers, Row
from skelray.store.excerpts import read_excerpt

MOST = 150_000  # counts that a page holds; of rows beyond it each class keeps its WORST confusions
WORST = 4
LACKS = "The store is not here: {what} needs the stored scores. `--store` says where they are."
NONE = "The store {store} has no scores of these rows."


def section(material: Material, answers: Sequence[Answers] | None) -> Section:
    """Makes the section on classes. answers: of the rows whose scores are stored; None without a store."""
    if not answers:
        return Section("classes", "Classes", [Paragraph(why_nothing_stored(material, "accuracy by class"))])
    told = (
        "Two rows of the table, all seeds and samples of each taken together. "
        "In a square, lines are the true classes and columns what is answered; blue is right."
    )
    return Section("classes", "Classes", [Paragraph(told), Widget("classes", data(material, answers))])


def why_nothing_stored(material: Material, what: str) -> str:
    """Returns why there is nothing to show."""
    return LACKS.format(what=what) if material.store is None else NONE.format(store=material.store.root)


def answers_of_rows(answers: Sequence[Answers]) -> dict[tuple[str, ...], list[Answers]]:
    """Returns each row's answers: of the same arm, protocol, stream, evaluation and set, under all seeds."""
    groups: dict[tuple[str, ...], list[Answers]] = {}
    for one in answers:
        names = ("benchmark", "arm", "protocol", "stream", "backbone", "epochs", "cell", "evaluation")
        groups.setdefault((*(str(one.row[name]) for name in names), str(len(one.labels))), []).append(one)
    return groups


def telling_columns(rows: Sequence[Row]) -> list[str]:
    """Returns what tells the rows of an arm apart: the settings that vary among all of these."""
    return [name for name in ("benchmark", "protocol", "stream", "epochs", "evaluation") if len({r[name] for r in rows}) > 1]


def row_label(row: Row, columns: Sequence[str]) -> str:
    """Returns how a page calls a row: its arm, and its settings in these columns."""
    told = [f"{row[name]} epochs" if name == "epochs" else str(row[name]) for name in columns]
    return f"{row['arm']}{', ' if told else ''}{' '.join(told)}"


def data(material: Material, answers: Sequence[Answers]) -> dict[str, Any]:
    """Returns the widget's data. names: of the classes of each set; rows: label, marks, set, samples of each class, and
    what they are taken for.
    """
    names: dict[str, list[str]] = {}
    rows, held, columns = [], 0, telling_columns([one.row for one in answers])
    for group in answers_of_rows(answers).values():
        kept = None if group[0].excerpt is None or material.store is None else read_excerpt(material.store, group[0].excerpt)
        count = int(max(max(one.labels.max(), one.predicted.max()) for one in group)) + 1
        key = group[0].excerpt or f"{group[0].row['benchmark']} {count}"
        if key not in names:
            names[key] = [f"class {number}" for number in range(count)] if kept is None else kept.classes.tolist()
        matrix = np.zeros((len(names[key]),) * 2, int)
        for one in group:
            np.add.at(matrix, (one.labels, one.predicted), 1)
        totals = matrix.sum(axis=1)
        if held + np.count_nonzero(matrix) > MOST:
            matrix = _worst(matrix)
        held += int(np.count_nonzero(matrix))
        true, taken = np.nonzero(matrix)
        cells = np.stack([true * len(matrix) + taken, matrix[true, taken]], axis=1).ravel().tolist()
        marks = asdict(material.places.marks(arm=group[0].row["arm"], protocol=group[0].row["protocol"]))
        rows.append(
            {
                "label": row_label(group[0].row, columns),
                **marks,
                "set": key,
                "totals": totals.tolist(),
                "cells": cells,
            }
        )
    return {"names": names, "rows": rows}


def _worst(matrix: np.ndarray) -> np.ndarray:
    """Returns the share that is right, and each class's most frequent confusions."""
    wrong = matrix * (1 - np.eye(len(matrix), dtype=int))
    least = np.sort(wrong, axis=1)[:, -WORST:][:, :1]
    return np.where((wrong >= np.maximum(least, 1)) | np.eye(len(matrix), dtype=bool), matrix, 0)
