"""The options of a study: how it runs away from its published setting, and where it reads and writes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from skelray.checks import MOST, MOST_SEEDS, MOST_THREADS, UserError
from skelray.cli.data import FOLDER, data_option
from skelray.names import PRECISIONS

Command = Callable[..., Any]

results_option = click.option("--results", type=FOLDER, default=Path("results"), show_default=True, help="Tables.")


def _there(context: click.Context, parameter: click.Parameter, path: Path) -> Path:
    """Returns the study's path, after checking that it exists before anything heavy is imported."""
    if not path.is_file():
        raise UserError(f"there is no study file {path}")
    return path


def study_options(command: Command) -> Command:
    """Adds a study's file and the options of its run to a command."""
    return click.argument("study", type=click.Path(path_type=Path), callback=_there)(run_options(command))


def run_options(command: Command) -> Command:
    """Adds the options of any study's run to a command."""
    options: list[Command] = [
        click.option("--demo", is_flag=True, help="At a small scale on generated data, which is made if it is missing."),
        click.option(
            "--benchmark", help="Prepared data to run on instead of the study's own; the table is STUDY_BENCHMARK."
        ),
        click.option("--protocol", "protocols", multiple=True, help="Only this protocol; may be given several times."),
        click.option("--epochs", type=click.IntRange(1, MOST), help="Stretch the schedule to so many epochs."),
        click.option("--seeds", type=click.IntRange(1, MOST_SEEDS), help="Seeds 0, 1, ... of each cell or sample."),
        click.option("--samples", type=click.IntRange(1, MOST), help="Samples of a sweep."),
        click.option("--ordered", is_flag=True, help="A sweep decides in a fixed order: the same on Ray as with --inline."),
        click.option("--precision", type=click.Choice(PRECISIONS), help="Precision of the encoders' matrix products."),
        click.option("--set", "changes", multiple=True, metavar="FIELD=VALUE", help="Any other field of the trials."),
        click.option("--name", help="Name of the table.  [default: STUDY, STUDY_demo or STUDY_BENCHMARK]"),
        data_option,
        click.option("--store", default="store", show_default=True, help="Encoders and checkpoints; a folder or URI."),
        results_option,
        click.option("--device", help="cpu, cuda, cuda:1, ...  [default: cuda where there is one]"),
        click.option("--threads", type=click.IntRange(1, MOST_THREADS), default=1, show_default=True, help="Of each trial."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def make_synthetic(root: Path) -> None:
    """Makes the generated data in a folder, where it is not there."""
    from skelray.data import DataError, open_dataset, prepare
    from skelray.data.benchmarks import BENCHMARKS

    try:
        open_dataset(root, "synthetic")
    except DataError:
        click.echo("making the synthetic data set (once)", err=True)
        prepare(BENCHMARKS["synthetic"], None, root)
