"""The points of a table: benchmark, protocol and all other values at which each arm runs, at a scale and as written."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from skelray.checks import UserError
from skelray.data.benchmarks import BENCHMARKS
from skelray.study.arm import Arm, Places
from skelray.study.scale import Scale

Coordinates = Mapping[str, Any]
Moved = Mapping[tuple[str, str], tuple[str, str]]  # benchmark and protocol at a scale, and of the study what they stand for


@dataclass(frozen=True)
class Point:
    """Where an arm runs. written: the point of the unscaled study from which a scale may have moved it."""

    arm: Arm
    coordinates: Coordinates
    written: Coordinates


def list_points(arms: Sequence[Arm], across: Mapping[str, Sequence[Any]], on: Places, scale: Scale) -> list[Point]:
    """Returns all points under one seed, arms innermost. Raises UserError if a scale leaves none."""
    if not on and scale.protocols is not None:
        across = {**across, "protocol": scale.protocols}
    everywhere = _moved(on, scale)
    own = [_own(arm, everywhere, scale) for arm in arms]
    found = []
    for place, values in itertools.product(everywhere, itertools.product(*across.values())):
        at = dict(zip(across, values, strict=True))
        for arm, places in zip(arms, own, strict=True):
            alone = stream_of_its_own(arm, across)
            if place in places and (alone is None or at["stream"] == across["stream"][0]):
                rest = at if alone is None else {**at, "stream": alone}
                found.append(Point(arm, {**_named(place), **rest}, {**_named(places[place]), **rest}))
    if not found:
        raise UserError(f"{scale.options} leaves no arm of the study")
    return found


def stream_of_its_own(arm: Arm, across: Mapping[str, Sequence[Any]]) -> str | None:
    """Returns the streams of an arm that trains several together in a study across single ones, else None."""
    stream = arm.changes.get("stream", "")
    return stream if "stream" in across and "+" in stream and stream not in across["stream"] else None


def check_places(arms: Sequence[Arm], across: Mapping[str, Sequence[Any]], on: Places) -> None:
    """Raises UserError for invalid or repeated places."""
    for place in on:
        if not (isinstance(place, tuple) and len(place) == 2 and all(isinstance(part, str) for part in place)):
            raise UserError(f'on {place!r}: a benchmark and a protocol are needed, as in ("ntu60", "xsub")')
    if doubled := [place for place in on if list(on).count(place) > 1]:
        raise UserError(f"on names {' '.join(doubled[0])} twice")
    for name in ("benchmark", "protocol") if on else ():
        if name in across:
            raise UserError(f"the study gives {name} both in across and in on: leave it out of across")
        if named := [arm for arm in arms if name in arm.changes]:
            raise UserError(f"arm {named[0].label!r} sets {name}, as the study's on does: give the arm an on of its own")
    for arm in arms:
        for place in arm.on or ():
            if place not in on:
                raise UserError(f"arm {arm.label!r} runs on {place!r}, which is none of the study's on")


def _named(place: tuple[str, str]) -> dict[str, str]:
    return dict(zip(("benchmark", "protocol"), place, strict=True)) if any(place) else {}


def _moved(on: Places, scale: Scale) -> Moved:
    """Returns a study's places at a scale, each with the first of the study's own places that it replaces.

    On another benchmark they are those of the study's protocols that it has, or those asked for.
    """
    if not on:
        return {("", ""): ("", "")}
    if scale.benchmark is None:
        kept = [place for place in on if scale.protocols is None or place[1] in scale.protocols]
        if not kept:
            asked = " ".join(scale.protocols or ())
            raise UserError(f"--protocol {asked}: the study runs on {', '.join(' '.join(place) for place in on)}")
        return {place: place for place in kept}
    official = BENCHMARKS.get(scale.benchmark)
    if scale.protocols is None:
        protocols = list(dict.fromkeys(p for _, p in on if official is None or p in official.protocols))
        if not protocols:
            raise UserError(f"--benchmark {scale.benchmark} has none of the study's protocols: name one by --protocol")
    else:
        protocols = list(scale.protocols)
    return {(scale.benchmark, p): next((place for place in on if place[1] == p), on[0]) for p in protocols}


def _own(arm: Arm, everywhere: Moved, scale: Scale) -> Moved:
    """Returns an arm's places at a scale; on another benchmark none is left out."""
    if arm.on is None:
        return everywhere
    if scale.benchmark is None:
        return {place: written for place, written in everywhere.items() if written in arm.on}
    fitting = {place: next((own for own in arm.on if own[1] == place[1]), None) for place in everywhere}
    found = {place: written for place, written in fitting.items() if written is not None}
    return found or {next(iter(everywhere)): arm.on[0]}
