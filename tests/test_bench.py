"""The measurement itself: its parts add up and its table can be read."""

from dataclasses import replace

import pytest
import torch

from skelray import bench, papers
from skelray.backbones import STGCN
from skelray.trial import Trial


@pytest.mark.parametrize("name", bench.METHODS)
def test_a_measurement_adds_up(name):
    trial = replace(bench.METHODS[name], backbone=STGCN(hidden_channels=2, hidden_dim=8), batch_size=2)
    trial = replace(trial, method=replace(trial.method, queue=8, dim=4))
    one = bench.measure(trial, torch.device("cpu"), steps=1, peak=1e9)
    whole = one.augment + one.forward + one.backward + one.update
    assert one.samples_per_second == pytest.approx(2 / whole, rel=1e-6)
    assert one.share_of_peak == pytest.approx(one.gflop_per_sample * one.samples_per_second, rel=1e-6)
    assert one.peak_memory > 50
    text = bench.table([one]).markdown()
    assert name in text
    assert "samples/s" in text


def test_the_bench_has_every_published_method():
    published = {name.lower() for name, value in vars(papers).items() if isinstance(value, Trial)}
    assert set(bench.METHODS) == published
