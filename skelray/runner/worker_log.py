"""Warnings of a worker reach its driver: with its next report or, if it is lost before, by Ray's store of keys."""

from __future__ import annotations

import contextlib
import json
import logging
import os

import ray
from ray.experimental import internal_kv

from skelray.runner.hanging import SPACE

log = logging.getLogger("skelray")


class WarningCollector(logging.Handler):
    """Collects what is logged in a worker, whose own output nobody reads.

    What no report has taken along yet lies under the attempt's name where the driver finds it, however the worker ends.
    """

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._lines: list[str] = []
        self._attempt, self._process = "", os.getpid()
        log.addHandler(self)

    def begin(self, attempt: str) -> None:
        self._attempt = attempt
        self._lines.clear()

    def end(self) -> None:
        """Hears nothing more."""
        log.removeHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.append(record.getMessage())
        if ray.is_initialized() and os.getpid() == self._process:  # a fork of it would wait for Ray's threads for ever
            with contextlib.suppress(Exception):  # the head is gone, and soon this process, too
                internal_kv._internal_kv_put(_key(self._attempt), json.dumps(self._lines), namespace=SPACE)

    def drain(self) -> list[str]:
        """Returns what was said since it was last asked, for a report to take along."""
        lines, self._lines = self._lines, []
        if lines:
            _forget(self._attempt)
        return lines


def read_unreported(attempt: str) -> list[str]:
    """Returns what the worker of a lost attempt has said since its last report, once."""
    if not ray.is_initialized():
        return []
    found = internal_kv._internal_kv_get(_key(attempt), namespace=SPACE)
    if found is None:
        return []
    _forget(attempt)
    lines: list[str] = json.loads(found)
    return lines


def _forget(attempt: str) -> None:
    if ray.is_initialized():
        with contextlib.suppress(Exception):
            internal_kv._internal_kv_del(_key(attempt), namespace=SPACE)


def _key(attempt: str) -> str:
    return f"{attempt} said"
