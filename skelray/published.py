"""What a paper says of an arm: top-1 in percent by protocol, of one evaluation or several, of one stream or several."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from skelray.augment import STREAMS

# {"xsub": 77.6} is of the study's ``published_by``; {"semi 1%": {"xsub": 58.5}} of an evaluation by its name, and
# {"bone": {"xsub": 73.9}} of a stream (of an ensemble: joint+bone+motion). The two nest, either way round.
Published = Mapping[str, Any]


def figures(published: Published, published_by: str, stream: str = "") -> dict[tuple[str, str, str], float]:
    """The percentages by (evaluation, stream, protocol); the stream is empty where it is not said."""
    found: dict[tuple[str, str, str], float] = {}
    for key, value in published.items():
        if not isinstance(value, Mapping):
            found[published_by, stream, key] = value
        elif all(part in STREAMS for part in key.split("+")):
            found |= figures(value, published_by, key)
        else:
            found |= figures(value, key, stream)
    return found


def of_trial(published: Published, published_by: str, stream: str, protocol: str) -> dict[str, float]:
    """Fractions of 0..1 by evaluation, of one stream under one protocol."""
    there = figures(published, published_by).items()
    return {name: percent / 100 for (name, of, at), percent in there if at == protocol and of in ("", stream)}


def of_ensemble(published: Published, published_by: str, stream: str, protocol: str) -> dict[str, float]:
    """The same of an ensemble, which only figures that name its streams stand beside."""
    there = figures(published, published_by).items()
    return {name: percent / 100 for (name, of, at), percent in there if at == protocol and of == stream}
