"""What runs of a study have left of themselves beside its tables: their command, and how far they were when last heard of.

<results>/runs/<study>/<host>-<process>.json, one file for each process that ran the study; replaced as it goes.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from skelray.atomic import replacing


@dataclass
class Going:
    """A trial under way. losses: its last values; epoch: the last one that ended; seconds: of it."""

    trial: str
    name: str
    epochs: int
    began: float
    epoch: int = 0
    seconds: float = 0.0
    held_out: float | None = None
    losses: list[float] = field(default_factory=list)


@dataclass
class RunRecord:
    """command: as it was typed. trials: planned; seen: when it was last heard of, in seconds since 1970. state: running,
    ended, or interrupted. load: what the machine does meanwhile, in words."""

    study: str
    command: str
    host: str
    process: int
    began: float
    seen: float
    store: str
    trials: int
    epochs: int
    state: str = "running"
    load: str = ""
    trained: int = 0
    finished: dict[str, int] = field(default_factory=dict)
    going: list[Going] = field(default_factory=list)

    def write(self, folder: Path) -> None:
        """Replaces the file of this process."""
        path = Path(folder) / "runs" / self.study / f"{self.host}-{self.process}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as (place,):
            place.write_text(json.dumps(asdict(self), indent=1))


def runs(study: str, folder: Path | str) -> list[RunRecord]:
    """All runs of a study that left a file here, the latest last. What is no such file is left out."""
    found = []
    for path in sorted((Path(folder) / "runs" / study).glob("*.json")):
        try:
            found.append(_read(json.loads(path.read_text())))
        except (OSError, ValueError, TypeError, KeyError):
            continue  # of another version, or damaged: it only tells how a run goes
    return sorted(found, key=lambda run: run.seen)


def _read(content: dict[str, Any]) -> RunRecord:
    going = [Going(**one) for one in content.pop("going")]
    return RunRecord(**content, going=going)
