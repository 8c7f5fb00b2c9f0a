"""Tells whoever watches from another terminal how a run goes: a small file beside the tables, every few seconds."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import threading
import time
from pathlib import Path

from skelray.names import HELD_OUT
from skelray.results.runs import LOSSES, RunningTrial, RunRecord, read_records, write_record
from skelray.runner.job import Job, Listener
from skelray.training import Report

EVERY = 3.0  # seconds between two signs of life
STAT = Path("/proc/stat")


class Board(Listener):
    """Passes on what it hears, and keeps the file of this process up to date while it is open."""

    def __init__(self, record: RunRecord, folder: Path, other: Listener) -> None:
        self.record, self.folder, self.other = record, Path(folder), other
        self._lock, self._over, self._load = threading.Lock(), threading.Event(), Load()
        self._beat = threading.Thread(target=self._beats, daemon=True)

    @classmethod
    def of(cls, study: str, command: str, size: tuple[int, int, int], folder: Path, other: Listener) -> Board:
        """Makes the board of a run. size: trials, epochs, and how many trials are done already."""
        trials, epochs, done = size
        now = time.time()
        record = RunRecord(study, command, socket.gethostname(), os.getpid(), now, now, trials, epochs)
        record.finished["done"] = done
        return cls(record, folder, other)

    def __enter__(self) -> Board:
        self._write()
        self._forget()
        self._beat.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *exception: object) -> None:
        self._over.set()
        self._beat.join()
        self.record.state = "ended" if kind is None else "interrupted"
        self._write()

    def started(self, job: Job) -> None:
        with self._lock:
            self.record.going[f"{job.stored.id}-{job.trial.epochs}"] = RunningTrial(job.name, job.trial.epochs, time.time())
        self.other.started(job)

    def reported(self, job: Job, report: Report) -> None:
        with self._lock:
            going = self.record.going.get(f"{job.stored.id}-{job.trial.epochs}")
            if going is not None:
                self.record.passed += 0 if job.final else report.epoch - going.epoch
                self.record.trained += not report.replayed
                going.epoch, going.seconds = report.epoch, report.seconds
                going.losses = [*going.losses, report.metrics["loss"]][-LOSSES:]
                going.held_out = report.metrics.get(HELD_OUT, going.held_out)
        self.other.reported(job, report)

    def ended(self, job: Job, status: str) -> None:
        with self._lock:
            going = self.record.going.pop(f"{job.stored.id}-{job.trial.epochs}", None)
            if not job.final:
                self.record.passed += job.trial.epochs - (going.epoch if going else 0)  # what is not trained is not left
            if not job.final or status == "failed":
                self.record.finished[status] = self.record.finished.get(status, 0) + 1
        self.other.ended(job, status)

    def _beats(self) -> None:
        while not self._over.wait(EVERY):
            self.record.load = self._load.now()
            self._write()

    def _write(self) -> None:
        with self._lock, contextlib.suppress(OSError):  # a full disk keeps nobody from working
            self.record.seen = time.time()
            write_record(self.record, self.folder)

    def _forget(self) -> None:
        """Takes away what runs have left that are over: of those the last one's command is this one's."""
        own = (self.record.host, self.record.process)
        for one in read_records(self.record.study, self.folder):
            if (one.host, one.process) != own and not one.is_alive(time.time()):
                path = self.folder / "runs" / one.study / f"{one.host}-{one.process}.json"
                with contextlib.suppress(OSError):
                    path.unlink()


class Load:
    """The load of this machine's processors and GPUs, in words."""

    def __init__(self) -> None:
        self._before = self._times()
        self._smi = shutil.which("nvidia-smi")

    def now(self) -> str:
        """Returns the load since the last call; empty if nothing is known."""
        return ", ".join(told for told in (self._processors(), self._gpus()) if told)

    def _processors(self) -> str:
        before, self._before = self._before, self._times()
        if before is None or self._before is None or (whole := self._before[1] - before[1]) <= 0:
            return ""
        return f"CPU {100 * (1 - (self._before[0] - before[0]) / whole):.0f} % of {os.cpu_count()}"

    def _gpus(self) -> str:
        if self._smi is None:
            return ""
        asked = [self._smi, "--query-gpu=utilization.gpu,memory.used,memory.total", "--format=csv,noheader,nounits"]
        try:
            lines = subprocess.run(asked, capture_output=True, text=True, check=True, timeout=5).stdout.splitlines()
            found = [[float(number) for number in line.split(",")] for line in lines]
        except (OSError, ValueError, subprocess.SubprocessError):
            return ""
        return ", ".join(f"GPU {busy:.0f} %, {used / 1024:.1f} of {all / 1024:.0f} GiB" for busy, used, all in found)

    @staticmethod
    def _times() -> tuple[int, int] | None:
        """Returns (idle, all) ticks of the processors together since the machine started, if the system tells."""
        try:
            numbers = [int(word) for word in STAT.read_text().split("\n", 1)[0].split()[1:9]]
        except (OSError, ValueError):
            return None
        return numbers[3] + numbers[4], sum(numbers)
