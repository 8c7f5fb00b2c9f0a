"""A study killed at many moments ends with the table of one that nobody disturbed; scripts in benchmarks/ kill more."""

import random
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).resolve().parents[2] / "benchmarks"))

from chaos import STUDIES, chaos


@pytest.mark.slow
@pytest.mark.parametrize("kind", STUDIES)
def test_killed_at_many_moments_every_column_is_the_same(tmp_path, synthetic_data, kind):
    assert chaos(kind, 60, tmp_path, synthetic_data, random.Random(1)) >= 1


@pytest.mark.slow
def test_drivers_workers_and_nodes_that_are_killed_cost_an_epoch_each_and_no_row(tmp_path, synthetic_data):
    """On a cluster with authentication: two drivers at once, killed and stopped workers, killed drivers, lost nodes."""
    pytest.importorskip("ray")
    from chaos_on_ray import Chaos, kill_drivers, kill_workers, lose_nodes, ray_nodes, two_drivers

    with ray_nodes() as nodes:
        there = [nodes.add(cpus=1), nodes.add(cpus=1)]
        chaos = Chaos(nodes, tmp_path, synthetic_data, random.Random(1))
        for act in (two_drivers, lambda one: kill_workers(one, 4, hang=0.5), lambda one: kill_drivers(one, 3)):
            assert act(chaos)  # which compares the tables, and counts the epochs that were begun again
            chaos.begin()
        assert lose_nodes(chaos, [*there, nodes.add(cpus=1)])
