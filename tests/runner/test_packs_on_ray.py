"""Packs on Ray: one worker trains several trials, and each has the rows of the trial alone, whatever befalls the worker."""

import sys
from dataclasses import replace

import double_precision
import pytest
import tiny
from small_study import Heard, curves, make_run, study_file, table
from test_packs import SMALL, STUDY, SWEEP, same

from skelray.runner import pack_scheduler
from skelray.runner.inline import run_inline

pytestmark = pytest.mark.ray

ABLATION = (
    STUDY
    + """
    study = Ablation(base=base, seeds=range(2), arms=[Arm("warm", {"tau": 0.2}), Arm("cold", {"tau": 0.07}),
                                                      Arm("wild", {"lr": 1e300}), Arm("bone", {"stream": "bone"})])
"""
)


@pytest.fixture
def handed(cluster, monkeypatch):
    """How many jobs were left in a pack after each result of its worker, and the result's reports; in double precision."""
    from skelray.runner import pack_trainable

    class DoublePackTrainable(pack_trainable.PackTrainable):
        def setup(self, config, settings, needs=None):
            double_precision.double_precision(pytest.MonkeyPatch())
            super().setup(config, settings, needs)

    double_precision.double_precision(monkeypatch)
    monkeypatch.setattr(cluster, "PackTrainable", DoublePackTrainable)
    mine = (double_precision, tiny, sys.modules[__name__])
    for module in mine:
        cluster.ray.cloudpickle.register_pickle_by_value(module)
    results, heard = [], pack_scheduler.PackScheduler.on_trial_result

    def hear(scheduler, controller, trial, result):
        verdict = heard(scheduler, controller, trial, result)
        results.append((len(scheduler.jobs.seats[trial.trial_id]), result["reports"]))
        return verdict

    monkeypatch.setattr(pack_scheduler.PackScheduler, "on_trial_result", hear)
    yield results
    for module in mine:
        cluster.ray.cloudpickle.unregister_pickle_by_value(module)


def ran(folder, data, body, lanes, cluster=None, **scale):
    folder.mkdir()
    run, module = make_run(study_file(folder, body), folder, data, changes=SMALL, **scale)
    run.settings, heard = replace(run.settings, lanes=lanes), Heard()
    if cluster is None:
        run_inline(run, heard)
    else:
        cluster.run_on_ray(run, module, heard, cluster.Cluster())
    return (table(folder), curves(folder)), heard


@pytest.mark.slow
def test_each_lane_of_a_pack_on_ray_is_the_trial_alone(cluster, tmp_path, synthetic_data, handed):
    """One that fails costs itself alone; its lane and those of trials that are done are filled again."""
    found, heard = ran(tmp_path / "ray", synthetic_data, ABLATION, 2, cluster, seeds=(0, 1))
    alone, expected = ran(tmp_path / "alone", synthetic_data, ABLATION, 1, seeds=(0, 1))
    same(*([frame.drop(columns=[n for n in ("error",) if n in frame]) for frame in tables] for tables in (found, alone)))
    assert heard.statuses == expected.statuses
    assert sorted(heard.trained) == sorted(expected.trained)
    failed = found[0][found[0]["status"] == "failed"]
    assert set(failed["arm"]) == {"wild"}
    assert failed["error"].str.startswith("diverged").all()
    assert max(lanes for lanes, *_ in handed) == 2
    assert not list((tmp_path / "ray" / "store" / "packs").iterdir())


@pytest.mark.slow
def test_a_lost_worker_costs_each_lane_an_epoch_at_most(cluster, tmp_path, synthetic_data, handed, monkeypatch):
    """What it had trained and stored is read back by whoever trains its trials next."""
    heard = pack_scheduler.PackScheduler.on_trial_result
    killed = []

    def kill(scheduler, controller, trial, result):
        verdict = heard(scheduler, controller, trial, result)
        if not killed and sum(report["epoch"] == 2 for _, reports in handed for report in reports) >= 2:
            killed.append(trial)
            cluster.ray.kill(trial.temporary_state.ray_actor)
        return verdict

    monkeypatch.setattr(pack_scheduler.PackScheduler, "on_trial_result", kill)
    body = ABLATION.replace('Arm("wild", {"lr": 1e300}), ', "")
    found, told = ran(tmp_path / "ray", synthetic_data, body, 2, cluster, seeds=(0, 1), epochs=40)
    alone, _ = ran(tmp_path / "alone", synthetic_data, body, 1, seeds=(0, 1), epochs=40)
    same(found, alone)
    assert killed
    assert told.replayed
    assert len(told.trained) <= 6 * 40 + 2 * 40


@pytest.mark.slow
def test_a_search_on_ray_is_told_of_each_lane_and_stops_it_alone(cluster, tmp_path, synthetic_data, handed):
    """The next sample takes its lane; what is proposed is what a search in one process proposes."""
    found, _ = ran(tmp_path / "ray", synthetic_data, SWEEP, 3, cluster, samples=7, ordered=4)
    alone, _ = ran(tmp_path / "alone", synthetic_data, SWEEP, 1, samples=7, ordered=4)
    same(found, alone)
    assert "stopped" in set(found[0]["status"])
    assert sum(lanes == 2 for lanes, *_ in handed) + sum(lanes == 3 for lanes, *_ in handed) > 3


def test_one_that_fits_no_pack_gets_a_process(tmp_path, synthetic_data):
    """As all trials of its study do, since a GPU is shared in one way."""
    from skelray.runner.on_ray import all_fit_packs

    own = """
    @dataclass(frozen=True)
    class Other:
        lr: float = 0.1
        momentum: float = 0.0
        def build(self, parameters):
            return torch.optim.SGD(parameters, self.lr)
        def lr_at(self, epoch):
            return self.lr
        def scaled(self, share):
            return self
    study = Ablation(base=base, arms=[Arm("own", {"optimizer": Other()}), Arm("sgd", {})])
    """
    for body, fits in ((ABLATION, True), (STUDY + own, False)):
        run, _ = make_run(study_file(tmp_path, body), tmp_path, synthetic_data, changes=SMALL)
        assert all_fit_packs(run) == fits


def test_few_trials_are_spread_over_the_nodes(tmp_path, synthetic_data):
    """No pack takes what another slot could train meanwhile; one that lost a node for want of memory is alone."""
    from skelray.runner.pack_searcher import PackSearcher

    run, _ = make_run(study_file(tmp_path, ABLATION), tmp_path, synthetic_data, changes=SMALL, seeds=(0, 1))
    jobs = PackSearcher(run, 8, 2)
    assert [jobs.suggest(name)["alike"] for name in ("a", "b")] == [3, 3]
    more, configs = jobs.fill("a", 2)
    assert not any(job.name.startswith("bone") for job in more)
    assert [config["seat"] for config in configs] == [2, 3]
    assert len(jobs.occupied()) == 2
    jobs.is_alone = lambda job: True
    jobs.on_lost = jobs.again.append
    jobs.on_trial_complete("a", error=True)
    assert jobs.suggest("c")["most"] == 1
    assert jobs.fill("c", 0) == ([], [])
