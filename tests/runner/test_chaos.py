"""A study killed at many moments ends with the table of one that nobody disturbed; scripts in benchmarks/ kill more."""

import random
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).resolve().parents[2] / "benchmarks"))

import file_chaos
from chaos import STUDIES, chaos
from small_study import inline, study_file


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


@pytest.fixture
def done(tmp_path, synthetic_data):
    """An ablation that nobody disturbed: its file, its folder, its scale and its table."""
    body, scale = file_chaos.STUDIES["ablation"]
    (tmp_path / "done").mkdir()
    path = study_file(tmp_path, body)
    return path, tmp_path / "done", scale, inline(path, tmp_path / "done", synthetic_data, **scale)


@pytest.mark.slow
def test_killed_at_every_write_its_table_is_the_same(tmp_path, synthetic_data, done):
    path, _, scale, expected = done
    assert file_chaos.killed_everywhere(path, tmp_path, synthetic_data, scale, expected) > 20


@pytest.mark.slow
def test_a_disk_that_is_full_at_any_write_loses_nothing_and_is_said(tmp_path, synthetic_data, done):
    """Every third write; benchmarks/file_chaos.py has every one."""
    path, _, scale, expected = done
    try:
        with file_chaos.disk(tmp_path / "probe"):
            pass
    except OSError as error:
        pytest.skip(str(error))
    times, _ = file_chaos.filled_everywhere(path, tmp_path, synthetic_data, scale, expected, step=3)
    assert times > 6


@pytest.mark.slow
def test_every_damaged_file_is_made_again(tmp_path, synthetic_data, done):
    path, folder, scale, expected = done
    draw = random.Random(1)
    assert file_chaos.damaged_everywhere(path, folder, tmp_path, synthetic_data, scale, expected, draw) > 30


@pytest.mark.slow
def test_damaged_data_is_refused_or_changes_nothing(tmp_path, synthetic_data, done):
    path, _, scale, expected = done
    count, refused = file_chaos.damaged_data(path, tmp_path, synthetic_data, scale, expected, random.Random(1), bits=2)
    assert (count, refused > 5) == (9, True)


@pytest.mark.slow
def test_a_store_on_s3_that_is_killed_or_damaged_is_the_same(tmp_path):
    """Killed before every seventh write, and every seventh file damaged."""
    pytest.importorskip("moto")
    with file_chaos.object_store(tmp_path) as uri:
        told = file_chaos.disturb("ablation", tmp_path, ["kill", "damage"], uri, step=7)
    assert len(told) == 2
