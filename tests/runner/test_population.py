"""Population-based training by hand: a checkpoint says which settings trained it, and the members make a table."""

import json
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from small_study import TINY

from skelray import KNN, Monitor
from skelray.checks import UserError
from skelray.report import text as report
from skelray.results import tables as results

pytestmark = pytest.mark.ray

PAGE = Path(__file__).resolve().parents[2] / "docs" / "search.md"


def config(data, epochs, **fields):
    return {"data": str(data), "benchmark": "synthetic", "protocol": "xview", "epochs": epochs, **dict(TINY), **fields}


def stretches(spec):
    """The first epoch of each stretch of a member's path, with its hyperparameters."""
    return [(first, one["method"]["lambda_h"], one["optimizer"]["lr"]) for first, one in json.loads(spec)["trained"]]


def test_a_checkpoint_says_which_settings_trained_it_and_goes_on_under_others(tmp_path, synthetic_data):
    from ray import tune

    from skelray.runner.population import write_population
    from skelray.runner.trainables import HiCLRTrainable

    fields = {"monitor": Monitor(KNN(), every=1), "evaluations": ()}
    first = config(synthetic_data, 2, lambda_h=0.7, lr=0.1, weight_decay=1e-4, **fields)
    trainable = HiCLRTrainable(first)
    read = [trainable.train()["held_out_top1"]]
    trainable.save(str(tmp_path / "one"))
    other = {**first, "lambda_h": 0.9, "lr": 0.05, "weight_decay": 0.01}
    assert trainable.reset_config(other)
    trainable.restore(str(tmp_path / "one"))
    last = trainable.train()
    (group,) = trainable.pretraining.optimizer.param_groups
    assert (last["epoch"], last["done"], group["lr"], group["weight_decay"]) == (2, True, 0.05, 0.01)
    trainable.save(str(tmp_path / "two"))

    member = SimpleNamespace(config=other, error=None, checkpoint=tune.Checkpoint.from_directory(tmp_path / "two"))
    lost = SimpleNamespace(config=other, error=RuntimeError("no such joint"), checkpoint=None)
    write_population("s", HiCLRTrainable, [member, lost], ["lambda_h", "lr"], tmp_path)
    frame = results.load("s", tmp_path)
    own, failed = frame[frame["arm"] == "member 0"], frame[frame["arm"] == "member 1"]
    assert own["value"].tolist() == [*read, last["held_out_top1"]]
    assert stretches(own["spec"].iloc[0]) == [(1, 0.7, 0.1), (2, 0.9, 0.05)]
    assert json.loads(own["cell"].iloc[0]) == {"lambda_h": 0.9, "lr": 0.05}
    assert failed["status"].tolist() == ["failed"]
    assert "no such joint" in failed["error"].iloc[0]
    assert results.curves("s", tmp_path).groupby("metric")["epoch"].agg(list)["loss"] == [1, 2]
    unread = SimpleNamespace(config=other, error=None, checkpoint=None)
    with pytest.raises(UserError, match="member 0 has no checkpoint to read"):
        write_population("s", HiCLRTrainable, [unread], ["lr"], tmp_path)


@pytest.mark.slow
def test_a_population_by_hand_ends_in_a_table(cluster, tmp_path, synthetic_data):
    """The page's own code: members that were worse have gone on from another's weights, and nobody read the test split."""
    (block,) = (
        one for one in re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.M | re.S) if "def population" in one
    )
    page = {}
    exec(compile(block, str(PAGE), "exec"), page)
    page["population"](config(synthetic_data, 6), 4, 2, tmp_path / "ray", tmp_path)
    frame = results.load("population", tmp_path)
    assert set(frame["arm"]) == {f"member {n}" for n in range(4)}
    assert set(frame["status"]) == {"done"}
    assert set(frame["metric"]) == {"held_out_top1"}
    assert set(frame["epoch"]) == {2, 4, 6}
    paths = {arm: stretches(own["spec"].iloc[0]) for arm, own in frame.groupby("arm")}
    assert {first for path in paths.values() for first, *_ in path} == {1, 3, 5}
    began = [path[0] for path in paths.values()]
    assert len(set(began)) < 4  # some go on from one beginning
    for arm, own in frame.groupby("arm"):
        assert list(json.loads(own["cell"].iloc[0]).values()) == list(paths[arm][-1][1:])
    assert "member 3" in report.report_text(frame)
