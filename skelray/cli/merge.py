"""`skelray merge`: one table of those that several machines made of a study."""

from __future__ import annotations

from pathlib import Path

import click

from skelray.cli.data import FOLDER


@click.command("merge")
@click.argument("study")
@click.argument("folders", type=click.Path(path_type=Path, exists=True, file_okay=False), nargs=-1, required=True)
@click.option("--results", type=FOLDER, default=Path("results"), show_default=True, help="Where the table is merged into.")
def merge_command(study: str, folders: tuple[Path, ...], results: Path) -> None:
    """Merge the tables of STUDY in FOLDERS, of runs with stores of their own, into the one in the folder of results.

    A row that several have stands once. Where two done rows of one cell differ, nothing is written and the row is named.
    """
    from skelray.results.merge import merge

    done = merge(study, folders, results)
    told = f", {done.replaced} in place of rows that had not ended" if done.replaced else ""
    click.echo(f"{done.path}: {done.rows} rows, {done.new} of them new{told}")
