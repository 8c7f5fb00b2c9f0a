"""`skelray plan` and `skelray run`: what a study would do, and doing it."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from skelray.cli.data import FOLDER
from skelray.cli.duration import DurationType
from skelray.cli.per_gpu import PerGpu, lanes_of
from skelray.cli.report import print_report
from skelray.cli.size import SizeType
from skelray.cli.study_options import make_synthetic, study_options
from skelray.names import KEEP
from skelray.report.printable import make_printable
from skelray.runner.ending import heeding_sigterm

if TYPE_CHECKING:
    from types import ModuleType

    from skelray.runner.run import Run


@click.command("plan")
@study_options
def plan_command(**options: Any) -> None:
    """Show what running STUDY would do, what it would cost, and what cannot run on this machine; trains nothing.

    The time is from what `skelray bench` measured here. With --demo the generated data is made if it is missing.
    """
    from skelray.cli.options import open_run
    from skelray.runner.plan import make_plan

    run, _ = open_run(options, make_synthetic)
    click.echo(make_plan(run).text())


@click.command("run")
@study_options
@click.option("--inline", is_flag=True, help="In this process, without Ray; the same rows (of a sweep with --ordered).")
@click.option("--address", help="Join this Ray cluster ('auto': the one that runs here).")
@click.option(
    "--per-gpu",
    type=PerGpu(),
    help="At most so many trials share a GPU, as lanes of one step where they fit; auto: as many as gain.  [default: 1]",
)
@click.option("--ray-tmp", type=FOLDER, help="Where Ray of this run's own keeps its files.  [default: the system's]")
@click.option(
    "--keep", type=click.Choice(KEEP), default=KEEP[0], show_default=True, help="Whose checkpoint stays at its end."
)
@click.option("--disk", type=SizeType(), help="Prune the store where it outgrows this: 50G, 500M.")
@click.option("--until-decided", is_flag=True, help="Add seeds to what is not decided, the cheapest first.")
@click.option("--until", type=click.Choice(["stable"]), help="A sweep ends once its best gains less than the seed noise.")
@click.option(
    "--budget", help="What --until-decided or a sweep may spend: 4h, 30m; a sweep also 500epochs. What runs then still ends."
)
@heeding_sigterm()  # from here on, as importing and joining take a while
def run_command(
    inline: bool,
    address: str | None,
    per_gpu: int | None,
    ray_tmp: Path | None,
    until_decided: bool,
    until: str | None,
    budget: str | None,
    **options: Any,
) -> None:
    """Run what is missing of STUDY and print its table.

    Killed at any moment and started again, it goes on from the checkpoints and ends with the same table. The exit status
    is 1 if a trial failed.
    """
    from skelray import machine
    from skelray.cli.options import notice_of_synthetic, open_run

    if inline and address:
        raise click.UsageError(f"--address {address}: --inline uses no cluster; leave one of them out")
    if not address:
        machine.check_threads(options["threads"])
    seconds = None if budget is None or not until_decided else DurationType().convert(budget, None, None)
    ended_by: dict[str, Any] = {"until": until, "budget": None if until_decided else budget}
    if inline and machine.choose_device(options["device"]).type == "cuda":
        ended_by["lanes"] = lanes_of(per_gpu)
    run, module = open_run({**options, **ended_by}, make_synthetic)
    if until_decided:
        run.add_seeds_until_decided(seconds)
    if run.scale.benchmark == "synthetic":
        click.echo(notice_of_synthetic(run.scale), err=True)
    for line in run.work.incomparable():
        click.echo(make_printable(line), err=True)
    any_failed = _run_with_display(run, module, inline, address, per_gpu, ray_tmp)
    failed = print_report(run.name, options["results"], "markdown")
    _draw(run.name, options["results"])
    sys.exit(1 if failed or any_failed else 0)  # a failure may have no row


def _run_with_display(
    run: Run, module: ModuleType, inline: bool, address: str | None, per_gpu: int | None, ray_tmp: Path | None
) -> bool:
    """Runs what is missing, shown here and left for `skelray watch`. Returns whether any trial failed."""
    from rich.console import Console

    from skelray.cli.progress import Display
    from skelray.runner.board import Board
    from skelray.runner.inline import run_inline

    size, command = run.work.size(), shlex.join(["skelray", *sys.argv[1:]])
    with (
        Display(Console(stderr=True), run.name, *size) as display,
        Board.of(run.name, command, size, run.settings.results, display) as listener,
    ):
        if inline:
            run_inline(run, listener)
        else:
            from skelray.runner.cluster import Cluster
            from skelray.runner.on_ray import run_on_ray

            run_on_ray(run, module, listener, Cluster(address, per_gpu or 1, lanes_of(per_gpu), tmp=ray_tmp))
    return display.finished["failed"] > 0


def _draw(study: str, results: Path) -> None:
    """Draws the figures that a study asks for; what its table lacks for one is said, and costs nothing else."""
    from skelray.checks import UserError
    from skelray.report.figures.charts import save_charts
    from skelray.results.tables import load

    try:
        paths = save_charts(load(study, results), study, results)
    except UserError as error:
        click.echo(f"skelray: {make_printable(error)}", err=True)
        return
    for path in paths:
        click.echo(str(path), err=True)
