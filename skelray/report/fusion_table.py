"""What an ensemble's rows say of its weights: a sentence where they are the same everywhere, else a table."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd

from skelray.checks import UserError
from skelray.ensemble import Ensemble
from skelray.report.table import Table, cell_text, percent_text
from skelray.results.statistics import WEIGHTS

PLACE = ("study", "benchmark", "protocol", "backbone", "epochs", "seed", "arm")


def weights_sentence(frame: pd.DataFrame) -> str:
    """Returns a sentence on the weights of the ensembles in a results frame, if all have the same; else nothing."""
    found = _weights(frame).dropna()
    if len(found.unique()) != 1:
        return ""
    stream = frame.loc[found.index[0], "stream"]
    return f" {stream}: scores fused as {_ensemble(found.iloc[0], stream)}."


def fusion_table(frame: pd.DataFrame) -> Table | None:
    """Returns each ensemble with its weights and its top-1 by evaluation; None if all have the same weights."""
    frame = frame[frame["metric"] == "top1"].reset_index(drop=True)
    found = _weights(frame).dropna()
    if len(found.unique()) < 2:
        return None
    rows = frame.loc[found.index].assign(weights=found)
    rows["arm"] = pd.Categorical(rows["arm"], list(dict.fromkeys(rows["arm"])))  # sorted in the study's order
    place = [name for name in PLACE if name in ("seed", "arm") or len(rows[name].unique()) > 1]
    lines: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in rows.sort_values(place, kind="stable").to_dict("records"):
        line = lines.setdefault(tuple(row[name] for name in place), {name: row[name] for name in place})
        line |= {**_ensemble(row["weights"], row["stream"]).weights, row["evaluation"]: row["value"]}
    numbers = pd.DataFrame(list(lines.values()))
    evaluations = set(rows["evaluation"])
    cells = [
        [percent_text(value) if name in evaluations else cell_text(value) for name, value in line.items()]
        for line in numbers.to_dict("records")
    ]
    return Table("Weights, and top-1 in percent.", list(numbers.columns), cells, len(place), numbers)


def _weights(frame: pd.DataFrame) -> pd.Series:
    """Returns the weights in each row's cell as JSON; None for a row that is no ensemble: a method may have weights, too."""
    cells = {text: json.loads(text).get(WEIGHTS) for text in frame["cell"].unique()}
    texts = {text: json.dumps(weights) if isinstance(weights, dict) else None for text, weights in cells.items()}
    return pd.Series([texts[text] for text in frame["cell"]], index=frame.index, dtype=object)


def _ensemble(weights: str, stream: str) -> Ensemble:
    """Reads the ensemble, its streams in the order of the stream's name.

    Raises UserError where they are not of these streams.
    """
    found, names = json.loads(weights), stream.split("+")
    if set(found) != set(names) or not all(isinstance(weight, (int, float)) for weight in found.values()):
        raise UserError(f"the weights {weights} in a cell of this table are not those of {stream}: it is damaged")
    return Ensemble({name: found[name] for name in names})
