"""Fixtures shared by all tests: where golden numbers and reference data lie, if they are there."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

# Ray's token would be written to the home folder of whoever runs the tests; its workers need what the parent has.
os.environ.setdefault("RAY_AUTH_MODE", "disabled")
os.environ.setdefault("OMP_NUM_THREADS", "1")  # tensors here are small, and tests may run side by side

ROOT = Path(__file__).resolve().parent.parent


def pytest_configure(config: pytest.Config) -> None:
    if config.pluginmanager.hasplugin("xdist"):
        config.option.loadscopereorder = False  # it would begin with the group of most tests, and not with Ray's


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Under ``-n 2 --dist loadgroup`` what uses Ray stays in one process, so that there is one cluster, and begins early.

    What shares a fixture of its file stays in one process, too, so that this is made once.
    """
    if named := [item.nodeid for item in items if " at 0x" in item.nodeid]:
        raise pytest.UsageError(f"{named[0]} has an address in its name, which two processes do not share: give it ids")
    if config.pluginmanager.hasplugin("xdist"):
        places = {item: _place(item) for item in items}
        for item in items:
            if places[item]:
                item.add_marker(pytest.mark.xdist_group(places[item]))
        items.sort(key=lambda item: {"alone": 0, "ray": 1, "": 3}.get(places[item], 2))


def _place(item: pytest.Item) -> str:
    """Names the tests that are to run in one process; an empty text: in any."""
    if item.get_closest_marker("ray"):
        return "ray"
    if item.path.stem == "test_workers":
        return "alone"  # before Ray, whose threads stay: it is about processes that have no thread
    made = (fixtures[-1] for fixtures in item._fixtureinfo.name2fixturedefs.values())
    return item.path.stem if any(fixture.scope == "module" for fixture in made) else ""


def _finder(variable: str, default: str) -> Callable[[str], Path]:
    folder = ROOT / os.environ.get(variable, default)

    def find(name: str) -> Path:
        if not (folder / name).exists():
            pytest.skip(f"{variable} ({folder}) has no {name}")
        return folder / name

    return find


@pytest.fixture(scope="session")
def golden() -> Callable[[str], Path]:
    """The path of a golden file by name; skips the test where it is absent."""
    return _finder("SKELRAY_GOLDEN", "../shared/golden")


@pytest.fixture(scope="session")
def shared() -> Callable[[str], Path]:
    """The path of a reference file by name; skips the test where it is absent."""
    return _finder("SKELRAY_SHARED", "../shared")


@pytest.fixture(scope="session")
def synthetic_data(tmp_path_factory) -> Path:
    """A folder with a small synthetic data set: 20 classes, 2 subjects, 3 cameras, 120 sequences of 16 frames."""
    from skelray.data import Preprocessing, prepare
    from skelray.data.synthetic.benchmark import synthetic

    root = tmp_path_factory.mktemp("data")
    prepare(synthetic(subjects=2, replications=1), None, root, Preprocessing("centred", 16))
    return root


@pytest.fixture(scope="session")
def cluster():
    """One local Ray cluster of two CPUs for all tests."""
    ray_runner = pytest.importorskip("skelray.runner.on_ray")
    with ray_runner.join_or_start(ray_runner.Cluster(cpus=2)):
        yield ray_runner
