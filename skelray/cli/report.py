"""`skelray report`: the table of a study with its verdicts, as text, as a page, or sent to a tracker."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from skelray.cli.data import FOLDER
from skelray.cli.export import TRACKERS, export_to
from skelray.cli.study_options import results_option
from skelray.names import HELD_OUT
from skelray.report.printable import make_printable


@click.command("report")
@click.argument("study")
@results_option
@click.option("--format", "form", type=click.Choice(["markdown", "csv", "latex"]), default="markdown", show_default=True)
@click.option("--verdicts", is_flag=True, help="Only what each contrast may be said to show, and why; in any format.")
@click.option("--margin", type=click.FloatRange(0, 100), help="Points that do not matter.  [default: the study's, mostly 1]")
@click.option("--subjects", is_flag=True, help="Only intervals over seeds and test subjects together, from stored scores.")
@click.option("--html", is_flag=False, flag_value="", metavar="[FILE]", help="Write a page.  [default: RESULTS/STUDY.html]")
@click.option("--log", "tracker", type=click.Choice(list(TRACKERS)), help="Export curves and hyperparameters, once.")
@click.option("--to", help="For --log: a folder or an address.  [default: the tracker's own]")
@click.option("--store", default="store", show_default=True, help="The store with the scores; a folder or URI.")
@click.option("--data", type=FOLDER, default=Path("data"), help="Prepared data, for subjects that scores lack.")
def report_command(
    study: str,
    results: Path,
    form: str,
    verdicts: bool,
    margin: float | None,
    subjects: bool,
    html: str | None,
    store: str,
    data: Path,
    tracker: str | None,
    to: str | None,
) -> None:
    """Print the table of STUDY, published beside measured, and what each of its contrasts may be said to show.

    With --html, write one page that shows the whole study offline, and its figures in RESULTS/figures/STUDY.
    """
    fraction = None if margin is None else margin / 100
    if tracker is not None:
        click.echo(export_to(study, results, tracker, to))
        return
    if html is not None:
        with _nothing_collected():
            from skelray.report.html.page import write_page

            path = write_page(study, results, store, fraction, Path(html) if html else None)
        click.echo(f"{path} ({path.stat().st_size / 1e6:.1f} MB)")
        return
    if subjects:
        _print_noise(study, results, form, store, data)
    elif verdicts:
        _print_verdicts(study, results, form, fraction)
    else:
        print_report(study, results, form, fraction)


def _print_noise(study: str, results: Path, form: str, store: str, data: Path) -> None:
    """Prints each contrast with its intervals over seeds and test subjects."""
    from skelray.report.noise_table import noise_table
    from skelray.results.tables import load
    from skelray.store.store import Store

    noise = noise_table(load(study, results), Store(store), data)
    click.echo(noise.render(form) if noise else f"skelray: {study} has no contrast", err=noise is None)


def _print_verdicts(study: str, results: Path, form: str, margin: float | None) -> None:
    """Prints each contrast with its verdict."""
    from skelray.report.verdict_table import verdict_table
    from skelray.results.tables import load

    table = verdict_table(load(study, results), margin, bca=True)
    said = f"skelray: {study} has no contrast: no two seeds are done in two arms" if table is None else table.render(form)
    click.echo(said, err=table is None)


@contextmanager
def _nothing_collected() -> Iterator[None]:
    """Within, Python looks for no cycles, which for modules and figures, many small objects, takes a tenth of the time."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


def print_report(study: str, results: Path, form: str, margin: float | None = None) -> bool:
    """Prints the report of a table. Returns whether anything failed."""
    from skelray.report.text import failures_text, report_text
    from skelray.results.costs import costs
    from skelray.results.tables import curves, load

    frame = load(study, results)
    if frame.empty:
        click.echo(f"skelray: the table of {study} is empty: none of its trials has an evaluation", err=True)
        return False
    click.echo(report_text(frame, form, margin))
    if form == "markdown":
        click.echo(f"\nCost: {make_printable(costs(frame, curves(study, results)).sentence())}")
        if (frame["metric"] == HELD_OUT).any():
            for line in _drawn(study, results, frame):
                click.echo(line, err=True)
    lines = failures_text(frame)
    for line in lines:
        click.echo(line, err=True)
    return bool(lines)


def _drawn(study: str, results: Path, frame: Any) -> list[str]:
    """Draws a sweep's figures, where they are older than its table, and says where they are."""
    from skelray.report.sweep_tables import redraw, samples_of_sweep

    try:
        folder = redraw(samples_of_sweep(frame), study, results)
    except OSError as error:
        folder = results / "figures" / study
        return [f"skelray: the figures of {study} cannot be written to {folder}: {error.strerror}"]
    return [f"figures: {folder}; `skelray best` prints the best setting as a study"]
