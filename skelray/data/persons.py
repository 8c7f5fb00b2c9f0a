"""The people in a recording: which bodies are present, and which are one person whose number changed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np

STEP = 0.5  # of a body's reach: how far from where one body ends another one goes on as the same person
SAME = 0.1  # of it: how far two bodies of the same frame lie apart that are one
CLEAR = 2.0  # times as far away: everyone else who might go on


def present_bodies(bodies: np.ndarray) -> np.ndarray:
    """Returns (T, M) bool: whether a body (T, M, V, 3) is present; zeros are not."""
    return np.asarray(bodies.reshape(*bodies.shape[:2], bodies.shape[2] * bodies.shape[3]).any(axis=2))


def join_bodies(bodies: np.ndarray, persons: int) -> tuple[np.ndarray, int]:
    """Returns bodies (T, M, V, 3) with each person in the lowest of their places, and how many bodies were joined.

    A tracker that loses someone gives a new number. Two bodies are one person if they are never present together, or for
    less
    than half their time at the very same place, and one continues where the other ends, with nobody else near who might be
    meant. They need not be near if there are more bodies than ``persons`` and never more people than that at once, nor if
    there are never two people at once.
    """
    places = np.flatnonzero(present_bodies(bodies).any(axis=0)).tolist()
    if len(places) < 2:
        return bodies[:, places or slice(None)], 0
    tracks = [_Track.of(bodies, place) for place in places]
    reach = float(np.median([track.reach for track in tracks]))
    tracks = _merged(tracks, reach, STEP * reach)
    most = np.sum([track.there for track in tracks], axis=0).max()  # people at once
    if len(tracks) > persons >= most or most == 1:
        tracks = _merged(tracks, reach, np.inf)
    return np.stack([track.body for track in sorted(tracks, key=lambda track: track.place)], axis=1), len(places) - len(
        tracks
    )


@dataclass(frozen=True, eq=False)
class _Track:
    """A body (T, V, 3), its frames (T,), its middle (T, 3), and how far its joints reach from it."""

    place: int
    body: np.ndarray
    there: np.ndarray
    middle: np.ndarray
    reach: float

    @classmethod
    def of(cls, bodies: np.ndarray, place: int) -> _Track:
        body = bodies[:, place].astype(np.float64)
        seen, middle = present_bodies(bodies[:, [place]])[:, 0], body.mean(axis=1)
        far = np.linalg.norm(body - middle[:, None], axis=2).max(axis=1)[seen]
        return cls(place, bodies[:, place], seen, middle, float(np.median(far)))

    def with_(self, other: _Track) -> _Track:
        """Joins two tracks; in frames with both, the first listed one counts."""
        first, second = sorted((self, other), key=lambda track: track.place)
        body = np.where(first.there[:, None, None], first.body, second.body)
        middle = np.where(first.there[:, None], first.middle, second.middle)
        return _Track(first.place, body, first.there | second.there, middle, first.reach)

    def way_to(self, other: _Track, reach: float) -> float | None:
        """Returns the longest gap if one continues as the other; None if they are two people."""
        both = self.there & other.there
        if both.any():
            if 2 * both.sum() >= min(self.there.sum(), other.there.sum()):
                return None
            apart = np.linalg.norm(self.body[both] - other.body[both].astype(np.float64), axis=2).mean(axis=1)
            if apart.max() > SAME * reach:
                return None
        one = self.with_(other)
        frames = np.flatnonzero(one.there)
        first = (self if self.place < other.place else other).there[frames]
        handed = np.flatnonzero(first[1:] != first[:-1])
        return float(np.linalg.norm(one.middle[frames[handed + 1]] - one.middle[frames[handed]], axis=1).max(initial=0))


def _merged(tracks: list[_Track], reach: float, limit: float) -> list[_Track]:
    """Joins tracks, the nearest first, until no two are certainly one."""
    ways = {(a, b): a.way_to(b, reach) for a, b in combinations(tracks, 2)}
    while (pair := next(_certain(tracks, ways, reach, limit), None)) is not None:
        one = pair[0].with_(pair[1])
        tracks = [track for track in tracks if track not in pair]
        ways.update({(track, one): track.way_to(one, reach) for track in tracks})
        tracks.append(one)
    return tracks


_Ways = dict[tuple[_Track, _Track], float | None]


def _certain(tracks: list[_Track], ways: _Ways, reach: float, limit: float) -> Iterator[tuple[_Track, _Track]]:
    """Yields the pairs that are one person, the nearest first: nobody present together with one is near the other."""

    def way(a: _Track, b: _Track) -> float | None:
        return ways[(a, b) if (a, b) in ways else (b, a)]

    known = [(far, a, b) for a, b in combinations(tracks, 2) if (far := way(a, b)) is not None and far <= limit]
    for far, a, b in sorted(known, key=lambda one: one[0]):
        rivals = [
            other
            for track in tracks
            if track is not a and track is not b
            for mine, theirs in ((a, b), (b, a))
            if way(track, theirs) is None and (other := way(track, mine)) is not None
        ]
        if min(rivals, default=np.inf) >= CLEAR * max(far, SAME * reach):
            yield a, b
