"""The command that prepares data: what is given may be a benchmark, a source, or both."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from skelray.cli_data import data_option
from skelray.data import BENCHMARKS, Benchmark, Preprocessing, open_table, prepare
from skelray.data.formats import FORMATS, detect
from skelray.data.prepare import default_path

FRAMES = {"centred": 50, "unturned": 50, "rigid": 300, "plain": 50}  # of a sequence, by the path of its preprocessing


@click.command("prepare")
@click.argument("given", nargs=-1, required=True, metavar="[BENCHMARK] [SOURCE]")
@data_option
@click.option("--format", "form", type=click.Choice([one.name for one in FORMATS]), help="Of SOURCE.  [default: detected]")
@click.option("--path", type=click.Choice(list(FRAMES)),
              help="centred: SkeletonCLR to HiCLR; unturned: centred without turning the shoulders parallel to x; "
                   "rigid: HiCo; plain: only resized.  [default: centred; unturned without shoulders]")  # fmt: skip
@click.option("--frames", type=click.IntRange(1), help="Frames of a sequence.  [default: 50, rigid 300]")
@click.option("--half", is_flag=True, help="Keep sequences as float16: half the disk; they are read as float32.")
@click.option("--name", help="Of the prepared data.  [default: its benchmark]")
@click.option("--workers", type=click.IntRange(1), help="Processes that read and preprocess.  [default: one for each core]")
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
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    benchmark, source = _to_prepare(given, how["form"])
    benchmark = replace(benchmark, name=how["name"] or benchmark.name)
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(f"preparing {benchmark.name}", total=None)
        report = prepare(
            benchmark,
            source,
            data,
            _preprocessing(benchmark, how["path"], how["frames"]),
            progress=lambda done, total: bar.update(task, completed=done, total=total),
            force=force,
            dtype="float16" if half else "float32",
            workers=workers or len(os.sched_getaffinity(0)),
        )
    click.echo(str(report))


def _to_prepare(given: tuple[str, ...], form: str | None) -> tuple[Benchmark, Path | None]:
    """The benchmark and its source, either of which may be left out."""
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
    """What the user wants; None where nothing was said, or nothing but what was done already."""
    if path is None and frames is None:
        return None
    done = benchmark.preprocessed
    path = path or (done.path if done else default_path(benchmark))
    return Preprocessing(path, frames or (done.frames if done else FRAMES[path]))
