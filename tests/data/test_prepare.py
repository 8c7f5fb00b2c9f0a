"""Preparing: what comes out, what is left out, and that a kill, a full disk or a torn file loses nothing."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from raw_files import Drawn, drawn_benchmark, write_nwucla

from skelray.data import NWUCLA, SYNTHETIC, DataError, Preprocessing, Recording, load_splits, open_dataset, prepare
from skelray.data.inspection.describe import describe
from skelray.data.preparation import partial as partial_module
from skelray.data.preparation.partial import BLOCK, Partial

COUNT = 3 * BLOCK + 17
BENCHMARK = drawn_benchmark(COUNT)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A root in which the drawn benchmark was prepared without disturbance."""
    root = tmp_path_factory.mktemp("whole")
    prepare(BENCHMARK, None, root)
    return root


def files(root):
    return {path.name: path.read_bytes() for path in (root / "drawn").iterdir()}


def test_what_is_prepared(tmp_path):
    seen = []
    report = prepare(BENCHMARK, None, tmp_path, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(done, COUNT) for done in range(1, COUNT + 1)]
    expected = [recording for recording in Drawn(COUNT) if hasattr(recording, "bodies")]
    kept = [r for r in expected if np.isfinite(r.bodies).all() and r.bodies.any()]
    dataset = open_dataset(tmp_path, "drawn")
    assert len(dataset) == report.sequences == len(kept)
    assert dataset.samples["name"].tolist() == [recording.name for recording in kept]
    assert dataset.samples["frames"].sum() == report.frames == sum(len(recording.bodies) for recording in kept)
    assert dataset.skeleton == BENCHMARK.skeleton
    assert dataset.classes == BENCHMARK.classes
    for at in (0, len(kept) - 1):
        np.testing.assert_array_equal(dataset.sequences[at], Preprocessing()(kept[at].bodies, BENCHMARK.skeleton, 2))
    assert set(report.skipped) == {"said so", "no skeleton in it", "coordinates that are not finite"}
    assert report.empty == report.skipped["no skeleton in it"]
    assert sum(map(len, report.skipped.values())) == COUNT - len(kept)
    assert len(report.short) == sum(len(recording.bodies) < 10 for recording in kept)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".drawn.lock", "drawn"]
    assert sorted(files(tmp_path)) == ["dataset.json", "samples.parquet", "sequences.npy"]
    text = str(report)
    assert f"{len(kept):,} sequences" in text
    assert "skipped, said so: r0005, r0016, r0027 and" in text


def test_coordinates_that_overflow_are_left_out(tmp_path):
    bodies = np.full((12, 1, 20, 3), 3e38, np.float32)
    bodies[:, :, ::2] *= -1
    odd = Recording("huge", bodies, 0, subject=1, camera=1)
    report = prepare(replace(BENCHMARK, recordings=lambda source: [odd, *Drawn(20)]), None, tmp_path)
    assert "huge" in report.skipped["coordinates that are not finite"]
    assert np.isfinite(open_dataset(tmp_path, "drawn").sequences).all()


def test_a_second_time_does_nothing_unless_forced_or_changed(whole, tmp_path):
    shutil.copytree(whole, tmp_path, dirs_exist_ok=True)
    before = files(tmp_path)
    again = prepare(BENCHMARK, None, tmp_path, progress=lambda *_: pytest.fail("read again"))
    assert again.already
    assert "nothing was done" in str(again)
    assert again.fingerprint == json.loads(before["dataset.json"])["fingerprint"]
    assert not prepare(BENCHMARK, None, tmp_path, force=True).already
    assert files(tmp_path) == before
    other = prepare(BENCHMARK, None, tmp_path, Preprocessing("rigid", 64))
    assert not other.already
    assert other.fingerprint != again.fingerprint
    assert open_dataset(tmp_path, "drawn").sequences.shape[2] == 64


def test_a_corrupt_data_set_is_prepared_anew(whole, tmp_path):
    shutil.copytree(whole, tmp_path, dirs_exist_ok=True)
    before = files(tmp_path)
    os.truncate(tmp_path / "drawn" / "sequences.npy", 1000)
    assert not prepare(BENCHMARK, None, tmp_path).already
    assert files(tmp_path) == before


CHILD = """
import os, signal, sys
from pathlib import Path
from raw_files import drawn_benchmark
from skelray.data.preparation import partial
from skelray.data import prepare
root, count, at = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
def die(*_, **__): os.kill(os.getpid(), signal.SIGKILL)
if at == "rename":
    partial.Path.rename = die
if at == "parquet":
    partial.pd.DataFrame.to_parquet = die
prepare(drawn_benchmark(count), None, root, progress=lambda done, _: die() if str(done) == at else None)
"""


def test_a_killed_prepare_goes_on(whole, tmp_path):
    finished = []
    for at in (BLOCK - 1, 2 * BLOCK + 5, COUNT, "parquet", "rename"):
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent.parent.parent / "tests" / "helpers"), *sys.path]),
        }
        command = [sys.executable, "-c", CHILD, str(tmp_path), str(COUNT), str(at)]
        child = subprocess.run(command, env=environment, capture_output=True, timeout=60)
        assert child.returncode == -signal.SIGKILL, child.stderr.decode()
        with pytest.raises(DataError, match="is not prepared in"):
            load_splits(tmp_path, "drawn", "xsub")
        journal = tmp_path / ".drawn.partial" / "journal.jsonl"
        finished.append(len(journal.read_text().splitlines()))
    assert finished == [0, 2 * BLOCK, 3 * BLOCK, COUNT, COUNT]
    seen = []
    prepare(BENCHMARK, None, tmp_path, progress=lambda done, total: seen.append(done))
    assert seen == []
    assert files(tmp_path) == files(whole)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(stop=st.integers(1, COUNT), torn=st.integers(0, 200), more=st.binary(max_size=50), header=st.booleans())
def test_a_torn_partial_goes_on(whole, tmp_path, stop, torn, more, header):
    def interrupt(done, total):
        if done == stop:
            raise KeyboardInterrupt

    shutil.rmtree(tmp_path / "drawn", ignore_errors=True)
    with pytest.raises(KeyboardInterrupt):
        prepare(BENCHMARK, None, tmp_path, progress=interrupt)
    folder = tmp_path / ".drawn.partial"
    journal = folder / "journal.jsonl"
    os.truncate(journal, max(0, journal.stat().st_size - torn))  # the array is written first and may be ahead
    with open(folder / "sequences.npy", "ab") as file:
        file.write(more)
    if header:
        with open(folder / "sequences.npy", "r+b") as file:
            np.lib.format.write_array_header_1_0(
                file, {"descr": "<f4", "fortran_order": False, "shape": (stop, 3, 50, 20, 2)}
            )
    prepare(BENCHMARK, None, tmp_path)
    assert files(tmp_path) == files(whole)


@pytest.mark.parametrize("damage", ["settings.json", "journal.jsonl", "sequences.npy"])
def test_an_unreadable_partial_starts_over(whole, tmp_path, damage):
    def interrupt(done, total):
        if done == COUNT - 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare(BENCHMARK, None, tmp_path, progress=interrupt)
    (tmp_path / ".drawn.partial" / damage).write_bytes(b"?\n")
    prepare(BENCHMARK, None, tmp_path)
    assert files(tmp_path) == files(whole)


def test_other_settings_start_over(tmp_path):
    def interrupt(done, total):
        if done == COUNT - 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare(BENCHMARK, None, tmp_path, progress=interrupt)
    seen = []
    prepare(BENCHMARK, None, tmp_path, Preprocessing(frames=20), progress=lambda done, total: seen.append(done))
    assert seen[0] == 1
    assert open_dataset(tmp_path, "drawn").sequences.shape[2] == 20


def test_recordings_that_are_no_sequence_go_on_too(whole, tmp_path):
    benchmark = replace(BENCHMARK, recordings=lambda source: iter(Drawn(COUNT)))
    seen = []

    def interrupt(done, total):
        seen.append((done, total))
        if done == BLOCK + 3 and len(seen) <= BLOCK + 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare(benchmark, None, tmp_path, progress=interrupt)
    prepare(benchmark, None, tmp_path, progress=interrupt)
    assert seen[BLOCK + 3] == (BLOCK + 1, None)
    for name, content in files(tmp_path).items():
        if name != "dataset.json":
            assert content == files(whole)[name]
    assert open_dataset(tmp_path, "drawn").fingerprint == open_dataset(whole, "drawn").fingerprint


def test_a_full_disk_is_one_sentence_and_loses_nothing(whole, tmp_path, monkeypatch):
    write, calls = Partial.flush, []

    def full(self):
        calls.append(1)
        if len(calls) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(self)

    with monkeypatch.context() as patch:
        patch.setattr(Partial, "flush", full)
        with pytest.raises(DataError, match="is full: make room") as error:
            prepare(BENCHMARK, None, tmp_path)
    assert len(str(error.value).splitlines()) == 1
    seen = []
    prepare(BENCHMARK, None, tmp_path, progress=lambda done, total: seen.append(done))
    assert seen[0] == BLOCK + 1
    assert files(tmp_path) == files(whole)


@pytest.mark.parametrize("damage", ["counts", "source", "skipped", "deep"])
def test_a_data_set_that_does_not_say_what_it_was_made_from_is_prepared_anew(whole, tmp_path, damage):
    shutil.copytree(whole, tmp_path, dirs_exist_ok=True)
    before, path = files(tmp_path), tmp_path / "drawn" / "dataset.json"
    about = json.loads(path.read_text())
    (about["counts"] if damage == "skipped" else about).pop(damage, None)
    path.write_text("[" * 10**5 if damage == "deep" else json.dumps(about))
    with pytest.raises(DataError, match=r"dataset\.json (cannot be read|does not say what drawn was made from)"):
        describe(tmp_path, "drawn")
    assert not prepare(BENCHMARK, None, tmp_path).already
    assert files(tmp_path) == before


def test_room_is_checked_before_anything_is_read(tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(DataError, match=r"needs 0\.0 GB more in .*0\.0 GB are free"):
        prepare(BENCHMARK, None, tmp_path, progress=lambda *_: pytest.fail("read"))


def test_an_existing_data_set_stays_until_the_new_one_is_whole(whole, tmp_path, monkeypatch):
    shutil.copytree(whole, tmp_path, dirs_exist_ok=True)
    before = files(tmp_path)

    def fail(*_, **__):
        raise OSError(errno.EIO, "broken")

    with monkeypatch.context() as patch:
        patch.setattr(partial_module.pd.DataFrame, "to_parquet", fail)
        with pytest.raises(DataError, match="could not be prepared"):
            prepare(BENCHMARK, None, tmp_path, Preprocessing(frames=20))
    assert files(tmp_path) == before


def test_a_kill_between_the_old_and_the_new_one_goes_on(whole, tmp_path, monkeypatch):
    prepare(BENCHMARK, None, tmp_path, Preprocessing(frames=20))
    rename = Path.rename

    def interrupt(self, target):
        if self.suffix == ".partial":
            raise KeyboardInterrupt
        return rename(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", interrupt)
        with pytest.raises(KeyboardInterrupt):
            prepare(BENCHMARK, None, tmp_path)
    with pytest.raises(DataError, match="is not prepared in"):
        open_dataset(tmp_path, "drawn")
    prepare(BENCHMARK, None, tmp_path, progress=lambda *_: pytest.fail("read again"))
    assert files(tmp_path) == files(whole)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".drawn.lock", "drawn"]


@pytest.mark.parametrize("suffix", [".old", ".partial", ".lock"])
def test_a_data_set_of_any_name_outlives_another_one(tmp_path, suffix):
    small = drawn_benchmark(20)
    other = prepare(replace(small, name=f"drawn{suffix}"), None, tmp_path)
    for _ in range(2):
        prepare(small, None, tmp_path, force=True)
        assert open_dataset(tmp_path, f"drawn{suffix}").fingerprint == other.fingerprint
    visible = {path.name for path in tmp_path.iterdir() if not path.name.startswith(".")}
    assert visible == {"drawn", f"drawn{suffix}"}


@pytest.mark.parametrize("name", ["", ".hidden", "../up", "a/b", "-x"])
def test_a_name_that_is_no_folder_is_one_sentence(tmp_path, name):
    with pytest.raises(DataError, match="a data set cannot be named"):
        prepare(replace(drawn_benchmark(20), name=name), None, tmp_path / "data")
    assert not list(tmp_path.iterdir())


def test_the_source_is_recognised_by_its_files(tmp_path):
    source = write_nwucla(tmp_path / "raw")
    first = prepare(NWUCLA, source, tmp_path)
    assert prepare(NWUCLA, source, tmp_path).already
    shutil.copytree(source, tmp_path / "elsewhere")
    assert prepare(NWUCLA, tmp_path / "elsewhere", tmp_path / "two").fingerprint == first.fingerprint
    copied = prepare(NWUCLA, tmp_path / "elsewhere", tmp_path)  # of another time, and no other source
    assert (copied.already, copied.fingerprint) == (True, first.fingerprint)
    assert not prepare(NWUCLA, tmp_path / "elsewhere", tmp_path, Preprocessing(frames=20)).already
    prepare(NWUCLA, source, tmp_path)
    changed = next((tmp_path / "elsewhere").iterdir())
    changed.write_text(changed.read_text().replace("0.1", "0.2", 1))
    with pytest.raises(DataError, match="--name ANOTHER keeps both, --force replaces it"):
        prepare(NWUCLA, tmp_path / "elsewhere", tmp_path)
    changed = next(source.iterdir())
    changed.write_text(changed.read_text().replace("0.", "1.", 1))
    second = prepare(NWUCLA, source, tmp_path)
    assert not second.already
    assert second.fingerprint != first.fingerprint
    next(source.iterdir()).unlink()
    assert not prepare(NWUCLA, source, tmp_path).already


def test_a_generated_benchmark_is_recognised_by_its_settings(tmp_path):
    small = replace(SYNTHETIC, recordings=replace(SYNTHETIC.recordings, subjects=2, replications=1))
    assert prepare(small, None, tmp_path).sequences == 120
    assert prepare(small, None, tmp_path).already
    other = replace(SYNTHETIC, recordings=replace(small.recordings, seed=1))
    assert not prepare(other, None, tmp_path).already


def test_what_is_no_data_set_is_one_sentence(tmp_path):
    nothing = [Drawn(0).one(5), Drawn(0).one(7)]
    with pytest.raises(DataError, match=r"no usable sequence of drawn \(no skeleton in it; said so\)"):
        prepare(replace(BENCHMARK, recordings=lambda source: nothing), None, tmp_path)
    with pytest.raises(DataError, match="r0000 has bodies"):
        prepare(replace(BENCHMARK, skeleton=SYNTHETIC.skeleton), None, tmp_path / "joints")
    with pytest.raises(DataError, match="label 1"):
        prepare(replace(BENCHMARK, classes=("a",)), None, tmp_path / "classes")
