"""What a run of a study leaves of itself beside the tables: its command, and how far it was when it was last heard of.

<results>/runs/<study>/<host>-<process>.json, replaced every few seconds by the process that runs the study.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from skelray.atomic import replacing

SILENT = 30.0  # seconds without a sign after which a run counts as dead
LOSSES = 40  # of a trial, the last ones


@dataclass
class RunningTrial:
    """A trial under way. began: seconds since 1970; epoch: the last one that ended; seconds: of it; losses: the last."""

    name: str
    epochs: int
    began: float
    epoch: int = 0
    seconds: float = 0.0
    held_out: float | None = None
    losses: list[float] = field(default_factory=list)


@dataclass
class RunRecord:
    """The state of a run.

    command: as it was typed. began, seen: seconds since 1970. trials, epochs: planned. passed: epochs that are there,
    trained: those of them that this run trained. finished: trials by how they ended. state: running, ended, interrupted.
    load: what the machine of the command does meanwhile.
    """

    study: str
    command: str
    host: str
    process: int
    began: float
    seen: float
    trials: int
    epochs: int
    passed: int = 0
    trained: int = 0
    state: str = "running"
    load: str = ""
    finished: dict[str, int] = field(default_factory=dict)
    going: dict[str, RunningTrial] = field(default_factory=dict)

    def is_alive(self, now: float) -> bool:
        """Returns whether it still runs, as far as anyone has heard."""
        return self.state == "running" and now - self.seen < SILENT

    def seconds_left(self) -> float:
        """Returns seconds until all planned epochs are trained, at the rate so far; NaN where there is none yet."""
        rate = self.trained / max(self.seen - self.began, 1e-9)
        return max(0, self.epochs - self.passed) / rate if rate > 0 else math.nan


def write_record(record: RunRecord, folder: Path) -> Path:
    """Replaces the file of this process."""
    path = Path(folder) / "runs" / record.study / f"{record.host}-{record.process}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as (place,):
        place.write_text(json.dumps(asdict(record), indent=1), encoding="utf-8")
    return path


def read_records(study: str, folder: Path | str) -> list[RunRecord]:
    """Returns all runs of a study that left a file here, the latest last; any other file is left out."""
    found = []
    for path in (Path(folder) / "runs" / study).glob("*.json"):
        try:
            found.append(_read(json.loads(path.read_text(encoding="utf-8"))))
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            continue  # damaged, or of another version: it only tells how a run goes
    return sorted(found, key=lambda run: (run.seen, run.process))


def studies(folder: Path | str) -> list[str]:
    """Returns the studies of which a run has left a file here."""
    return sorted(path.name for path in (Path(folder) / "runs").glob("*") if path.is_dir())


def _read(content: dict[str, Any]) -> RunRecord:
    going = {name: RunningTrial(**one) for name, one in content.pop("going").items()}
    record = RunRecord(**content, going=going)
    if not all(isinstance(number, int | float) for number in (record.began, record.seen, record.passed, record.epochs)):
        raise ValueError("its numbers are none")
    return record
