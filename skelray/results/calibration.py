"""Calibration: whether what a classifier is sure of is as often right, from stored scores."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from skelray.checks import UserError, check_whole
from skelray.results.scores import Scores


@dataclass(frozen=True)
class Calibration:
    """The expected calibration error of scores (Guo et al., ICML 2017): |accuracy - confidence|, weighted over bins.

    bins: of equal width over the confidence. Logits become probabilities by softmax, votes by their share: what is stored
    with the scores says which they are.
    """

    bins: int = 15

    def __post_init__(self) -> None:
        check_whole("bins", self.bins, 1)

    def __call__(self, scores: Scores) -> float:
        """Returns the error, a fraction of 0..1."""
        table = self.bins_table(scores)
        return float((table["samples"] * (table["accuracy"] - table["confidence"]).abs()).sum() / table["samples"].sum())

    def bins_table(self, scores: Scores) -> pd.DataFrame:
        """Returns a row for each bin that has samples: from, to, samples, confidence, accuracy."""
        confidence = probabilities(scores.scores, scores.votes).max(axis=1)
        place = np.minimum((confidence * self.bins).astype(int), self.bins - 1)
        frame = pd.DataFrame({"bin": place, "confidence": confidence, "right": scores.right(1)})
        found = frame.groupby("bin").agg(
            samples=("right", "size"), confidence=("confidence", "mean"), accuracy=("right", "mean")
        )
        edges = found.index.to_numpy()
        found.insert(0, "from", edges / self.bins)
        found.insert(1, "to", (edges + 1) / self.bins)
        return found.reset_index(drop=True)


def probabilities(scores: np.ndarray, votes: bool = False) -> np.ndarray:
    """Returns probabilities (N, classes) of logits or votes.

    Raises UserError for votes that are negative, or none for a sample.
    """
    scores = scores.astype(np.float64)
    if votes:
        total = scores.sum(axis=1, keepdims=True)
        if (scores < 0).any() or not (total > 0).all():
            raise UserError(
                "votes are at least 0, and some for each sample, and these scores are not: give votes=False for logits"
            )
        return scores / total
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)
