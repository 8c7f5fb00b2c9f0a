"""How many trials train together on a device, as measured: kept so that a run goes on in the lanes that it began in."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import pandas as pd
import torch

from skelray import machine
from skelray.atomic import replacing
from skelray.augment import CannotCapture
from skelray.bench import bench, static
from skelray.bench.bench import kind_of_trial
from skelray.engine.lane_rate import STEPS, LaneRate, lane_rates
from skelray.engine.numbers import shape_digest
from skelray.machine import describe_device, provenance
from skelray.report.table import Table
from skelray.trial import Trial

log = logging.getLogger("skelray")
COUNTS = (1, 2, 4, 8)
FIGURES = "bench/lanes.parquet"  # within the folder of results
KEY = ("structure", "device", "lanes")  # of a measurement


@dataclass(frozen=True)
class MeasuredLanes:
    """A number of lanes of a structure. ceiling: the most that were to be measured, as long as more gain or memory lasts.

    samples_per_second: of all lanes together. memory: MiB of a CUDA device.
    """

    structure: str
    method: str
    backbone: str
    precision: str
    batch_size: int
    lanes: int
    ceiling: int
    samples_per_second: float
    memory: float
    device: str
    version: str
    commit: str


def bench_lanes(
    methods: Sequence[str], precisions: Sequence[str], device: str | None, batch_size: int | None, threads: int
) -> Iterator[list[MeasuredLanes]]:
    """Measures each method at its published setting in COUNTS of lanes, up to what memory holds; none where none can be."""
    for trial in bench.measured_trials(methods, precisions, device, batch_size):
        yield bench.in_own_process(_measure_here, trial, device, threads)


def _measure_here(trial: Trial, device: str | None, threads: int) -> list[MeasuredLanes]:
    machine.configure_process(threads)
    chosen = machine.choose_device(device)
    training = static.static_pretraining(trial, chosen, STEPS if chosen.type == "cuda" else 1)
    try:
        rates = list(lane_rates(training.trial, training.data, training.model, chosen, COUNTS))
    except CannotCapture as reason:
        log.warning("%s trains in no lanes: %s", kind_of_trial(trial)[0], reason)
        return []
    return [measured(training.trial, rate, chosen, max(COUNTS)) for rate in rates]


def lane_table(measured: Sequence[MeasuredLanes]) -> Table:
    """Returns what a person reads of it: samples/s of all lanes, and how often that is a single trial's."""
    header = ["method", "backbone", "precision", "batch", "lanes", "samples/s", "times one trial's", "MiB"]
    one = {row.structure: row.samples_per_second for row in measured if row.lanes == 1}
    rows = []
    for row in measured:
        rate, times = row.samples_per_second, row.samples_per_second / one[row.structure]
        rows.append([row.method, row.backbone, row.precision, str(row.batch_size), str(row.lanes)])
        rows[-1] += [f"{rate:.1f}", f"{times:.2f}", f"{row.memory:.0f}"]
    return Table("Trials that train together as lanes of one step.", header, rows, 3, _frame(measured))


def measured(trial: Trial, rate: LaneRate, device: torch.device, ceiling: int) -> MeasuredLanes:
    """Returns a measurement as it is kept."""
    return MeasuredLanes(
        shape_digest(trial),
        *kind_of_trial(trial),
        trial.precision,
        trial.batch_size,
        rate.lanes,
        ceiling,
        rate.steps * trial.batch_size,
        rate.memory / 2**20,
        **provenance(device),
    )


def lane_figures(results: Path) -> pd.DataFrame:
    """Returns what was measured before, one row for each KEY."""
    path = results / FIGURES
    return pd.read_parquet(path) if path.is_file() else _frame([])


def known_rates(trial: Trial, device: torch.device, results: Path) -> tuple[list[LaneRate], int]:
    """Returns the rates measured of trials like this one on such a device, the fewest lanes first, and their ceiling."""
    figures = lane_figures(results)
    same = (figures["structure"] == shape_digest(trial)) & (figures["device"] == describe_device(device))
    rows = figures[same].sort_values("lanes").to_dict("records")
    rates = [
        LaneRate(row["lanes"], row["lanes"] * row["batch_size"] / row["samples_per_second"], int(row["memory"] * 2**20))
        for row in rows
    ]
    return rates, max((row["ceiling"] for row in rows), default=0)


def keep_lanes(new: Sequence[MeasuredLanes], results: Path) -> None:
    """Adds measurements to the figures, each in place of an earlier one of its KEY."""
    path, old = results / FIGURES, lane_figures(results)
    whole = pd.concat([old, _frame(new)], ignore_index=True) if len(old) else _frame(new)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as (place,):
        whole.drop_duplicates(list(KEY), keep="last").to_parquet(place, index=False)


def _frame(measured: Sequence[MeasuredLanes]) -> pd.DataFrame:
    return pd.DataFrame([asdict(one) for one in measured], columns=[field.name for field in fields(MeasuredLanes)])
