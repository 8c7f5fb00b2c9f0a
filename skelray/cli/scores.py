"""`skelray scores`: what classes a trial or an ensemble gets right, and what it takes the others for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from skelray.checks import MOST
from skelray.cli.data import FOLDER
from skelray.cli.study_options import results_option


@click.command("scores")
@click.argument("trial")
@click.argument("evaluation", required=False)
@click.option(
    "--epochs", type=click.IntRange(0, MOST), help="Epochs of the trial, if it was evaluated after several lengths."
)
@click.option("--confusion", type=click.IntRange(1, MOST), metavar="K", help="The confusion matrix instead; right is top-K.")
@click.option("--format", "form", type=click.Choice(["markdown", "csv", "latex"]), default="markdown", show_default=True)
@click.option("--store", default="store", show_default=True, help="A folder or URI.")
@click.option("--data", type=FOLDER, default=Path("data"), show_default=True, help="Prepared data.")
@results_option
def scores_command(
    trial: str, evaluation: str | None, confusion: int | None, form: str, results: Path, **where: Any
) -> None:
    """Print the accuracy of each class, worst first, of TRIAL under EVALUATION, from the stored scores.

    TRIAL is an id, or its beginning, of a trial or an ensemble; EVALUATION is named as in tables (linear). With the name of
    a study alone, its ids are listed.
    """
    from skelray.report.class_table import confusion_table, per_class_table, trials_table
    from skelray.results.scores import scores
    from skelray.results.tables import load

    if evaluation is None:
        made = trials_table(load(trial, results))
    else:
        found = scores(trial, evaluation, **where)
        made = per_class_table(found) if confusion is None else confusion_table(found, confusion)
    click.echo(made.render(form))
