"""`skelray best`, `simulate` and `dashboard`: what a sweep found, rules replayed on curves, and a sweep in the browser."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import click

from skelray.checks import MOST, UserError
from skelray.cli.study_options import results_option, study_options
from skelray.report.printable import make_printable


@click.command("best")
@study_options
def best_command(**options: Any) -> None:
    """Print the best setting that the sweep STUDY has found, as Python: a study that measures it beside the published one.

    Give the options of the run. It reads the study file and its table, and neither the store nor the data.
    """
    from skelray.cli.options import load_sweep_table
    from skelray.runner.study_file import blaming_study_file
    from skelray.search.best import best_as_python

    name, study, scale, rows = load_sweep_table(options)
    with blaming_study_file(options["study"]):
        click.echo(best_as_python(name, study, scale, rows), nl=False)


@click.command("simulate")
@click.argument("study")
@results_option
@click.option(
    "--rules", type=click.Path(path_type=Path), help="A Python file with `rules` and, if need be, `samplers`: lists."
)
@click.option("--replays", type=click.IntRange(1, MOST), default=50, show_default=True, help="Searches of each rule.")
@click.option("--margin", type=click.FloatRange(0, 100), default=1.0, show_default=True, help="Points that do not matter.")
@click.option("--format", "form", type=click.Choice(["markdown", "csv", "latex"]), default="markdown", show_default=True)
def simulate_command(study: str, results: Path, rules: Path | None, replays: int, margin: float, form: str) -> None:
    """Replay stopping rules on the curves of STUDY, whose samples or arms were trained to their end; trains nothing.

    It prints what each rule would have spent and missed, and draws regret against epochs into RESULTS/figures/STUDY.
    """
    from skelray.report import simulation
    from skelray.report.figures.style import save_figure
    from skelray.results.tables import curves, load
    from skelray.search.simulate import candidates, simulate
    from skelray.study.samplers import Random

    pools = simulation.trained_curves(load(study, results), curves(study, results))
    module = _loaded(rules) if rules else None
    chosen = list(getattr(module, "rules", ())) or candidates(pools)
    samplers = list(getattr(module, "samplers", ())) or [Random()]
    outcomes = simulate(pools, chosen, samplers, replays)
    click.echo(simulation.simulation_table(outcomes, pools, margin / 100).render(form))
    drawing = simulation.simulation_figure(outcomes, margin / 100)
    path = next(
        path for path in save_figure(study, drawing.name, drawing.figure, drawing.data, results) if path.suffix == ".png"
    )
    click.echo(f"regret against epochs: {path}", err=True)


def _loaded(path: Path) -> ModuleType:
    """Loads the module of a file of rules. Raises UserError for one without any."""
    from skelray.runner.study_file import load_module

    if not path.is_file():
        raise UserError(f"there is no file of rules {path}")
    module = load_module(path)
    if not getattr(module, "rules", None) and not getattr(module, "samplers", None):
        raise UserError(f"{path} has no rules: it needs a line `rules = [ASHA(grace=25), ...]`, or one with `samplers`")
    return module


@click.command("dashboard")
@click.argument("study")
@click.option("--store", default="store", show_default=True, help="Where the sweep runs, or ran; a folder or URI.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Whose browsers may ask: this machine's alone.")
@click.option("--port", type=click.IntRange(0, 65535), default=8080, show_default=True, help="0 takes a free one.")
def dashboard_command(study: str, store: str, host: str, port: int) -> None:
    """Serve optuna-dashboard on the sweep STUDY (as its table is called), live while it runs; nothing can be written there.

    It needs `pip install 'skelray[dashboard]'`.
    """
    from skelray.search.dashboard import server

    with server(study, store, host, port) as serving:
        click.echo(f"{make_printable(study)} on http://{host}:{serving.server_port}/dashboard (Ctrl-C ends it)", err=True)
        serving.serve_forever()
