"""What trials of a study cost: steps of two samples are counted, each structure once, beside what this machine reaches."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import torch

from skelray import machine
from skelray.bench import bench
from skelray.bench.estimate import (
    Known,
    TrainingCost,
    excerpt_sizes,
    monitoring_gflop,
    structure,
    test_set_of,
    training_cost,
)
from skelray.data.dataset import SkeletonDataset
from skelray.evaluation import Evaluation
from skelray.runner.context import Context, Settings
from skelray.skeleton import Skeleton
from skelray.store import excerpts
from skelray.trial import Trial


class Counts:
    """What steps of two samples count, each structure once."""

    def __init__(self, context: Context, speeds: Speeds) -> None:
        self.context, self.speeds = context, speeds
        self._costs: dict[str, TrainingCost] = {}
        self._known = Known()
        self._reading: dict[str, float] = {}
        self._excerpts = {name.removesuffix(".npz") for name in context.store.names(excerpts.FOLDER)}  # there, or counted

    def data(self, trial: Trial) -> SkeletonDataset:
        """What a trial is trained on."""
        splits = self.context.splits(trial)
        return splits.train if trial.monitor is None else splits.reduced

    def training_cost(self, trial: Trial) -> TrainingCost:
        key, shape = self._of(trial, trial.method, self.data(trial))
        if key not in self._costs:
            self._costs[key] = training_cost(trial, *shape, self._known)
        return replace(self._costs[key], batch_size=trial.batch_size)

    def reading(self, trial: Trial) -> float:
        key, shape = self._of(trial, type(trial.method).__qualname__, self.context.splits(trial).train)
        if key not in self._reading:
            self._reading[key] = monitoring_gflop(trial, *shape)
        return self._reading[key]

    def new_excerpts(self, trial: Trial, evaluations: Iterable[Evaluation]) -> int:
        """Bytes of what the store keeps for pages of the test sets of these evaluations, each set and view once."""
        splits, views = self.context.splits(trial), self.training_cost(trial).views
        new = 0
        for evaluation in evaluations:
            sizes = excerpt_sizes(trial, views, test_set_of(evaluation, splits, self.context.load_splits))
            new += sum(size for name, size in sizes.items() if name not in self._excerpts)
            self._excerpts |= sizes.keys()
        return new

    @staticmethod
    def _of(trial: Trial, method: Any, data: SkeletonDataset) -> tuple[str, tuple[Skeleton, int, int]]:
        """What decides a count, and the shape of a sequence; any single stream is like any other."""
        shape = (data.skeleton, trial.frames or data.sequences.shape[2], data.sequences.shape[4])
        streams = trial.stream.count("+")
        return repr((structure(method), structure(trial.backbone), streams, data.skeleton.name, *shape[1:])), shape


class Speeds:
    """What `skelray bench` measured on this kind of device."""

    def __init__(self, settings: Settings, device: torch.device) -> None:
        figures, self.threads = bench.read_speeds(settings.results), settings.threads
        here = machine.describe_device(device) if device.type == "cuda" else "cpu"
        self.figures = figures[figures["device"].astype(str).str.split(",").str[0] == here.split(",")[0]]
        self._found: dict[tuple[str, str, str], dict[str, Any] | None] = {}

    def of(self, trial: Trial) -> dict[str, Any] | None:
        """The row of a trial's method, backbone and precision, measured with the same threads if there is one."""
        kind = (*bench.kind_of_trial(trial), trial.precision)
        if kind not in self._found:
            figures = self.figures
            same = (figures["method"] == kind[0]) & (figures["backbone"] == kind[1]) & (figures["precision"] == kind[2])
            rows: list[Any] = figures[same].to_dict("records")
            self._found[kind] = min(rows, key=lambda row: abs(row["threads"] - self.threads), default=None)
        return self._found[kind]
