"""The command line: prepare, data, studies, plan, run, report, best, simulate, dashboard, scores, bench, import-weights."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from skelray.checks import MOST, MOST_THREADS
from skelray.cli.data import FOLDER
from skelray.cli.data import data as data_group
from skelray.cli.doctor import doctor_command
from skelray.cli.duration import Duration
from skelray.cli.export import TRACKERS, exported
from skelray.cli.faults import CAUSED, sentence, trace
from skelray.cli.merge import merge_command
from skelray.cli.prepare import prepare_command
from skelray.cli.reproduce import reproduce_command
from skelray.cli.scores import scores_command
from skelray.cli.search import dashboard_command, simulate_command
from skelray.cli.studies import studies_command
from skelray.cli.study_options import make_synthetic, results_option, study_options
from skelray.cli.watch import watch_command
from skelray.names import BACKBONES, HELD_OUT, METHODS, PRECISIONS, STREAMS
from skelray.report.printable import printable

Command = Callable[..., Any]
TRACEBACK = "--traceback"
TERMINATED = 143  # the exit status of a run that SIGTERM has ended
MISSING = {
    "ray": "`pip install 'ray[tune]'`, or --inline to run in this process without it",
    "optuna": "`pip install optuna`",
}


class Refusal(click.ClickException):
    """An error as one sentence, exit status 2."""

    exit_code = 2

    def show(self, file: Any = None) -> None:
        click.echo(f"skelray: {printable(self.format_message())}", err=True)


def main() -> None:
    """Errors end in one sentence; a traceback is shown where it is asked for, and else kept where it is of use."""
    words = [word for word in sys.argv[1:] if word != TRACEBACK]
    shown = len(words) < len(sys.argv) - 1  # before the verb or after it
    try:
        cli(words, prog_name="skelray", standalone_mode=False)
    except click.ClickException as error:
        vars(error)["message"] = printable(error.message)  # click declares it final, and shows it with its usage
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("skelray: interrupted; the same command goes on from here", err=True)
        sys.exit(130)
    except BaseException as error:
        if type(error).__name__ == "Terminated":  # of skelray.runner.ending, which only a run has imported
            click.echo("skelray: asked to end, and saved; the same command goes on from here", err=True)
            sys.exit(TERMINATED)
        if not isinstance(error, Exception):
            raise
        if shown:
            click.echo(trace(error), err=True, nl=False)
        name = str(getattr(error, "name", "")).partition(".")[0] if isinstance(error, ModuleNotFoundError) else ""
        if name in MISSING:
            said, status = f"{name} is not installed: {MISSING[name]}", CAUSED
        else:
            said, status = sentence(error, keep=not shown)
        Refusal(said).show()
        sys.exit(status)


def _versions(context: click.Context, parameter: click.Parameter, wanted: bool) -> None:
    """Names the packages that results depend on."""
    if wanted and not context.resilient_parsing:
        from skelray.versions import versions

        click.echo(versions().replace(", ", "\n"))
        context.exit()


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_versions, help="Of skelray and others."
)
@click.option(TRACEBACK, is_flag=True, expose_value=False, help="Show the whole traceback of an error.")
def cli() -> None:
    """Which part of a self-supervised skeleton method earns its accuracy, and at what setting?"""


cli.add_command(prepare_command)
cli.add_command(data_group)
cli.add_command(studies_command)


@cli.command("plan")
@study_options
def plan_command(**options: Any) -> None:
    """Show what running STUDY would do, what it would cost, and what cannot run on this machine; trains nothing.

    The time is from what `skelray bench` measured here. With --demo the generated data is made if it is missing.
    """
    from skelray.cli.options import open_run
    from skelray.runner.plan import plan

    run, _ = open_run(options, make_synthetic)
    click.echo(plan(run).text())


@cli.command("run")
@study_options
@click.option("--inline", is_flag=True, help="In this process, without Ray; the same rows (of a sweep with --ordered).")
@click.option("--address", help="Join this Ray cluster ('auto': the one that runs here).")
@click.option("--per-gpu", type=click.IntRange(1, 1000), default=1, show_default=True, help="Trials that share a GPU.")
@click.option("--ray-tmp", type=FOLDER, help="Where Ray of this run's own keeps its files.  [default: the system's]")
@click.option("--until-decided", is_flag=True, help="Add seeds to what is not decided, the cheapest first.")
@click.option("--until", type=click.Choice(["stable"]), help="A sweep ends once its best gains less than the seed noise.")
@click.option(
    "--budget", help="Of --until-decided or a sweep: 4h, 30m; of a sweep 500epochs, too. What runs then still ends."
)
def run_command(
    inline: bool,
    address: str | None,
    per_gpu: int,
    ray_tmp: Path | None,
    until_decided: bool,
    until: str | None,
    budget: str | None,
    **options: Any,
) -> None:
    """Run what is missing of STUDY and print its table.

    Killed at any moment and started again, it goes on from the checkpoints and ends with the same table. The exit status
    is 1 if a trial failed.
    """
    from rich.console import Console

    from skelray import machine
    from skelray.cli.options import notice, open_run
    from skelray.cli.progress import Display
    from skelray.runner.board import Board
    from skelray.runner.ending import heeding_sigterm
    from skelray.runner.inline import run_inline

    if inline and address:
        raise click.UsageError(f"--address {address}: --inline uses no cluster; leave one of them out")
    if not address:
        machine.check_threads(options["threads"])
    seconds = None if budget is None or not until_decided else Duration().convert(budget, None, None)
    ended_by = {"until": until, "budget": None if until_decided else budget}
    run, module = open_run({**options, **ended_by}, make_synthetic)
    if until_decided:
        run.add_seeds_until_decided(seconds)
    if run.scale.benchmark == "synthetic":
        click.echo(notice(run.scale), err=True)
    for line in run.work.apart():
        click.echo(printable(line), err=True)
    size, command = run.work.size(), shlex.join(["skelray", *sys.argv[1:]])
    with (
        heeding_sigterm(),
        Display(Console(stderr=True), run.name, *size) as display,
        Board.of(run.name, command, size, run.settings.results, display) as listener,
    ):
        if inline:
            run_inline(run, listener)
        else:
            from skelray.runner.cluster import Cluster
            from skelray.runner.on_ray import run_on_ray

            run_on_ray(run, module, listener, Cluster(address, per_gpu, tmp=ray_tmp))
    failed = _print_report(run.name, options["results"], "markdown")
    _draw(run.name, options["results"])
    sys.exit(1 if failed or display.finished["failed"] else 0)  # a failure may have no row


def _draw(study: str, results: Path) -> None:
    """Draws the figures that a study asks for; what its table lacks for one is said, and costs nothing else."""
    from skelray.checks import UserError
    from skelray.report.figures.charts import keep_charts
    from skelray.results.tables import load

    try:
        paths = keep_charts(load(study, results), study, results)
    except UserError as error:
        click.echo(f"skelray: {printable(error)}", err=True)
        return
    for path in paths:
        click.echo(str(path), err=True)


@cli.command("report")
@click.argument("study")
@results_option
@click.option("--format", "form", type=click.Choice(["markdown", "csv", "latex"]), default="markdown", show_default=True)
@click.option("--verdicts", is_flag=True, help="Only what each contrast may be said to show, and why; in any format.")
@click.option("--margin", type=click.FloatRange(0, 100), help="Points that do not matter.  [default: the study's, mostly 1]")
@click.option("--subjects", is_flag=True, help="Only intervals over seeds and test subjects together, from stored scores.")
@click.option("--html", is_flag=False, flag_value="", metavar="[FILE]", help="Write a page.  [default: RESULTS/STUDY.html]")
@click.option("--log", "tracker", type=click.Choice(list(TRACKERS)), help="Export curves and hyperparameters, once.")
@click.option("--to", help="For --log: a folder or an address.  [default: the tracker's own]")
@click.option("--store", default="store", show_default=True, help="Of stored scores; a folder or URI.")
@click.option("--data", type=FOLDER, default=Path("data"), help="Of subjects that scores lack.")
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
        click.echo(exported(study, results, tracker, to))
        return
    if html is not None:
        from skelray.report.html.page import write

        path = write(study, results, store, fraction, Path(html) if html else None)
        click.echo(f"{path} ({path.stat().st_size / 1e6:.1f} MB)")
        return
    if subjects:
        from skelray.report.noise_table import noise_table
        from skelray.results.tables import load
        from skelray.store.store import Store

        noise = noise_table(load(study, results), Store(store), data)
        click.echo(noise.written(form) if noise else f"skelray: {study} has no contrast", err=noise is None)
        return
    if not verdicts:
        _print_report(study, results, form, fraction)
        return
    from skelray.report.verdict_table import verdict_table
    from skelray.results.tables import load

    table = verdict_table(load(study, results), fraction)
    said = f"skelray: {study} has no contrast: no two seeds are done in two arms" if table is None else table.written(form)
    click.echo(said, err=table is None)


def _print_report(study: str, results: Path, form: str, margin: float | None = None) -> bool:
    """Whether anything failed."""
    from skelray.report.text import failures, text
    from skelray.results.costs import costs
    from skelray.results.tables import curves, load

    frame = load(study, results)
    if frame.empty:
        click.echo(f"skelray: the table of {study} is empty: none of its trials has an evaluation", err=True)
        return False
    click.echo(text(frame, form, margin))
    if form == "markdown":
        click.echo(f"\n{printable(costs(frame, curves(study, results)).sentence())}")
        if (frame["metric"] == HELD_OUT).any():
            for line in _drawn(study, results, frame):
                click.echo(line, err=True)
    lines = failures(frame)
    for line in lines:
        click.echo(line, err=True)
    return bool(lines)


def _drawn(study: str, results: Path, frame: Any) -> list[str]:
    """Draws a sweep's figures, where they are older than its table, and says where they are."""
    from skelray.report.figures.sweep import draw
    from skelray.report.sweep_tables import told

    folder, table = results / "figures" / study, results / f"{study}.parquet"
    last = folder / "history.png"
    try:
        if not last.is_file() or last.stat().st_mtime < table.stat().st_mtime:
            draw(told(frame), study, results)
    except OSError as error:
        return [f"skelray: the figures of {study} cannot be written to {folder}: {error.strerror}"]
    return [f"figures: {folder}; `skelray best` prints the best setting as a study"]


@cli.command("best")
@study_options
def best_command(**options: Any) -> None:
    """Print the best setting that the sweep STUDY has found, as Python: a study that measures it beside the published one.

    Give the options of the run. It reads the study file and its table, and neither the store nor the data.
    """
    from skelray.cli.options import open_table
    from skelray.runner.study_file import pointing_at
    from skelray.search.best import source

    name, study, scale, rows = open_table(options)
    with pointing_at(options["study"]):
        click.echo(source(name, study, scale, rows), nl=False)


cli.add_command(dashboard_command)
cli.add_command(scores_command)
cli.add_command(simulate_command)
cli.add_command(watch_command)
cli.add_command(doctor_command)
cli.add_command(merge_command)
cli.add_command(reproduce_command)


@cli.command("bench")
@click.option("--method", "methods", multiple=True, help="Only this one; may be given several times.")
@click.option("--precision", "precisions", type=click.Choice(PRECISIONS), multiple=True, help="[default: all of the device]")
@click.option("--batch-size", type=click.IntRange(1, MOST), help="[default: the published one]")
@click.option("--steps", type=click.IntRange(1, MOST), default=3, show_default=True)
@click.option("--threads", type=click.IntRange(1, MOST_THREADS), help="[default: 2, where there are two]")
@click.option("--device", help="cpu, cuda, ...  [default: cuda where there is one]")
@results_option
def bench_command(methods: tuple[str, ...], precisions: tuple[str, ...], results: Path, **settings: Any) -> None:
    """Measure samples per second of each method on this machine, at the full NTU shape; `plan` uses the figures.

    They are kept beside those of other methods, devices and threads, in RESULTS/bench.
    """
    from skelray import machine
    from skelray.bench import bench

    settings["threads"] = settings["threads"] or min(2, machine.cpus())
    machine.check_threads(settings["threads"])
    measured = []
    for one in bench.bench(methods or tuple(bench.METHODS), precisions, **settings):
        measured.append(one)
        bench.keep_speeds([one], results)
        click.echo(f"{one.method} on {one.backbone}, {one.precision}: {one.samples_per_second:.1f} samples/s", err=True)
    click.echo(bench.speed_table(measured).markdown())


@cli.command("import-weights")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--method", type=click.Choice(METHODS), required=True, help="Whose released code wrote it.")
@click.option("--backbone", type=click.Choice(BACKBONES), help="It is recognised; another one than this is refused.")
@click.option("--stream", type=click.Choice(STREAMS), help="It was trained on; joint by default, not for CrosSCLR.")
@click.option("--store", default="store", show_default=True, help="A folder or URI.")
def import_weights_command(file: Path, method: str, backbone: str | None, stream: str | None, store: str) -> None:
    """Put the encoder of a released checkpoint FILE (.pt, .pth.tar) into a store, and print the study that evaluates it.

    Tensors and plain containers are read and nothing else: no code in the file is run.
    """
    from skelray.released.checkpoint import read
    from skelray.store.imported import keep_imported
    from skelray.store.store import Store

    imported = read(file, method, backbone, stream)
    keep_imported(imported, Store(store))
    click.echo(
        f"{imported}\nkept as {imported.digest} in {store}; a study that evaluates it:\n\n{imported.study()}", nl=False
    )
