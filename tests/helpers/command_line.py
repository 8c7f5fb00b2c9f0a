"""The command line in this process, as a user types it."""

import sys

from skelray.cli.main import main


def call(monkeypatch, capsys, *words):
    """Returns exit status, standard output and standard error of ``skelray WORDS``."""
    monkeypatch.setattr(sys, "argv", ["skelray", *map(str, words)])
    try:
        main()
        status = 0
    except SystemExit as exit:
        status = exit.code or 0
    out = capsys.readouterr()
    return status, out.out, out.err
