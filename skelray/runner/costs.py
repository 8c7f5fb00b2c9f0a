"""What trials of a study cost: steps of two samples are counted, each structure once, beside what this machine reaches."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import torch

from skelray import machine
from skelray.augment import CannotCapture
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
from skelray.bench.lanes import lane_figures
from skelray.data.dataset import SkeletonDataset
from skelray.engine.numbers import shape_digest
from skelray.evaluation import Evaluation
from skelray.runner.context import Context, Settings
from skelray.skeleton import Skeleton
from skelray.store import excerpts
from skelray.trial import Trial


class Counts:
    """Counts of operations of steps of two samples, each structure counted once."""

    def __init__(self, context: Context, speeds: Speeds) -> None:
        self.context, self.speeds = context, speeds
        self._costs: dict[str, TrainingCost] = {}
        self._known = Known()
        self._reading: dict[str, float] = {}
        self._excerpts = {name.removesuffix(".npz") for name in context.store.names(excerpts.FOLDER)}  # there, or counted

    def training_set(self, trial: Trial) -> SkeletonDataset:
        """Returns the data set that a trial trains on."""
        splits = self.context.splits(trial)
        return splits.train if trial.monitor is None else splits.reduced

    def training_cost(self, trial: Trial) -> TrainingCost:
        key, shape = self._of(trial, trial.method, self.training_set(trial))
        if key not in self._costs:
            self._costs[key] = training_cost(trial, *shape, self._known)
        return replace(self._costs[key], batch_size=trial.batch_size)

    def reading(self, trial: Trial) -> float:
        key, shape = self._of(trial, type(trial.method).__qualname__, self.context.splits(trial).train)
        if key not in self._reading:
            self._reading[key] = monitoring_gflop(trial, *shape)
        return self._reading[key]

    def new_excerpts(self, trial: Trial, evaluations: Iterable[Evaluation]) -> int:
        """Returns the bytes that pages will need of the test sets of these evaluations, each set and view counted once."""
        splits, views = self.context.splits(trial), self.training_cost(trial).views
        new = 0
        for evaluation in evaluations:
            sizes = excerpt_sizes(trial, views, test_set_of(evaluation, splits, self.context.load_splits))
            new += sum(size for name, size in sizes.items() if name not in self._excerpts)
            self._excerpts |= sizes.keys()
        return new

    @staticmethod
    def _of(trial: Trial, method: Any, data: SkeletonDataset) -> tuple[str, tuple[Skeleton, int, int]]:
        """Returns what decides a count, and the shape of a sequence; any single stream is like any other."""
        shape = (data.skeleton, trial.frames or data.sequences.shape[2], data.sequences.shape[4])
        streams = trial.stream.count("+")
        return repr((structure(method), structure(trial.backbone), streams, data.skeleton.name, *shape[1:])), shape


class Packed:
    """The gain of similar trials as lanes of a pack on this kind of CUDA device, as far as measured."""

    def __init__(self, settings: Settings, device: torch.device) -> None:
        figures = lane_figures(settings.results)
        packs = device.type == "cuda"  # as runs do there
        self.figures = figures[figures["device"] == machine.describe_device(device)] if packs else figures[:0]
        self._alike: dict[str, tuple[Trial, list[float]]] = {}  # by structure: one of them, and seconds of each alone

    def add(self, trial: Trial, seconds: float) -> None:
        """Adds a trial that takes so long alone."""
        try:
            self._alike.setdefault(shape_digest(trial), (trial, []))[1].append(seconds)
        except CannotCapture:
            self._alike[f"{trial.id('')} {trial.epochs}"] = (trial, [seconds])

    def seconds(self) -> float:
        """Returns how long all take in packs."""
        return sum(sum(each) / self._gain(key, trial, len(each)) for key, (trial, each) in self._alike.items())

    def _gain(self, structure: str, trial: Trial, most: int) -> float:
        """Returns how often as fast so many are at most, by figures of this structure, else of others of its kind."""
        figures, kind = self.figures, (*bench.kind_of_trial(trial), trial.precision)
        same = figures[figures["structure"] == structure]
        if same.empty:
            named = [figures[name] == value for name, value in zip(("method", "backbone", "precision"), kind, strict=True)]
            same = figures[named[0] & named[1] & named[2]]
            same = same[same["structure"] == same["structure"].max()] if len(same) else same
        rates = {row["lanes"]: row["samples_per_second"] for row in same.to_dict("records")}
        return max((rate / rates[1] for lanes, rate in rates.items() if lanes <= most), default=1.0) if 1 in rates else 1.0


class Speeds:
    """The speeds that `skelray bench` measured on this kind of device."""

    def __init__(self, settings: Settings, device: torch.device) -> None:
        figures, self.threads = bench.read_speeds(settings.results), settings.threads
        here = machine.describe_device(device) if device.type == "cuda" else "cpu"
        self.figures = figures[figures["device"].astype(str).str.split(",").str[0] == here.split(",")[0]]
        self._found: dict[tuple[str, str, str], dict[str, Any] | None] = {}

    def of(self, trial: Trial) -> dict[str, Any] | None:
        """Returns the row of a trial's method, backbone and precision, measured with the same threads if there is one."""
        kind = (*bench.kind_of_trial(trial), trial.precision)
        if kind not in self._found:
            figures = self.figures
            same = (figures["method"] == kind[0]) & (figures["backbone"] == kind[1]) & (figures["precision"] == kind[2])
            rows: list[Any] = figures[same].to_dict("records")
            self._found[kind] = min(rows, key=lambda row: abs(row["threads"] - self.threads), default=None)
        return self._found[kind]
