"""What a paper's table says of an arm: top-1 in percent by protocol, of one evaluation or of several by name."""

from __future__ import annotations

from collections.abc import Mapping

# {"xsub": 77.6} is of the study's ``published_by``; {"semi 1%": {"xsub": 58.5}} of an evaluation by its name.
Published = Mapping[str, float | Mapping[str, float]]


def figures(published: Published, published_by: str) -> dict[tuple[str, str], float]:
    """The percentages by (evaluation, protocol)."""
    found: dict[tuple[str, str], float] = {}
    for key, value in published.items():
        if isinstance(value, Mapping):
            found |= {(key, protocol): percent for protocol, percent in value.items()}
        else:
            found[published_by, key] = value
    return found


def of_protocol(published: Published, published_by: str, protocol: str) -> dict[str, float]:
    """Fractions of 0..1 by evaluation, under one protocol."""
    return {name: percent / 100 for (name, of), percent in figures(published, published_by).items() if of == protocol}
