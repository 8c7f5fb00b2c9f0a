"""The commands that look at prepared data: describe, check."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from skelray.report.printable import make_printable

FOLDER = click.Path(path_type=Path)
FILE = click.Path(path_type=Path, dir_okay=False)
data_option = click.option("--data", type=FOLDER, default=Path("data"), show_default=True, help="Prepared data.")


@click.group("data")
def data() -> None:
    """Look at a prepared data set."""


@data.command("describe")
@click.argument("name")
@data_option
@click.option("--picture", type=FILE, help="Draw a few sequences into this PNG.")
@click.option("--html", "page", type=FILE, help="Everything, with the picture, in this HTML file.")
def describe_command(name: str, data: Path, picture: Path | None, page: Path | None) -> None:
    """Classes, subjects, cameras, lengths, what is empty, and the protocols of the data set NAME."""
    from skelray.data.inspection import picture as pictures
    from skelray.data.inspection.describe import describe

    description = describe(data, name)
    click.echo(make_printable(description, keep="\n"))
    if picture is None and page is None:
        return
    drawn = pictures.picture_as_png(data, name)
    if picture is not None:
        picture.write_bytes(drawn)
    if page is not None:
        page.write_text(pictures.description_page(description, drawn), encoding="utf-8")


@data.command("check")
@click.argument("name")
@data_option
def check_command(name: str, data: Path) -> None:
    """Find what is wrong in the data set NAME; the exit status is 1 if anything is.

    NaN, frames without anyone, jumps, sides that change place, sequences that are there twice, and test sequences
    among the training ones.
    """
    from skelray.data.inspection.check import check_dataset

    report = check_dataset(data, name)
    click.echo(make_printable(report, keep="\n"))
    sys.exit(1 if report.wrong else 0)
