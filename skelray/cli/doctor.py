"""`skelray doctor`: what of this machine would keep a run from working, with the way to mend it."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from skelray.cli.data import data_option
from skelray.cli.study_options import results_option


@click.command("doctor")
@data_option
@click.option("--store", default="store", show_default=True, help="A folder or URI.")
@results_option
@click.option("--address", help="Also whether this Ray cluster can be joined.")
def doctor_command(data: Path, store: str, results: Path, address: str | None) -> None:
    """Look at what a run needs: versions, devices, CPUs, Ray, folders, data sets, store; a line for each.

    The exit status is 1 where something has to be mended. Trains nothing and starts nothing.
    """
    from skelray.runner.examination import examine

    findings = examine(data, store, results, address)
    width = max(len(one.name) for one in findings)
    for one in findings:
        click.echo(f"{'ok  ' if one.fine else 'MEND'} {one.name:{width}}  {one.said}")
    sys.exit(0 if all(one.fine for one in findings) else 1)
