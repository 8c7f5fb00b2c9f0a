"""`skelray status`: how far each study is, who runs it, who works on what in the store, and the nodes of a cluster."""

from __future__ import annotations

import time
from pathlib import Path

import click

from skelray.cli.study_options import results_option
from skelray.report.printable import make_printable


@click.command("status")
@results_option
@click.option("--store", default="store", show_default=True, help="A folder or URI.")
@click.option("--address", help="Also the nodes of this Ray cluster.")
def status_command(results: Path, store: str, address: str | None) -> None:
    """List studies and how much of each is done, runs with their host and whether they live, claims in the store, nodes.

    It reads what runs leave in RESULTS and in the store, so it works on any machine that sees them, and disturbs none.
    """
    from skelray.report.status import claims_table, nodes_table, studies_table
    from skelray.store.remote import check_answers, is_uri

    now = time.time()
    shown = [studies_table(results, now)]
    if is_uri(store):
        check_answers(store)
    if is_uri(store) or Path(store).is_dir():
        shown.append(claims_table(store, now))
    if address is not None:
        from skelray.runner.cluster import Cluster, join_or_start
        from skelray.runner.nodes import all_nodes

        with join_or_start(Cluster(address)):
            shown.append(nodes_table(all_nodes()))
    for number, table in enumerate(shown):
        text = table.markdown() if table.rows else table.caption
        click.echo(make_printable(("\n" if number else "") + text, keep="\n"))
