"""Kills a study at every write, fills its disk at every write, and damages every file: its table beside an undisturbed one.

    python benchmarks/file_chaos.py
    python benchmarks/file_chaos.py --store s3

kill: SIGKILL before the n-th write or removal, for every n that there is. full: at the n-th write the disk, a small tmpfs,
is full, for every n; once there is room again the same run goes on. damage: a bit of each file of a finished store and its
tables flips, or the file ends in its middle, and the study is run again. data: the same of each file of the prepared data,
before the study is run; where the run refuses it, the data is prepared again. Each time the table must equal that of a run
that nobody disturbed, in every column but seconds and started, and a run that says that all went well must have left it.
Exit status 1 where it is not so. Filling a disk needs a system that lets this process mount one, --store s3 moto[server].
"""

from __future__ import annotations

import itertools
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from argparse import ArgumentParser
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.append(str(Path(__file__).resolve().parent.parent / "tests" / "store"))

import chaos
from chaos import Store, inline, make_run, results, run_inline, study_file
from small_study import ABLATION, SWEEP, Heard, assert_same, table

from skelray.checks import UserError
from skelray.data import Preprocessing, prepare
from skelray.data.synthetic.benchmark import synthetic
from skelray.runner.run import Run
from skelray.store.store import StoreError

STUDIES = {"ablation": (ABLATION, {"epochs": 1, "seeds": (0,)}), "sweep": (SWEEP, {"epochs": 2, "samples": 4})}
SIZE = 64  # MiB of the disk that is filled
FINE, HONEST, BROKEN = 0, 1, 3  # exit statuses: all is done, something failed and is said to have, none of these


def forked(work: Callable[[], object]) -> int:
    """Does work in a process of its own, as clients of object stores outlive no fork; returns its exit status."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    try:
        status = work()
        os._exit(status if isinstance(status, int) else FINE)
    except BaseException as error:
        sys.stderr.write(f"{error!r}\n")
    finally:
        os._exit(BROKEN)


def ended(path: Path, folder: Path, data: Path, scale: dict) -> pd.DataFrame:
    """The table of the study once it has ended."""
    status = forked(lambda: inline(path, folder, data, **scale) is None)
    assert status == FINE, f"status {status}"
    return table(folder)


def killed_everywhere(path: Path, root: Path, data: Path, scale: dict, expected, step: int = 1) -> int:
    """Kills before every ``step``-th event; returns how many kills there were. scale: its store may be a URI."""
    for kills, event in enumerate(range(1, 10_000, step)):
        folder, own = root / f"kill{event}", _with_store(scale, f"kill{event}")
        if not chaos.killed(path, folder, data, own, event, "before", 0.0):
            return kills
        assert_same(ended(path, folder, data, own), expected)
        shutil.rmtree(folder)
    raise AssertionError("it never ends")


def _with_store(scale: dict, name: str) -> dict:
    """The scale with a store of its own below that of the scale, where this is a URI."""
    if "store" not in scale:
        return scale
    place, mark, options = scale["store"].partition("?")
    return {**scale, "store": f"{place}/{name}{mark}{options}"}


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

    def work() -> int:
        run, _ = make_run(path, place, data, **scale)
        _arm(place, event)
        return _status(run)

    return forked(work)


def _status(run: Run) -> int:
    """How a run ends: what is raised is one sentence."""
    heard = Heard()
    try:
        run_inline(run, heard)
    except (StoreError, OSError, UserError):
        return HONEST
    return HONEST if "failed" in heard.statuses.values() else FINE


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


def damaged_everywhere(
    path: Path, done: Path, root: Path, data: Path, scale: dict, expected, draw: random.Random, step: int = 1
) -> int:
    """Flips a bit of every ``step``-th file of a finished study, and tears it; returns how many files were damaged.

    scale: its store may be a URI, in whose folder "whole" that of the finished study is.
    """
    names = [f"results/{file.relative_to(done / 'results')}" for file in sorted((done / "results").rglob("*.parquet"))]
    listed, original = root / "listed.txt", _with_store(scale, "whole")
    assert forked(lambda: listed.write_text("\n".join(_stored(_store(done, original)))) and None) == FINE
    names = [*names, *(f"store/{name}" for name in listed.read_text().split("\n"))][::step]
    for count, (name, how) in enumerate(itertools.product(names, ("flipped", "torn"))):
        folder, own = root / f"damage{count}", _with_store(scale, f"damage{count}")
        shutil.copytree(done / "results", folder / "results")
        kind, _, file = name.partition("/")
        if kind == "results":
            (folder / name).write_bytes(_damaged((folder / name).read_bytes(), how, draw))

        def prepare_store(file: str = file if kind == "store" else "", how: str = how, folder=folder, own=own) -> None:
            whole, other = _store(done, original), _store(folder, own)
            for one in _stored(whole):
                content = whole.read(one) or b""
                other.write(one, _damaged(content, how, draw) if one == file else content)

        assert forked(prepare_store) == FINE
        draw.random()  # the fork has used its own copy of it
        assert_same(ended(path, folder, data, own), expected)
        shutil.rmtree(folder)
    return 2 * len(names)


def _store(folder: Path, scale: dict) -> Store:
    return Store(scale.get("store") or folder / "store")


def _stored(store: Store) -> list[str]:
    """The names of all files that belong to a store."""
    found = (info.path[len(store.path) + 1 :] for info in store.listed("", below=True) if info.is_file)
    return sorted(name for name in found if "/." not in name and not name.startswith(".") and "/claims" not in name)


def damaged_data(
    path: Path, root: Path, data: Path, scale: dict, expected, draw: random.Random, bits: int = 8
) -> tuple[int, int]:
    """Flips bits of each file of the prepared data, and tears each; returns how often, and how often a run refused it."""
    count = refused = 0
    for file in sorted((data / "synthetic").iterdir()):
        for how in (*["flipped"] * bits, "torn"):
            folder, count = root / f"data{count}", count + 1
            shutil.copytree(data, folder / "data")
            place = folder / "data" / "synthetic" / file.name
            place.write_bytes(_damaged(place.read_bytes(), how, draw))
            status = forked(lambda folder=folder: _status_of(path, folder, scale))
            assert status in (FINE, HONEST), f"status {status} where {file.name} was {how}"
            refused += status == HONEST
            if status == HONEST:
                _prepare(folder / "data")
            assert_same(ended(path, folder, folder / "data", scale), expected)
            shutil.rmtree(folder)
    return count, refused


def _status_of(path: Path, folder: Path, scale: dict) -> int:
    try:
        return _status(make_run(path, folder, folder / "data", **scale)[0])
    except UserError:  # already as the study is opened
        return HONEST


def _prepare(root: Path) -> None:
    prepare(synthetic(subjects=2, replications=1), None, root, Preprocessing("centred", 16))


def _damaged(whole: bytes, how: str, draw: random.Random) -> bytes:
    content = bytearray(whole)
    if how == "torn":
        del content[len(content) // 2 :]
    elif content:
        bit = draw.randrange(8 * len(content))
        content[bit // 8] ^= 1 << bit % 8
    return bytes(content)


@contextmanager
def object_store(root: Path) -> Iterator[str]:
    """The URI of a folder of a server of S3's protocol."""
    from test_object_store import CREDENTIALS, Server

    os.environ.update(CREDENTIALS)
    server = Server(root)
    try:
        yield server.uri()
    finally:
        server.process.kill()
        server.process.wait()


def main() -> None:
    """See above."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=["kill", "full", "damage", "data"], action="append")
    parser.add_argument("--study", choices=[*STUDIES])
    parser.add_argument("--store", choices=["local", "s3"], default="local")
    parser.add_argument("--step", type=int, default=1, help="Every so many writes, and files of the store.")
    options = parser.parse_args()
    acts = options.only or (["kill", "full", "damage", "data"] if options.store == "local" else ["kill", "damage"])
    for kind in STUDIES:
        if options.study not in (None, kind):
            continue
        with tempfile.TemporaryDirectory() as name:
            root = Path(name)
            with object_store(root) if options.store == "s3" else nullcontext() as uri:
                clock = time.perf_counter()
                told = disturb(kind, root, acts, uri, options.step)
            took = time.perf_counter() - clock
            sys.stdout.write(f"{kind} on {options.store}: {', '.join(told)}; each table as undisturbed; {took:.0f} s\n")
            sys.stdout.flush()


def disturb(kind: str, root: Path, acts: Sequence[str], uri: str | None, step: int) -> list[str]:
    """Does the acts to a study, whose store may be below a URI; returns what was done."""
    (body, scale), done, data = STUDIES[kind], root / "whole", root / "data"
    _prepare(data)
    done.mkdir()
    path, told, draw = study_file(done, body), [], random.Random(0)
    if uri is not None:
        scale = {**scale, "store": uri}
    whole = _with_store(scale, "whole")
    expected = ended(path, done, data, whole)
    if "kill" in acts:
        told.append(f"killed at {killed_everywhere(path, root, data, scale, expected, step)} events")
    if "full" in acts:
        times, failed = filled_everywhere(path, root, data, scale, expected, step)
        told.append(f"disk full at {times} writes, {failed} runs said so")
    if "damage" in acts:
        told.append(f"{damaged_everywhere(path, done, root, data, scale, expected, draw, step)} damaged files")
    if "data" in acts:
        count, refused = damaged_data(path, root, data, scale, expected, draw)
        told.append(f"prepared data damaged {count} times, {refused} runs refused it")
    return told


if __name__ == "__main__":
    main()
