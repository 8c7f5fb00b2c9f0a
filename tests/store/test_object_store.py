"""The store on an object store: against a real server of S3's protocol, with the requests that it counts."""

import errno
import math
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from dataclasses import replace
from pathlib import Path

import pytest
from small_study import ABLATION, Heard, assert_same, inline, make_run, study_file, table

from skelray.checks import UserError
from skelray.runner.inline import run_inline
from skelray.runner.pruning import Pruning
from skelray.runner.run import Run
from skelray.store import lease, lock, remote
from skelray.store.inventory import CHECKPOINTS, ENCODERS, inventory
from skelray.store.store import Store, StoreError

CREDENTIALS = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_REGION": "us-east-1"}


class Server:
    def __init__(self, folder):
        from ray_nodes import free_port

        self.port, self.log = free_port(), folder / "requests.txt"
        words = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port)]
        with self.log.open("w") as out:
            self.process = subprocess.Popen(words, stdout=out, stderr=out, env={**os.environ, "PYTHONWARNINGS": "ignore"})
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            try:
                self.make("warm")
                break
            except OSError:
                assert self.process.poll() is None, self.log.read_text()
                time.sleep(0.2)
        self.buckets = 0

    def make(self, name):
        made = urllib.request.Request(f"http://127.0.0.1:{self.port}/{name}", method="PUT")
        urllib.request.urlopen(made, timeout=10).close()

    def uri(self):
        """A folder in a bucket of its own."""
        self.buckets += 1
        self.make(f"bucket{self.buckets}")
        return f"s3://bucket{self.buckets}/store?scheme=http&endpoint_override=127.0.0.1:{self.port}"

    def requests(self):
        return re.findall(r'"\S*?(GET|PUT|HEAD|POST|DELETE) ', self.log.read_text())

    def written(self, ending):
        """The files of such a name that were written into the latest bucket."""
        return re.findall(rf"PUT (/bucket{self.buckets}/\S+/{re.escape(ending)}) ", self.log.read_text())


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    pytest.importorskip("moto", reason="moto[server] is not installed: no object store to test against")
    for name, value in CREDENTIALS.items():
        os.environ.setdefault(name, value)
    made = Server(tmp_path_factory.mktemp("s3"))
    yield made
    made.process.kill()
    made.process.wait()


@pytest.fixture(autouse=True)
def _briefly(monkeypatch):
    monkeypatch.setattr(lease, "PAUSE", 0.1)
    monkeypatch.setattr(lease, "BEAT", 1000.0)  # renewals are a matter of time, and requests are counted


def run_on(uri, path, folder, data, **scale):
    run, _ = make_run(path, folder, data, **scale)
    return Run(run.name, run.study, run.scale, replace(run.settings, store=uri))


REQUESTS_OF_AN_EPOCH = 2  # that is saved
REQUESTS_OF_A_TRIAL = 24  # and those of its epochs: with 2 evaluations, from the first request to the table
REQUESTS_OF_A_RERUN = 2  # of a cell that is done: pyarrow asks for a file's length, then for the file
OF_A_STUDY = 6  # that the store is there, and what a report shows of its test set


def counted(server, do):
    before = len(server.requests())
    found = do()
    return server.requests()[before:], found


def test_a_write_is_one_request_and_a_checkpoint_two(server):
    store = Store(server.uri())
    made, _ = counted(server, lambda: store.write("t/x.json", b"{}"))
    assert made == ["PUT"]
    made, _ = counted(server, lambda: store.write("t/x.pt", bytes(8 << 20)))
    assert made == ["PUT"]
    state = {"epoch": 1, "model": {}, "optimizer": {}, "history": []}
    made, _ = counted(server, lambda: store.trial("t").save_state(state))
    assert made == ["PUT", "PUT"]
    assert store.read("t/x.json") == b"{}"
    assert store.names("t") == ["checkpoint.json", "checkpoint.pt", "x.json", "x.pt"]
    store.remove("t/x.json")
    store.remove("t/none")
    assert store.read("t/x.json") is None


def test_a_study_on_s3_has_the_rows_of_a_local_one_and_few_requests(server, tmp_path, synthetic_data, monkeypatch):
    monkeypatch.setattr("skelray.runner.execute.CHECKPOINT_SHARE", math.inf)  # each epoch is saved, by no clock
    path, uri = study_file(tmp_path, ABLATION), server.uri()
    made, _ = counted(server, lambda: run_inline(run_on(uri, path, tmp_path / "s3", synthetic_data)))
    assert len(server.written("checkpoint.pt") + server.written("checkpoint.json")) == 2 * 3 * REQUESTS_OF_AN_EPOCH
    assert_same(table(tmp_path / "s3"), inline(path, tmp_path / "local", synthetic_data))
    assert len(made) <= 2 * (REQUESTS_OF_A_TRIAL + 3 * REQUESTS_OF_AN_EPOCH) + OF_A_STUDY
    heard = Heard()
    again, _ = counted(server, lambda: run_inline(run_on(uri, path, tmp_path / "again", synthetic_data), heard))
    assert heard.trained == []
    assert len(again) <= 2 * REQUESTS_OF_A_RERUN
    assert_same(table(tmp_path / "again"), table(tmp_path / "s3"))


def test_on_s3_ended_checkpoints_go_and_the_store_is_pruned(server, tmp_path, synthetic_data):
    path, uri = study_file(tmp_path, ABLATION), server.uri()
    run = run_on(uri, path, tmp_path, synthetic_data, epochs=1)
    run_inline(run)
    expected, store = table(tmp_path), run.context.store
    assert CHECKPOINTS in {one.kind for one in inventory(store)}
    run_inline(Run(run.name, run.study, run.scale, replace(run.settings, keep="none")))
    assert CHECKPOINTS not in {one.kind for one in inventory(store)}
    ids = {one.trial for one in inventory(store) if one.kind == ENCODERS}
    assert {one.kind for one in Pruning((ENCODERS,), only=ids).of(store)} == {ENCODERS}
    heard = Heard()
    run_inline(run_on(uri, path, tmp_path, synthetic_data, epochs=1), heard)
    assert heard.statuses == {}
    assert_same(table(tmp_path), expected)


def started(path, data, uri, folder, *options):
    """The study's run on the store as a user starts it."""
    sys.path.append(str(Path(__file__).resolve().parents[1] / "runner"))
    from test_ray import command

    folder.mkdir()
    with (folder / "said.txt").open("w") as out:
        words = command(path, data, "--inline", "--store", uri, *options)
        return subprocess.Popen(words, cwd=folder, stdout=out, stderr=out, env={**os.environ, **CREDENTIALS})


def test_a_run_on_s3_that_was_killed_goes_on(server, tmp_path, synthetic_data):
    path, uri = study_file(tmp_path, ABLATION), server.uri()
    for number, requests in enumerate((25, 50)):
        before = len(server.requests())
        driver = started(path, synthetic_data, uri, tmp_path / f"killed{number}", "--epochs", "3", "--seeds", "1")
        deadline = time.monotonic() + 200
        while len(server.requests()) - before < requests and driver.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        driver.kill()
        assert driver.wait() == -signal.SIGKILL
    heard = Heard()
    run_inline(run_on(uri, path, tmp_path / "on", synthetic_data), heard)
    assert 0 < len(heard.trained) < 6  # of the two trials' six epochs some were there
    assert_same(table(tmp_path / "on"), inline(path, tmp_path / "local", synthetic_data))


@pytest.mark.slow
def test_two_drivers_on_s3_train_each_trial_once(server, tmp_path, synthetic_data):
    path, uri = study_file(tmp_path, ABLATION), server.uri()
    options = ("--epochs", "3", "--seeds", "2")
    before = len(server.written("encoder-3.pt"))
    drivers = [started(path, synthetic_data, uri, tmp_path / name, *options) for name in ("one", "two")]
    assert [driver.wait(timeout=600) for driver in drivers] == [0, 0]
    assert len(server.written("encoder-3.pt")) - before == 4
    assert_same(table(tmp_path / "one"), table(tmp_path / "two"))
    assert_same(table(tmp_path / "one"), inline(path, tmp_path / "local", synthetic_data, seeds=(0, 1)))


def test_a_ledger_on_s3_is_one_runs_at_a_time(server, monkeypatch):
    monkeypatch.setattr(lease, "_started", lambda process: "1")
    store = Store(server.uri())
    with (
        store.claim_at_once("sweeps/x"),
        pytest.raises(StoreError, match=r"in use by another run of this study .process"),
        store.claim_at_once("sweeps/x"),
    ):
        pass
    for _ in range(3):
        with store.claim_at_once("sweeps/x"):
            assert len(store.names("sweeps/x/claims")) == 1  # its own: those that others have taken back are removed
    assert len(store.names("sweeps/x/claims")) == 1


# Claims without locks, in a local folder


@pytest.fixture
def lockless(tmp_path, monkeypatch):
    """A store on a file system that has no locks."""

    def missing(*given):
        raise OSError(errno.ENOLCK, "no locks available")

    monkeypatch.setattr(lock.fcntl, "flock", missing)
    monkeypatch.setattr(lease, "PAUSE", 0.01)
    return Store(tmp_path / "store")


def test_of_many_at_once_one_has_the_claim(lockless):
    inside, most, done = [0], [0], []

    def work():
        with lockless.claim("t"):
            inside[0] += 1
            most[0] = max(most[0], inside[0])
            time.sleep(0.005)
            inside[0] -= 1
            done.append(1)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (most[0], len(done)) == (1, 6)
    assert [info.base_name for info in lockless.listed("t/claims")] == []


def test_the_ticket_of_a_process_that_ended_here_is_no_claim(lockless):
    host = re.sub(r"[^\w.-]", "_", socket.gethostname())
    lockless.write(f"t/claims/abc~{host}~99999999~17", b"")
    with lockless.claim("t"):
        assert len(lockless.names("t/claims")) == 1


def test_a_ticket_from_elsewhere_is_one_while_it_is_renewed(lockless, monkeypatch, caplog):
    monkeypatch.setattr(lease, "DEAD", 0.4)
    ticket, claimed, asked = "t/claims/abc~elsewhere~7~17", threading.Event(), []

    def wait():
        with lockless.claim("t", free=lambda: asked.append(1)):
            claimed.set()

    lockless.write(ticket, b"0")
    waiter = threading.Thread(target=wait)
    waiter.start()
    for beat in range(8):
        assert not claimed.wait(0.1)
        lockless.write(ticket, str(beat).encode())
    assert claimed.wait(30)  # nobody renews it now
    waiter.join()
    assert caplog.messages == ["trial t waits for process 7 on elsewhere, which has t/claims"]


def test_nobody_waits_for_a_ticket_that_it_could_not_take_back_itself(lockless, monkeypatch):
    ticket, remove, failed = "t/claims/abc~elsewhere~7~17", lockless.remove, []

    def remove_late(name):
        if not failed:
            failed.append(name)
            remove(ticket)  # its holder has taken it back meanwhile
            raise OSError(errno.EIO, "not now")
        remove(name)

    lockless.write(ticket, b"0")
    monkeypatch.setattr(lockless, "remove", remove_late)
    claimed = threading.Event()

    def claim():
        with lockless.claim("t"):
            claimed.set()

    threading.Thread(target=claim, daemon=True).start()
    assert claimed.wait(30)
    assert failed
    assert failed[0] != ticket


@pytest.mark.parametrize("hours", [1, -1])
def test_a_clock_that_jumps_takes_no_claim_and_frees_none(lockless, monkeypatch, hours):
    """Neither that of who waits nor that of who renews is believed: it is by how time passes here that a ticket is dead."""
    monkeypatch.setattr(lease, "DEAD", 0.4)
    ticket, claimed, clock = Path(lockless.path) / "t/claims/abc~elsewhere~7~17", threading.Event(), time.time

    def wait():
        with lockless.claim("t"):
            claimed.set()

    def beat(number, skew):
        lockless.write("t/claims/abc~elsewhere~7~17", str(number).encode())
        os.utime(ticket, (clock() + skew, clock() + skew))

    beat(0, 0.0)
    waiter = threading.Thread(target=wait)
    waiter.start()
    for number in range(1, 9):
        assert not claimed.wait(0.1)
        if number == 4:
            monkeypatch.setattr(time, "time", lambda: clock() + 3600 * hours)
        beat(number, 0.0 if number < 6 else -3600.0 * hours)
    assert claimed.wait(30)
    waiter.join()


def test_a_claim_that_is_no_longer_needed_is_not_waited_for(lockless):
    lockless.write("t/claims/abc~elsewhere~7~17", b"0")
    with pytest.raises(BlockingIOError), lockless.claim("t", free=lambda: True):
        pass


# Sentences


@pytest.mark.parametrize("wrong", ["s3:/bucket/store", "gs:bucket"])
def test_a_uri_with_a_slash_too_few_makes_no_folder(tmp_path, monkeypatch, wrong):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="a URI has two slashes after its colon, as in"):
        Store(wrong)
    assert list(tmp_path.iterdir()) == []


def test_a_store_that_does_not_answer_is_said_in_time(monkeypatch):
    monkeypatch.setattr(remote, "PATIENCE", 1.5)
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        uri = f"s3://bucket/p?scheme=http&endpoint_override=127.0.0.1:{mute.getsockname()[1]}"
        with pytest.raises(UserError, match=r"no answer in .* for credentials set AWS_ACCESS_KEY_ID"):
            remote.check_answers(uri)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("gs://skelray-nobody/p", r"for credentials set GOOGLE_APPLICATION_CREDENTIALS to the file"),
        ("abfs://c@skelraynobody.dfs.core.windows.net/p", r"for credentials set AZURE_TENANT_ID"),
        ("abfs://c/p", r"it names no account: write it as abfs://CONTAINER@ACCOUNT"),
        ("s3:/bucket/p", r"a URI has two slashes"),
    ],
)
def test_a_run_without_credentials_ends_in_one_sentence(tmp_path, synthetic_data, uri, said):
    """gs waits for minutes and abfs aborts its process, if they are let."""
    sys.path.append(str(Path(__file__).resolve().parents[1] / "runner"))
    from test_ray import command

    words = command(study_file(tmp_path, ABLATION), synthetic_data, "--inline", "--store", uri)
    bare = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "AZURE_", "GOOGLE_"))}
    done = subprocess.run(words, cwd=tmp_path, env=bare, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 2, done.stderr
    (line,) = done.stderr.strip().splitlines()
    assert re.match(rf"skelray: store '{uri}': .*{said}", line)
    assert not {"store", "gs:", "s3:", "abfs:"} & {place.name for place in tmp_path.iterdir()}


def test_a_bucket_that_is_not_there_is_said(server):
    with pytest.raises(UserError, match="there is no such bucket"):
        remote.check_answers(server.uri().replace("s3://bucket", "s3://nobucket"))


@pytest.mark.parametrize(
    ("uri", "told", "said"),
    [
        ("s3://b/p", "AWS Error ACCESS_DENIED during ListObjectsV2 operation", "for credentials set AWS_ACCESS_KEY_ID"),
        ("gs://b/p", "Could not create a OAuth2 access token", "for credentials set GOOGLE_APPLICATION_CREDENTIALS"),
        ("abfs://c@a/p", "AuthenticationException: Failed to get token", "for credentials set AZURE_TENANT_ID"),
    ],
)
def test_credentials_that_are_refused_say_the_way(uri, told, said):
    assert said in remote.explain_errors(uri, told)


def test_a_request_is_made_again_where_the_cause_passes(monkeypatch):
    pauses, calls = [], []
    monkeypatch.setattr(remote.time, "sleep", pauses.append)

    def failing(text, times):
        def request():
            calls.append(1)
            if len(calls) <= times:
                raise OSError(text)
            return "found"

        calls.clear()
        return request

    assert remote.retry(failing("AWS Error SLOW_DOWN during PutObject", 2)) == "found"
    assert pauses == [0.5, 1.0]
    with pytest.raises(OSError, match="SLOW_DOWN"):
        remote.retry(failing("AWS Error SLOW_DOWN", 99))
    assert len(calls) == 5
    with pytest.raises(OSError, match="ACCESS_DENIED"):
        remote.retry(failing("AWS Error ACCESS_DENIED", 99))
    assert len(calls) == 1
