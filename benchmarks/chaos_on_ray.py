"""Kills drivers, workers and nodes of a study on a Ray cluster, with authentication on, and compares its tables.

    python benchmarks/chaos_on_ray.py --kills 20

Each study must end with exit status 0 and with the table of a run inline that nobody disturbed, in every column but seconds
and started. Every epoch that a worker begins is noted, and each trial is saved after each epoch: so a loss may cost one
epoch of each worker that was lost, and no more. Exit status 1 where a table differs or more was trained again.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from argparse import ArgumentParser
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "helpers"))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "runner"))

from ray_nodes import RayNodes, ray_nodes
from small_study import TINY, assert_same, inline, study_file, table
from test_ray import command

from skelray.data import Preprocessing, prepare
from skelray.data.synthetic.benchmark import synthetic

SEEDS, EPOCHS = 6, 12
ACTS = ("two", "workers", "drivers", "nodes")
STUDY = """
    @dataclass(frozen=True)
    class Noted:
        def __call__(self, view):
            import skelray.runner.execute as execute
            execute.CHECKPOINT_SHARE = 1e9  # saved after each epoch
            if len(view.x) != BATCH:  # sequences that are kept to be looked at
                return view
            with open("NOTES", "a") as file:
                file.write(f"{os.getpid()} {view.draws.seed} {view.draws.epoch}\\n")
            return view

    import skelray.runner.hanging as hanging
    hanging.SILENT = 12.0
    study = Ablation(base=base, arms=[Arm("noted", {"arrangement": (AugmentationSet("noted", (Noted(),)),)})])
"""


class Outcome(NamedTuple):
    """lost: workers that worked when they, their driver or their node were lost. again: epochs begun more than once."""

    what: str
    lost: int
    again: int

    def __str__(self) -> str:
        return f"{self.what}: the table is the undisturbed one; {self.again} epochs begun again, of {self.lost} workers lost"


class Chaos:
    """A study on a cluster, its drivers, and what it must end with."""

    def __init__(self, nodes: RayNodes, root: Path, data: Path, draw: random.Random) -> None:
        self.nodes, self.root, self.data, self.draw, self.count = nodes, root, data, draw, 0
        self.notes = root / "notes.txt"
        batch = str(dict(TINY)["batch_size"])
        self.path = study_file(root, STUDY.replace("NOTES", str(self.notes)).replace("BATCH", batch))
        self.expected = inline(self.path, root / "inline", data, epochs=EPOCHS, seeds=tuple(range(SEEDS)))
        self.begin()

    def begin(self) -> None:
        """A store and a folder of their own."""
        self.count += 1
        self.folder = self.root / f"run{self.count}"
        self.folder.mkdir()
        self.notes.unlink(missing_ok=True)

    def drive(self, *options: str) -> subprocess.Popen:
        """A driver as a user starts one, in a process group of its own."""
        words = [*("--epochs", str(EPOCHS)), *("--seeds", str(SEEDS)), *("--address", self.nodes.address), *options]
        with (self.folder / "said.txt").open("a") as said:
            where = {"cwd": self.folder, "env": self.nodes.env, "stdout": said, "stderr": said}
            return subprocess.Popen(command(self.path, self.data, *words), **where, start_new_session=True)

    def noted(self) -> set[tuple[int, int, int]]:
        """(process, seed, epoch) of every epoch that was begun."""
        lines = self.notes.read_text().splitlines() if self.notes.exists() else []
        return {(int(words[0]), int(words[1]), int(words[2])) for line in lines if len(words := line.split()) == 3}

    def more(self, epochs: int) -> Callable[[], bool]:
        """An event: so many epochs have begun since now."""
        enough = len(self.noted()) + epochs
        return lambda: len(self.noted()) >= enough

    def again(self) -> int:
        noted = self.noted()
        return len(noted) - len({(seed, epoch) for _, seed, epoch in noted})

    def workers(self) -> list[int]:
        """Processes that have begun two epochs at least, and so have made progress since they began, and live."""
        epochs: dict[int, int] = {}
        for process, *_ in self.noted():
            epochs[process] = epochs.get(process, 0) + 1
        return [process for process, count in epochs.items() if count > 1 and _lives(process)]

    def at_work(self) -> int:
        """How many processes that have begun an epoch live."""
        return sum(map(_lives, {process for process, *_ in self.noted()}))

    def wait(self, event: Callable[[], bool], driver: subprocess.Popen, seconds: float = 300.0) -> bool:
        """Whether it has happened while the driver ran."""
        deadline = time.monotonic() + seconds
        while driver.poll() is None:
            if event():
                return True
            if time.monotonic() > deadline:
                raise AssertionError(f"nothing happened for {seconds:.0f} s: {self.said()}")
            time.sleep(0.1)
        return False

    def said(self) -> str:
        return (self.folder / "said.txt").read_text()

    def finish(self, driver: subprocess.Popen, status: int = 0) -> None:
        """Waits for a driver. Raises AssertionError where its status or the table is another."""
        found = driver.wait(timeout=900)
        if found != status or "Traceback" in self.said():
            raise AssertionError(f"exit status {found}: {self.said()}")
        assert_same(table(self.folder).drop(columns="commit"), self.expected.drop(columns="commit"))

    def check(self, what: str, lost: int, hung: int = 0) -> Outcome:
        """Raises AssertionError where more epochs were begun again than workers lost. hung: of these, those stopped."""
        lost += max(0, self.said().count("is ended, since") - hung)  # a busy machine may keep a worker from stirring, too
        if self.again() > lost:
            raise AssertionError(f"{what}: {self.again()} epochs were begun again, and {lost} workers lost")
        return Outcome(what, lost, self.again())


def kill_drivers(chaos: Chaos, kills: int) -> list[Outcome]:
    """At any moment, most of them while it trains. A study that ends meanwhile is compared, and begins anew."""
    found, done, lost = [], 0, 0
    while done < kills:
        driver = chaos.drive()
        early = _after(chaos.draw.uniform(0, 15))
        event = early if chaos.draw.random() < 0.25 else chaos.more(3)
        alive = chaos.wait(event, driver)
        time.sleep(chaos.draw.uniform(0, 1.5))
        if alive and driver.poll() is None:
            lost += chaos.at_work()
            done += 1
            os.killpg(driver.pid, signal.SIGKILL)
            driver.wait()
            continue
        chaos.finish(driver)
        found.append(chaos.check("drivers killed", lost))
        chaos.begin()
        lost = 0
    chaos.finish(chaos.drive())
    return [*found, chaos.check(f"{done} drivers killed", lost)]


def kill_workers(chaos: Chaos, kills: int, hang: float = 0.2) -> list[Outcome]:
    """At any moment after an epoch. hang: so many of them are stopped and not killed."""
    found, done, lost, hung = [], 0, 0, 0
    driver, known = chaos.drive(), set[int]()
    while done < kills:
        if not chaos.wait(lambda: bool(set(chaos.workers()) - known), driver):
            chaos.finish(driver)
            found.append(chaos.check("workers killed", lost))
            chaos.begin()
            driver, lost = chaos.drive(), 0
            continue
        time.sleep(chaos.draw.uniform(0, 1))
        victim = chaos.draw.choice(sorted(set(chaos.workers()) - known) or [0])
        how = signal.SIGSTOP if chaos.draw.random() < hang else signal.SIGKILL
        with contextlib.suppress(ProcessLookupError):
            if victim:
                os.kill(victim, how)
                known.add(victim)
                done, lost, hung = done + 1, lost + 1, hung + (how == signal.SIGSTOP)
    chaos.finish(driver)
    return [*found, chaos.check(f"{done - hung} workers killed and {hung} stopped", lost, hung)]


def two_drivers(chaos: Chaos) -> list[Outcome]:
    """On one study, at once: no epoch is trained twice."""
    other, one = chaos.drive("--results", "others"), chaos.drive()
    chaos.finish(one)
    chaos.finish(other)
    return [chaos.check("two drivers at once", 0)]


def lose_nodes(chaos: Chaos, there: list[subprocess.Popen]) -> list[Outcome]:
    """Of three nodes with a CPU each two are killed at random moments, and one joins."""
    driver = chaos.drive()
    for node in chaos.draw.sample(there, 2):
        chaos.wait(chaos.more(5), driver)
        time.sleep(chaos.draw.uniform(0, 2))
        chaos.nodes.lose(node)
    chaos.nodes.add(cpus=1)
    chaos.finish(driver)
    return [chaos.check("two of three nodes lost, and one joined", 2)]


def _lives(process: int) -> bool:
    return Path(f"/proc/{process}").exists()


def _after(seconds: float) -> Callable[[], bool]:
    end = time.monotonic() + seconds
    return lambda: time.monotonic() > end


def main() -> None:
    """See above."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("acts", nargs="*", metavar="ACT", help=f"Which of {', '.join(ACTS)}, in this order; all by default.")
    parser.add_argument("--kills", type=int, default=20, help="Of drivers, and of workers.")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *given: sys.exit(143))  # takes its cluster down first
    with tempfile.TemporaryDirectory() as name, ray_nodes() as nodes:
        root = Path(name)
        prepare(synthetic(subjects=2, replications=1), None, root / "data", Preprocessing("centred", 16))
        there = [nodes.add(cpus=1), nodes.add(cpus=1)]
        chaos = Chaos(nodes, root, root / "data", random.Random(options.seed))
        acts = {
            "two": two_drivers,
            "workers": lambda chaos: kill_workers(chaos, options.kills),
            "drivers": lambda chaos: kill_drivers(chaos, options.kills),
            "nodes": lambda chaos: lose_nodes(chaos, [*there, nodes.add(cpus=1)]),
        }
        for name in options.acts or ACTS:
            clock = time.perf_counter()
            for outcome in acts[name](chaos):
                sys.stdout.write(f"{outcome}\n")
            sys.stdout.write(f"  {time.perf_counter() - clock:.0f} s\n")
            sys.stdout.flush()
            chaos.begin()


if __name__ == "__main__":
    main()
