"""What a paper says of an arm: top-1 in percent by protocol, of one evaluation or several, of one stream or several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from skelray.checks import UserError
from skelray.data import BENCHMARKS
from skelray.names import STREAMS

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


def check(
    published: Published, by: str, evaluations: Sequence[str], streams: Sequence[str], benchmark: str, arm: str
) -> None:
    """Raises UserError for figures of an evaluation, a stream or a protocol that the arm does not have.

    by: the evaluation of what names none; evaluations: the arm's by name, and where it has none they are not looked at.
    """
    found = figures(published, by)
    if unknown := sorted({stream for _, stream, _ in found} - {"", *streams}):
        raise UserError(f"published names stream {unknown[0]!r}; arm {arm!r} has {', '.join(streams)}")
    if evaluations and (strange := sorted({evaluation for evaluation, *_ in found} - set(evaluations))):
        field = "published_by" if strange[0] == by else "published"
        also = f" or streams {', '.join(streams)}" if field == "published" else ""
        told = f"the evaluations {', '.join(evaluations)}{also} of arm {arm!r}"
        raise UserError(f"{field} {strange[0]!r} is none of {told}")
    official = BENCHMARKS.get(benchmark)
    if official is not None and (unknown := sorted({protocol for *_, protocol in found} - set(official.protocols))):
        known = ", ".join(official.protocols)
        raise UserError(f"published {unknown[0]!r} is no protocol of {official.name}; it has {known}")


def of_trial(published: Published, published_by: str, stream: str, protocol: str) -> dict[str, float]:
    """Fractions of 0..1 by evaluation, of one stream under one protocol."""
    there = figures(published, published_by).items()
    return {name: percent / 100 for (name, of, at), percent in there if at == protocol and of in ("", stream)}


def of_ensemble(published: Published, published_by: str, stream: str, protocol: str) -> dict[str, float]:
    """The same of an ensemble, which only figures that name its streams stand beside."""
    there = figures(published, published_by).items()
    return {name: percent / 100 for (name, of, at), percent in there if at == protocol and of == stream}
