"""How fast each method trains on the machine at hand, and where the time goes."""

from __future__ import annotations

import multiprocessing
import resource
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from typing import Any

import pandas as pd
import torch
from torch.utils.flop_counter import FlopCounterMode

from skelray import machine, papers
from skelray.augment import Draws, View
from skelray.execute import provenance
from skelray.methods import Method, MoCo
from skelray.skeleton import KINECT_V2
from skelray.tables import Table
from skelray.trial import Trial

METHODS = {"skeletonclr": papers.SKELETONCLR, "hiclr": papers.HICLR}
FRAMES, PERSONS = 50, 2  # the full NTU shape
FIGURES = "bench/bench.parquet"  # within the folder of results, apart from the tables of studies


@dataclass(frozen=True)
class Measured:
    """Seconds a step, median over the steps; memory in MiB.

    gflop_per_sample: of the matrix products and convolutions really run; share_of_peak: of the machine's rate in one large
    matrix product of that precision.
    """

    method: str
    backbone: str
    precision: str
    batch_size: int
    samples_per_second: float
    augment: float
    forward: float
    backward: float
    update: float
    gflop_per_sample: float
    share_of_peak: float
    peak_memory: float
    threads: int
    device: str
    version: str
    commit: str


def measure(trial: Trial, device: torch.device, steps: int, peak: float) -> Measured:
    """Full steps on random sequences of the NTU shape, after one warm-up; memory is the process's own peak."""
    method = trial.method
    model = method.build(trial.backbone, KINECT_V2, trial.stream).to(device).train()
    model.autocast = torch.bfloat16 if trial.precision == "bfloat16" else None
    optimizer = trial.optimizer.build([p for p in model.parameters() if p.requires_grad])
    x = torch.randn(trial.batch_size, 3, FRAMES, len(KINECT_V2.joints), PERSONS, device=device)
    with FlopCounterMode(display=False) as counter:
        _step(method, model, optimizer, View.of(x, KINECT_V2, Draws(0, 0, device)))
    flop = counter.get_total_flops()
    parts = [_step(method, model, optimizer, View.of(x, KINECT_V2, Draws(0, i, device))) for i in range(1, steps + 2)]
    augment, forward, backward, update = torch.tensor(parts[1:]).median(dim=0).values.tolist()
    seconds = torch.tensor(parts[1:]).sum(dim=1).median().item()
    return Measured(
        method=type(method).__name__.lower(),
        backbone=type(trial.backbone).__name__.lower(),
        precision=trial.precision,
        batch_size=trial.batch_size,
        samples_per_second=trial.batch_size / seconds,
        augment=augment,
        forward=forward,
        backward=backward,
        update=update,
        gflop_per_sample=flop / trial.batch_size / 1e9,
        share_of_peak=flop / seconds / peak,
        peak_memory=_peak_memory(device),
        threads=torch.get_num_threads(),
        **provenance(device),
    )


def _step(method: Method, model: MoCo, optimizer: torch.optim.Optimizer, view: View) -> list[float]:
    """Seconds of augmentation, forward and loss, backward, and update (momentum, optimiser, queue)."""
    clock = _Clock(view.x.device)
    views = method.views(view)
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
        self.device = device
        self.lap()

    def lap(self) -> float:
        """Seconds since the last lap, with the device's work done."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        now = time.perf_counter()
        elapsed, self.at = now - getattr(self, "at", now), now
        return elapsed


def _peak_memory(device: torch.device) -> float:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def peak(device: torch.device, precision: str) -> float:
    """FLOP/s of a 2048 x 2048 matrix product, the best of five."""
    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
    a = torch.randn(2048, 2048, device=device, dtype=dtype)
    return 2 * 2048**3 / min(_timed(lambda: a @ a, device) for _ in range(6))


def _timed(work: Callable[[], Any], device: torch.device) -> float:
    clock = _Clock(device)
    work()
    return clock.lap()


def _measure_here(trial: Trial, device: str | None, steps: int, threads: int) -> Measured:
    machine.settle(threads)
    chosen = machine.choose_device(device)
    return measure(trial, chosen, steps, peak(chosen, trial.precision))


def bench(
    methods: Sequence[str], precisions: Sequence[str], device: str | None, batch_size: int, steps: int, threads: int
) -> Iterator[Measured]:
    """Each method at its published setting in each precision, each in a process of its own, so that peaks are its own."""
    for name in methods:
        for precision in precisions:
            trial = replace(METHODS[name], precision=precision, batch_size=batch_size)
            context = multiprocessing.get_context("spawn")
            with ProcessPoolExecutor(max_workers=1, mp_context=context) as pool:
                yield pool.submit(_measure_here, trial, device, steps, threads).result()


def frame(measured: Sequence[Measured]) -> pd.DataFrame:
    """One row a measurement."""
    return pd.DataFrame([asdict(one) for one in measured])


def table(measured: Sequence[Measured]) -> Table:
    """What a person reads of it."""
    header = [
        "method",
        "backbone",
        "precision",
        "samples/s",
        "augment",
        "forward",
        "backward",
        "update",
        "GFLOP a sample",
    ]
    header += ["of peak", "peak MiB"]
    rows = []
    for one in measured:
        whole = one.augment + one.forward + one.backward + one.update
        split = [f"{100 * part / whole:.0f} %" for part in (one.augment, one.forward, one.backward, one.update)]
        rows.append([one.method, one.backbone, one.precision, f"{one.samples_per_second:.1f}", *split])
        rows[-1] += [f"{one.gflop_per_sample:.2f}", f"{100 * one.share_of_peak:.0f} %", f"{one.peak_memory:.0f}"]
    one = measured[0]
    caption = f"Batch {one.batch_size} of (3, {FRAMES}, 25, {PERSONS}), queue {papers.HICLR.method.queue}, {one.device}"  # type: ignore[attr-defined]
    return Table(caption, header, rows, 3, frame(measured))
