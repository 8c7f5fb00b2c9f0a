"""The shapes of what a store holds, so that a file of another shape is taken for what it is: damaged.

Each function says whether a value, read from JSON, npz or pt, may be used as that record.
"""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63


def _all_text(content: dict[str, Any], *names: str) -> bool:
    return all(isinstance(content.get(name), str) for name in names)


def _is_moment(value: Any) -> bool:
    """Returns whether it is text of a moment with its time zone, as tables need it."""
    try:
        return isinstance(value, str) and datetime.fromisoformat(value).utcoffset() is not None
    except ValueError:
        return False


def is_result(value: Any) -> bool:
    """Returns whether JSON is figures of an evaluation: fractions of 0..1 by metric, and where they come from."""
    return (
        isinstance(value, dict)
        and _all_text(value, "evaluation", "device", "version", "commit")
        and isinstance(value.get("settings", {}), dict)
        and isinstance(value.get("metrics"), dict)
        and all(_is_number(figure) and 0 <= figure <= 1 for figure in value["metrics"].values())
        and isinstance(value.get("files", []), list)
        and all(isinstance(ending, str) for ending in value.get("files", []))
        and _is_number(value.get("seconds"))
        and _is_moment(value.get("started"))
        and ("test" not in value or (isinstance(value["test"], dict) and _all_text(value["test"], "benchmark", "data")))
    )


def is_history(value: Any) -> bool:
    """Returns whether JSON is a list of (epoch, metrics, seconds)."""
    return isinstance(value, list) and all(
        isinstance(entry, (list, tuple))
        and len(entry) == 3
        and _is_count(entry[0])
        and isinstance(entry[1], dict)
        and all(isinstance(name, str) and isinstance(metric, float | int) for name, metric in entry[1].items())
        and _is_number(entry[2])
        for entry in value
    )


def is_record(value: Any) -> bool:
    """Returns whether JSON is what tables need of a done trial: its history, and its figures by the names of their files."""
    return (
        isinstance(value, dict)
        and is_history(value.get("history"))
        and isinstance(value.get("results"), dict)
        and all(is_result(result) for result in value["results"].values())
    )


def is_failure(value: Any) -> bool:
    """Returns whether JSON says why a trial failed, or why its evaluations did, by their names."""
    return isinstance(value, dict) and _is_cause(value) and _is_number(value.get("time")) and _are_causes(value)


def _are_causes(value: dict[str, Any]) -> bool:
    own = value.get("evaluations", {})
    return isinstance(own, dict) and all(isinstance(one, dict) and _is_cause(one) for one in own.values())


def _is_cause(value: dict[str, Any]) -> bool:
    told = (value.get(name, "") for name in ("line", "traceback", "device", "version", "commit"))
    return (
        _all_text(value, "cause")
        and all(isinstance(text, str) for text in told)
        and _is_number(value.get("seconds", 0.0))
        and _is_number(value.get("began", 0.0))
    )


def is_spec(value: Any) -> bool:
    """Returns whether JSON is what an id stands for: a trial and its data, or an ensemble of trials."""
    if not isinstance(value, dict):
        return False
    if isinstance(parts := value.get("ensemble"), list):
        return all(isinstance(p, dict) and _all_text(p, "stream", "trial") and _is_number(p.get("weight")) for p in parts)
    return isinstance(value.get("trial"), dict) and isinstance(value.get("data"), str)


def is_encoder(value: Any) -> bool:
    """Returns whether content is weights, and what was watched while they were trained."""
    return isinstance(value, dict) and isinstance(value.get("model"), dict) and is_history(value.get("history", []))


def is_state(value: Any) -> bool:
    """Returns whether content is a training state to go on from."""
    return is_encoder(value) and _is_count(value.get("epoch")) and isinstance(value.get("optimizer"), dict)


def are_arrays(value: Any) -> bool:
    """Returns whether arrays are scores (N, classes) with N labels and rows, or what an evaluation without classes keeps."""
    if "scores" not in value:
        return True
    scores, labels, rows = (value.get(name) for name in ("scores", "labels", "rows"))
    return (
        labels is not None
        and rows is not None
        and scores.ndim == 2
        and scores.dtype.kind == "f"
        and labels.dtype.kind == rows.dtype.kind == "i"
        and labels.shape == rows.shape == scores.shape[:1]
    )
