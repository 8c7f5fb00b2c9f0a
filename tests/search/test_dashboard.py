"""The dashboard of a sweep: it answers with the sweep's trials, follows them, and writes nothing."""

import json
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from test_search import drive, read, search

from skelray.checks import UserError
from skelray.search.dashboard import READING, read_only, server
from skelray.search.optuna_study import AGAIN
from skelray.store.store import Store

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::optuna.exceptions.ExperimentalWarning")


@pytest.fixture
def served(tmp_path):
    """A search under way, and the address of its dashboard."""
    pytest.importorskip("optuna_dashboard", reason="the extra skelray[dashboard] is not installed")
    searching = search(Store(tmp_path))
    sample = searching.propose()
    read(searching, sample, 1, 0.25, {})
    with server("s", tmp_path, port=0) as serving:
        thread = threading.Thread(target=serving.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield searching, f"http://127.0.0.1:{serving.server_port}", tmp_path
        serving.shutdown()
        thread.join()


def asked(url, method="GET", body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, method=method, headers={"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def files(folder):
    return {path: path.read_bytes() for path in sorted(Path(folder).rglob("*.json"))}


def trials(url):
    status, body = asked(f"{url}/api/studies/0?after=0")
    assert status == 200, body
    return json.loads(body)["trials"]


def test_it_answers_with_the_sweeps_trials_and_follows_the_sweep(served):
    searching, url, _ = served
    assert asked(f"{url}/dashboard")[0] == 200
    (study,) = json.loads(asked(f"{url}/api/studies")[1])["study_summaries"]
    assert study["study_name"] == "s"
    (first,) = trials(url)
    assert first["state"] == "Running"
    assert [(one["step"], one["value"]) for one in first["intermediate_values"]] == [(1, 0.25)]
    assert {one["name"] for one in first["params"]} == {"lambda_h", "similarity", "k"}
    drive(searching)
    until = time.monotonic() + 30 * AGAIN
    while len(found := trials(url)) < 7 and time.monotonic() < until:
        time.sleep(AGAIN / 4)
    assert {trial["state"] for trial in found} == {"Complete", "Pruned"}
    assert len(found) == 7


def test_nothing_that_is_sent_changes_the_ledger(served):
    searching, url, folder = served
    before = files(folder)
    assert before
    writes = [
        ("POST", "/api/studies", {"study_name": "other", "directions": ["maximize"]}),
        ("DELETE", "/api/studies/0", None),
        ("POST", "/api/studies/0/rename", {"study_name": "other"}),
        ("PUT", "/api/studies/0/note", {"body": "x", "version": 1}),
        ("POST", "/api/trials/0/tell", {"state": "Complete", "values": [1.0]}),
        ("POST", "/api/trials/0/user-attrs", {"user_attrs": {"a": 1}}),
    ]
    for method, place, body in writes:
        status, said = asked(url + place, method, body)
        assert status == 405, (place, said)
        assert "read-only" in json.loads(said)["reason"]
    assert files(folder) == before
    assert len(trials(url)) == len(searching.samples) == 1


def test_whatever_asks_to_write_never_reaches_the_dashboard():
    reached, said = [], []
    app = read_only(lambda environ, start: reached.append(environ["REQUEST_METHOD"]) or [b""], "s")
    for method in ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "TRACE"):
        app({"REQUEST_METHOD": method}, lambda status, headers: said.append(status))
    assert reached == list(READING)
    assert said == ["405 Method Not Allowed"] * 5


def test_what_is_not_there_is_a_sentence(tmp_path, served):
    _, url, _ = served
    with pytest.raises(UserError, match="has no search of 'other'"):
        server("other", tmp_path)
    port = int(url.rpartition(":")[2])
    with pytest.raises(UserError, match=f"127.0.0.1:{port} cannot be served from"):
        server("s", tmp_path, port=port)
