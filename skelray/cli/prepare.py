"""The command that prepares data: what is given may be a benchmark, a source, or both."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from skelray.cli.data import data_option
from skelray.report.printable import make_printable

if TYPE_CHECKING:
    from skelray.data import Benchmark, PreparationReport, Preprocessing

FRAMES = {"centred": 50, "unturned": 50, "rigid": 300, "plain": 50}  # of a sequence, by the path of its preprocessing

REFRESH = 0.1  # seconds between two states of the progress bar


class _Formats(click.Choice[str]):
    """The formats that are known, looked up when they are shown or chosen from: their modules are heavy to import."""

    def __init__(self) -> None:
        self.case_sensitive = True

    @cached_property
    def choices(self) -> Sequence[str]:  # type: ignore[override]
        from skelray.data.catalogue import FORMATS

        return [one.name for one in FORMATS]


@click.command("prepare")
@click.argument("given", nargs=-1, required=True, metavar="[BENCHMARK] [SOURCE]")
@data_option
@click.option("--format", "form", type=_Formats(), help="The format of SOURCE.  [default: detected]")
@click.option("--path", type=click.Choice(list(FRAMES)),
              help="centred: SkeletonCLR to HiCLR; unturned: centred without turning the shoulders parallel to x; "
                   "rigid: HiCo; plain: only resized.  [default: centred; unturned without shoulders]")  # fmt: skip
@click.option("--frames", type=click.IntRange(1, 100_000), help="Frames of a sequence.  [default: 50, rigid 300]")
@click.option("--half", is_flag=True, help="Keep sequences as float16: half the disk; they are read as float32.")
@click.option("--name", help="Name of the prepared data.  [default: its benchmark]")
@click.option("--workers", type=click.IntRange(1, 1024), help="Processes that read and preprocess.  [default: a core each]")
@click.option("--force", is_flag=True, help="Prepare again what is there.")
def prepare_command(given: tuple[str, ...], data: Path, half: bool, workers: int | None, force: bool, **how: Any) -> None:
    """Read SOURCE (a folder, a zip, a folder of zips, or the arrays of released code) into DATA/BENCHMARK.

    \b
    skelray prepare ~/nturgbd_skeletons       # says itself what it is: NTU RGB+D 60 or 120, raw
    skelray prepare ntu60 ~/nturgbd_skeletons # only the first 60 actions of it
    skelray prepare NTU60_CS.npz --half
    skelray prepare my_data.toml              # a table of your own, described in this file
    skelray prepare synthetic                 # is generated: it has no source

    Arrays that were preprocessed already are kept as they are. The report says what a source has lost. Killed and
    started again it goes on where it was.
    """
    from skelray.data.own.starter import Undescribed

    try:
        benchmark, source = _to_prepare(given, how["form"])
    except Undescribed as error:
        starter = make_printable(error.starter, keep="\n")
        click.echo(f"# A beginning of the TOML file, to be completed:\n\n{starter}", err=True)
        raise
    benchmark = replace(benchmark, name=how["name"] or benchmark.name)
    preprocessing = _preprocessing(benchmark, how["path"], how["frames"])
    workers = workers or len(os.sched_getaffinity(0))
    report = _prepare_with_bar(benchmark, source, data, preprocessing, force, "float16" if half else "float32", workers)
    click.echo(make_printable(report, keep="\n"))
    if report.unread:  # what lies on the disk and is not in the data set
        told = f"skelray: {len(report.unread):,} recordings of {source} could not be read and are left out"
        click.echo(make_printable(told), err=True)
        raise SystemExit(1)


def _prepare_with_bar(
    benchmark: Benchmark,
    source: Path | None,
    data: Path,
    preprocessing: Preprocessing | None,
    force: bool,
    dtype: Literal["float32", "float16"],
    workers: int,
) -> PreparationReport:
    """Prepares a data set and shows how far it is."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from skelray.data import prepare

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    # no thread of its own that refreshes the bar: processes are forked meanwhile
    with Progress(*columns, console=console, disable=not console.is_terminal, auto_refresh=False) as bar:
        task, shown = bar.add_task(f"preparing {benchmark.name}", total=None), 0.0

        def progress(done: int, total: int | None) -> None:
            nonlocal shown
            bar.update(task, completed=done, total=total)
            if time.monotonic() - shown > REFRESH:
                bar.refresh()
                shown = time.monotonic()

        return prepare(benchmark, source, data, preprocessing, progress=progress, force=force, dtype=dtype, workers=workers)


def _to_prepare(given: tuple[str, ...], form: str | None) -> tuple[Benchmark, Path | None]:
    """Returns the benchmark and its source, either of which may be left out."""
    from skelray.data import open_table
    from skelray.data.benchmarks import BENCHMARKS
    from skelray.data.detect import detect

    wanted = BENCHMARKS.get(given[0])
    if wanted is not None and wanted.name == "synthetic" and len(given) == 1:
        return wanted, None
    if wanted is not None and len(given) == 1 and not Path(given[0]).exists():
        raise click.UsageError(f"{given[0]} needs the path of its raw files: skelray prepare {given[0]} PATH")
    if len(given) > 2 or (len(given) == 2 and wanted is None and given[0] != "table"):
        known = ", ".join([*sorted(BENCHMARKS), "table"])
        raise click.UsageError(f"{' '.join(given)}: give a SOURCE, or a BENCHMARK ({known}) and a SOURCE")
    source = Path(given[-1])
    if given[0] == "table" or (source.suffix.lower() == ".toml" and wanted is None):
        return open_table(source)
    return detect(source, wanted if len(given) == 2 else None, form), source


def _preprocessing(benchmark: Benchmark, path: Any, frames: int | None) -> Preprocessing | None:
    """Returns the preprocessing that the options ask for; None if they ask for none, or for what was done already."""
    if path is None and frames is None:
        return None
    from skelray.data import Preprocessing
    from skelray.data.preparation.prepare import default_path

    done = benchmark.preprocessed
    path = path or (done.path if done else default_path(benchmark))
    return Preprocessing(path, frames or (done.frames if done else FRAMES[path]))
