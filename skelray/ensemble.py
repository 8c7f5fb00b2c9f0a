"""The ensemble of streams: a weighted sum of the scores that the encoders of several streams give to the same samples."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import reduce

import numpy as np

from skelray.checks import UserError
from skelray.names import STREAMS

Arrays = dict[str, np.ndarray]
EXACT = 2**53  # float64 holds every whole number up to this one


def whole_numbers(weights: Iterable[float]) -> tuple[list[float], float]:
    """Returns weights, not all 0, as whole numbers in their exact ratio, and the unit: 0.6, 0.6, 0.4 as 3, 3, 2 and 0.2."""
    exact = [Fraction(str(float(weight))) for weight in weights]
    unit = math.gcd(*(f.numerator for f in exact)) / Fraction(math.lcm(*(f.denominator for f in exact)))
    if max(exact) / unit > EXACT:  # of too many digits to be exact
        unit = Fraction(1)
    return [float(f / unit) for f in exact], float(unit)


@dataclass(frozen=True)
class Ensemble:
    """A weighted sum of raw scores; weights: by stream, at least 0, and only their ratios matter.

    Raw scores are added unscaled, as in AimCLR's and HiCo's released code (methods.md, 6.3), so a stream with larger logits
    counts for more than its weight says. Votes of nearest neighbours are comparable between streams: with k = 1 and weights
    0.6, 0.6, 0.4, any two streams that agree win; if all three differ, joint and bone tie and the lower class number wins.
    """

    weights: Mapping[str, float]

    def __post_init__(self) -> None:
        object.__setattr__(self, "weights", dict(self.weights))
        if unknown := [stream for stream in self.weights if stream not in STREAMS]:
            raise UserError(f"stream {unknown[0]!r} of an ensemble is none of {', '.join(STREAMS)}")
        for stream, weight in self.weights.items():
            if not (math.isfinite(weight) and weight >= 0):
                raise UserError(f"weight {weight} of stream {stream!r}: a number of at least 0 is needed")
        if not any(self.weights.values()):
            raise UserError(f"weights {self.weights}: an ensemble needs a stream whose weight is above 0")

    @property
    def stream(self) -> str:
        """The ensemble's name in tables, as in joint+bone+motion."""
        return "+".join(self.weights)

    def __str__(self) -> str:
        return " + ".join(f"{weight:.4g} {stream}" for stream, weight in self.weights.items())

    def __call__(self, scores: Mapping[str, np.ndarray]) -> np.ndarray:
        """Maps (N, classes) scores of each stream to their weighted sum, (N, classes) float64.

        Weights enter as whole numbers in their exact ratio (0.6, 0.6, 0.4 as 3, 3, 2), so that equal votes stay equal.
        """
        whole, unit = whole_numbers(self.weights.values())
        parts = zip(whole, self.weights, strict=True)
        return unit * reduce(np.add, (w * scores[stream].astype(np.float64) for w, stream in parts))

    def fuse(self, streams: Mapping[str, Arrays]) -> Arrays:
        """Returns the ensemble's scores (N, classes), labels (N,) and rows (N,) from those of each stream.

        Raises UserError if the streams scored other samples or in another order.
        """
        first, *others = self.weights
        shared = streams[first]
        for stream in others:
            for name, what in (("rows", "other samples"), ("labels", "other labels")):
                if not np.array_equal(shared[name], streams[stream][name]):
                    raise UserError(f"{stream}'s scores are of {what} than {first}'s: they cannot be fused")
            if shared["scores"].shape != streams[stream]["scores"].shape:
                shapes = f"{streams[stream]['scores'].shape} and {shared['scores'].shape}"
                raise UserError(f"{stream}'s scores and {first}'s have the shapes {shapes}: they cannot be fused")
        scores = self({stream: arrays["scores"] for stream, arrays in streams.items()})
        return {"scores": scores, **{name: shared[name] for name in ("labels", "rows", "subjects") if name in shared}}
