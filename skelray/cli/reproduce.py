"""`skelray reproduce`: the tables of a paper, or the trial of one row of any table."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from skelray.checks import UserError
from skelray.cli.study_options import make_synthetic, run_options
from skelray.report.printable import make_printable

PAPERS = ("aimclr", "hiclr", "hico")


@click.command("reproduce")
@click.argument("what")
@click.argument("table", default="all")
@click.option("--source", "sources", multiple=True, metavar="BENCHMARK=PATH", help="Raw files of what is not prepared.")
@click.option("--studies", type=click.Path(path_type=Path), default=Path("studies"), show_default=True, help="Study files.")
@click.option("--study", type=click.Path(path_type=Path), help="For a row: the file that defines parts of its trial.")
@run_options
@click.option("--inline", is_flag=True, help="In this process, without Ray.")
@click.option("--address", help="Join this Ray cluster.")
def reproduce_command(what: str, table: str, **options: Any) -> None:
    """Run the tables of a paper, or the trial of one row again.

    \b
    skelray reproduce hiclr --source ntu60=nturgbd_skeletons     # all tables of the paper, the cheapest first
    skelray reproduce hiclr 2                                    # Table 2; also the name of a study
    skelray reproduce 3f9a1c                                     # a row's trial, by its id or the beginning of it

    WHAT is aimclr, hiclr, hico, or an id. Of a paper, data that is missing is prepared from the sources given, and all its
    figures, published and measured, are written to RESULTS/reproduction_WHAT.md, which grows with every table that ends;
    killed and started again, it goes on. A row's trial is trained again from nothing, in a store of its own: the exit
    status is 1 where a number is not the same to the last digit.
    """
    if what in PAPERS:
        sys.exit(_reproduce_paper(what, table, options))
    if table != "all":
        raise click.UsageError(f"{what} {table}: only a paper has tables, one of {', '.join(PAPERS)}")
    sys.exit(_reproduce_row(what, options))


def _reproduce_paper(paper: str, table: str, options: dict[str, Any]) -> int:
    """Runs a paper's tables. Returns the exit status: 1 if a trial failed or a table could not run."""
    from skelray.atomic import replacing
    from skelray.report.reproduction import PaperTable, reproduction_page
    from skelray.runner import reproduction

    sources = dict(_source(text) for text in options["sources"])
    shown = reproduction.find_paper_studies(paper, options["studies"], table)
    sections: dict[str, PaperTable] = {}
    ready: list[tuple[float, reproduction.PaperStudy, dict[str, Any]]] = []
    for one in shown:
        sections[one.path.stem], cost, given = _opened(one, options, sources)
        if given is not None:
            ready.append((cost, one, given))
    words = ["skelray", "reproduce", paper, *([table] if table != "all" else []), *(["--demo"] if options["demo"] else [])]
    path = options["results"] / f"reproduction_{'_'.join([paper, *(['demo'] if options['demo'] else [])])}.md"
    path.parent.mkdir(parents=True, exist_ok=True)
    status = 0 if len(ready) == len(shown) else 1

    def write() -> None:
        with replacing(path) as (place,):
            title = f"{reproduction.PAPERS[paper]}, reproduced"
            place.write_text(reproduction_page(title, list(sections.values()), " ".join(words)), encoding="utf-8")

    write()
    for _, one, given in sorted(ready, key=lambda item: item[0]):
        click.echo(f"\n{one.path.stem}: {one.heading}, {one.question}", err=True)
        failed, sections[one.path.stem] = _run(sections[one.path.stem], given)
        status = max(status, failed)
        write()
    click.echo(f"\n{path}")
    return status


def _source(text: str) -> tuple[str, Path]:
    name, equals, path = text.partition("=")
    if not equals or not Path(path).exists():
        why = f"there is no {path}" if equals else "it reads BENCHMARK=PATH, as in --source ntu60=nturgbd_skeletons"
        raise UserError(f"--source {text}: {why}")
    return name, Path(path)


def _opened(one: Any, options: dict[str, Any], sources: dict[str, Path]) -> tuple[Any, float, dict[str, Any] | None]:
    """Returns a table's section before it runs, its cost, and the options of its run; None if it cannot run."""
    from skelray.cli.options import open_run
    from skelray.report.reproduction import PaperTable
    from skelray.runner.plan import make_plan
    from skelray.runner.reproduction import prepare_missing
    from skelray.runner.study_file import load_study
    from skelray.study.study import Expands

    _, study, _ = load_study(one.path)
    cells: list[Any] = [*study.cells(), *study.fused()] if isinstance(study, Expands) else []
    section = PaperTable(one.path.stem, one.heading, one.question, cells)
    given = {name: options[name] for name in options if name not in ("sources", "studies", "study")}
    given |= {"study": one.path, "name": None}
    try:
        if not options["demo"]:
            given["data"] = prepare_missing(study, options["data"], sources)
        run, _ = open_run(given, make_synthetic)
        planned = make_plan(run)
    except (UserError, OSError) as error:
        why = " ".join(str(error).split())
        click.echo(make_printable(f"{one.path.stem} does not run: {why}"), err=True)
        return section._replace(why=why), 0.0, None
    click.echo(f"{one.path.stem}: {planned.text().splitlines()[-1]}", err=True)
    return section._replace(table=_table(run.name, options["results"])), planned.seconds or planned.epochs, given


def _run(section: Any, given: dict[str, Any]) -> tuple[int, Any]:
    """Runs a study as `skelray run` does, and returns its exit status and its section with the rows that are there."""
    context = click.get_current_context()
    group = context.find_root().command
    if not isinstance(group, click.Group):
        raise RuntimeError(f"{group.name} has no `run`")
    status, why = 0, ""
    try:
        context.invoke(group.commands["run"], **given)
    except SystemExit as ended:
        status = int(ended.code or 0)
    except UserError as error:  # it costs this table alone
        status, why = 1, " ".join(str(error).split())
        click.echo(make_printable(f"skelray: {why}"), err=True)
    from skelray.cli.options import open_run

    run, _ = open_run(given, make_synthetic)
    return status, section._replace(table=_table(run.name, given["results"]), why=why)


def _table(name: str, results: Path) -> Any:
    from skelray.results.tables import list_tables, load

    return load(name, results) if name in list_tables(results) else None


def _reproduce_row(beginning: str, options: dict[str, Any]) -> int:
    """Prints a trial's numbers beside those of the table. Exit status: 1 where one differs."""
    from rich.console import Console

    from skelray.cli.progress import Display
    from skelray.report.again_table import again_table
    from skelray.runner.again import find_trial, settings_of_row, train_again
    from skelray.runner.context import Settings
    from skelray.runner.job import Listener
    from skelray.runner.run import Run
    from skelray.runner.study_file import load_study

    @contextmanager
    def showing(run: Run) -> Iterator[Listener]:
        trials, epochs, done = run.work.size()
        with Display(Console(stderr=True), found.id, trials, epochs, done) as display:
            yield display

    beside = load_study(options["study"])[2] if options["study"] else None
    settings = Settings(options["data"], "", options["results"], options["device"], options["threads"])
    settings = settings_of_row(beginning, settings)
    found = find_trial(beginning, settings, beside)
    for line in found.differences:
        click.echo(make_printable(line), err=True)
    made = train_again(found, settings, showing)
    click.echo(again_table(found.id, found.arm, made).markdown())
    return 0 if made["same"].all() else 1
