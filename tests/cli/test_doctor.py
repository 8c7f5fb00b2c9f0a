"""`skelray doctor` and `--version`: a line for each thing that a run needs, and the way to mend what is wrong."""

import socket

import pytest
from click.testing import CliRunner

from skelray.cli.main import cli
from skelray.runner import examination


def doctor(tmp_path, *options):
    places = ["--store", str(tmp_path / "store"), "--results", str(tmp_path / "results"), *options]
    found = CliRunner().invoke(cli, ["doctor", *places])
    lines = {line[5:].split("  ")[0].strip(): line for line in found.output.splitlines()}
    return found.exit_code, lines


@pytest.fixture
def healthy(monkeypatch):
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setattr(examination, "heads_here", set)
    monkeypatch.setattr(examination, "LITTLE", 0)
    monkeypatch.setattr(examination, "SHARED", 0)


def test_a_healthy_machine_has_nothing_to_mend(tmp_path, synthetic_data, healthy, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    monkeypatch.setattr(examination, "answers", lambda address: True)
    (tmp_path / "store").mkdir()
    status, lines = doctor(tmp_path, "--data", str(synthetic_data))
    assert status == 0, lines
    assert all(line.startswith("ok ") for line in lines.values())
    names = [
        "packages",
        "device",
        "CPUs",
        "Ray",
        "token",
        "home",
        "shared memory",
        "temporary files",
        "tables",
        "store",
        "data",
    ]
    assert list(lines) == names
    assert "torch 2" in lines["packages"]
    assert "synthetic (120)" in lines["data"]
    assert "claims are locks" in lines["store"]
    assert "RAY_ADDRESS=10.0.0.1:6379 is followed by --address auto alone" in lines["Ray"]


def test_what_is_wrong_says_the_way_to_mend_it_and_the_status_is_1(tmp_path, healthy, monkeypatch):
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    monkeypatch.setattr(examination, "SHARED", 2**60)
    (tmp_path / "data" / "broken").mkdir(parents=True)
    (tmp_path / "data" / "broken" / "about.json").write_text("{")
    status, lines = doctor(tmp_path, "--data", str(tmp_path / "data"), "--store", "s3:/bucket/p", "--address", "nonsense")
    assert status == 1
    wrong = {name: line for name, line in lines.items() if line.startswith("MEND")}
    assert set(wrong) == {"Ray", "token", "shared memory", "store", "data"}, lines
    assert "give HOST:PORT" in wrong["Ray"]
    assert "--shm-size" in wrong["shared memory"]
    assert "two slashes" in wrong["store"]


def test_a_head_that_runs_here_is_named_and_a_dead_one_is_to_be_mended(monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        one.listen()
        address = f"127.0.0.1:{one.getsockname()[1]}"
        monkeypatch.setattr("ray._private.services.find_gcs_addresses", lambda: {address, "127.0.0.1:2"})
        found = examination.examine_ray(None)
    assert not found.fine
    assert f"a head runs here at {address}, which --address auto joins" in found.said
    assert found.said.endswith(
        "RAY_ADDRESS=127.0.0.1:1 is followed by --address auto alone, and no head answers there: unset it"
    )
    monkeypatch.setenv("HOME", "/proc/nowhere")
    assert "cannot be written to: a run gives its Ray a token that ends with it" in examination.examine_home().said


def test_a_token_is_never_shown(tmp_path, healthy, monkeypatch):
    monkeypatch.setenv("RAY_AUTH_TOKEN", "secretsecret")
    _, lines = doctor(tmp_path)
    assert "RAY_AUTH_TOKEN" in lines["token"]
    assert "secret" not in "".join(lines.values())


def test_a_folder_on_a_full_disk_is_to_be_mended(tmp_path, monkeypatch):
    monkeypatch.setattr(examination, "LITTLE", 2**60)
    found = examination.examine_folder("tables", tmp_path, "give --results")
    assert not found.fine
    assert "give --results with room" in found.said


def test_the_version_names_the_packages():
    found = CliRunner().invoke(cli, ["--version"])
    assert found.exit_code == 0
    for name in ("skelray", "Python", "torch", "ray", "optuna", "pyarrow"):
        assert any(line.startswith(f"{name} ") for line in found.output.splitlines())
