"""What a plan says: how many evaluations, how much disk, and each structure counted once."""

import textwrap
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from small_study import ABLATION, SWEEP, make_run, study_file
from torch.utils.flop_counter import FlopCounterMode

from skelray import machine, papers
from skelray.augment import BA, NA, Blur, DropAddEdges, Mask
from skelray.augment import AugmentationSet as Set
from skelray.bench import estimate, flop
from skelray.bench.estimate import structure
from skelray.bench.lanes import keep_lanes, measured
from skelray.engine.lane_rate import LaneRate
from skelray.methods import HiCLR, SkeletonCLR
from skelray.results import tables
from skelray.results.costs import costs
from skelray.runner.context import Settings
from skelray.runner.costs import Packed
from skelray.runner.inline import run_inline
from skelray.runner.plan import make_plan
from skelray.trial import SGD

MORE = """
    from skelray import Clustering, HeldOut, Retrieval, Transfer
    there = Transfer("synthetic", "xsub", KNN())
    read = (KNN(), Linear(epochs=5), HeldOut(KNN()), Retrieval(), Clustering(classes=4), there)
    study = Ablation(base=replace(base, evaluations=read), across={"epochs": [300, 600]}, arms=[
        Arm("strong", {"arrangement": (BA, NA)})])
"""


def stored(folder):
    return sum(path.stat().st_size for path in Path(folder, "store").rglob("*") if path.is_file())


@pytest.mark.parametrize("changes", [{}, {"hidden_dim": 32, "hidden_channels": 8, "queue": 4096, "dim": 32}])
def test_the_disk_of_a_plan_is_what_a_run_leaves(tmp_path, synthetic_data, changes):
    scale = make_run(study_file(tmp_path, MORE), tmp_path, synthetic_data)[0].scale
    changed = tuple({**dict(scale.changes), **changes}.items())
    run, _ = make_run(study_file(tmp_path, MORE), tmp_path, synthetic_data, changes=changed, epochs=2)
    promised = make_plan(run).bytes
    run_inline(run)
    assert promised == pytest.approx(stored(tmp_path), rel=0.15)
    assert make_plan(run).bytes == 0


def test_packs_are_reckoned_with_where_lanes_were_measured(tmp_path, monkeypatch):
    """Those of the structure itself first, and no more lanes than there are trials alike; none on a CPU."""
    monkeypatch.setattr(machine, "describe_device", lambda device: "a card")
    trial = replace(papers.SKELETONCLR, seed=3)
    for one, gains in ((trial, {1: 1.0, 2: 1.5, 4: 2.0}), (replace(trial, frames=9), {1: 1.0, 2: 4.0})):
        rates = [LaneRate(lanes, lanes / gain, 0) for lanes, gain in gains.items()]
        keep_lanes([measured(one, rate, torch.device("cuda"), 4) for rate in rates], tmp_path)

    def seconds(*trials, device="cuda"):
        packed = Packed(Settings(results=tmp_path), torch.device(device))
        for one in trials:
            packed.add(one, 6.0)
        return packed.seconds()

    seeds = [replace(trial, seed=seed) for seed in range(4)]
    assert seconds(*seeds) == 12
    assert seconds(*seeds[:2]) == 8
    assert seconds(seeds[0]) == 6
    assert seconds(*seeds, device="cpu") == 24
    assert seconds(*(replace(one, batch_size=9) for one in seeds)) < 24
    assert seconds(*(replace(one, precision="bfloat16") for one in seeds)) == 24


def test_a_search_evaluates_its_published_setting_and_its_best_sample(tmp_path, synthetic_data):
    """Not every sample: it said 2 x 5 where 2 x 2 are made, and that stopped samples were to be run."""
    run, _ = make_run(study_file(tmp_path, SWEEP.replace("grace=100", "grace=100")), tmp_path, synthetic_data)
    before = make_plan(run)
    assert (before.trials, before.missing, before.evaluations, before.untrained) == (5, 5, 4, 5)
    assert [row["what"] for row in before.rows[-2:]] == ["published (test)", "best sample (test)"]
    assert {row["evaluations"] for row in before.rows[:5]} == {""}
    assert "5 trials, 0 done, 5 to run" in before.text()
    assert before.stopped == 4 * 2  # the published setting is trained to its end, whatever the rule says
    assert "at most 8 epochs saved by stopping" in before.text()
    run_inline(run)
    saved = costs(*(read("small", tmp_path / "results") for read in (tables.load, tables.curves))).stopped
    assert 0 < saved <= before.stopped
    run, _ = make_run(study_file(tmp_path, SWEEP), tmp_path, synthetic_data)
    after = make_plan(run)
    assert {sample.status for sample in run.work.search.samples.values()} == {"done", "stopped"}
    assert (after.missing, after.evaluations, after.epochs, after.bytes) == (0, 0, 0, 0)
    assert {row["state"] for row in after.rows} == {"done", "stopped"}
    assert "5 trials, 5 done, 0 to run" in after.text()


def test_a_search_without_a_published_setting_evaluates_its_best_alone(tmp_path, synthetic_data):
    body = SWEEP.replace('published={"k": 2, "lambda_h": 0.5}, ', "")
    assert make_plan(make_run(study_file(tmp_path, body), tmp_path, synthetic_data)[0]).evaluations == 2


def test_samples_to_come_are_trials_of_their_own_that_nobody_knows(tmp_path, synthetic_data):
    """One trial stands in for all: each leaves a checkpoint, none has an id, nor is done where the store has that one."""
    one, _ = make_run(study_file(tmp_path, SWEEP), tmp_path, synthetic_data, samples=1)
    few, many = (make_run(study_file(tmp_path, SWEEP), tmp_path, synthetic_data, samples=n)[0] for n in (2, 4))
    alone = make_plan(one).bytes
    added = make_plan(few).bytes - alone
    assert make_plan(many).bytes - alone == 3 * added > 0
    assert added > alone / 3  # a checkpoint, not an encoder alone
    stood_in = few.work.planned()[0].trial
    few.context.stored(stood_in).save_encoder(stood_in.epochs, {"weights": {}, "history": []})
    made = make_plan(few)
    assert [(row["trial"], row["state"]) for row in made.rows[:2]] == [("", "run")] * 2
    assert made.missing == 2
    assert made.bytes == alone + added


def test_each_structure_is_counted_once(tmp_path, synthetic_data, monkeypatch):
    body = textwrap.dedent(ABLATION) + textwrap.dedent("""
    study = replace(study, arms=[*study.arms, Arm("tau", {"arrangement": (BA, NA), "tau": 0.5}),
                                 Arm("lambda", {"arrangement": (BA, NA), "lambda_h": 2.0})],
                    across={"stream": ["joint", "bone"]})
    """)
    run, _ = make_run(study_file(tmp_path, textwrap.indent(body, "    ")), tmp_path, synthetic_data)
    counted = []
    monkeypatch.setattr(
        "skelray.runner.costs.training_cost", lambda *given: counted.append(1) or estimate.training_cost(*given)
    )
    assert len(make_plan(run).rows) == 8
    assert len(counted) == 2


@pytest.mark.parametrize(
    ("part", "other", "same"),
    [
        (HiCLR(tau=0.1), HiCLR(tau=0.2, lambda_h=3.0, m=0.5), True),
        (HiCLR(), HiCLR(lambda_h=0.0), False),
        (HiCLR(queue=512), HiCLR(queue=1024), False),
        (HiCLR(arrangement=(BA, NA)), HiCLR(arrangement=(BA, NA, Mask)), False),
        (SkeletonCLR(query=Set("a", (Blur(),))), SkeletonCLR(query=Set("b", (Blur(normalise=False),))), True),
        (SkeletonCLR(query=Set("a", (Blur(),))), SkeletonCLR(query=Set("a", (DropAddEdges(),))), False),
        (SkeletonCLR(query=Set("a", (DropAddEdges(),))), SkeletonCLR(query=Set("a", (DropAddEdges(add=0.0),))), False),
        (papers.HICO_GRU.backbone, papers.HICO_LSTM.backbone, False),
        (papers.HICLR.backbone, replace(papers.HICLR.backbone, dropout=0.0), False),
        (papers.HICLR.backbone, replace(papers.HICLR.backbone, hidden_dim=128), False),
    ],
)
def test_what_changes_the_arithmetic_is_another_structure(part, other, same):
    assert (structure(part) == structure(other)) == same


def test_of_several_epochs_it_matters_whether_one_is_past():
    assert structure(SGD(milestones=(250, 300))) == structure(SGD(milestones=(100,))) == structure(SGD(milestones=()))
    assert structure(SGD(milestones=(0, 300))) != structure(SGD(milestones=(250, 300)))


def test_the_counter_finds_what_torchs_finds():
    """Of operators that are composed of others, too, which inference mode leaves whole."""
    x, layer, convolution = torch.randn(3, 8), torch.nn.Linear(8, 5), torch.nn.Conv1d(3, 4, 3)
    for context in (torch.enable_grad, torch.no_grad, torch.inference_mode):
        found = []
        for counter in (flop.count_flops(), FlopCounterMode(display=False)):
            with context(), counter:
                y = layer(x) @ torch.randn(5, 2) + torch.einsum("ij,kj->ik", x, x).sum()
                z = convolution(torch.randn(2, 3, 9))
                if context is torch.enable_grad:
                    (y.sum() + z.sum()).backward()
            found.append(counter.get_total_flops())
        assert found[0] == found[1] > 0
