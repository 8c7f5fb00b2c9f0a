"""One trial to run, and who listens to how it goes."""

from __future__ import annotations

from dataclasses import dataclass

from skelray.store.store import StoredTrial
from skelray.training import Report
from skelray.trial import Trial


@dataclass
class Job:
    """One trial to run, with all that the study's cells measure on its encoder. number: of its first cell or sample."""

    number: int
    name: str
    trial: Trial
    stored: StoredTrial

    @property
    def key(self) -> tuple[str, int]:
        """What the encoder is known by: the trial's id, and for how many epochs."""
        return self.stored.id, self.trial.epochs


class Listener:
    """Hears how a run goes, and here says nothing; the command line draws it."""

    def started(self, job: Job) -> None:
        """A trial has been taken up."""

    def report(self, job: Job, report: Report) -> None:
        """An epoch has ended, or is read back from an earlier run."""

    def ended(self, job: Job, status: str) -> None:
        """A trial is done, was stopped or has failed."""
