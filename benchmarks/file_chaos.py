"""Kills a study at every write, fills its disk at every write, and damages every file: its table beside an undisturbed one.

    python benchmarks/file_chaos.py

kill: SIGKILL before the n-th write or removal, for every n that there is. full: at the n-th write the disk, a small tmpfs,
is full, for every n; once there is room again the same run goes on. damage: a bit of each file of a finished store flips, or
the file ends in its middle, and the study is run again. Each time the table must equal that of a run that nobody disturbed,
in every column but seconds and started, and a run that says that all went well must have left it. Exit status 1 where it is
not so. Filling a disk needs a system that lets this process mount one.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import chaos
from chaos import Store, inline, make_run, results, run_inline, study_file
from small_study import ABLATION, SWEEP, Heard, assert_same, table

from skelray.data import Preprocessing, prepare
from skelray.data.synthetic.benchmark import synthetic
from skelray.store.store import StoreError

STUDIES = {"ablation": (ABLATION, {"epochs": 1, "seeds": (0,)}), "sweep": (SWEEP, {"epochs": 2, "samples": 4})}
SIZE = 64  # MiB of the disk that is filled
FINE, HONEST, BROKEN = 0, 1, 3  # exit statuses: all is done, something failed and is said to have, none of these


def killed_everywhere(path: Path, root: Path, data: Path, scale: dict, expected, step: int = 1) -> int:
    """Kills before every ``step``-th event; returns how many kills there were."""
    for kills, event in enumerate(range(1, 10_000, step)):
        folder = root / f"kill{event}"
        if not chaos.killed(path, folder, data, scale, event, "before", 0.0):
            return kills
        assert_same(inline(path, folder, data, **scale), expected)
        shutil.rmtree(folder)
    raise AssertionError("it never ends")


@contextmanager
def disk(place: Path) -> Iterator[None]:
    """A small disk at a place. Raises OSError where this process may not mount one."""
    place.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SIZE}m", "tmpfs", str(place)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise OSError(f"no disk can be mounted here: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def fill(place: Path) -> None:
    """Leaves no room on the disk."""
    with suppress(OSError), (place / "ballast").open("wb", buffering=0) as file:
        while True:
            file.write(bytes(1 << 16))
    with suppress(OSError), (place / "ballast").open("ab", buffering=0) as file:
        while True:
            file.write(b"0")


def filled_everywhere(path: Path, root: Path, data: Path, scale: dict, expected, step: int = 1) -> tuple[int, int]:
    """Fills the disk at every ``step``-th event; returns how often, and how many of the runs said that something failed."""
    failed = 0
    for number, event in enumerate(range(1, 10_000, step)):
        place = root / f"disk{event}"
        with disk(place):
            status = _run_until_full(path, place, data, scale, event)
            full = (place / "ballast").exists()
            (place / "ballast").unlink(missing_ok=True)
            assert status in (FINE, HONEST), f"status {status} where the disk was full at event {event}"
            if status == FINE:
                assert_same(table(place), expected)
            failed += status == HONEST
            assert_same(inline(path, place, data, **scale), expected)
        if not full:
            return number, failed
    raise AssertionError("it never ends")


def _run_until_full(path: Path, place: Path, data: Path, scale: dict, event: int) -> int:
    """Runs the study in a process of its own, whose disk is full from an event on; returns its exit status."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    status = BROKEN
    try:
        run, _ = make_run(path, place, data, **scale)
        _arm(place, event)
        heard = Heard()
        with suppress(StoreError, OSError):
            status = HONEST  # what it ends in is one sentence
            run_inline(run, heard)
            status = HONEST if "failed" in heard.statuses.values() else FINE
    except BaseException as error:
        sys.stderr.write(f"event {event}: {error!r}\n")
        status = BROKEN
    finally:
        os._exit(status)


def _arm(place: Path, event: int) -> None:
    count = [0]

    def counted(function):
        def called(*given, **named):
            count[0] += 1
            if count[0] == event:
                fill(place)
            return function(*given, **named)

        return called

    Store.write = counted(Store.write)
    results._replace = counted(results._replace)


def damaged_everywhere(path: Path, done: Path, root: Path, data: Path, scale: dict, expected, draw: random.Random) -> int:
    """Flips a bit of each file of a finished study, and tears each; returns how many files were damaged."""
    files = [file for file in sorted(done.rglob("*")) if file.is_file() and not file.name.startswith(".")]
    files = [file for file in files if file.relative_to(done).parts[0] in ("store", "results")]
    count = 0
    for file in files:
        for how in ("flipped", "torn"):
            folder = root / f"{how}{count}"
            folder.mkdir()
            for part in ("store", "results"):
                shutil.copytree(done / part, folder / part)
            _damage(folder / file.relative_to(done), how, draw)
            assert_same(inline(path, folder, data, **scale), expected)
            shutil.rmtree(folder)
            count += 1
    return count


def _damage(file: Path, how: str, draw: random.Random) -> None:
    content = bytearray(file.read_bytes())
    if how == "torn":
        del content[len(content) // 2 :]
    elif content:
        bit = draw.randrange(8 * len(content))
        content[bit // 8] ^= 1 << bit % 8
    file.write_bytes(content)


def main() -> None:
    """See above."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=["kill", "full", "damage"])
    parser.add_argument("--study", choices=[*STUDIES])
    options = parser.parse_args()
    for kind in STUDIES:
        if options.study not in (None, kind):
            continue
        with tempfile.TemporaryDirectory() as name:
            root = Path(name)
            prepare(synthetic(subjects=2, replications=1), None, root / "data", Preprocessing("centred", 16))
            (body, scale), done = STUDIES[kind], root / "whole"
            done.mkdir()
            path, data, clock = study_file(done, body), root / "data", time.perf_counter()
            expected = inline(path, done, data, **scale)
            told = []
            if options.only in (None, "kill"):
                told.append(f"killed at {killed_everywhere(path, root, data, scale, expected)} events")
            if options.only in (None, "full"):
                times, failed = filled_everywhere(path, root, data, scale, expected)
                told.append(f"disk full at {times} writes, {failed} runs said so")
            if options.only in (None, "damage"):
                count = damaged_everywhere(path, done, root, data, scale, expected, random.Random(0))
                told.append(f"{count} damaged files")
            took = time.perf_counter() - clock
            sys.stdout.write(f"{kind}: {', '.join(told)}; each table as undisturbed; {took:.0f} s\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
