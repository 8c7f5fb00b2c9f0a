"""How fast each method trains on the machine at hand, and where the time goes."""

from __future__ import annotations

import multiprocessing
import resource
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, fields, is_dataclass, replace
from itertools import count, islice
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd
import torch

from skelray import machine, papers
from skelray.atomic import replacing
from skelray.augment import Draws, View
from skelray.bench import flop, launches, static
from skelray.checks import UserError
from skelray.machine import provenance
from skelray.methods import Method, Model
from skelray.report.table import Table
from skelray.skeleton import KINECT_V2
from skelray.trial import Trial

T = TypeVar("T")
PUBLISHED = {
    "skeletonclr": papers.SKELETONCLR,
    "crossclr": papers.CROSSCLR,
    "aimclr": papers.AIMCLR,
    "hiclr": papers.HICLR,
    "hiclr_dsta": papers.HICLR_DSTA,
    "hico_gru": papers.HICO_GRU,
    "hico_lstm": papers.HICO_LSTM,
    "hico_transformer": papers.HICO_TRANSFORMER,
}
# On what the papers prepare of NTU: 50 frames, HiCo 300, and two persons.
METHODS = {name: replace(trial, frames=300 if name.startswith("hico") else 50) for name, trial in PUBLISHED.items()}
PERSONS = 2
WARM_UP = 3  # steps until most memory that a step asks for is there: later ones rarely fault a page in
KEY = ("method", "backbone", "precision", "threads", "device")  # of a measurement
FIGURES = "bench/bench.parquet"  # within the folder of results, apart from the tables of studies


@dataclass(frozen=True)
class Measured:
    """A measurement of a method: seconds of a step, median over the steps; memory in MiB.

    gflop_per_sample: of the matrix products and convolutions really run; share_of_peak: of the machine's rate in one large
    matrix product of that precision. On a CUDA device rate and memory are of the static step that trials make there,
    the parts of a step of one made call by call. launches: operators of it that launch kernels; prepared: seconds until it
    is captured; 0 on a CPU.
    """

    method: str
    backbone: str
    precision: str
    frames: int
    batch_size: int
    samples_per_second: float
    augment: float
    forward: float
    backward: float
    update: float
    gflop_per_sample: float
    share_of_peak: float
    peak_memory: float
    launches: int
    prepared: float
    threads: int
    device: str
    version: str
    commit: str


def kind_of_trial(trial: Trial) -> tuple[str, str]:
    """Returns the names of a trial's method and backbone, the backbone with its parts, as in "hierarchical gru"."""
    backbone: Any = trial.backbone
    parts = [getattr(backbone, field.name) for field in fields(backbone)]
    names = [type(part).__name__.lower() for part in (backbone, *parts) if is_dataclass(part)]
    return type(trial.method).__name__.lower(), " ".join(names)


def training_steps(trial: Trial, device: torch.device) -> Iterator[list[float]]:
    """Makes full training steps on random sequences of the NTU shape without end; yields the seconds of a step's parts."""
    method, frames = trial.method, trial.frames or 50
    model = method.build(trial.backbone, KINECT_V2, trial.stream).to(device).train()
    model.autocast = torch.bfloat16 if trial.precision == "bfloat16" else None
    optimizer = trial.optimizer.build([p for p in model.parameters() if p.requires_grad])

    def batch(step: int) -> View:
        x = torch.randn(trial.batch_size, 3, frames, len(KINECT_V2.joints), PERSONS, device=device)
        return View.of(x, KINECT_V2, Draws(0, step, device))

    yield from (_step(method, model, optimizer, batch(step)) for step in count())


def measure_speed(trial: Trial, device: torch.device, steps: int, peak: float) -> Measured:
    """Steps after a warm-up; memory is the process's own peak."""
    taken = training_steps(trial, device)
    with flop.count_flops() as counter:
        next(taken)
    work = counter.get_total_flops()
    for _ in range(WARM_UP - 1):
        next(taken)
    parts = torch.tensor(list(islice(taken, steps)))
    augment, forward, backward, update = parts.median(dim=0).values.tolist()
    seconds = parts.sum(dim=1).median().item()
    prepared, memory = 0.0, peak_mebibytes(device)
    if device.type == "cuda":  # where trials train by the static step
        found = static.measure_static_rate(trial, device, max(steps, 10))
        seconds, prepared, memory = found.seconds, found.prepared, found.memory
    return Measured(
        method=kind_of_trial(trial)[0],
        backbone=kind_of_trial(trial)[1],
        precision=trial.precision,
        frames=trial.frames or 50,
        batch_size=trial.batch_size,
        samples_per_second=trial.batch_size / seconds,
        augment=augment,
        forward=forward,
        backward=backward,
        update=update,
        gflop_per_sample=work / trial.batch_size / 1e9,
        share_of_peak=work / seconds / peak,
        peak_memory=memory,
        launches=launches.count_step(trial).total() if device.type == "cuda" else 0,
        prepared=prepared,
        threads=torch.get_num_threads(),
        **provenance(device),
    )


def _step(method: Method, model: Model, optimizer: torch.optim.Optimizer, view: View) -> list[float]:
    """Runs a step and returns its seconds: augmentation, forward and loss, backward, update (momentum, optimiser, queue)."""
    clock = _Clock(view.x.device)
    views = method.views(view)
    del view  # as in training, where no batch outlasts its views
    augment = clock.lap()
    model.update_key(1)
    momentum = clock.lap()
    step = method.loss(model, views, epoch=1)
    forward = clock.lap()
    optimizer.zero_grad(set_to_none=True)
    step.loss.backward()
    backward = clock.lap()
    optimizer.step()
    model.enqueue(step.keys)
    return [augment, forward, backward, momentum + clock.lap()]


class _Clock:
    def __init__(self, device: torch.device) -> None:
        self.device, self.at = device, 0.0
        self.lap()

    def lap(self) -> float:
        """Returns the seconds since the last lap, once the device's work is done."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        now = time.perf_counter()
        elapsed, self.at = now - self.at, now
        return elapsed


def peak_mebibytes(device: torch.device) -> float:
    """Returns the MiB that this process has held at most; on a GPU, of its tensors."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def matrix_product_speed(device: torch.device, precision: str) -> float:
    """Returns the FLOP/s of a 2048 x 2048 matrix product, the best of five."""
    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
    a = torch.randn(2048, 2048, device=device, dtype=dtype)
    return 2 * 2048**3 / min(measure_seconds(lambda: a @ a, device) for _ in range(6))


def measure_seconds(work: Callable[[], Any], device: torch.device) -> float:
    """Returns the seconds that the work takes, the device's part included."""
    clock = _Clock(device)
    work()
    return clock.lap()


def _measure_here(trial: Trial, device: str | None, steps: int, threads: int) -> Measured:
    machine.configure_process(threads)
    chosen = machine.choose_device(device)
    machine.compute_in(trial.precision, chosen)
    return measure_speed(trial, chosen, steps, matrix_product_speed(chosen, trial.precision))


def bench(
    methods: Sequence[str], precisions: Sequence[str], device: str | None, batch_size: int | None, steps: int, threads: int
) -> Iterator[Measured]:
    """Measures each method at its published setting in each precision, each in its own process, so that peaks are its own.

    precisions: all that the device has, where none is named.
    """
    for trial in measured_trials(methods, precisions, device, batch_size):
        yield in_own_process(_measure_here, trial, device, steps, threads)


def measured_trials(
    methods: Sequence[str], precisions: Sequence[str], device: str | None, batch_size: int | None
) -> Iterator[Trial]:
    """Yields what is measured. Raises UserError for a method that does not exist."""
    if unknown := [name for name in methods if name not in METHODS]:
        raise UserError(f"method {unknown[0]!r} is none of {', '.join(METHODS)}")
    for name in methods:
        for precision in precisions or machine.precisions(machine.choose_device(device)):
            trial = replace(METHODS[name], precision=precision)
            yield replace(trial, batch_size=batch_size or trial.batch_size)


def in_own_process(work: Callable[..., T], *given: Any) -> T:
    """Does the work in a process that has done nothing else."""
    with ProcessPoolExecutor(max_workers=1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(work, *given).result()


def speeds_frame(measured: Sequence[Measured]) -> pd.DataFrame:
    """Returns the measurements as a frame, one row each."""
    return pd.DataFrame([asdict(one) for one in measured], columns=[field.name for field in fields(Measured)])


def read_speeds(results: Path) -> pd.DataFrame:
    """Returns what was measured here before, one row for each KEY; none if there is no file of this version."""
    path = results / FIGURES
    found = pd.read_parquet(path) if path.is_file() else speeds_frame([])
    return found if list(found) == list(speeds_frame([])) else speeds_frame([])


def keep_speeds(measured: Sequence[Measured], results: Path) -> None:
    """Adds measurements to the figures, each in place of an earlier one of its KEY."""
    path, new = results / FIGURES, speeds_frame(measured)
    old = read_speeds(results)
    whole = pd.concat([old, new], ignore_index=True) if len(old) else new
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as (place,):
        whole.drop_duplicates(list(KEY), keep="last").to_parquet(place, index=False)


def speed_table(measured: Sequence[Measured]) -> Table:
    """Returns the measurements as a table to read."""
    header = ["method", "backbone", "precision", "frames", "batch", "samples/s", "augment", "forward", "backward", "update"]
    header += ["GFLOP a sample", "of peak", "peak MiB"]
    rows = []
    for one in measured:
        whole = one.augment + one.forward + one.backward + one.update
        split = [f"{100 * part / whole:.0f} %" for part in (one.augment, one.forward, one.backward, one.update)]
        rows.append([one.method, one.backbone, one.precision, str(one.frames), str(one.batch_size)])
        rows[-1] += [f"{one.samples_per_second:.1f}", *split]
        rows[-1] += [f"{one.gflop_per_sample:.2f}", f"{100 * one.share_of_peak:.0f} %", f"{one.peak_memory:.0f}"]
    caption = f"NTU's {len(KINECT_V2.joints)} joints and {PERSONS} persons, {measured[0].device}."
    return Table(caption, header, rows, 3, speeds_frame(measured))
