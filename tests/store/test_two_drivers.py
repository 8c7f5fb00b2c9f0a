"""Two drivers of one sweep that begin at once: one runs it, the other says so in one sentence, and no sample comes twice."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from surrogate import SECONDS
from test_object_store import server

HELPERS = Path(__file__).resolve().parents[1] / "helpers"
__all__ = ["server"]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["local", "an object store"])
def test_of_two_drivers_of_a_sweep_one_runs_and_the_other_says_so(kind, tmp_path, synthetic_data, request):
    store = str(tmp_path / "store") if kind == "local" else request.getfixturevalue("server").uri()
    words = [sys.executable, str(HELPERS / "drive_surrogate.py")]
    env = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(HELPERS.parents[1]), str(HELPERS)]),
        SECONDS: "0.1" if kind == "local" else "1.0",
    }  # longer than one looks at a ticket
    for folder in ("one", "other"):
        (tmp_path / folder).mkdir()
    places = [[str(tmp_path / folder), str(synthetic_data), store, str(tmp_path / "go")] for folder in ("one", "other")]
    drivers = [subprocess.Popen([*words, *place], env=env, stdout=subprocess.PIPE, text=True) for place in places]
    for driver in drivers:
        assert driver.stdout.readline() == "ready\n"
    (tmp_path / "go").touch()
    said = [driver.communicate(timeout=240)[0].splitlines() for driver in drivers]
    assert sorted(driver.returncode for driver in drivers) == [0, 1], said
    ran, gave_way = (said[[driver.returncode for driver in drivers].index(code)] for code in (0, 1))
    (sentence,) = gave_way  # and no sample
    assert "in use by another run of this study" in sentence
    assert "wait until it has ended" in sentence
    assert ran == [str(number) for number in range(6)]
