"""The measurement itself: its parts add up and its table can be read."""

from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from skelray import papers
from skelray.bench import bench, flop
from skelray.bench.estimate import Known, structure, training_cost
from skelray.skeleton import KINECT_V2
from skelray.trial import Trial


def measured(name="hiclr", frames=None, **changes):
    """A measurement of a small version on the CPU."""
    trial = replace(bench.METHODS[name].small(), batch_size=2)
    trial = replace(trial, frames=frames or trial.frames, method=replace(trial.method, queue=8, dim=4))
    return replace(bench.measure_speed(trial, torch.device("cpu"), steps=1, peak=1e9), **changes)


@pytest.mark.parametrize("name", bench.METHODS)
def test_a_measurement_adds_up(name):
    one = measured(name)
    whole = one.augment + one.forward + one.backward + one.update
    assert one.samples_per_second == pytest.approx(2 / whole, rel=1e-6)
    assert one.share_of_peak == pytest.approx(one.gflop_per_sample * one.samples_per_second, rel=1e-6)
    assert one.peak_memory > 50
    text = bench.speed_table([one]).markdown()
    assert one.method in text
    assert one.backbone in text
    assert "samples/s" in text
    assert (one.frames, one.batch_size) == (8, 2)


def test_methods_run_at_their_published_settings():
    assert {name: (t.frames, t.batch_size) for name, t in bench.METHODS.items()} == {
        **dict.fromkeys(("skeletonclr", "crossclr", "aimclr", "hiclr", "hiclr_dsta"), (50, 128)),
        **dict.fromkeys(("hico_gru", "hico_lstm", "hico_transformer"), (300, 64)),
    }
    kinds = [bench.kind_of_trial(trial) for trial in bench.METHODS.values()]
    assert len(set(kinds)) == len(kinds)
    assert kinds[-3:] == [("hico", f"hierarchical {s2s}") for s2s in ("gru", "lstm", "transformer")]


def test_figures_of_others_are_kept(tmp_path):
    one = measured("skeletonclr")
    other = replace(one, method="hiclr")
    bench.keep_speeds([one, other], tmp_path)
    bench.keep_speeds([replace(other, samples_per_second=1.5), replace(other, threads=99)], tmp_path)
    found = bench.read_speeds(tmp_path)
    assert found["method"].tolist() == ["skeletonclr", "hiclr", "hiclr"]
    assert found["samples_per_second"].tolist() == [one.samples_per_second, 1.5, other.samples_per_second]
    assert [path.name for path in (tmp_path / "bench").iterdir()] == ["bench.parquet"]
    found.drop(columns="frames").to_parquet(tmp_path / bench.FIGURES)  # of an earlier version
    assert bench.read_speeds(tmp_path).empty


def needed(frames, **changes):
    trial = replace(bench.METHODS["hiclr"].small(), frames=frames, batch_size=2)
    trial = replace(trial, method=replace(trial.method, queue=8, dim=4), **changes)
    return training_cost(trial, KINECT_V2, frames, 2)


@pytest.mark.parametrize("frames", [16, 48], ids=["plain", "cpu"])
def test_an_estimate_counts_what_a_step_takes(frames):
    """Of the form of the backbone that sequences of this size take."""
    assert needed(frames).gflop == pytest.approx(measured("hiclr", frames).gflop_per_sample, rel=0.02)


def small(name, **changes):
    trial = replace(bench.METHODS[name].small(), batch_size=2)
    return replace(trial, frames=16, method=replace(trial.method, queue=8, dim=4, **changes))


@pytest.mark.parametrize("name", ["crossclr", "aimclr", "hiclr_dsta"])
def test_a_step_is_counted_whole_though_equal_calls_of_an_encoder_are_computed_once(name):
    found = bench.measure_speed(small(name), torch.device("cpu"), steps=1, peak=1e9).gflop_per_sample
    assert training_cost(small(name), KINECT_V2, 16, 2).gflop == pytest.approx(found, rel=0.005)


def test_what_was_counted_for_another_method_changes_no_count():
    known = Known()
    for trial in (small("skeletonclr"), small("aimclr"), small("hiclr"), small("aimclr", eadm=None), small("hiclr_dsta")):
        assert training_cost(trial, KINECT_V2, 16, 2, known) == training_cost(trial, KINECT_V2, 16, 2)


@pytest.mark.parametrize(
    ("name", "method", "backbone"),
    [
        ("hiclr", {"key_init": "independent"}, {"partition": "spatial", "absent": "exclude"}),
        ("hiclr_dsta", {}, {"absent": "exclude"}),
        ("aimclr", {"mined_mean": True, "mining_from": 0}, {}),
    ],
)
def test_settings_that_share_a_count_change_none(name, method, backbone):
    one = small(name, **{field: value for field, value in method.items() if field == "mining_from"})
    other = replace(one, method=replace(one.method, **method), backbone=replace(one.backbone, **backbone))
    assert one != other
    assert structure(one.method) == structure(other.method)
    assert structure(one.backbone) == structure(other.backbone)
    found, same = (training_cost(trial, KINECT_V2, 48, 2) for trial in (one, other))
    assert (found.gflop, found.state, found.checkpoint) == (same.gflop, same.state, same.checkpoint)
    assert found.kept == pytest.approx(same.kept, rel=0.001)


def test_an_estimate_grows_with_frames_and_batch():
    found, longer = needed(16), needed(32, batch_size=20)
    assert longer.gflop == pytest.approx(2 * found.gflop, rel=0.2)
    assert 15 < longer.memory / found.memory < 21


def test_the_bench_has_every_published_method():
    """One of each kind: what a plan says of another trial of that kind follows from the operations of its step."""
    trials = [value for value in vars(papers).values() if isinstance(value, Trial) and value.benchmark == "ntu60"]
    assert {bench.kind_of_trial(trial) for trial in trials} == {
        bench.kind_of_trial(trial) for trial in bench.METHODS.values()
    }


def counted(work):
    with flop.count_flops() as counter:
        work()
    return counter.get_total_flops()


def test_products_count_by_the_entries_that_take_part():
    x, weight = torch.randn(400, 12), torch.randn(20, 12)
    assert counted(lambda: F.linear(x, weight)) == 2 * 400 * 12 * 20
    matrix, y, into = torch.randn(30, 30), torch.randn(30, 9), torch.zeros(30, 9)
    assert counted(lambda: torch.addmm(into, matrix, y)) == counted(lambda: into.addmm_(matrix, y)) == 2 * 30 * 30 * 9
    assert counted(lambda: into[None].baddbmm_(matrix[None], y[None])) == 2 * 30 * 30 * 9


@pytest.mark.parametrize(("kind", "gates"), [(torch.nn.GRU, 3), (torch.nn.LSTM, 4)])
def test_a_recurrence_counts_each_steps_products(kind, gates):
    """Two layers, both directions, 4 features, 5 steps of 3 sequences of 8; backward is twice forward or a little less."""
    cells, x = kind(8, 4, 2, batch_first=True, bidirectional=True), torch.randn(3, 5, 8, requires_grad=True)
    forward = 2 * 2 * 2 * 3 * 5 * gates * 4 * (8 + 4)
    with torch.no_grad():
        assert counted(lambda: cells(x)) == forward
    y = cells(x)[0]
    assert 0.95 * 2 * forward < counted(y.sum().backward) <= 2 * forward


@pytest.mark.skipif(not torch.backends.mkl.is_available(), reason="torch multiplies sparse matrices by MKL")
def test_sparse_products_count_by_their_entries():
    edges, y, into = torch.eye(30).to_sparse_csr(), torch.randn(30, 9), torch.zeros(30, 9)
    assert counted(lambda: torch.addmm(into, edges, y, beta=0, out=into)) == 2 * 30 * 9
    assert counted(lambda: torch.sparse.sampled_addmm(edges, y, y.T)) == 2 * 30 * 9
