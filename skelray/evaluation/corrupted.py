"""Stress tests: an evaluation scored on corrupted test sequences, with encoder and training set unchanged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from skelray.checks import UserError
from skelray.data.dataset import SkeletonDataset, resizing
from skelray.evaluation.evaluation import (
    Evaluation,
    EvaluationResult,
    finetuned_sequences,
    main_metric,
    runs_another,
    small_version,
)
from skelray.evaluation.frozen import FrozenEncoder
from skelray.evaluation.scores import measure
from skelray.skeleton import Skeleton

SEVERITIES = (1, 2, 3, 4, 5)
Clip = np.ndarray  # (C, T, V, M), joints in metres or as they are prepared
Kind = Callable[[Clip, int, np.random.Generator, Skeleton], Clip]


def _joints(x: Clip, severity: int, rng: np.random.Generator, skeleton: Skeleton) -> Clip:
    """Hides a tenth of the joints, more by that at each severity, in all frames."""
    hidden = rng.permutation(x.shape[2])[: round(0.1 * severity * x.shape[2])]
    x[:, :, hidden] = 0
    return x


def _limbs(x: Clip, severity: int, rng: np.random.Generator, skeleton: Skeleton) -> Clip:
    """Hides one part of the body in a fifth of the frames, more by that at each severity."""
    _, part = skeleton.parts[rng.integers(len(skeleton.parts))]
    frames = x.shape[1]
    length = round(0.2 * severity * frames)
    start = int(rng.integers(frames - length + 1))
    x[:, start : start + length, list(part)] = 0
    return x


def _frames(x: Clip, severity: int, rng: np.random.Generator, skeleton: Skeleton) -> Clip:
    """Loses a tenth of the frames, more by that at each severity, each replaced by the last one before it."""
    frames = x.shape[1]
    seen = np.ones(frames, bool)
    seen[rng.permutation(frames)[: round(0.1 * severity * frames)]] = False
    seen[0] = True
    return x[:, np.maximum.accumulate(np.where(seen, np.arange(frames), 0))]


def _jitter(x: Clip, severity: int, rng: np.random.Generator, skeleton: Skeleton) -> Clip:
    """Adds noise to every coordinate of present persons; sd: 2 % of the sequence's own for each severity."""
    there = x.any(axis=(0, 1, 2))
    spread = float(x[..., there].std()) if there.any() else 0.0
    x[..., there] += rng.normal(0, 0.02 * severity * spread, x[..., there].shape).astype(x.dtype)
    return x


def _rotation(x: Clip, severity: int, rng: np.random.Generator, skeleton: Skeleton) -> Clip:
    """Turns it about the vertical axis by 12 degrees for each severity, to either side."""
    angle = np.deg2rad(12 * severity) * rng.choice([-1, 1])
    turn = np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]], x.dtype)
    return np.einsum("dc,ctvm->dtvm", turn, x)


def _truncated(x: Clip, severity: int, rng: np.random.Generator, skeleton: Skeleton) -> Clip:
    """Keeps a part of the clip, 15 % shorter at each severity, from anywhere in it, stretched to its length."""
    frames = x.shape[1]
    length = max(1, round((1 - 0.15 * severity) * frames))
    start = int(rng.integers(frames - length + 1))
    return np.einsum("ft,ctvm->cfvm", resizing(length, frames), x[:, start : start + length])


KINDS: dict[str, Kind] = {
    "joints": _joints,
    "limbs": _limbs,
    "frames": _frames,
    "jitter": _jitter,
    "rotation": _rotation,
    "truncated": _truncated,
}


@dataclass(frozen=True)
class Corrupted:
    """An evaluation on corrupted test sequences, at one severity of 1 to 5 or, severity None, as the mean over all.

    kind: joints or limbs occluded, frames lost, jitter, rotation, or truncated clips. A sequence's corruption is decided by
    its place in the data set, the kind and the severity, so that every arm and seed sees the same.
    """

    kind: str
    severity: int | None
    evaluation: Evaluation

    wraps: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise UserError(f"kind {self.kind!r} is none of {', '.join(KINDS)}")
        if self.severity is not None and self.severity not in SEVERITIES:
            raise UserError(f"severity {self.severity!r}: 1 to 5, or None for the mean over all, is needed")
        if runs_another(self.evaluation) or main_metric(self.evaluation) != "top1":
            raise UserError(f"{self.evaluation.name} is not corrupted: give what classifies test sequences, as Linear()")

    @property
    def name(self) -> str:
        at = "" if self.severity is None else f" {self.severity}"
        return f"{self.evaluation.name} {self.kind}{at}"

    def small(self) -> Corrupted:
        """Returns a short version for demonstrations."""
        return replace(self, evaluation=small_version(self.evaluation))

    def trained(self, samples: int) -> int:
        """Returns how many sequences the encoder is trained on, given the size of the training set."""
        return finetuned_sequences(self.evaluation, samples)

    def __call__(self, encoder: FrozenEncoder, train: SkeletonDataset, test: SkeletonDataset) -> EvaluationResult:
        severities = SEVERITIES if self.severity is None else (self.severity,)
        found = measure(self.evaluation, encoder, train, corrupted(test, self.kind, severities))
        if found.scores is None or self.severity is not None:
            return EvaluationResult(scores=found.scores, test=test)
        right = found.scores.argmax(dim=1).numpy().reshape(len(severities), len(test)) == test.labels
        each = {f"severity {severity}": float(row.mean()) for severity, row in zip(severities, right, strict=True)}
        mean = {name: found.metrics[name] for name in ("top1", "top5")}  # every severity has as many sequences
        return EvaluationResult(metrics={**mean, **each}, arrays={"right": right, "labels": test.labels, "rows": test.rows})


def corrupted(data: SkeletonDataset, kind: str, severities: tuple[int, ...]) -> SkeletonDataset:
    """Returns the sequences at one severity after another, each made when it is read."""
    copies = len(severities)
    samples = data.samples.iloc[np.tile(np.arange(len(data)), copies)].reset_index(drop=True)
    sequences: Any = _Sequences(data, kind, severities)
    return replace(data, sequences=sequences, rows=np.arange(copies * len(data)), samples=samples)


class _Sequences:
    """An array (S N, C, T, V, M) computed when it is read; nothing of it is kept."""

    def __init__(self, data: SkeletonDataset, kind: str, severities: tuple[int, ...]) -> None:
        self.data, self.kind, self.severities = data, kind, severities
        self.shape = (len(severities) * len(data), *data.sequences.shape[1:])

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, places: np.ndarray) -> np.ndarray:
        clips = self.data.batch(places % len(self.data))
        for at, place in enumerate(places.tolist()):
            number, position = divmod(place, len(self.data))
            severity = self.severities[number]
            rng = np.random.default_rng([list(KINDS).index(self.kind), severity, int(self.data.rows[position])])
            clips[at] = KINDS[self.kind](clips[at], severity, rng, self.data.skeleton)
        return clips
