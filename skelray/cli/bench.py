"""`skelray bench`: samples per second of each method on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from skelray.checks import MOST, MOST_THREADS
from skelray.cli.study_options import results_option
from skelray.names import PRECISIONS


@click.command("bench")
@click.option("--method", "methods", multiple=True, help="Only this one; may be given several times.")
@click.option("--precision", "precisions", type=click.Choice(PRECISIONS), multiple=True, help="[default: all of the device]")
@click.option("--batch-size", type=click.IntRange(1, MOST), help="[default: the published one]")
@click.option("--steps", type=click.IntRange(1, MOST), default=3, show_default=True)
@click.option("--threads", type=click.IntRange(1, MOST_THREADS), help="[default: 2, where there are two]")
@click.option("--device", help="cpu, cuda, ...  [default: cuda where there is one]")
@click.option("--lanes", is_flag=True, help="Instead, 1, 2, 4 and 8 trials that train together, as on a CUDA device.")
@results_option
def bench_command(
    methods: tuple[str, ...], precisions: tuple[str, ...], lanes: bool, results: Path, steps: int, **settings: Any
) -> None:
    """Measure samples per second of each method on this machine, at the full NTU shape; `plan` uses the figures.

    They are kept beside those of other methods, devices and threads, in RESULTS/bench.
    """
    from skelray import machine
    from skelray.bench import bench
    from skelray.bench.lanes import bench_lanes, keep_lanes, lane_table

    settings["threads"] = settings["threads"] or min(2, machine.cpus())
    machine.check_threads(settings["threads"])
    methods = methods or tuple(bench.METHODS)
    if lanes:
        together = []
        for some in bench_lanes(methods, precisions, **settings):
            together += some
            keep_lanes(some, results)
        click.echo(lane_table(together).markdown())
        return
    measured = []
    for one in bench.bench(methods, precisions, steps=steps, **settings):
        measured.append(one)
        bench.keep_speeds([one], results)
        click.echo(f"{one.method} on {one.backbone}, {one.precision}: {one.samples_per_second:.1f} samples/s", err=True)
    click.echo(bench.speed_table(measured).markdown())
