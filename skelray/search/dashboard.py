"""optuna-dashboard on the ledger of a sweep: live while it runs, and read-only."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from skelray.checks import UserError
from skelray.search.optuna_study import storage

READING = ("GET", "HEAD", "OPTIONS")
App = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class Quiet(WSGIRequestHandler):
    """Logs no request."""

    def log_message(self, format: str, *args: Any) -> None: ...


def app(name: str, store: str | Path) -> App:
    """Returns the dashboard of a sweep as a WSGI application.

    Raises UserError if the store has no such sweep, or the extra is not installed.
    """
    try:
        import optuna_dashboard
    except ModuleNotFoundError as error:
        raise UserError("the dashboard is not installed: `pip install 'skelray[dashboard]'`") from error
    return read_only(optuna_dashboard.wsgi(storage(name, store)), name)


def read_only(served: App, name: str) -> App:
    """Returns the application, closed to every request that would write."""

    def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] in READING:
            return served(environ, start_response)
        said = {"reason": f"{name} is read-only here: its samples come from `skelray run`"}
        start_response("405 Method Not Allowed", [("Content-Type", "application/json"), ("Allow", ", ".join(READING))])
        return [json.dumps(said).encode()]

    return answer


def server(name: str, store: str | Path, host: str = "127.0.0.1", port: int = 8080) -> WSGIServer:
    """Returns a server of the dashboard, bound to its address; call its ``serve_forever``. port 0: any that is free.

    Raises UserError where the address is taken.
    """
    served = app(name, store)
    try:
        return make_server(host, port, served, handler_class=Quiet)
    except OSError as error:
        raise UserError(f"{host}:{port} cannot be served from: {error.strerror}; --port gives another") from error
