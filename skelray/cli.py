"""The command line: prepare, plan, run, report, bench."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from skelray.data import BENCHMARKS, DataError, Preprocessing, open_dataset, prepare
from skelray.results import load
from skelray.study import DEMO, Scale
from skelray.study_file import load_study
from skelray.trial import PRECISIONS

Command = Callable[..., Any]
Options = dict[str, Any]


class Sentence(click.ClickException):
    """An error as one sentence, exit status 2."""

    exit_code = 2

    def show(self, file: Any = None) -> None:
        click.echo(f"skelray: {self.format_message()}", err=True)


def main() -> None:
    """Errors that a user can cause end in one sentence, never in a traceback."""
    try:
        cli(prog_name="skelray", standalone_mode=False)
    except (ValueError, OSError) as error:
        Sentence(" ".join(str(error).split())).show()
        sys.exit(2)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("skelray: interrupted; the same command goes on from here", err=True)
        sys.exit(130)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="skelray")
def cli() -> None:
    """Which part of a self-supervised skeleton method earns its accuracy, and at what setting?"""


def study_options(command: Command) -> Command:
    """How a study runs away from its published setting, and where."""
    options: list[Command] = [
        click.argument("study", type=click.Path(path_type=Path)),
        click.option("--demo", is_flag=True, help="At a small scale on generated data, which is made if it is missing."),
        click.option("--benchmark", help="Prepared data to run on instead of the study's own."),
        click.option("--protocol", "protocols", multiple=True, help="Only this protocol; may be given several times."),
        click.option("--epochs", type=click.IntRange(1), help="Stretch the schedule to so many epochs."),
        click.option("--seeds", type=click.IntRange(1), help="Seeds 0, 1, ... of an ablation."),
        click.option("--samples", type=click.IntRange(1), help="Samples of a sweep."),
        click.option("--precision", type=click.Choice(PRECISIONS), help="Of the encoders' matrix products."),
        click.option("--set", "changes", multiple=True, metavar="FIELD=VALUE", help="Any other field of the trials."),
        click.option("--name", help="Call the table otherwise than the study file."),
        data_option,
        click.option("--store", default="store", show_default=True, help="Encoders and checkpoints; a folder or URI."),
        results_option,
        click.option("--device", help="cpu, cuda, cuda:1, ...  [default: cuda where there is one]"),
        click.option("--threads", type=click.IntRange(1), default=1, show_default=True, help="Of each trial."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def data_option(command: Command) -> Command:
    """Where prepared data lies."""
    option = click.option(
        "--data", type=click.Path(path_type=Path), default=Path("data"), show_default=True, help="Prepared data."
    )
    return option(command)


def results_option(command: Command) -> Command:
    """Where tables lie."""
    option = click.option(
        "--results", type=click.Path(path_type=Path), default=Path("results"), show_default=True, help="Tables."
    )
    return option(command)


def scale_from(options: dict[str, Any]) -> Scale:
    """The scale that the options ask for, the demo's where they leave it open."""
    changes = dict(_change(text) for text in options["changes"])
    if options["precision"]:
        changes["precision"] = options["precision"]
    base = DEMO if options["demo"] else Scale()
    return replace(
        base,
        benchmark=options["benchmark"] or base.benchmark,
        protocols=options["protocols"] or base.protocols,
        epochs=options["epochs"] or base.epochs,
        seeds=tuple(range(options["seeds"])) if options["seeds"] else base.seeds,
        samples=options["samples"] or base.samples,
        changes=tuple({**dict(base.changes), **changes}.items()),
    )


def _change(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise click.UsageError(f"--set {text!r}: it reads FIELD=VALUE, as in --set queue=512")
    return name.strip(), value.strip()


def open_run(options: dict[str, Any]) -> tuple[Any, Any]:
    """The study of a command as a run, and its module."""
    from skelray.runner import Run, Settings

    name, study, module = load_study(options["study"])
    scale = scale_from(options)
    if options["demo"] and scale.benchmark == DEMO.benchmark:
        _make_synthetic(options["data"])
    name = options["name"] or (f"{name}_demo" if options["demo"] else name)
    settings = Settings(options["data"], options["store"], options["results"], options["device"], options["threads"])
    try:
        run = Run(name, study, scale, settings)
        run.size()  # data or a protocol that is missing is said before anything starts
    except DataError as error:
        if "not prepared" not in str(error):
            raise
        hint = "--demo runs the study on generated data, --benchmark NAME on other prepared data"
        raise DataError(f"{error}; {hint}") from error
    return run, module


def _make_synthetic(root: Path) -> None:
    try:
        open_dataset(root, "synthetic")
    except DataError:
        click.echo("making the synthetic data set (once)", err=True)
        prepare(BENCHMARKS["synthetic"], None, root)


@cli.command("prepare")
@click.argument("benchmark", type=click.Choice(sorted(BENCHMARKS)))
@click.argument("source", type=click.Path(path_type=Path, exists=True), required=False)
@data_option
@click.option("--path", type=click.Choice(["centred", "rigid"]), default="centred", show_default=True,
              help="centred: SkeletonCLR to HiCLR; rigid: HiCo.")  # fmt: skip
@click.option("--frames", type=click.IntRange(1), help="Frames of a sequence.  [default: 50, rigid 300]")
@click.option("--force", is_flag=True, help="Prepare again what is there.")
def prepare_command(benchmark: str, source: Path | None, data: Path, path: Any, frames: int | None, force: bool) -> None:
    """Read a benchmark's raw files (a folder, a zip, a folder of zips) into DATA/BENCHMARK.

    Killed and started again it goes on where it was.
    """
    from rich.console import Console
    from rich.progress import Progress

    if source is None and benchmark != "synthetic":
        raise click.UsageError(f"{benchmark} needs the path of its raw files: skelray prepare {benchmark} PATH")
    preprocessing = Preprocessing(path, frames or (50 if path == "centred" else 300))
    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(f"preparing {benchmark}", total=None)
        report = prepare(
            BENCHMARKS[benchmark],
            source,
            data,
            preprocessing,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
            force=force,
        )
    click.echo(str(report))


@cli.command("plan")
@study_options
def plan_command(**options: Any) -> None:
    """Show what running STUDY would do, and what it would cost; starts nothing."""
    from skelray.plan import plan

    run, _ = open_run(options)
    click.echo(plan(run).text())


@cli.command("run")
@study_options
@click.option("--inline", is_flag=True, help="In this process, without Ray; the same rows.")
@click.option("--address", help="Join this Ray cluster ('auto': the one that runs here).")
@click.option("--per-gpu", type=click.IntRange(1), default=1, show_default=True, help="Trials that share a GPU.")
def run_command(inline: bool, address: str | None, per_gpu: int, **options: Any) -> None:
    """Run what is missing of STUDY and print its table.

    Killed at any moment and started again, it goes on from the checkpoints and ends with the same table. The exit status
    is 1 if a trial failed.
    """
    from rich.console import Console

    from skelray.progress import Display
    from skelray.runner import run_inline

    run, module = open_run(options)
    scale = run.scale
    if scale.benchmark == "synthetic":
        click.echo(_demo_notice(scale), err=True)
    trials, epochs, done = run.size()
    with Display(Console(stderr=True), run.name, trials, epochs, done) as display:
        if inline:
            run_inline(run, display)
        else:
            from skelray.ray_runner import Cluster, run_on_ray

            run_on_ray(run, module, display, Cluster(address, per_gpu))
    run.write_tables()
    failed = _print_report(run.name, options["results"], "markdown")
    sys.exit(1 if failed else 0)


def _demo_notice(scale: Scale) -> str:
    changes = "".join(f", {name} {value}" for name, value in scale.changes)
    return f"generated data, {scale.epochs} epochs, small models{changes}: the numbers say nothing about people or papers"


@cli.command("report")
@click.argument("study")
@results_option
@click.option("--format", "form", type=click.Choice(["markdown", "csv", "latex"]), default="markdown", show_default=True)
def report_command(study: str, results: Path, form: str) -> None:
    """Print the table of STUDY: mean and standard deviation over seeds, published beside measured."""
    _print_report(study, results, form)


def _print_report(study: str, results: Path, form: str) -> bool:
    """Whether anything failed."""
    from skelray.report import failures, sweep_table, table
    from skelray.training import HELD_OUT

    frame = load(study, results)
    searched = frame["metric"] == HELD_OUT
    tables = ([sweep_table(frame[searched])] if searched.any() else []) + (
        [table(frame[~searched])] if (~searched).any() else []
    )
    click.echo("\n\n".join(getattr(one, form)() for one in tables))
    lines = failures(frame)
    for line in lines:
        click.echo(line, err=True)
    return bool(lines)


@cli.command("bench")
@click.option("--method", "methods", multiple=True, help="Only this one; may be given several times.")
@click.option("--precision", "precisions", type=click.Choice(PRECISIONS), multiple=True, help="[default: both]")
@click.option("--batch-size", type=click.IntRange(1), default=128, show_default=True)
@click.option("--steps", type=click.IntRange(1), default=3, show_default=True)
@click.option("--threads", type=click.IntRange(1), default=2, show_default=True)
@click.option("--device", help="cpu, cuda, ...  [default: cuda where there is one]")
@results_option
def bench_command(
    methods: tuple[str, ...],
    precisions: tuple[str, ...],
    batch_size: int,
    steps: int,
    threads: int,
    device: str | None,
    results: Path,
) -> None:
    """Measure samples per second of each method on this machine, at the full NTU shape; `plan` uses the figures."""
    from skelray import bench

    unknown = sorted(set(methods) - set(bench.METHODS))
    if unknown:
        raise click.UsageError(f"--method {unknown[0]!r} is none of {', '.join(bench.METHODS)}")
    measured = []
    for one in bench.bench(methods or list(bench.METHODS), precisions or PRECISIONS, device, batch_size, steps, threads):
        measured.append(one)
        click.echo(f"{one.method} {one.precision}: {one.samples_per_second:.1f} samples/s", err=True)
    (results / bench.FIGURES).parent.mkdir(parents=True, exist_ok=True)
    bench.frame(measured).to_parquet(results / bench.FIGURES, index=False)
    click.echo(bench.table(measured).markdown())
