"""Measures how long a run takes to end after SIGTERM, inline and on Ray, with epochs of seconds and of minutes.

    python benchmarks/sigterm.py

The signal comes 3 s after the first batch of an epoch has begun. Exit status 1 where a run does not end with status 143.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "helpers"))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "runner"))

from small_study import TINY, study_file
from test_ray import command

from skelray.data import Preprocessing, prepare
from skelray.data.synthetic.benchmark import synthetic

STUDY = """
    @dataclass(frozen=True)
    class Slow:
        seconds: float
        def __call__(self, view):
            if len(view.x) == BATCH:
                Path("begun").touch()
                time.sleep(self.seconds)
            return view
    study = Ablation(base=base, arms=[Arm("slow", {"arrangement": (AugmentationSet("slow", (Slow(SECONDS),)),)})])
"""


def seconds_to_end(folder: Path, data: Path, batch: float, *options: str) -> tuple[int, float]:
    """The exit status of a run that SIGTERM ends, and how long it took. batch: seconds that a batch takes at least."""
    body = STUDY.replace("begun", str(folder / "begun")).replace("BATCH", str(dict(TINY)["batch_size"]))
    path = study_file(folder, body.replace("SECONDS", str(batch)))
    words = command(path, data, "--epochs", "50", "--seeds", "1", *options)
    run = subprocess.Popen(words, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not (folder / "begun").exists() and run.poll() is None:
        time.sleep(0.1)
    time.sleep(3)
    clock = time.monotonic()
    run.send_signal(signal.SIGTERM)
    return run.wait(), time.monotonic() - clock


def main() -> None:
    """See above."""
    statuses = set()
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        prepare(synthetic(subjects=2, replications=1), None, root / "data", Preprocessing("centred", 16))
        for what, batch in (("seconds", 0.2), ("minutes", 20.0)):
            for where, options in (("inline", ["--inline"]), ("on Ray", [])):
                folder = root / f"{what}_{where.replace(' ', '_')}"
                folder.mkdir()
                status, took = seconds_to_end(folder, root / "data", batch, *options)
                sys.stdout.write(f"epochs of {what} {where}: status {status} after {took:.1f} s\n")
                sys.stdout.flush()
                statuses.add(status)
    sys.exit(statuses != {143})


if __name__ == "__main__":
    main()
