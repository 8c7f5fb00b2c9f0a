"""The command line: its commands, and how an error of any of them is told."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from typing import Any, NoReturn

import click

from skelray.cli.bench import bench_command
from skelray.cli.data import data as data_group
from skelray.cli.doctor import doctor_command
from skelray.cli.faults import CAUSED, explain_fault, format_traceback
from skelray.cli.import_weights import import_weights_command
from skelray.cli.merge import merge_command
from skelray.cli.prepare import prepare_command
from skelray.cli.report import report_command
from skelray.cli.reproduce import reproduce_command
from skelray.cli.run import plan_command, run_command
from skelray.cli.scores import scores_command
from skelray.cli.search import best_command, dashboard_command, simulate_command
from skelray.cli.status import status_command
from skelray.cli.store import store_group
from skelray.cli.studies import studies_command
from skelray.cli.watch import watch_command
from skelray.report.printable import make_printable
from skelray.runner import ending

TRACEBACK = "--traceback"
INTERRUPTED, TERMINATED = 130, 143  # exit statuses of what SIGINT and SIGTERM have ended
MISSING = {
    "ray": "`pip install 'ray[tune]'`, or --inline to run in this process without it",
    "optuna": "`pip install optuna`",
}


class Refusal(click.ClickException):
    """An error as one sentence, exit status 2."""

    exit_code = 2

    def show(self, file: Any = None) -> None:
        click.echo(f"skelray: {make_printable(self.format_message())}", err=True)


def main() -> None:
    """Errors end in one sentence; a traceback is shown where it is asked for, and else kept where it is of use."""
    words = [word for word in sys.argv[1:] if word != TRACEBACK]
    shown = len(words) < len(sys.argv) - 1  # before the verb or after it
    try:
        cli(words, prog_name="skelray", standalone_mode=False)
    except click.ClickException as error:
        _show(error)
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        _leave("interrupted; the same command goes on from here", INTERRUPTED)
    except BaseException as error:
        if isinstance(error, ending.Terminated):
            _leave("asked to end, and saved; the same command goes on from here", TERMINATED)
        if isinstance(error, ending.Lost):
            _leave(str(error), ending.LOST)
        if not isinstance(error, Exception):
            raise
        if shown:
            click.echo(format_traceback(error), err=True, nl=False)
        name = str(getattr(error, "name", "")).partition(".")[0] if isinstance(error, ModuleNotFoundError) else ""
        if name in MISSING:
            said, status = f"{name} is not installed: {MISSING[name]}", CAUSED
        else:
            said, status = explain_fault(error, keep=not shown)
        Refusal(said).show()
        sys.exit(status)


def _show(error: click.ClickException) -> None:
    """Shows an error as click does; what does not print in the words of a command line is made visible."""
    if isinstance(error, click.UsageError) and not isinstance(error, click.exceptions.NoArgsIsHelpError):
        error = click.UsageError(make_printable(error.format_message()), error.ctx)
    error.show()


def _leave(why: str, status: int) -> NoReturn:
    """Says why, and ends the process at once.

    Python would first take down what an interrupt has left half done: Ray's threads crash in it now and then.
    """
    for one in (signal.SIGINT, signal.SIGTERM):  # once more is no other end
        signal.signal(one, signal.SIG_IGN)
    click.echo(f"skelray: {why}", err=True)
    with contextlib.suppress(OSError):
        sys.stdout.flush()
    os._exit(status)


def _versions(context: click.Context, parameter: click.Parameter, wanted: bool) -> None:
    """Names the packages that results depend on."""
    if wanted and not context.resilient_parsing:
        from skelray.runner.versions import versions

        click.echo(versions().replace(", ", "\n"))
        context.exit()


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_versions,
    help="Show the versions of skelray and its packages.",
)
@click.option(TRACEBACK, is_flag=True, expose_value=False, help="Show the whole traceback of an error.")
def cli() -> None:
    """Which part of a self-supervised skeleton method earns its accuracy, and at what setting?"""


for command in (
    *(prepare_command, data_group),
    *(studies_command, plan_command, run_command, watch_command, report_command, scores_command),
    *(best_command, simulate_command, dashboard_command),
    *(reproduce_command, merge_command, import_weights_command),
    store_group,
    *(status_command, bench_command, doctor_command),
):
    cli.add_command(command)
