"""The store: what goes in comes out, nothing is ever half there, and one process works on a trial at a time."""

import errno
import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import fs
from tiny import same_state

from skelray.identity.canonical import digest
from skelray.store.store import Store, StoreError

STATE = {
    "epoch": 3,
    "model": {"weight": torch.arange(600.0).view(20, 30), "count": torch.tensor(7)},
    "optimizer": {"state": {0: {"momentum_buffer": torch.ones(3)}}, "param_groups": [{"lr": 0.1, "params": [0]}]},
    "history": [[1, {"loss": 0.1 + 0.2}, 1.5], [2, {"loss": 1e-17, "held_out_top1": 1 / 3}, 2.5]],
}
KNN = {"type": "KNN", "k": 1, "temperature": None}
LINEAR = {"type": "Linear", "lr": 3}
PROVENANCE = {"device": "cpu", "version": "v", "commit": "c"}
RESULT = {"evaluation": "knn", "metrics": {"top1": 0.2}, "files": [], "seconds": 1.5, **PROVENANCE}
RESULT["started"] = "2026-01-02T03:04:05+00:00"


def memory_store():
    """A file system that is not the local one: pyarrow's, in memory."""
    store = Store("/nowhere")
    store.files, store.path, store.local = fs._MockFileSystem(), "bucket/prefix", False
    return store


@pytest.fixture(params=["local", "uri", "memory"])
def store(request, tmp_path):
    if request.param == "memory":
        return memory_store()
    return Store(tmp_path / "store" if request.param == "local" else (tmp_path / "store").as_uri())


# Round trips, on every file system


@pytest.mark.parametrize("content", [b"", b"text", bytes(range(256)) * 5000], ids=["empty", "short", "long"])
def test_content_goes_round(store, content):
    store.write("a/b/name.bin", content)
    assert store.read("a/b/name.bin") == content
    store.write("a/b/name.bin", content + b"!")
    assert store.read("a/b/name.bin") == content + b"!"
    assert store.names("a/b") == ["name.bin"]


def test_what_is_not_there_is_none(store):
    assert store.read("no/such") is None
    assert store.read_json("no/such.json") is None
    assert store.names("no") == []
    store.remove("no/such")
    trial = store.trial("t")
    assert trial.state() is trial.encoder(3) is trial.failure(3) is trial.result(3, KNN) is trial.scores(3, KNN) is None
    assert not trial.has_encoder(3)
    trial.clear_failure(3)


def test_names_are_sorted_files_only(store):
    for name in ("b", "a", "c/deeper"):
        store.write(f"folder/{name}", b"")
    assert store.names("folder") == ["a", "b"]
    store.remove("folder/a")
    assert store.names("folder") == ["b"]


def test_json_goes_round_to_the_last_digit(store):
    content = {"value": 0.1 + 0.2, "tiny": 5e-324, "list": [1, "ü", None, True], "nested": {"1": -0.0}}
    store.write_json("x.json", content)
    assert store.read_json("x.json") == content


def test_a_state_goes_round(store):
    trial = store.trial("t")
    trial.save_state(STATE)
    assert same_state(trial.state(), STATE)
    assert store.trial("other").state() is None


def test_encoders_of_several_epochs_lie_side_by_side(store):
    trial = store.trial("t")
    for epoch in (10, 20):
        trial.save_encoder(epoch, {"model": {"weight": torch.full((2,), float(epoch))}, "history": []})
    assert [trial.has_encoder(epoch) for epoch in (1, 10, 20)] == [False, True, True]
    assert trial.encoder(10)["model"]["weight"].tolist() == [10, 10]
    assert trial.encoder(20)["model"]["weight"].tolist() == [20, 20]


def test_scores_and_figures_go_round(store):
    trial = store.trial("t")
    arrays = {"scores": np.random.default_rng(0).random((5, 3), np.float32), "labels": np.arange(5), "rows": np.arange(5)}
    trial.save_scores(10, KNN, arrays, RESULT)
    assert trial.result(10, KNN) == RESULT
    found = trial.scores(10, KNN)
    assert found.keys() == arrays.keys()
    assert all(np.array_equal(found[name], array) and found[name].dtype == array.dtype for name, array in arrays.items())
    for epoch, evaluation in ((10, LINEAR), (20, KNN)):
        assert trial.result(epoch, evaluation) is None
        assert trial.scores(epoch, evaluation) is None


def test_a_failure_stays_until_it_is_cleared(store):
    trial = store.trial("t")
    trial.save_failure(3, {"cause": "diverged", "line": "the loss is nan"})
    found = trial.failure(3)
    assert (found["cause"], found["line"], found["process"]) == ("diverged", "the loss is nan", os.getpid())
    assert abs(found["time"] - time.time()) < 60
    trial.clear_failure(3)
    assert trial.failure(3) is None


def test_the_first_specification_stays(store):
    trial = store.trial("t")
    first = {"trial": {"seed": 1}, "data": "d"}
    trial.save_spec(first)
    trial.save_spec({"trial": {"seed": 2}, "data": "d"})
    assert store.read_json("t/spec.json") == trial.spec() == first


def test_a_claim_lets_its_holder_write_and_can_be_had_again(store):
    for _ in range(2):
        with store.trial("t").claim(3):
            store.write("t/x", b"1")
    assert store.names("t").count("x") == 1


def test_a_store_is_where_it_was_when_the_working_folder_changes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    store = Store("relative")
    store.write("x", b"1")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert store.read("x") == b"1"
    assert (tmp_path / "relative" / "x").is_file()


# Never half of anything


class Breaking:
    """A file system whose operations fail on the way."""

    def __init__(self, files, where, error):
        self.files, self.where, self.error = files, where, error

    def __getattr__(self, name):
        return getattr(self.files, name)

    def open_output_stream(self, path):
        stream = self.files.open_output_stream(path)
        return BreakingStream(stream, self.error) if self.where == "write" else stream

    def move(self, source, target):
        if self.where == "move":
            raise self.error
        self.files.move(source, target)

    def create_dir(self, path, recursive):
        if self.where == "folder":
            raise self.error
        self.files.create_dir(path, recursive=recursive)


class BreakingStream:
    """Takes half of what it is given."""

    def __init__(self, stream, error):
        self.stream, self.error = stream, error

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stream.close()

    def write(self, content):
        self.stream.write(content[: len(content) // 2])
        raise self.error


FULL = OSError(errno.ENOSPC, "No space left on device")
OFFLINE = OSError("connection reset by peer")


@pytest.mark.parametrize("where", ["write", "move", "folder"])
@pytest.mark.parametrize(("error", "said"), [(FULL, "the disk is full"), (OFFLINE, "connection reset by peer")])
def test_a_write_that_fails_leaves_what_was_there(store, where, error, said):
    trial = store.trial("t")
    trial.save_state(STATE)
    whole = store.files
    store.files = Breaking(whole, where, error)
    with pytest.raises(StoreError, match=said) as caught:
        trial.save_state({**STATE, "epoch": 4})
    message = str(caught.value)
    assert "t/checkpoint.json was not written" in message
    assert "\n" not in message
    assert isinstance(caught.value, OSError)
    store.files = whole
    assert trial.state()["epoch"] == 3
    everything = whole.get_file_info(fs.FileSelector(store.path, recursive=True))
    assert sorted(info.base_name for info in everything if info.is_file) == ["checkpoint.json", "checkpoint.pt"]
    trial.save_state({**STATE, "epoch": 4})
    assert trial.state()["epoch"] == 4


def test_what_is_referred_to_is_on_the_disk_before_what_refers_to_it(tmp_path, monkeypatch):
    """Each file is synced, moved into place and its folder synced before the next is written: scores, figures, record."""
    trial, events = Store(tmp_path).trial("t"), []
    move, sync = trial.store.files.move, os.fsync

    class Watched(Breaking):
        def move(self, source, target):
            move(source, target)
            events.append(("move", Path(source).name, Path(target).name))

    def synced(place):
        sync(place)
        events.append(("sync", Path(os.readlink(f"/proc/self/fd/{place}")).name))

    monkeypatch.setattr(os, "fsync", synced)
    trial.store.files = Watched(trial.store.files, "", None)
    trial.save_encoder(3, {"model": {}, "history": STATE["history"]})
    trial.save_scores(3, KNN, ARRAYS, RESULT)
    trial.save_record(3, [KNN])
    assert len(events) == 3 * 5
    for first, then, last in zip(events[::3], events[1::3], events[2::3], strict=True):
        assert first == ("sync", then[1])
        assert (then[0], last) == ("move", ("sync", "t"))
    name = f"3-{digest(KNN)}"
    order = ["encoder-3.json", "encoder-3.pt", f"{name}.npz", f"{name}.json", "record-3.json"]
    assert [event[2] for event in events[1::3]] == order


def test_a_real_full_disk():
    """/dev/full takes nothing."""
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    store = memory_store()
    store.files = Full()
    with pytest.raises(StoreError, match="the disk is full"):
        store.write("x", b"1" * 100_000)


class Full:
    """Every file of it is /dev/full."""

    local = fs.LocalFileSystem()

    def create_dir(self, path, recursive):
        pass

    def open_output_stream(self, path):
        return self.local.open_output_stream("/dev/full")

    def delete_file(self, path):
        raise FileNotFoundError(path)


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("in the way")
    for attempt in (lambda s: s.write("t/x", b"1"), lambda s: s.claim("t").__enter__()):
        with pytest.raises(StoreError) as caught:
            attempt(Store(tmp_path / "file"))
        assert "\n" not in str(caught.value)
        assert str(tmp_path / "file") in str(caught.value)


KILLED_WRITER = """
import os, signal, sys
from skelray.store.store import Store
store = Store(sys.argv[1])
move = store.files.move
class Files:
    def __getattr__(self, name):
        return getattr(files, name)
    def move(self, source, target):
        os.kill(os.getpid(), signal.SIGKILL)
files, store.files = store.files, Files()
store.write("t/x", b"new" * 1000)
"""


def python(script, *arguments, **options):
    return subprocess.Popen([sys.executable, "-c", script, *map(str, arguments)], text=True, **options)


def test_a_killed_writer_leaves_the_old_and_the_next_claim_cleans_up(tmp_path):
    store = Store(tmp_path)
    store.write("t/x", b"old")
    assert python(KILLED_WRITER, tmp_path).wait(60) == -signal.SIGKILL
    assert store.read("t/x") == b"old"
    assert len(list((tmp_path / "t").iterdir())) == 2  # the leftover
    (leftover,) = (tmp_path / "t").glob(".*.tmp")
    with store.claim("t"):
        assert leftover.exists()  # it may be a living writer's
    os.utime(leftover, (time.time() - 7200,) * 2)
    with store.claim("t"):
        assert not leftover.exists()
    assert store.read("t/x") == b"old"


def test_a_reader_sees_the_old_or_the_new(tmp_path):
    """While a writer replaces a file again and again."""
    store = Store(tmp_path)
    contents = [b"0" * 300_000, b"1" * 300_000]
    store.write("x", contents[0])
    ended = threading.Event()

    def write():
        for content in itertools.cycle(contents):
            if ended.is_set():
                return
            Store(tmp_path).write("x", content)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        seen = {store.read("x") for _ in range(300)}
    finally:
        ended.set()
        writer.join()
    assert seen == set(contents)


# Damage from outside


def packed(tmp_path):
    trial = Store(tmp_path).trial("t")
    trial.save_state(STATE)
    return trial, tmp_path / "t" / "checkpoint.pt"


@given(share=st.floats(0, 1, exclude_max=True))
@settings(max_examples=40, deadline=None)
def test_a_truncated_checkpoint_is_as_good_as_none(tmp_path_factory, share):
    trial, path = packed(tmp_path_factory.mktemp("store"))
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    assert trial.state() is None


@given(share=st.floats(0, 1, exclude_max=True), noise=st.binary(min_size=1, max_size=200))
@settings(max_examples=300, deadline=None)
def test_an_overwritten_checkpoint_is_whole_or_as_good_as_none(tmp_path_factory, share, noise):
    trial, path = packed(tmp_path_factory.mktemp("store"))
    content = bytearray(path.read_bytes())
    at = int(len(content) * share)
    content[at : at + len(noise)] = noise
    path.write_bytes(content)
    found = trial.state()
    assert found is None or same_state(found, STATE)


def test_torch_reads_a_checkpoint_by_itself(tmp_path):
    _, path = packed(tmp_path)
    assert same_state(torch.load(path, weights_only=True), STATE)


def test_a_checkpoint_of_another_hand_is_as_good_as_none(tmp_path):
    """Nothing says that it is whole."""
    trial, path = packed(tmp_path)
    torch.save(STATE, path)
    assert trial.state() is None


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04", b"\x80\x02."])
def test_rubbish_is_as_good_as_none(tmp_path, content):
    trial, path = packed(tmp_path)
    path.write_bytes(content)
    assert trial.state() is None


def test_reading_a_checkpoint_runs_no_code(tmp_path):
    trial, _ = packed(tmp_path)
    trial.save_state({"epoch": Exploit(tmp_path / "ran")})
    assert trial.state() is None
    assert not (tmp_path / "ran").exists()


class Exploit:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


DAMAGE = [
    b"",
    b'{"cause": "div',
    b"\xff\xfe",
    b"null",
    b"[]",
    b"3",
    b'{"cause": 3}',
    b'{"metrics": {"top1": NaN}}',
    b"[" * 100_000,
]
READERS = {
    "result": (lambda t: t.result(3, KNN), f"3-{digest(KNN)}.json"),
    "failure": (lambda t: t.failure(3), "failure-3.json"),
    "spec": (lambda t: t.spec(), "spec.json"),
    "scores": (lambda t: t.scores(3, KNN), f"3-{digest(KNN)}.npz"),
    "state": (lambda t: t.state(), "checkpoint.pt"),
    "encoder": (lambda t: t.encoder(3), "encoder-3.pt"),
}


@pytest.mark.parametrize("content", DAMAGE, ids=range(len(DAMAGE)))
@pytest.mark.parametrize("kind", READERS)
def test_a_damaged_file_counts_as_missing_is_kept_aside_and_told_once(tmp_path, caplog, kind, content):
    trial, (read, name) = Store(tmp_path).trial("t"), READERS[kind]
    for number, aside in enumerate((f"{name}.damaged", f"{name}.damaged.2"), 1):
        trial.store.write(f"t/{name}", content)
        assert read(trial) is None
        assert read(trial) is None
        assert len(caplog.messages) == number
        assert f"t/{name} is damaged" in caplog.messages[-1]
        assert "\n" not in caplog.messages[-1]
        assert trial.store.read(f"t/{aside}") == content
        assert name not in trial.store.names("t")


def flipped(content, bit):
    changed = bytearray(content)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


ARRAYS = {"scores": np.ones((5, 3), np.float32), "labels": np.arange(5), "rows": np.arange(5)}
WRITTEN = {
    "figures": (lambda t: t.save_scores(3, KNN, ARRAYS, RESULT), f"3-{digest(KNN)}.json", lambda t: t.result(3, KNN)),
    "scores": (lambda t: t.save_scores(3, KNN, ARRAYS, RESULT), f"3-{digest(KNN)}.npz", lambda t: t.scores(3, KNN)),
    "history": (lambda t: t.save_state(STATE), "checkpoint.json", lambda t: t.history(3)),
    "state": (lambda t: t.save_state(STATE), "checkpoint.pt", lambda t: t.state()),
    "failure": (lambda t: t.save_failure(3, {"cause": "diverged", "line": "nan"}), "failure-3.json", lambda t: t.failure(3)),
    "spec": (lambda t: t.save_spec({"trial": {"seed": 1}, "data": "d"}), "spec.json", lambda t: t.spec()),
}


def same(a, b):
    if "model" in a:
        return same_state(a, b)
    return a == b if "scores" not in a else all(np.array_equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("kind", WRITTEN)
def test_a_bit_that_flips_in_any_file_is_noticed(tmp_path, kind):
    """What is read is what was written, or nothing."""
    trial, (write, name, read) = Store(tmp_path).trial("t"), WRITTEN[kind]
    write(trial)
    path = tmp_path / "t" / name
    whole, content = path.read_bytes(), read(trial)
    noticed = 0
    for bit in np.random.default_rng(0).choice(8 * len(whole), 40, replace=False):
        path.write_bytes(flipped(whole, bit))
        found = read(trial)
        aside = list(path.parent.glob(f"{name}.damaged*"))
        assert same(found, content) if not aside else found is None or kind == "history"  # which the state has, too
        noticed += len(aside)
        for file in aside:
            file.unlink()
    assert noticed > 10


def test_json_from_before_it_was_sealed_is_read(tmp_path):
    store = Store(tmp_path)
    for content in ({"a": 1}, [1, [2]], [], {}, "text"):
        store.write("x.json", json.dumps(content).encode())
        assert store.read_json("x.json") == content
        store.write_json("x.json", content)
        assert store.read_json("x.json") == content


@pytest.mark.parametrize("content", [b"", b"{}", b'[[1, {"loss": "low"}, 0.5]]', b"[[1, {}]]", b"[1]"])
def test_a_damaged_history_is_read_from_the_state(tmp_path, content):
    trial = Store(tmp_path).trial("t")
    trial.save_state(STATE)
    trial.store.write("t/checkpoint.json", content)
    assert trial.history(3) == STATE["history"]
    assert trial.store.read("t/checkpoint.json.damaged") == content


def test_figures_of_damaged_scores_are_made_again(tmp_path):
    trial = Store(tmp_path).trial("t")
    arrays = {"scores": np.zeros((5, 3), np.float32), "labels": np.arange(5), "rows": np.arange(5)}
    trial.save_scores(3, KNN, arrays, RESULT)
    assert trial.result(3, KNN) == RESULT
    (name,) = (name for name in trial.store.names("t") if name.endswith(".npz"))
    trial.store.write(f"t/{name}", trial.store.read(f"t/{name}")[:-40])
    assert trial.scores(3, KNN) is None
    assert trial.result(3, KNN) is None


def test_scores_of_another_shape_are_damaged(tmp_path):
    trial = Store(tmp_path).trial("t")
    whole = {"scores": np.zeros((5, 3), np.float32), "labels": np.arange(5), "rows": np.arange(5)}
    for change in (
        {"labels": np.arange(4)},
        {"scores": np.zeros(5)},
        {"rows": np.zeros(5)},
        {"scores": np.array(["a"] * 5)},
    ):
        trial.save_scores(3, KNN, {**whole, **change}, RESULT)
        assert trial.scores(3, KNN) is None


# Claims


HOLDER = """
import sys
from skelray.store.store import Store
with Store(sys.argv[1]).trial("t").claim(3):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("ending", ["leaves", "is killed"])
def test_a_claim_keeps_others_waiting_until_its_holder(tmp_path, ending):
    holder = python(HOLDER, tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    claimed = threading.Event()

    def wait():
        with Store(tmp_path).trial("t").claim(3):
            claimed.set()

    waiter = threading.Thread(target=wait)
    try:
        assert holder.stdout.readline() == "held\n"
        waiter.start()
        assert not claimed.wait(0.3)
        if ending == "leaves":
            holder.stdin.close()
        else:
            holder.kill()
        assert claimed.wait(60)
    finally:
        holder.kill()
        holder.wait()
        waiter.join()
        holder.stdout.close()
        holder.stdin.close()


def test_claims_on_different_trials_do_not_meet(tmp_path):
    store = Store(tmp_path)
    with store.trial("a").claim(3), store.trial("b").claim(3):
        store.write("a/x", b"")


def test_a_claim_ends_with_an_error(tmp_path):
    store = Store(tmp_path)
    with pytest.raises(KeyError), store.claim("t"):
        raise KeyError
    with store.claim("t"):
        pass


def test_readers_need_no_claim(tmp_path):
    store = Store(tmp_path)
    with store.claim("t"):
        store.write_json("t/x.json", [1])
        assert Store(tmp_path).read_json("t/x.json") == [1]
        assert json.loads((tmp_path / "t" / "x.json").read_text())[0] == 1
