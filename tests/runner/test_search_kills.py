"""Searches killed with SIGKILL at every event of their ledger end as if nobody had disturbed them, whatever the rule."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import kill_on_ray
import pytest
import surrogate
from small_study import assert_same, table
from surrogate import RULES, kept, make_run

from skelray import NSGAII, TPE, Racing
from skelray.runner import active_jobs, trainables
from skelray.runner.inline import run_inline
from skelray.store.store import Store

NEVER = -1


@pytest.fixture(autouse=True)
def surrogates(monkeypatch):
    monkeypatch.setattr(active_jobs, "in_turns", surrogate.surrogate)
    monkeypatch.setattr(trainables, "execute", surrogate.surrogate)


def events(folder, data, *sweep):
    """How many files of its ledger a search writes; it is run here, to its end."""
    count, write = [0], Store.write

    def counted(store, name, content):
        write(store, name, content)
        count[0] += name.startswith("sweeps/")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Store, "write", counted)
        run_inline(make_run(folder, data, *sweep))
    return count[0]


def killed(folder, data, event, *sweep):
    """Whether a search killed itself right after it had written so many files of its ledger."""
    child = os.fork()
    if child:
        status = os.waitpid(child, 0)[1]
        assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, status
        return os.WIFSIGNALED(status)
    try:
        count, write = [0], Store.write

        def mortal(store, name, content):
            write(store, name, content)
            count[0] += name.startswith("sweeps/")
            if count[0] == event:
                os.kill(os.getpid(), signal.SIGKILL)

        Store.write = mortal
        run_inline(make_run(folder, data, *sweep))
        os._exit(0)
    finally:
        os._exit(1)


SWEEPS = {
    **{rule: (rule, TPE(startup=2)) for rule in RULES},
    "ASHA, NSGAII": ("ASHA", NSGAII(population=2)),
    "ASHA, two seeds and a race": ("ASHA", TPE(startup=2), 4, (0, 1), Racing(best=2, seeds=3, margin=0.0)),
}


def check_killed_at(moments, folder, data, sweep):
    """Kills a search at each of these events, lets another process end it, and compares it with an undisturbed one."""
    whole = folder / "whole"
    most = events(whole, data, *sweep)
    expected, rows = kept(make_run(whole, data, *sweep)), table(whole)
    assert len({status for *_, status, _ in expected}) >= (1 if "Never" in sweep else 2), "no rule has said anything"
    for event in moments(most):
        disturbed = folder / str(event)
        assert killed(disturbed, data, event, *sweep)
        assert not killed(disturbed, data, NEVER, *sweep)  # to its end, by a process that knows the ledger alone
        assert kept(make_run(disturbed, data, *sweep)) == expected, event
        assert_same(table(disturbed), rows)


def test_a_search_killed_here_and_there_proposes_judges_and_reports_the_same(tmp_path, synthetic_data):
    check_killed_at(lambda most: [most // 2], tmp_path, synthetic_data, SWEEPS["ASHA promotion"])


@pytest.mark.slow
@pytest.mark.parametrize("sweep", SWEEPS.values(), ids=SWEEPS)
def test_a_search_killed_at_any_event_of_its_ledger_proposes_judges_and_reports_the_same(tmp_path, synthetic_data, sweep):
    check_killed_at(lambda most: range(1, most), tmp_path, synthetic_data, sweep)


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.parametrize("rule", RULES)
def test_a_search_killed_at_ten_moments_on_ray_proposes_judges_and_reports_the_same(cluster, tmp_path, synthetic_data, rule):
    import ray

    address = ray.get_runtime_context().gcs_address
    sweep = (rule, TPE(startup=2), kill_on_ray.SAMPLES)
    run_inline(make_run(tmp_path / "whole", synthetic_data, *sweep))
    words = [sys.executable, kill_on_ray.__file__, address, str(tmp_path), str(synthetic_data), rule, "10", "0"]
    paths = [str(Path(__file__).resolve().parents[2]), str(Path(kill_on_ray.__file__).parent)]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    done = subprocess.run(words, env=env, capture_output=True, text=True, check=False, timeout=900)
    assert done.returncode == 0, done.stderr
    ended = [Path(line) for line in done.stdout.split()]
    assert ended
    for folder in ended:
        assert kept(make_run(folder, synthetic_data, *sweep)) == kept(make_run(tmp_path / "whole", synthetic_data, *sweep))
        # a trial takes both CPUs here, which its device says
        assert_same(table(folder).drop(columns="device"), table(tmp_path / "whole").drop(columns="device"))
