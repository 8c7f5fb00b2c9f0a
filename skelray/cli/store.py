"""`skelray store`: what lies in a store, and taking away what nobody needs."""

from __future__ import annotations

from pathlib import Path

import click

from skelray.cli.duration import DurationType
from skelray.cli.size import SizeType
from skelray.cli.study_options import results_option

KINDS = ("damaged", "checkpoints", "encoders", "scores")
store_option = click.option("--store", default="store", show_default=True, help="A folder or URI.")


@click.group("store", invoke_without_command=True)
@store_option
@results_option
@click.pass_context
def store_group(context: click.Context, store: str, results: Path) -> None:
    """Show what lies in the store, by study, kind, size and age. A trial that several studies name counts for each."""
    if context.invoked_subcommand is None:
        from skelray.report.stored import stored_table

        click.echo(stored_table(store, results).markdown().strip())


@store_group.command("prune")
@store_option
@results_option
@click.option("--kind", "kinds", type=click.Choice(KINDS), multiple=True, help="[default: damaged, checkpoints]")
@click.option("--study", help="Only of trials in this study's table, encoders and scores among them.")
@click.option("--older", type=DurationType(), help="Only what was last written so long ago, as 48h.")
@click.option("--disk", type=SizeType(), help="Only until the store takes no more than this, as 50G.")
@click.option("--yes", is_flag=True, help="Do it; else it only says what would go.")
def prune_command(
    store: str, results: Path, kinds: tuple[str, ...], study: str | None, older: float | None, disk: int | None, yes: bool
) -> None:
    """Take away what has ended: damaged files, then checkpoints, and where asked for encoders and scores.

    Figures and histories stay, so tables stay whole. What a process works on stays, and so do encoders and scores of
    trials that a table in the results names, unless --study names it.
    """
    from skelray.runner.pruning import Pruning, pruned_text, trials_in_tables, trials_of_table
    from skelray.store.store import Store

    only = None if study is None else trials_of_table(study, results)
    named = trials_in_tables(results, but=study or "")
    gone = Pruning(kinds or KINDS[:2], named, only, older or 0.0, disk or 0).of(Store(store), go=yes)
    for one in gone:
        click.echo(one.name)
    what = pruned_text(gone) or "nothing"
    click.echo(f"taken away: {what}" if yes else f"would go: {what}; --yes takes it away")
