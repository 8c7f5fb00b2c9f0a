"""Preparing in several processes: the same bytes as in one, whatever happens to them."""

import os
import signal
import subprocess
import sys
import threading
import time
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from raw_files import Drawn, drawn_benchmark, write_nwucla

from skelray.data import NWUCLA, DataError, Preprocessing, Recording, load_splits, open_dataset, prepare
from skelray.data.preparation.partial import BLOCK
from skelray.data.preparation.workers import CHUNK, Recipe, in_order
from skelray.data.preprocess import channels_first

COUNT = 3 * BLOCK + 17
BENCHMARK = drawn_benchmark(COUNT)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    root = tmp_path_factory.mktemp("whole")
    prepare(BENCHMARK, None, root)
    return root


def files(root, name="drawn"):
    return {path.name: path.read_bytes() for path in (root / name).iterdir()}


@pytest.mark.parametrize("workers", [2, 5])
def test_the_result_does_not_depend_on_their_number(whole, tmp_path, workers):
    seen = []
    prepare(BENCHMARK, None, tmp_path, progress=lambda done, total: seen.append((done, total)), workers=workers)
    assert seen == [(done, COUNT) for done in range(1, COUNT + 1)]
    assert files(tmp_path) == files(whole)


def test_a_zip_is_read_by_several_processes(tmp_path):
    folder = write_nwucla(tmp_path / "raw", 120)
    with zipfile.ZipFile(tmp_path / "raw.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for file in folder.iterdir():
            archive.write(file, file.name)
    for root, source, workers in (("one", folder, 1), ("three", tmp_path / "raw.zip", 3)):
        prepare(NWUCLA, source, tmp_path / root, workers=workers)
    assert files(tmp_path / "one", "nwucla")["sequences.npy"] == files(tmp_path / "three", "nwucla")["sequences.npy"]
    assert open_dataset(tmp_path / "one", "nwucla").fingerprint == open_dataset(tmp_path / "three", "nwucla").fingerprint


class Counted(Drawn):
    """Counts in a file, over all processes, which recordings were asked for."""

    def __init__(self, count, path):
        super().__init__(count)
        self.path = path

    def __getitem__(self, at):
        if isinstance(at, slice):
            part = Counted(0, self.path)
            part.extend(super().__getitem__(at))
            return part
        with open(self.path, "a") as file:
            file.write(f"{at}\n")
        return super().__getitem__(at)


def test_no_more_waits_than_two_chunks_a_process(tmp_path):
    path = tmp_path / "asked"
    path.touch()
    recordings = Counted(40 * CHUNK, path)
    prepared = in_order(recordings, Recipe(BENCHMARK, Preprocessing(), "float32"), 2)
    next(prepared)
    time.sleep(0.5)
    asked = len(path.read_text().splitlines())
    assert CHUNK <= asked <= 4 * CHUNK
    prepared.close()


class Noted(Recipe):
    """Tells in which process a recording was prepared."""

    def __call__(self, recording):
        return {"process": os.getpid()}, None


@pytest.mark.parametrize("threaded", [False, True])
def test_nothing_is_forked_beside_a_running_thread(threaded):
    over = threading.Event()
    other = threading.Thread(target=over.wait)
    if threaded:
        other.start()
    try:
        prepared = list(in_order(Drawn(3 * CHUNK), Noted(BENCHMARK, Preprocessing(), "float32"), 2))
    finally:
        over.set()
    assert len(prepared) == 3 * CHUNK
    assert {entry["process"] == os.getpid() for entry, _ in prepared} == {threaded}


def test_the_progress_bar_has_no_thread(tmp_path, monkeypatch):
    from click.testing import CliRunner

    from skelray import data
    from skelray.cli import prepare as cli_prepare

    threads = []

    def prepare(*given, progress, **how):
        progress(1, 2)
        threads.extend(threading.enumerate())
        return "prepared"

    monkeypatch.setenv("TTY_COMPATIBLE", "1")  # as on a terminal
    monkeypatch.setattr(data, "prepare", prepare)
    told = CliRunner().invoke(cli_prepare.prepare_command, ["synthetic", "--data", str(tmp_path)])
    assert "prepared" in told.output
    assert "1/2" in told.output
    assert threads == [threading.current_thread()]


def test_an_error_in_a_process_is_told_as_it_is(tmp_path):
    with pytest.raises(DataError, match="label 2"):
        prepare(replace(BENCHMARK, classes=("a", "b")), None, tmp_path, workers=2)


class Deadly(Drawn):
    def __getitem__(self, at):
        if not isinstance(at, slice) and at == 5 * CHUNK:
            os.kill(os.getpid(), signal.SIGKILL)
        found = super().__getitem__(at)
        if isinstance(at, slice):
            part = Deadly(0)
            part.extend(found)
            return part
        return found


def test_a_killed_process_is_one_sentence_and_loses_nothing(whole, tmp_path):
    deadly = replace(BENCHMARK, recordings=lambda source: Deadly(COUNT))
    deadly.recordings.__qualname__ = BENCHMARK.recordings.__qualname__  # what stands for a source that is no file
    with pytest.raises(DataError, match="a process that prepared data was killed, perhaps for want of memory"):
        prepare(deadly, None, tmp_path, workers=2)
    seen = []
    prepare(BENCHMARK, None, tmp_path, progress=lambda done, total: seen.append(done), workers=2)
    assert seen[-1] == COUNT
    assert files(tmp_path) == files(whole)


CHILD = """
import os, signal, sys
from pathlib import Path
from raw_files import drawn_benchmark
from skelray.data import prepare
root, count, at = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
def die(done, total):
    if done == at:
        print(*[line.split()[0] for line in os.popen(f"ps -o pid= --ppid {os.getpid()}")], flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
prepare(drawn_benchmark(count), None, root, progress=die, workers=3)
"""


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z" if Path(f"/proc/{pid}/stat").exists() else False


def test_killed_with_its_processes_it_goes_on_and_leaves_none_behind(whole, tmp_path):
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent.parent.parent / "tests" / "helpers"), *sys.path]),
    }
    for at in (BLOCK - 1, 2 * BLOCK + 5):
        command = [sys.executable, "-c", CHILD, str(tmp_path), str(COUNT), str(at)]
        with open(tmp_path / "children", "w") as out:
            child = subprocess.run(command, env=environment, stdout=out, stderr=subprocess.PIPE, timeout=60, check=False)
        assert child.returncode == -signal.SIGKILL, child.stderr.decode()
        with pytest.raises(DataError, match="is not prepared in"):
            load_splits(tmp_path, "drawn", "xsub")
        pids = [int(word) for word in (tmp_path / "children").read_text().split()]
        assert len(pids) >= 3
        deadline = time.monotonic() + 10
        while any(map(alive, pids)):
            assert time.monotonic() < deadline, "a process outlived its parent"
            time.sleep(0.05)
    prepare(BENCHMARK, None, tmp_path, workers=2)
    assert files(tmp_path) == files(whole)


@pytest.mark.parametrize("path", ["centred", "rigid"])
def test_half_precision_halves_the_disk_and_is_read_as_float32(tmp_path, path):
    preprocessing = Preprocessing(path, 40)
    whole = prepare(BENCHMARK, None, tmp_path / "whole", preprocessing)
    half = prepare(BENCHMARK, None, tmp_path / "half", preprocessing, dtype="float16", workers=2)
    assert half.fingerprint != whole.fingerprint
    one, other = open_dataset(tmp_path / "whole", "drawn"), open_dataset(tmp_path / "half", "drawn")
    assert other.sequences.dtype == np.float16
    assert other.sequences.nbytes * 2 == one.sequences.nbytes
    sizes = [(tmp_path / kind / "drawn" / "sequences.npy").stat().st_size for kind in ("whole", "half")]
    assert sizes[0] - 128 == 2 * (sizes[1] - 128)  # but the header
    for frames in (None, 40, 16, 50, 64):  # views at other frame counts come from the one prepared copy
        x, y = one.batch([0, 5, 9], frames), other.batch([0, 5, 9], frames)
        assert x.dtype == y.dtype == np.float32
        assert x.shape == y.shape == (3, 3, frames or 40, 20, 2)
        np.testing.assert_allclose(x, y, rtol=2e-3, atol=2e-3)
        np.testing.assert_array_equal(one.lengths([0, 5, 9], frames), other.lengths([0, 5, 9], frames))
    again = prepare(BENCHMARK, None, tmp_path / "half", preprocessing, dtype="float16")
    assert again.already
    assert not prepare(BENCHMARK, None, tmp_path / "half", preprocessing).already


def test_half_precision_refuses_what_it_cannot_hold(tmp_path):
    far = Recording("far", np.random.default_rng(0).normal(0, 1e6, (12, 1, 20, 3)).astype(np.float32), 0, subject=1)
    both = replace(BENCHMARK, recordings=lambda source: [far, *Drawn(30)])
    assert "far" not in prepare(both, None, tmp_path).skipped["coordinates that are not finite"]
    report = prepare(both, None, tmp_path, dtype="float16")
    assert "far" in report.skipped["coordinates that are not finite"]


def test_what_is_preprocessed_is_not_preprocessed_again(tmp_path):
    done = Preprocessing(frames=30)
    sequences = [
        replace(
            r, bodies=np.moveaxis(done(r.bodies, BENCHMARK.skeleton, 2), (0, 1, 2, 3), (3, 0, 2, 1)), frames=len(r.bodies)
        )
        for r in Drawn(60)
        if isinstance(r, Recording) and np.isfinite(r.bodies).all()
    ]
    ready = replace(BENCHMARK, recordings=lambda source: sequences, preprocessed=done)
    one, two = prepare(BENCHMARK, None, tmp_path / "raw", done), prepare(ready, None, tmp_path / "ready")
    raw, kept = open_dataset(tmp_path / "raw", "drawn"), open_dataset(tmp_path / "ready", "drawn")
    np.testing.assert_array_equal(raw.sequences[: len(kept)], kept.sequences)
    assert kept.samples["frames"].tolist() == raw.samples["frames"].tolist()[: len(kept)]
    assert one.sequences > two.sequences > 40
    prepare(ready, None, tmp_path / "ready", done)
    for other in (Preprocessing(frames=50), Preprocessing("rigid", 30)):
        with pytest.raises(DataError, match="centred with 30 frames already, and are not preprocessed twice"):
            prepare(ready, None, tmp_path / "ready", other)
    longer = replace(ready, preprocessed=Preprocessing(frames=31))
    with pytest.raises(DataError, match="frames, bodies"):
        prepare(longer, None, tmp_path / "longer")
    assert channels_first(sequences[0].bodies).shape == (3, 30, 20, 2)


def test_settings_are_checked(tmp_path):
    with pytest.raises(ValueError, match="dtype 'float64'"):
        prepare(BENCHMARK, None, tmp_path, dtype="float64")
    with pytest.raises(ValueError, match="workers 0"):
        prepare(BENCHMARK, None, tmp_path, workers=0)
