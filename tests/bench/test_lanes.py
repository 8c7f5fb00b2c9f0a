"""Lanes are measured: a single trial by its own step first, then several in one; the figures are kept and read."""

from dataclasses import replace

import torch

from skelray.bench import bench, lanes, static
from skelray.engine.lane_rate import lane_rates

CPU = torch.device("cpu")


def test_lanes_are_measured_and_kept(tmp_path):
    trial = replace(bench.METHODS["skeletonclr"].small(), batch_size=2)
    trial = replace(trial, method=replace(trial.method, queue=8, dim=4))
    training = static.static_pretraining(trial, CPU, 1)
    before = {name: tensor.clone() for name, tensor in training.model.state_dict().items()}
    found = list(lane_rates(training.trial, training.data, training.model, CPU, (1, 2)))
    assert [rate.lanes for rate in found] == [1, 2]
    assert all(torch.equal(tensor, before[name]) for name, tensor in training.model.state_dict().items())
    rows = [lanes.measured(training.trial, rate, CPU, 2) for rate in found]
    lanes.keep_lanes(rows, tmp_path)
    lanes.keep_lanes([replace(rows[1], samples_per_second=3 * rows[0].samples_per_second)], tmp_path)
    known, ceiling = lanes.known_rates(training.trial, CPU, tmp_path)
    assert ([rate.lanes for rate in known], ceiling) == ([1, 2], 2)
    assert abs(known[1].steps / known[0].steps - 3) < 1e-9
    assert lanes.known_rates(replace(training.trial, batch_size=4), CPU, tmp_path) == ([], 0)
    assert "times one trial's" in lanes.lane_table(rows).markdown()
