"""The live display of a run: trials done, running and failed, epochs, time left."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from skelray.names import HELD_OUT
from skelray.report.printable import make_printable
from skelray.runner.job import Job, Listener
from skelray.training import Report


class Display(Listener):
    """One bar for the study's epochs and one for each running trial; plain lines where there is no terminal."""

    def __init__(self, console: Console, name: str, trials: int, epochs: int, done: int = 0) -> None:
        self.console, self.trials, self.finished = console, trials, {"done": done, "stopped": 0, "failed": 0}
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.completed:.0f}/{task.total:.0f} epochs"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self.name = name
        self.running: dict[str, TaskID] = {}
        self.epochs: dict[str, int] = {}
        self.whole = self.progress.add_task(self._headline(), total=epochs)

    def __enter__(self) -> Display:
        self.progress.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.progress.stop()

    def _headline(self) -> str:
        running = len(self.running)
        counts = [f"{self.finished['done']} of {self.trials} trials done", f"{running} running"]
        counts += [f"{n} {status}" for status, n in self.finished.items() if n and status != "done"]
        return f"[bold]{self.name}[/bold] " + ", ".join(counts)

    def started(self, job: Job) -> None:
        self.running[job.name] = self.progress.add_task(f"  {_escaped(job.name)}", total=job.trial.epochs)
        self.epochs[job.name] = 0
        self.progress.update(self.whole, description=self._headline())

    def reported(self, job: Job, report: Report) -> None:
        advance = report.epoch - self.epochs.get(job.name, 0)
        self.epochs[job.name] = report.epoch
        shown = f"loss {report.metrics['loss']:.3f}"
        if HELD_OUT in report.metrics:
            shown += f", held-out {100 * report.metrics[HELD_OUT]:.1f} %"
        task = self.running.get(job.name)
        if task is not None:
            text = f"  {_escaped(job.name)}, {shown}"
            self.progress.update(task, completed=report.epoch, description=text)
        if not job.final:
            self.progress.advance(self.whole, advance)

    def ended(self, job: Job, status: str) -> None:
        task = self.running.pop(job.name, None)
        if task is not None:
            self.progress.remove_task(task)
        if status == "paused":  # its epochs are yet to come, those so far are read back then
            self.progress.advance(self.whole, -self.epochs.get(job.name, 0))
            self.progress.update(self.whole, description=self._headline())
            return
        if not job.final:
            self.progress.advance(self.whole, job.trial.epochs - self.epochs.get(job.name, 0))
        if not job.final or status == "failed":
            self.finished[status] += 1
        self.progress.update(self.whole, description=self._headline())
        if not self.console.is_terminal or status == "failed":
            failure = job.stored.failure(job.trial.epochs) if status == "failed" else None
            why = f": {failure['cause']}: {failure['line']}" if failure else ""
            count = "" if job.final else f"{sum(self.finished.values())}/{self.trials} "
            line = make_printable(f"{count}{job.name} {status}{why}")
            self.console.print(line, markup=False, highlight=False)


def _escaped(text: str) -> str:
    return make_printable(text).replace("[", "\\[")
