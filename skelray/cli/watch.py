"""`skelray watch`: how a study goes, from any other terminal; nothing is asked of the process that runs it."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import click

from skelray.checks import UserError
from skelray.report.printable import make_printable

PAGE_EVERY = 20.0  # seconds at least between two pages


@click.command("watch")
@click.argument("study")
@click.option("--results", type=click.Path(path_type=Path), default=Path("results"), show_default=True, help="Tables.")
@click.option("--every", type=click.FloatRange(0.5, 3600), default=3.0, show_default=True, help="Seconds between two looks.")
@click.option("--once", is_flag=True, help="Look once; so it does where the output is no terminal.")
@click.option("--html", is_flag=False, flag_value="", metavar="[FILE]", help="Keep a page up to date, too.")
@click.option("--store", default="store", show_default=True, help="For the page: encoders and scores; a folder or URI.")
def watch_command(study: str, results: Path, every: float, once: bool, html: str | None, store: str) -> None:
    """Show how STUDY goes while it runs: trials under way, the table so far, failures. It ends when the run has ended.

    It reads the files in RESULTS alone, so it works on any machine that sees them.
    """
    from skelray.results.runs import read_records

    page = None if html is None else Path(html) if html else results / f"{study}.html"
    once, drawn = once or not sys.stdout.isatty(), 0.0
    while True:
        alive = any(run.is_alive(time.time()) for run in read_records(study, results))
        text = draw_now(study, results)
        if page is not None and (not alive or once or time.monotonic() > drawn + PAGE_EVERY):
            text += f"\n\n{_drawn(page, study, results, store, alive and not once)}"
            drawn = time.monotonic()
        if not once:
            click.clear()
        click.echo(make_printable(text, keep="\n"))
        if once or not alive:
            return
        time.sleep(every)


def _drawn(page: Path, study: str, results: Path, store: str, again: bool) -> str:
    """Writes the page, if there is a number to show, and says so. again: a browser reads it again by itself."""
    from skelray.report.html.page import write_page
    from skelray.results.tables import load

    if not (results / f"{study}.parquet").exists() or load(study, results).empty:
        return f"{page} waits for the first number"
    write_page(study, results, store, None, page, refresh=int(PAGE_EVERY) if again else None)
    return f"{page} is up to date"


def draw_now(study: str, results: Path) -> str:
    """Returns all there is to see now. Raises UserError if there is nothing of such a study here."""
    from skelray.report import going, text
    from skelray.results.runs import read_records
    from skelray.results.tables import load

    found, now = read_records(study, results), time.time()
    there = (results / f"{study}.parquet").exists()
    if not found and not there:
        raise UserError(f"{results} has neither a table nor a run of {study!r}: start it, or say where with --results")
    parts = [going.headline(run, now) for run in found]
    if under_way := [one for run in found if run.is_alive(now) for one in run.going.values()]:
        parts.append(going.trials_under_way(under_way).markdown())
    frame = load(study, results) if there else None
    if frame is not None and not frame.empty:
        parts += [text.report_text(frame), "\n".join(text.failures_text(frame))]
    elif not under_way:
        parts.append("No trial has a number yet.")
    return "\n\n".join(part for part in parts if part)
