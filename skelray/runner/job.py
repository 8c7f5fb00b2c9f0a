"""One trial to run, and who listens to how it goes."""

from __future__ import annotations

from dataclasses import dataclass

from skelray.store.store import StoredTrial
from skelray.study.cell import Fused
from skelray.training import Report
from skelray.trial import Trial


@dataclass
class Job:
    """One trial to run, with all that the study's cells measure on its encoder. number: of its first cell or sample.

    final: it is read once the trials have ended, or once more, and is none of those that are counted. fused: an ensemble
    whose streams are there, to be put side by side; trial then says what is measured on it, and stored is the ensemble's
    place.
    """

    number: int
    name: str
    trial: Trial
    stored: StoredTrial
    final: bool = False
    fused: Fused | None = None

    @property
    def key(self) -> tuple[str, int]:
        """The encoder's key: the trial's id, and its number of epochs."""
        return self.stored.id, self.trial.epochs


class Listener:
    """Hears how a run goes, and here says nothing; the command line draws it."""

    def started(self, job: Job) -> None:
        """Hears that a trial has been taken up."""

    def reported(self, job: Job, report: Report) -> None:
        """Hears that an epoch has ended, or is read back from an earlier run."""

    def ended(self, job: Job, status: str) -> None:
        """Hears that a trial is done, was stopped or has failed."""
