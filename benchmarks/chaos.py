"""Kills an inline ablation and an inline sweep again and again, and compares their tables with those of undisturbed runs.

    python benchmarks/chaos.py --kills 60

Each run goes on where the one before was killed with SIGKILL: before, on and after a write of the store or of the tables, or
at any moment. When a study has ended its table must equal that of a run that nobody disturbed, in every column but seconds
and started; then it begins anew, until there were so many kills. Exit status 1 where a table differs.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import tempfile
import threading
import time
from argparse import ArgumentParser
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "helpers"))

from small_study import ABLATION, SWEEP, assert_same, curves, inline, make_run, study_file

from skelray.data import Preprocessing, prepare
from skelray.data.synthetic.benchmark import synthetic
from skelray.results import tables as results
from skelray.runner.run import run_inline
from skelray.store.store import Store

STUDIES = {"ablation": (ABLATION, {"epochs": 2, "seeds": (0,)}), "sweep": (SWEEP, {"epochs": 3, "samples": 6})}


def die() -> None:
    """At once, with nothing put in order."""
    os.kill(os.getpid(), signal.SIGKILL)


def arm(event: int, when: str, seconds: float) -> None:
    """Makes this process kill itself at its n-th event of a kind, or after so many seconds."""
    if when == "at any moment":
        threading.Thread(target=lambda: (time.sleep(seconds), die()), daemon=True).start()
        return
    count = [0]

    def counted(function):
        def called(*given, **named):
            count[0] += 1
            if count[0] == event and when == "before":
                die()
            found = function(*given, **named)
            if count[0] == event and when == "after":
                die()
            return found

        return called

    Store.write = counted(Store.write)
    Store.remove = counted(Store.remove)
    results._replace = counted(results._replace)
    os.replace = counted(os.replace)  # between the two tables


def killed(path: Path, folder: Path, data: Path, scale: dict, event: int, when: str, seconds: float) -> bool:
    """Whether the study was killed before it had ended."""
    child = os.fork()
    if child:
        return os.WIFSIGNALED(os.waitpid(child, 0)[1])
    try:
        run, _ = make_run(path, folder, data, **scale)
        arm(event, when, seconds)
        run_inline(run)
        os._exit(0)
    finally:
        os._exit(1)


def chaos(kind: str, kills: int, root: Path, data: Path, draw: random.Random) -> int:
    """Kills until there were so many; returns how many tables were compared. Raises AssertionError where one differs."""
    body, scale = STUDIES[kind]
    whole = root / kind
    whole.mkdir()
    path = study_file(whole, body)
    clock = time.perf_counter()
    expected = inline(path, whole, data, **scale)
    took, watched = time.perf_counter() - clock, curves(whole)
    compared = 0
    while kills > 0:
        folder = root / f"{kind}{compared}"
        while kills > 0:
            when = draw.choice(["before", "after", "at any moment"])
            if not killed(path, folder, data, scale, draw.randint(1, 12), when, took * draw.uniform(0.05, 0.6)):
                break
            kills -= 1
        assert_same(inline(path, folder, data, **scale), expected)
        assert_same(curves(folder), watched)
        compared += 1
    return compared


def main() -> None:
    """See above."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=60, help="Of each study.")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    for kind in STUDIES:
        with tempfile.TemporaryDirectory() as name:
            root = Path(name)
            prepare(synthetic(subjects=2, replications=1), None, root / "data", Preprocessing("centred", 16))
            clock = time.perf_counter()
            compared = chaos(kind, options.kills, root, root / "data", random.Random(options.seed))
            took = time.perf_counter() - clock
            sys.stdout.write(f"{kind}: {options.kills} kills, {compared} tables, all as undisturbed; {took:.0f} s\n")


if __name__ == "__main__":
    main()
